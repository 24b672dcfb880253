"""How a route does a request once: the answer of its handler is recorded, and told to all who ask again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import monotonic
from typing import Any
from uuid import UUID

import orjson
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.exceptions import GatewayError
from gateway.core.json_body import parse_json
from gateway.dialects.errors import render_error
from gateway.dialects.sse import frame, stream_response
from gateway.domain.idempotency import HEADER, Head, Keyed, checked_key, same_request
from gateway.domain.principal import Principal
from gateway.routers.dependencies import get_container
from gateway.routers.errors import error_response
from gateway.services.idempotency import Done
from gateway.services.rejoining import Attempt
from gateway.services.tape import Tape

REPLAYED = "idempotent-replayed"
RETRY_COUNT = "x-stainless-retry-count"
# What a server works out anew for each answer.
_OWN = frozenset({"content-length", "connection", "x-accel-buffering"})
# How an answer may have ended for which nothing was charged, or after which the gateway says to ask again.
_TRY_AGAIN = frozenset({"interrupted", "no_pictures"})
# No client gives up so soon: it is not asked whether it is still there.
_SOON_SECONDS = 0.1

Handler = Callable[[], Awaitable[Response]]


async def once(
    request: Request,
    principal: Principal,
    handler: Handler,
    *,
    variant: object = None,
    retries: bool = True,
) -> Response:
    """The answer of `handler`, or what was answered to the same `Idempotency-Key` of the account.

    Without a key `handler` is called, and nothing else happens; but for a client that counts its retries
    (`services.rejoining`).

    Args:
        variant: what else than method, path and body the answer depends on.
        retries: whether such a client's retries are worth joining.

    Raises:
        ValidationFailed: a bad key. IdempotencyMismatch: it is another request's. Whatever `handler` raises.
    """
    key = checked_key(request.headers.getlist(HEADER))
    if key is not None:
        allowed = None if principal.models is None else sorted(principal.models)
        user_id = principal.user_id
        return await _keyed(request, key, user_id.bytes, handler, variant=[variant, allowed], user_id=user_id)
    count = request.headers.get(RETRY_COUNT) if retries else None
    if count is not None:
        return await _counted(
            request, principal, handler, variant, again=count.isdecimal() and bool(count.strip("0"))
        )
    return await handler()


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
    request.state.left = _never
    keyed = Keyed(scope, key, content, request.state.request_id, user_id)
    container = get_container(request)

    async def work(tape: Tape) -> Done:
        container.in_use.take()
        try:
            return await _recorded(request, handler, tape)
        finally:
            container.in_use.give_back()

    tape, replayed = await container.idempotency.answer(keyed, work)
    return await told(request, tape, {REPLAYED: "true"} if replayed else {})


async def _counted(
    request: Request, principal: Principal, handler: Handler, variant: object, *, again: bool
) -> Response:
    """An attempt of a client that counts them; one that is not its first joins an earlier one."""
    rejoining = get_container(request).rejoining
    place = orjson.dumps([request.method, request.url.path.rstrip("/"), variant])
    content, request_id = place + b"\n" + await request.body(), request.state.request_id
    if again and (tape := await rejoining.join(principal, content, request_id)) is not None:
        return await told(request, tape, {REPLAYED: "true"})
    attempt = rejoining.begin(principal, content, request_id)
    request.state.left = attempt.left
    began = monotonic()
    lives_on = False
    try:
        response = await handler()
        if attempt.tape is None and monotonic() - began > _SOON_SECONDS:
            attempt.gone = attempt.gone or await request.is_disconnected()
        if isinstance(response, EventSourceResponse):
            # Once it is told to its own client, nobody can hear it from its beginning.
            lives_on = attempt.tape is not None or (attempt.gone and await attempt.wanted())
            return await _streamed_on(request, attempt, response) if lives_on else response
        called_off = getattr(request.state, "ended_as", None) == "cancelled"
        if attempt.tape is not None or (attempt.gone and not called_off):
            lives_on = True
            await record(response, attempt.inherit())
        return response
    except GatewayError as error:
        if attempt.tape is not None:
            record_error(request, error, attempt.tape)
        elif error.retryable:
            rejoining.refused(attempt)
        raise
    except BaseException as error:
        if attempt.tape is not None:
            attempt.tape.fail(error)
        raise
    finally:
        if lives_on:
            rejoining.end_later(attempt)
        else:
            rejoining.end(attempt)


async def _streamed_on(request: Request, attempt: Attempt, response: Response) -> Response:
    """A stream for whoever has come for it, and for its own client if that is still there."""
    tape = attempt.inherit()
    attempt.keep(asyncio.create_task(_all_of(request, response, tape)))
    return await told(request, tape, {})


async def _all_of(request: Request, response: Response, tape: Tape) -> None:
    in_use = get_container(request).in_use
    in_use.take()
    try:
        await record(response, tape)
    except Exception as error:  # noqa: BLE001 - whoever listens is told
        tape.fail(error)
    finally:
        in_use.give_back()


async def told(request: Request, tape: Tape, extra: dict[str, str]) -> Response:
    """The answer on a tape as a response of one's own."""
    head = await tape.head()
    headers = {**dict(head.headers), **extra}
    if not head.streamed:
        return Response(await tape.body(), head.status, headers)
    response = stream_response(_frames(request, tape))
    response.headers.update({name: value for name, value in headers.items() if name != "content-type"})
    return response


async def _frames(request: Request, tape: Tape) -> AsyncGenerator[bytes, None]:
    """The stream on a tape; one that cannot go on says so."""
    try:
        async for chunk in tape.chunks():
            yield chunk
    except GatewayError as error:
        _, _, body = render_error(error, request.state.request_id)
        named = request.url.path.startswith("/api/")
        yield frame(orjson.dumps(body), event="error" if named else None)


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


async def _never() -> Any:
    await asyncio.Future()
