"""Response headers that describe an answer, and the outcome for the access log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from gateway.domain.accounts.principal import Principal
from gateway.domain.events import Answer
from gateway.domain.money import format_usd
from gateway.domain.request_outcome import RequestOutcome
from gateway.domain.requests import RequestScope


def answer_response(request: Request, answer: Answer, body: dict[str, Any]) -> Response:
    """Return a JSON response with the `x-gateway-*` headers."""
    record_upstream(request, answer)
    headers = {
        "x-gateway-model": answer.model,
        "x-gateway-provider": answer.provider,
        "x-gateway-cache": answer.cache,
        "x-gateway-overhead-ms": f"{answer.receipt.overhead_ms:.1f}",
        "x-gateway-cost-usd": format_usd(answer.cost_usd),
    }
    if answer.fallback_from is not None:
        headers["x-fallback-model"] = answer.model
    return Response(orjson.dumps(body), media_type="application/json", headers=headers)


def json_response(view: BaseModel, status: int, headers: dict[str, str] | None = None) -> Response:
    """Return a view as JSON, encoded as FastAPI would."""
    return Response(view.model_dump_json(), status, headers, "application/json")


def record_upstream(request: Request, answer: Answer) -> None:
    """Record the model and its provider for the access log."""
    outcome = RequestOutcome.of(request.scope)
    outcome.ending = answer.status
    outcome.record_call(answer.provider, answer.model, is_fallback=answer.fallback_from is not None)


def disconnect_signal(request: Request) -> Callable[[], Awaitable[None]]:
    """Return a function that waits for the client to disconnect.

    Call it only after the body has been read. If another request may still reuse the result, the function
    returns after a delay or does not return (see `routers.idempotent`).
    """

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            continue
        if (on_disconnect := RequestOutcome.of(request.scope).on_disconnect) is not None:
            await on_disconnect()

    return disconnected


def request_scope(request: Request, principal: Principal) -> RequestScope:
    """The request's scope; only after the body has been read."""
    return RequestScope(principal, request.state.request_id, disconnect_signal(request))


def upstream_recorder(request: Request) -> Callable[[Answer], None]:
    """Return `record_upstream` bound to the request, for the end of a stream."""
    return partial(record_upstream, request)
