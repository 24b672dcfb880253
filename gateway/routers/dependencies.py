"""Who may call a route: one dependency for each kind of caller, one look-up for each request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from fastapi import Request
from fastapi.openapi.models import HTTPBearer, OAuth2, OAuthFlowPassword, OAuthFlows
from fastapi.security.base import SecurityBase

from gateway.core.database import clean_text
from gateway.core.exceptions import PermissionDenied, ScopeMissing
from gateway.domain.accounts.models import ClientDevice
from gateway.domain.accounts.principal import Principal, Scope
from gateway.domain.usage.budgets import RateCategory
from gateway.schemas.base import ErrorBody

if TYPE_CHECKING:
    from gateway.bootstrap.container import Container
    from gateway.services.operations.config_reload import ConfigReloadService

API_KEY_SCHEME = "API key"
CallerKind = Literal["person", "api_key"]

_ACCESS_TOKEN_MODEL = OAuth2(
    flows=OAuthFlows(password=OAuthFlowPassword(tokenUrl="/api/auth/token")),
    description="An access token of `/api/auth/login`.",
)
_API_KEY_MODEL = HTTPBearer(description="`Authorization: Bearer gw_…`, or the same key as `X-API-Key`.")


def get_container(request: Request) -> Container:
    """The container that was in force when this request first asked; it stays open as long as the request."""
    state = request.scope["state"]
    container: Container | None = state.get("container")
    if container is None:
        container = state["container"] = cast("Container", request.app.state.container)
        container.references.acquire()
        state["afterwards"] = container.references.release  # called by the edge
    return container


def get_reload_service(request: Request) -> ConfigReloadService:
    """What reads the provider configuration anew; it is of no single configuration."""
    return cast("ConfigReloadService", request.app.state.reloads)


class RequireCaller(SecurityBase):
    """A dependency that yields the caller's `Principal` and documents itself as a security scheme.

    One object a rule rather than a chain of dependencies: FastAPI resolves each link anew with every request.

    Raises (from the call):
        AuthenticationFailed and its kin, AccountDisabled: what `Authenticator.authenticate` raises.
        RateLimited: one request too many, whatever its route would say.
        PermissionDenied: a good credential of the wrong kind or role. ScopeMissing: a key without `scope`.
    """

    def __init__(
        self,
        *kinds: CallerKind,
        scope: Scope | None = None,
        admin: bool = False,
        counts: RateCategory = "read",
    ) -> None:
        """`counts`: which limit a signed-in person's request counts against; with a key always `turn`."""
        self._kinds = frozenset(kinds)
        self._counts = counts
        self._scope = scope
        self._admin = admin
        self.model = _API_KEY_MODEL if "api_key" in kinds else _ACCESS_TOKEN_MODEL
        self.scheme_name = API_KEY_SCHEME if "api_key" in kinds else "Access token"

    async def __call__(self, request: Request) -> Principal:
        # A route authenticates before it reads a body (`routers.body`), and FastAPI asks again after that.
        # By rule: FastAPI evaluates an annotation more than once, and each time there is another object.
        rule = (self._kinds, self._counts, self._scope, self._admin)
        authenticated: dict[object, Principal] = request.scope["state"].setdefault("admitted", {})
        if (principal := authenticated.get(rule)) is None:
            principal = authenticated[rule] = await self._authenticate(request)
        return principal

    async def _authenticate(self, request: Request) -> Principal:
        authenticator = get_container(request).authenticator
        principal = await authenticator.authenticate(request.headers, self._counts)
        request.state.principal = principal
        authenticator.enforce_rate_limit(principal)
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


require_user = RequireCaller("person")
# What the console asks before it can show anything, and what ends a session: no limit may stand in its way.
require_user_unlimited = RequireCaller("person", counts="none")
require_admin = RequireCaller("person", admin=True)
current_principal = RequireCaller("person", "api_key")


def user_or_api_key(scope: Scope | None = None, *, counts: RateCategory = "read") -> RequireCaller:
    """People, who have every scope, and keys that have `scope`: `/api/chat*` and `/api/v1/*`.

    `counts="turn"` for a route that asks a model.
    """
    return RequireCaller("person", "api_key", scope=scope, counts=counts)


def api_key_only(scope: Scope | None = None) -> RequireCaller:
    """Keys that have `scope`: `/v1/*`."""
    return RequireCaller("api_key", scope=scope)


def client_device(request: Request) -> ClientDevice:
    """Where a sign-in comes from, cut to what the sessions' table holds."""
    agent = clean_text(request.headers.get("user-agent", ""))[:400]
    return ClientDevice(user_agent=agent or None, ip=client_address(request))


def client_address(request: Request) -> str | None:
    """The client's network address, which the edge found out: a proxy's word counts where it is trusted."""
    address: str | None = request.scope["state"].get("client_ip")
    return address[:64] if address else None


def document_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """A route's `responses`: the error shape for each status."""
    return {status: {"model": ErrorBody} for status in statuses}


def document_api_key_header(schema: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI schema in which every route that takes API keys also takes them as `X-API-Key`.

    FastAPI documents one scheme a dependency; two dependencies would cost every request for the docs' sake.
    """
    schemes = schema.get("components", {}).get("securitySchemes", {})
    if API_KEY_SCHEME in schemes:
        schemes["X-API-Key"] = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
        for path in schema["paths"].values():
            for operation in path.values():
                security = operation.get("security", [])
                if {API_KEY_SCHEME: []} in security and {"X-API-Key": []} not in security:
                    security.append({"X-API-Key": []})
    return schema
