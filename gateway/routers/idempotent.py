"""Idempotent requests: record a handler's response and replay it to later requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import monotonic
from uuid import UUID

import orjson
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.exceptions import GatewayError
from gateway.core.json_body import parse_json
from gateway.dialects.errors import render_error
from gateway.dialects.sse import frame, stream_response
from gateway.domain.accounts.principal import Principal
from gateway.domain.idempotency import HEADER, IdempotentRequest, ResponseHead, canonical_request, parse_key
from gateway.domain.request_outcome import RequestOutcome
from gateway.routers.dependencies import get_container
from gateway.routers.errors import error_response
from gateway.services.idempotency.client_retries import InFlightRequest
from gateway.services.idempotency.response_buffer import ResponseBuffer
from gateway.services.idempotency.service import WorkResult

REPLAYED_HEADER = "idempotent-replayed"
RETRY_COUNT_HEADER = "x-stainless-retry-count"
# Headers that the server sets for each response.
_PER_RESPONSE_HEADERS = frozenset({"content-length", "connection", "x-accel-buffering"})
# Endings for which nothing was charged, or after which the gateway asks clients to retry.
_RETRYABLE_ENDINGS = frozenset({"interrupted", "no_images"})
# Clients do not give up earlier: no disconnect check is needed before.
_DISCONNECT_CHECK_SECONDS = 0.1

Handler = Callable[[], Awaitable[Response]]


async def run_idempotent(
    request: Request,
    principal: Principal,
    handler: Handler,
    *,
    variant: object = None,
    retries: bool = True,
) -> Response:
    """Run `handler`, or replay the response recorded for the account's `Idempotency-Key`.

    Without a key only `handler` runs, except for clients that count their retries
    (`services.idempotency.client_retries`).

    Args:
        variant: what the response depends on besides method, path and body.
        retries: whether retries of such clients may join the original request.

    Raises:
        ValidationFailed: the key is malformed.
        IdempotencyMismatch: the key belongs to a different request. Also whatever `handler` raises.
    """
    key = parse_key(request.headers.getlist(HEADER))
    if key is not None:
        allowed = None if principal.models is None else sorted(principal.models)
        user_id = principal.user_id
        return await _run_with_key(
            request, key, user_id.bytes, handler, variant=[variant, allowed], user_id=user_id
        )
    count = request.headers.get(RETRY_COUNT_HEADER) if retries else None
    if count is not None:
        return await _join_retry(
            request, principal, handler, variant, is_retry=count.isdecimal() and bool(count.strip("0"))
        )
    return await handler()


async def run_idempotent_anonymous(request: Request, scope: bytes, handler: Handler) -> Response:
    """Like `run_idempotent`, before an account exists; `scope` separates the keys of clients."""
    key = parse_key(request.headers.getlist(HEADER))
    return await (handler() if key is None else _run_with_key(request, key, scope, handler))


async def _run_with_key(
    request: Request,
    key: str,
    scope: bytes,
    handler: Handler,
    *,
    variant: object = None,
    user_id: UUID | None = None,
) -> Response:
    body = await request.body()
    request_hash = canonical_request(
        request.method, request.url.path, parse_json(body) if body else None, variant
    )
    # From here on the work does not depend on this connection.
    RequestOutcome.of(request.scope).on_disconnect = _never_disconnects
    idempotent_request = IdempotentRequest(scope, key, request_hash, request.state.request_id, user_id)
    container = get_container(request)

    async def work(recording: ResponseBuffer) -> WorkResult:
        container.references.acquire()
        try:
            return await _record_result(request, handler, recording)
        finally:
            container.references.release()

    recording, replayed = await container.idempotency.service.run(idempotent_request, work)
    return await replay(request, recording, {REPLAYED_HEADER: "true"} if replayed else {})


async def _join_retry(
    request: Request, principal: Principal, handler: Handler, variant: object, *, is_retry: bool
) -> Response:
    """Run a request of a client that counts its retries; a retry joins the original request."""
    client_retries = get_container(request).idempotency.client_retries
    prefix = orjson.dumps([request.method, request.url.path.rstrip("/"), variant])
    content, request_id = prefix + b"\n" + await request.body(), request.state.request_id
    if is_retry and (recording := await client_retries.join(principal, content, request_id)) is not None:
        return await replay(request, recording, {REPLAYED_HEADER: "true"})
    in_flight = client_retries.register(principal, content, request_id)
    outcome = RequestOutcome.of(request.scope)
    outcome.on_disconnect = in_flight.on_disconnect
    started = monotonic()
    keep_running = False
    try:
        response = await handler()
        if in_flight.recording is None and monotonic() - started > _DISCONNECT_CHECK_SECONDS:
            in_flight.client_gone = in_flight.client_gone or await request.is_disconnected()
        if isinstance(response, EventSourceResponse):
            # Once streaming to its own client begins, no other client can receive it from the beginning.
            keep_running = in_flight.recording is not None or (
                in_flight.client_gone and await in_flight.wait_for_retry()
            )
            return await _stream_to_all(request, in_flight, response) if keep_running else response
        was_cancelled = outcome.ending == "cancelled"
        if in_flight.recording is not None or (in_flight.client_gone and not was_cancelled):
            keep_running = True
            await record_response(response, in_flight.share())
        return response
    except GatewayError as error:
        if in_flight.recording is not None:
            record_error(request, error, in_flight.recording)
        elif error.retryable:
            client_retries.record_rejection(in_flight)
        raise
    except BaseException as error:
        if in_flight.recording is not None:
            in_flight.recording.fail(error)
        raise
    finally:
        if keep_running:
            client_retries.unregister_later(in_flight)
        else:
            client_retries.unregister(in_flight)


async def _stream_to_all(request: Request, in_flight: InFlightRequest, response: Response) -> Response:
    """Stream to retries that joined, and to the original client if it is still connected."""
    recording = in_flight.share()
    in_flight.hold_task(asyncio.create_task(_record_stream(request, response, recording)))
    return await replay(request, recording, {})


async def _record_stream(request: Request, response: Response, recording: ResponseBuffer) -> None:
    references = get_container(request).references
    references.acquire()
    try:
        await record_response(response, recording)
    except Exception as error:  # noqa: BLE001 - passed on to all readers
        recording.fail(error)
    finally:
        references.release()


async def replay(request: Request, recording: ResponseBuffer, extra: dict[str, str]) -> Response:
    """Return the recorded response as a new response."""
    head = await recording.head()
    headers = {**dict(head.headers), **extra}
    if not head.streamed:
        return Response(await recording.read_body(), head.status, headers)
    response = stream_response(_replay_frames(request, recording))
    response.headers.update({name: value for name, value in headers.items() if name != "content-type"})
    return response


async def _replay_frames(request: Request, recording: ResponseBuffer) -> AsyncGenerator[bytes, None]:
    """Yield the recorded stream; an error that interrupts it becomes an event."""
    try:
        async for chunk in recording.chunks():
            yield chunk
    except GatewayError as error:
        _, _, body = render_error(error, request.state.request_id)
        has_event_names = request.url.path.startswith("/api/")
        yield frame(orjson.dumps(body), event="error" if has_event_names else None)


async def _record_result(request: Request, handler: Handler, recording: ResponseBuffer) -> WorkResult:
    """Record the handler's response; the result says whether later requests get the same one."""
    try:
        response = await handler()
    except GatewayError as error:
        return record_error(request, error, recording)
    await record_response(response, recording)
    outcome = RequestOutcome.of(request.scope)
    retryable = outcome.ending in _RETRYABLE_ENDINGS
    return WorkResult(store=not retryable, account_id=outcome.created_account_id)


def record_error(request: Request, error: GatewayError, recording: ResponseBuffer) -> WorkResult:
    """Record an error, to be stored if it was charged for or would occur again."""
    response = error_response(request, error)
    recording.start(ResponseHead(response.status_code, _recorded_headers(response)))
    recording.append(bytes(response.body))
    recording.end()
    return WorkResult(store=error.charged or (error.status == 400 and not error.retryable))


async def record_response(response: Response, recording: ResponseBuffer) -> None:
    """Record a whole response as it is produced."""
    streamed = isinstance(response, EventSourceResponse)
    recording.start(ResponseHead(response.status_code, _recorded_headers(response), streamed))
    if isinstance(response, EventSourceResponse):
        async for chunk in response.body_iterator:
            recording.append(bytes(chunk))  # type: ignore[arg-type]
    else:
        recording.append(bytes(response.body))
    recording.end()


def _recorded_headers(response: Response) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, value) for name, value in response.headers.items() if name not in _PER_RESPONSE_HEADERS
    )


async def _never_disconnects() -> None:
    await asyncio.Future()
