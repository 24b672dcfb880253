"""Routes for registration, login, logout and password reset."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import OAuth2PasswordRequestForm

from gateway.core.exceptions import ValidationFailed
from gateway.domain.accounts.models import TokenPair
from gateway.domain.request_outcome import RequestOutcome
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
    """Register an account if registration is open (`GET /api/console`).

    An `Idempotency-Key` applies per e-mail address.
    """
    return await run_idempotent_anonymous(
        request, b"register:" + body.email.encode(), lambda: _register(body, request)
    )


async def _register(body: RegisterBody, request: Request) -> Response:
    account = await get_container(request).accounts.auth.register(
        body.email, body.password.get_secret_value(), body.name, client_device(request)
    )
    RequestOutcome.of(request.scope).created_account_id = account.id
    return json_response(UserView.model_validate(account), 201)


@router.post("/login", responses=document_errors(401, 403, 422, 429))
async def login(body: LoginBody, request: Request, response: Response) -> TokenView:
    """Start a session."""
    pair = await get_container(request).accounts.auth.login(
        body.email, body.password.get_secret_value(), client_device(request)
    )
    return _token_response(pair, response)


@router.post("/token", responses=document_errors(401, 403, 422, 429))
async def token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request, response: Response
) -> TokenView:
    """Start a session from an OAuth2 form, as Swagger's "Authorize" sends it."""
    if max(len(form.username), len(form.password)) > _MAX_FORM_FIELD:
        raise ValidationFailed("This value is too long.", param="password")
    pair = await get_container(request).accounts.auth.login(
        form.username, form.password, client_device(request)
    )
    return _token_response(pair, response)


@router.post("/refresh", responses=document_errors(401, 403, 422))
async def refresh(body: RefreshBody, request: Request, response: Response) -> TokenView:
    """Exchange a refresh token, which becomes invalid, for a new pair of tokens."""
    pair = await get_container(request).accounts.auth.refresh(
        body.refresh_token.get_secret_value(), client_device(request)
    )
    return _token_response(pair, response)


@router.post("/logout", status_code=204, responses=document_errors(422))
async def logout(body: RefreshBody, request: Request) -> None:
    """End the session; its access tokens stop working at once."""
    await get_container(request).accounts.auth.logout(body.refresh_token.get_secret_value())


@router.post("/password/forgot", status_code=202, responses=document_errors(422, 429))
async def forgot_password(body: ForgotPasswordBody, request: Request) -> None:
    """E-mail a reset token if the address has an account.

    The response does not reveal that.
    """
    await get_container(request).accounts.password_resets.request_reset(body.email, client_address(request))


@router.post("/password/reset", status_code=204, responses=document_errors(401, 403, 422))
async def reset_password(body: ResetPasswordBody, request: Request) -> None:
    """Set a new password with a token from an e-mail; every session ends at once."""
    await get_container(request).accounts.password_resets.reset(
        body.token.get_secret_value(), body.password.get_secret_value(), client_address(request)
    )


def _token_response(pair: TokenPair, response: Response) -> TokenView:
    response.headers["cache-control"] = "no-store"
    return TokenView.model_validate(pair)
