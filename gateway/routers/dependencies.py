"""Authentication dependencies: one per kind of caller, evaluated once per request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from fastapi import Request
from fastapi.openapi.models import HTTPBearer, OAuth2, OAuthFlowPassword, OAuthFlows
from fastapi.security.base import SecurityBase

from gateway.core.database import clean_text
from gateway.core.exceptions import PermissionDenied, ScopeMissing
from gateway.domain.accounts.models import ClientDevice
from gateway.domain.accounts.principal import Principal, Scope
from gateway.domain.request_outcome import RequestOutcome
from gateway.domain.usage.budgets import RateCategory
from gateway.schemas.base import ErrorBody

if TYPE_CHECKING:
    from gateway.bootstrap.container import Container
    from gateway.services.operations.config_reload import ConfigReloadService

API_KEY_SCHEME = "API key"
CallerKind = Literal["user", "api_key"]

_ACCESS_TOKEN_MODEL = OAuth2(
    flows=OAuthFlows(password=OAuthFlowPassword(tokenUrl="/api/auth/token")),
    description="An access token of `/api/auth/login`.",
)
_API_KEY_MODEL = HTTPBearer(description="`Authorization: Bearer gw_…`, or the same key as `X-API-Key`.")


def get_container(request: Request) -> Container:
    """Return the container in force when the request first asked; it stays open for all of it."""
    state = request.scope["state"]
    container: Container | None = state.get("container")
    if container is None:
        container = state["container"] = cast("Container", request.app.state.container)
        container.references.acquire()
        RequestOutcome.of(request.scope).on_finished = container.references.release
    return container


def get_reload_service(request: Request) -> ConfigReloadService:
    """Return the service that reloads the configuration; it outlives single configurations."""
    return cast("ConfigReloadService", request.app.state.reloads)


class RequireCaller(SecurityBase):
    """A dependency that authenticates and documents itself as a security scheme.

    One object per rule instead of a chain of dependencies, each of which FastAPI would resolve per request.

    Raises (when called):
        AuthenticationFailed and subclasses, AccountDisabled: see `Authenticator.authenticate`.
        RateLimited: the caller exceeds its requests per minute, on any route.
        PermissionDenied: a valid credential of the wrong kind or role.
        ScopeMissing: an API key without `scope`.
    """

    def __init__(
        self,
        *kinds: CallerKind,
        scope: Scope | None = None,
        admin: bool = False,
        rate_category: RateCategory = "read",
    ) -> None:
        """Create a rule; `rate_category` is the rate limit for access tokens.

        API keys always count as `turn`.
        """
        self._kinds = frozenset(kinds)
        self._rate_category = rate_category
        self._scope = scope
        self._admin = admin
        self.model = _API_KEY_MODEL if "api_key" in kinds else _ACCESS_TOKEN_MODEL
        self.scheme_name = API_KEY_SCHEME if "api_key" in kinds else "Access token"

    async def __call__(self, request: Request) -> Principal:
        # A route authenticates before it reads a body (`routers.body`), and FastAPI calls the dependency
        # again. Cached by rule, because FastAPI evaluates annotations repeatedly and creates new objects.
        rule = (self._kinds, self._rate_category, self._scope, self._admin)
        authenticated: dict[object, Principal] = request.scope["state"].setdefault("authenticated", {})
        if (principal := authenticated.get(rule)) is None:
            principal = authenticated[rule] = await self._authenticate(request)
        return principal

    async def _authenticate(self, request: Request) -> Principal:
        authenticator = get_container(request).accounts.authenticator
        principal = await authenticator.authenticate(request.headers, self._rate_category)
        RequestOutcome.of(request.scope).principal = principal
        authenticator.enforce_rate_limit(principal)
        if principal.kind not in self._kinds:
            raise PermissionDenied(
                "API keys may not call this route. Sign in for an access token."
                if principal.kind == "api_key"
                else "Access tokens may not call this route. Use an API key."
            )
        if self._scope is not None and self._scope not in principal.scopes:
            raise ScopeMissing
        if self._admin and not principal.is_admin:
            raise PermissionDenied
        return principal


require_user = RequireCaller("user")
# For what the console needs before it can show anything, and for ending sessions: no rate limit may prevent
# these.
require_user_unlimited = RequireCaller("user", rate_category="none")
require_admin = RequireCaller("user", admin=True)
current_principal = RequireCaller("user", "api_key")


def user_or_api_key(scope: Scope | None = None, *, rate_category: RateCategory = "read") -> RequireCaller:
    """Allow users and API keys with `scope`: `/api/chat*` and `/api/v1/*`.

    Routes that call a model use `rate_category="turn"`.
    """
    return RequireCaller("user", "api_key", scope=scope, rate_category=rate_category)


def api_key_only(scope: Scope | None = None) -> RequireCaller:
    """Allow API keys with `scope`: `/v1/*`."""
    return RequireCaller("api_key", scope=scope)


def client_device(request: Request) -> ClientDevice:
    """Return where a login comes from, truncated to the columns of the sessions table."""
    agent = clean_text(request.headers.get("user-agent", ""))[:400]
    return ClientDevice(user_agent=agent or None, ip=client_address(request))


def client_address(request: Request) -> str | None:
    """Return the client's network address, as determined by the middleware."""
    address: str | None = request.scope["state"].get("client_ip")
    return address[:64] if address else None


def document_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return a route's `responses`: the error shape for each status."""
    return {status: {"model": ErrorBody} for status in statuses}


def document_api_key_header(schema: dict[str, Any]) -> dict[str, Any]:
    """Document `X-API-Key` for every route that accepts API keys.

    FastAPI documents one scheme per dependency; a second dependency would cost time on every request.
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
