"""How a route does a request once: the answer of its handler is recorded, and told to all who ask again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.exceptions import GatewayError
from gateway.core.json_body import parse_json
from gateway.dialects.sse import stream_response
from gateway.domain.idempotency import HEADER, Head, Keyed, checked_key, same_request
from gateway.domain.principal import Principal
from gateway.routers.dependencies import get_container
from gateway.routers.errors import error_response
from gateway.services.idempotency import Done
from gateway.services.tape import Tape

REPLAYED = "idempotent-replayed"
# What a server works out anew for each answer.
_OWN = frozenset({"content-length", "connection", "x-accel-buffering"})

# How an answer may have ended for which nothing was charged, or after which the gateway says to ask again.
_TRY_AGAIN = frozenset({"interrupted", "no_pictures"})

Handler = Callable[[], Awaitable[Response]]


async def once(
    request: Request, principal: Principal, handler: Handler, *, variant: object = None
) -> Response:
    """The answer of `handler`, or what was answered to the same `Idempotency-Key` of the account.

    Without a key `handler` is called, and nothing else happens.

    Args:
        variant: what else than method, path and body the answer depends on.

    Raises:
        ValidationFailed: a bad key. IdempotencyMismatch: it is another request's. Whatever `handler` raises.
    """
    key = checked_key(request.headers.getlist(HEADER))
    if key is None:
        return await handler()
    allowed = None if principal.models is None else sorted(principal.models)
    return await _keyed(
        request, key, principal.user_id.bytes, handler, variant=[variant, allowed], user_id=principal.user_id
    )


async def once_for(request: Request, scope: bytes, handler: Handler) -> Response:
    """As `once`, for who has no account yet; `scope` is what their keys are told apart by."""
    key = checked_key(request.headers.getlist(HEADER))
    return await (handler() if key is None else _keyed(request, key, scope, handler))


async def _keyed(
    request: Request,
    key: str,
    scope: bytes,
    handler: Handler,
    *,
    variant: object = None,
    user_id: UUID | None = None,
) -> Response:
    data = await request.body()
    content = same_request(request.method, request.url.path, parse_json(data) if data else None, variant)
    # From here on the work goes on without this connection.
    request.state.outlives = True
    keyed = Keyed(scope, key, content, request.state.request_id, user_id)

    container = get_container(request)

    async def work(tape: Tape) -> Done:
        container.in_use.take()
        try:
            return await _recorded(request, handler, tape)
        finally:
            container.in_use.give_back()

    tape, replayed = await container.idempotency.answer(keyed, work)
    return await told(tape, {REPLAYED: "true"} if replayed else {})


async def told(tape: Tape, extra: dict[str, str]) -> Response:
    """The answer on a tape as a response of one's own."""
    head = await tape.head()
    headers = {**dict(head.headers), **extra}
    if not head.streamed:
        return Response(await tape.body(), head.status, headers)
    response = stream_response(tape.chunks())
    response.headers.update({name: value for name, value in headers.items() if name != "content-type"})
    return response


async def _recorded(request: Request, handler: Handler, tape: Tape) -> Done:
    """Tell the tape what the handler answers; says whether the next one is to hear the same."""
    try:
        response = await handler()
    except GatewayError as error:
        return record_error(request, error, tape)
    await record(response, tape)
    state = request.state
    again = getattr(state, "ended_as", None) in _TRY_AGAIN
    return Done(keep=not again, owner=getattr(state, "made_account", None))


def record_error(request: Request, error: GatewayError, tape: Tape) -> Done:
    """Tell the tape of a failure; it is kept where it cost something, or would come again."""
    response = error_response(request, error)
    tape.begin(Head(response.status_code, _headers(response)))
    tape.add(bytes(response.body))
    tape.end()
    return Done(keep=error.charged or (error.status == 400 and not error.retryable))


async def record(response: Response, tape: Tape) -> None:
    """Tell the tape all of a response, as it is made."""
    streamed = isinstance(response, EventSourceResponse)
    tape.begin(Head(response.status_code, _headers(response), streamed))
    if isinstance(response, EventSourceResponse):
        async for chunk in response.body_iterator:
            tape.add(bytes(chunk))  # type: ignore[arg-type]
    else:
        tape.add(bytes(response.body))
    tape.end()


def _headers(response: Response) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in response.headers.items() if name not in _OWN)
