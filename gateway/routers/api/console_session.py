"""The console's session, whose refresh token is in a cookie that scripts cannot read."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Header, Request, Response

from gateway.core.exceptions import PermissionDenied, TokenInvalid
from gateway.domain.accounts.models import TokenPair
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import client_device, document_errors, get_container
from gateway.schemas.auth import LoginBody
from gateway.schemas.session import ConsoleTokenView

SESSION_PATH = "/api/auth/session"
SECURE_COOKIE, PLAIN_COOKIE = "__Secure-gw_refresh", "gw_refresh"
_MAX_SECRET_LENGTH = 1024


def require_same_origin(
    request: Request,
    x_gateway_console: Annotated[str | None, Header(max_length=16)] = None,
    sec_fetch_site: Annotated[str | None, Header(include_in_schema=False)] = None,
    origin: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> None:
    """Reject requests from other sites' pages.

    Browsers attach the cookie to any request for this origin.

    Raises:
        PermissionDenied: not from this origin, or without `x-gateway-console: 1`, which a form cannot send.
    """
    if sec_fetch_site is not None:
        same_origin = sec_fetch_site == "same-origin"
    else:
        same_origin = origin is not None and _host(origin) == request.headers.get("host", "").lower()
    if not same_origin or x_gateway_console != "1":
        raise PermissionDenied("Only the gateway's own console may call this route.")


router = APIRouter(
    prefix=SESSION_PATH,
    tags=["console"],
    route_class=StrictJsonRoute,
    dependencies=[Depends(require_same_origin)],
)


@router.post("", responses=document_errors(401, 403, 422, 429))
async def begin(body: LoginBody, request: Request, response: Response) -> ConsoleTokenView:
    """Start a session; its refresh token is only in the cookie."""
    pair = await get_container(request).accounts.auth.login(
        body.email, body.password.get_secret_value(), client_device(request)
    )
    return _token_response(pair, request, response)


@router.post("/refresh", responses=document_errors(401, 403))
async def refresh(request: Request, response: Response) -> ConsoleTokenView:
    """Return a new access token for the cookie, which is renewed.

    Several tabs may call this at once.
    """
    secret = _read_cookie(request)
    if secret is None:
        raise TokenInvalid("There is no session. Sign in.")
    pair = await get_container(request).accounts.auth.refresh(secret, client_device(request))
    return _token_response(pair, request, response)


@router.delete("", status_code=204, responses=document_errors(403))
async def end(request: Request, response: Response) -> None:
    """End the cookie's session and its access tokens, and delete the cookie."""
    secret = _read_cookie(request)
    _set_cookie(request, response, "", seconds=0)
    if secret is not None:
        await get_container(request).accounts.auth.logout(secret)


def _token_response(pair: TokenPair, request: Request, response: Response) -> ConsoleTokenView:
    response.headers["cache-control"] = "no-store"
    seconds = get_container(request).settings.refresh_token_ttl_seconds
    _set_cookie(request, response, pair.refresh_token, seconds=seconds)
    return ConsoleTokenView(access_token=pair.access_token, expires_in=pair.expires_in)


def _set_cookie(request: Request, response: Response, secret: str, *, seconds: int) -> None:
    secure = _is_secure(request)
    response.set_cookie(
        SECURE_COOKIE if secure else PLAIN_COOKIE,
        secret,
        max_age=seconds,
        path=request.scope.get("root_path", "") + SESSION_PATH,
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def _read_cookie(request: Request) -> str | None:
    secret = request.cookies.get(SECURE_COOKIE if _is_secure(request) else PLAIN_COOKIE, "")
    return secret if 0 < len(secret) <= _MAX_SECRET_LENGTH else None


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _host(origin: str) -> str | None:
    """Return the host of an Origin in the form of a Host header.

    None if it is malformed.
    """
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
