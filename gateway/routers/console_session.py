"""The console's session: its refresh token lives in a cookie that no script can read, and nowhere else."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Header, Request, Response

from gateway.core.exceptions import PermissionDenied, TokenInvalid
from gateway.domain.account import TokenPair
from gateway.routers.dependencies import device_of, document_errors, get_container
from gateway.routers.edge import EdgeRoute
from gateway.schemas.auth import LoginBody
from gateway.schemas.session import ConsoleTokenView

PATH = "/api/auth/session"
_SECURE, _PLAIN = "__Secure-gw_refresh", "gw_refresh"
_LONGEST = 1024


def from_our_page(
    request: Request,
    x_gateway_console: Annotated[str | None, Header(max_length=16)] = None,
    sec_fetch_site: Annotated[str | None, Header(include_in_schema=False)] = None,
    origin: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> None:
    """Refuse what another site's page could have sent: a browser adds the cookie whoever asks it to call.

    Raises:
        PermissionDenied: not from this origin, or without `x-gateway-console: 1`, which a form cannot send.
    """
    if sec_fetch_site is not None:
        ours = sec_fetch_site == "same-origin"
    else:
        ours = origin is not None and _host(origin) == request.headers.get("host", "").lower()
    if not ours or x_gateway_console != "1":
        raise PermissionDenied("Only the gateway's own console may call this route.")


router = APIRouter(
    prefix=PATH, tags=["console"], route_class=EdgeRoute, dependencies=[Depends(from_our_page)]
)


@router.post("", responses=document_errors(401, 403, 422, 429))
async def begin(body: LoginBody, request: Request, response: Response) -> ConsoleTokenView:
    """Begins a session; its refresh token is in the cookie alone."""
    pair = await get_container(request).auth.login(
        body.email, body.password.get_secret_value(), device_of(request)
    )
    return _answer(pair, request, response)


@router.post("/refresh", responses=document_errors(401, 403))
async def refresh(request: Request, response: Response) -> ConsoleTokenView:
    """A new access token, by the cookie, which is renewed; several tabs may ask at once."""
    secret = _secret(request)
    if secret is None:
        raise TokenInvalid("Nobody is signed in here.")
    pair = await get_container(request).auth.refresh(secret, device_of(request))
    return _answer(pair, request, response)


@router.delete("", status_code=204, responses=document_errors(403))
async def end(request: Request, response: Response) -> None:
    """Ends the session of the cookie, its access tokens too, and takes the cookie away."""
    secret = _secret(request)
    _keep(request, response, "", seconds=0)
    if secret is not None:
        await get_container(request).auth.logout(secret)


def _answer(pair: TokenPair, request: Request, response: Response) -> ConsoleTokenView:
    response.headers["cache-control"] = "no-store"
    seconds = get_container(request).settings.refresh_token_ttl_seconds
    _keep(request, response, pair.refresh_token, seconds=seconds)
    return ConsoleTokenView(access_token=pair.access_token, expires_in=pair.expires_in)


def _keep(request: Request, response: Response, secret: str, *, seconds: int) -> None:
    secure = _is_secure(request)
    response.set_cookie(
        _SECURE if secure else _PLAIN,
        secret,
        max_age=seconds,
        path=request.scope.get("root_path", "") + PATH,
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def _secret(request: Request) -> str | None:
    secret = request.cookies.get(_SECURE if _is_secure(request) else _PLAIN, "")
    return secret if 0 < len(secret) <= _LONGEST else None


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _host(origin: str) -> str | None:
    """The host of an Origin, as a Host header would name it; None where it is none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
