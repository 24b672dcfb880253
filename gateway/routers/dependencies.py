"""Who may call a route: one dependency for each kind of caller, one look-up for each request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from fastapi import Request
from fastapi.openapi.models import HTTPBearer, OAuth2, OAuthFlowPassword, OAuthFlows
from fastapi.security.base import SecurityBase

from gateway.core.database import clean_text
from gateway.core.exceptions import PermissionDenied, ScopeMissing
from gateway.domain.account import Device
from gateway.domain.budget import Counts
from gateway.domain.principal import Principal, Scope
from gateway.schemas.base import ErrorBody

if TYPE_CHECKING:
    from gateway.container import Container
    from gateway.services.reloads import ReloadService

SERVICE_SCHEME = "API key"
Kind = Literal["person", "api_key"]

_PERSON_DOCS = OAuth2(
    flows=OAuthFlows(password=OAuthFlowPassword(tokenUrl="/api/auth/token")),
    description="An access token of `/api/auth/login`.",
)
_SERVICE_DOCS = HTTPBearer(description="`Authorization: Bearer gw_…`, or the same key as `X-API-Key`.")


def get_container(request: Request) -> Container:
    """The container that was in force when this request first asked; it stays open as long as the request."""
    state = request.scope["state"]
    held: Container | None = state.get("container")
    if held is None:
        held = state["container"] = cast("Container", request.app.state.container)
        held.in_use.take()
        state["afterwards"] = held.in_use.give_back  # called by the edge
    return held


def get_reloads(request: Request) -> ReloadService:
    """What reads the provider configuration anew; it is of no single configuration."""
    return cast("ReloadService", request.app.state.reloads)


class Caller(SecurityBase):
    """A dependency that yields the caller's `Principal` and documents itself as a security scheme.

    One object a rule rather than a chain of dependencies: FastAPI resolves each link anew with every request.

    Raises (from the call):
        AuthenticationFailed and its kin, AccountDisabled: what `Authenticator.authenticate` raises.
        RateLimited: one request too many, whatever its route would say.
        PermissionDenied: a good credential of the wrong kind or role. ScopeMissing: a key without `scope`.
    """

    def __init__(
        self, *kinds: Kind, scope: Scope | None = None, admin: bool = False, counts: Counts = "read"
    ) -> None:
        """`counts`: which limit a signed-in person's request counts against; with a key always `turn`."""
        self._kinds = frozenset(kinds)
        self._counts = counts
        self._scope = scope
        self._admin = admin
        self.model = _SERVICE_DOCS if "api_key" in kinds else _PERSON_DOCS
        self.scheme_name = SERVICE_SCHEME if "api_key" in kinds else "Access token"

    async def __call__(self, request: Request) -> Principal:
        # A route authenticates before it reads a body (`routers.edge`), and FastAPI asks again after that.
        # By rule: FastAPI evaluates an annotation more than once, and each time there is another object.
        rule = (self._kinds, self._counts, self._scope, self._admin)
        admitted: dict[object, Principal] = request.scope["state"].setdefault("admitted", {})
        if (known := admitted.get(rule)) is None:
            known = admitted[rule] = await self._admit(request)
        return known

    async def _admit(self, request: Request) -> Principal:
        authenticator = get_container(request).authenticator
        principal = await authenticator.authenticate(request.headers, self._counts)
        request.state.principal = principal
        authenticator.admit(principal)
        if principal.kind not in self._kinds:
            raise PermissionDenied(
                "API keys may not call this route; sign in for an access token."
                if principal.kind == "api_key"
                else "Access tokens may not call this route; use an API key."
            )
        if self._scope is not None and self._scope not in principal.scopes:
            raise ScopeMissing
        if self._admin and not principal.is_admin:
            raise PermissionDenied
        return principal


require_person = Caller("person")
# What the console asks before it can show anything, and what ends a session: no limit may stand in its way.
require_person_unlimited = Caller("person", counts="none")
require_admin = Caller("person", admin=True)
current_principal = Caller("person", "api_key")


def service_or_person(scope: Scope | None = None, *, counts: Counts = "read") -> Caller:
    """People, who have every scope, and keys that have `scope`: `/api/chat*` and `/api/v1/*`.

    `counts="turn"` for a route that asks a model.
    """
    return Caller("person", "api_key", scope=scope, counts=counts)


def api_key_only(scope: Scope | None = None) -> Caller:
    """Keys that have `scope`: `/v1/*`."""
    return Caller("api_key", scope=scope)


def device_of(request: Request) -> Device:
    """Where a sign-in comes from, cut to what the sessions' table holds."""
    agent = clean_text(request.headers.get("user-agent", ""))[:400]
    return Device(user_agent=agent or None, ip=address_of(request))


def address_of(request: Request) -> str | None:
    """The client's network address, which the edge found out: a proxy's word counts where it is trusted."""
    address: str | None = request.scope["state"].get("client_ip")
    return address[:64] if address else None


def document_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """A route's `responses`: the error shape for each status."""
    return {status: {"model": ErrorBody} for status in statuses}


def add_key_header_to_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI schema in which every route that takes API keys also takes them as `X-API-Key`.

    FastAPI documents one scheme a dependency; two dependencies would cost every request for the docs' sake.
    """
    schemes = schema.get("components", {}).get("securitySchemes", {})
    if SERVICE_SCHEME in schemes:
        schemes["X-API-Key"] = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
        for path in schema["paths"].values():
            for operation in path.values():
                security = operation.get("security", [])
                if {SERVICE_SCHEME: []} in security and {"X-API-Key": []} not in security:
                    security.append({"X-API-Key": []})
    return schema
