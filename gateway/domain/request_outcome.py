"""What the routes find out about a request, for its log line, metrics, trace and idempotency record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from gateway.domain.accounts.principal import Principal
from gateway.domain.events import MessageStatus

_KEY = "outcome"


@dataclass(slots=True)
class RequestOutcome:
    """The outcome of one request: dependencies, routes and error handlers fill it in.

    `provider` and `model` are those of the last model call, `ending` is how the answer ended.
    `created_account_id` owns the idempotency record of a registration. `on_disconnect` replaces the
    cancellation of the work when the client disconnects. `on_finished` runs after the response.
    """

    principal: Principal | None = None
    provider: str | None = None
    model: str | None = None
    fallback_model: str | None = None
    error_code: str | None = None
    ending: MessageStatus | Literal["no_images"] | None = None
    created_account_id: UUID | None = None
    on_disconnect: Callable[[], Awaitable[None]] | None = None
    on_finished: Callable[[], None] | None = None

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> RequestOutcome:
        """Return the outcome of the request with this ASGI scope, created on first use."""
        state = scope.setdefault("state", {})
        outcome: RequestOutcome | None = state.get(_KEY)
        if outcome is None:
            outcome = state[_KEY] = cls()
        return outcome

    def record_call(self, provider: str, model: str, *, is_fallback: bool = False) -> None:
        """Record the model call that answered."""
        self.provider, self.model = provider, model
        if is_fallback:
            self.fallback_model = model

    def log_fields(self) -> dict[str, str]:
        """Return the fields of the log line and the span that are set."""
        fields = {
            "upstream": self.provider,
            "model": self.model,
            "fallback_model": self.fallback_model,
        }
        return {name: value for name, value in fields.items() if value is not None}
