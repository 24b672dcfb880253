"""Routes of signing up, in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import OAuth2PasswordRequestForm

from gateway.core.exceptions import ValidationFailed
from gateway.domain.accounts.models import TokenPair
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import client_address, client_device, document_errors, get_container
from gateway.routers.idempotent import run_idempotent_anonymous
from gateway.routers.openapi import IDEMPOTENCY_KEY
from gateway.routers.response_headers import json_response
from gateway.schemas.auth import (
    ForgotPasswordBody,
    LoginBody,
    RefreshBody,
    RegisterBody,
    ResetPasswordBody,
    TokenView,
)
from gateway.schemas.user import UserView

router = APIRouter(prefix="/api/auth", tags=["accounts"], route_class=StrictJsonRoute)

_MAX_FORM_FIELD = 1024


@router.post(
    "/register",
    status_code=201,
    openapi_extra=IDEMPOTENCY_KEY,
    response_model=UserView,
    responses=document_errors(403, 409, 422, 429, 503),
)
async def register(body: RegisterBody, request: Request) -> Response:
    """Makes an account, where sign-up is open (`GET /api/console`); an `Idempotency-Key` is the address's."""
    return await run_idempotent_anonymous(
        request, b"register:" + body.email.encode(), lambda: _register(body, request)
    )


async def _register(body: RegisterBody, request: Request) -> Response:
    account = await get_container(request).auth.register(
        body.email, body.password.get_secret_value(), body.name, client_device(request)
    )
    request.state.made_account = account.id
    return json_response(UserView.model_validate(account), 201)


@router.post("/login", responses=document_errors(401, 403, 422, 429))
async def login(body: LoginBody, request: Request, response: Response) -> TokenView:
    """Begins a session."""
    pair = await get_container(request).auth.login(
        body.email, body.password.get_secret_value(), client_device(request)
    )
    return _token_response(pair, response)


@router.post("/token", responses=document_errors(401, 403, 422, 429))
async def token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request, response: Response
) -> TokenView:
    """Begins a session from an OAuth2 form, as Swagger's "Authorize" sends it."""
    if max(len(form.username), len(form.password)) > _MAX_FORM_FIELD:
        raise ValidationFailed("This is too long.", param="password")
    pair = await get_container(request).auth.login(form.username, form.password, client_device(request))
    return _token_response(pair, response)


@router.post("/refresh", responses=document_errors(401, 403, 422))
async def refresh(body: RefreshBody, request: Request, response: Response) -> TokenView:
    """A new pair of tokens; the refresh token is spent."""
    pair = await get_container(request).auth.refresh(
        body.refresh_token.get_secret_value(), client_device(request)
    )
    return _token_response(pair, response)


@router.post("/logout", status_code=204, responses=document_errors(422))
async def logout(body: RefreshBody, request: Request) -> None:
    """Ends the session, whose access tokens die at once."""
    await get_container(request).auth.logout(body.refresh_token.get_secret_value())


@router.post("/password/forgot", status_code=202, responses=document_errors(422, 429))
async def forgot_password(body: ForgotPasswordBody, request: Request) -> None:
    """Sends a reset token to the address, if it has an account; the answer does not tell."""
    await get_container(request).password_resets.request_reset(body.email, client_address(request))


@router.post("/password/reset", status_code=204, responses=document_errors(401, 403, 422))
async def reset_password(body: ResetPasswordBody, request: Request) -> None:
    """Sets a new password with a token from a mail; every session ends at once."""
    await get_container(request).password_resets.reset(
        body.token.get_secret_value(), body.password.get_secret_value(), client_address(request)
    )


def _token_response(pair: TokenPair, response: Response) -> TokenView:
    response.headers["cache-control"] = "no-store"
    return TokenView.model_validate(pair)
