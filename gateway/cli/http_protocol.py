"""uvicorn's HTTP protocol with limits on incomplete requests.

uvicorn limits neither the size of headers nor the time that headers and bodies may take. The values are those
of common proxies, so that what passes nginx passes here.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import TimerHandle
from typing import Any, ClassVar, Final
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.core.exceptions import GatewayError, HeadersTooLarge, InvalidRequest, RequestTimeout, Unavailable
from gateway.dialects.errors import error_response_parts
from gateway.domain.request_outcome import RequestOutcome
from gateway.middleware.rejected_requests import RejectedRequest, RejectedRequestLog
from gateway.middleware.request_record import REJECTED_STATUS_KEY

# Bytes of a body that are always accepted; only further bytes count against `max_incomplete_bytes`.
SMALL_BODY_BYTES: Final = 64 * 1024
_BODIES_EXCEEDED: Final = "Too many large request bodies are being received at the moment. Try again later."


class IncompleteRequests:
    """Incomplete requests of this process: connections and body bytes."""

    def __init__(self) -> None:
        self.connections: dict[BoundedProtocol, None] = {}
        self.body_bytes = 0


class _InvalidRequestFilter(logging.Filter):
    """Drops uvicorn's unlimited log line for invalid requests.

    The gateway logs its own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != "Invalid HTTP request received."


_INVALID_REQUEST_FILTER = _InvalidRequestFilter()


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431, 408 or 503 and closes the connection if a request exceeds a limit."""

    header_bytes: ClassVar[int] = 64 * 1024
    header_seconds: ClassVar[float] = 20.0
    body_idle_seconds: ClassVar[float] = 30.0
    # For all incomplete bodies of this process together.
    max_incomplete_bytes: ClassVar[int] = 128 * 1024 * 1024
    # Connections with incomplete headers; beyond that, the oldest one is closed.
    max_incomplete_heads: ClassVar[int] = 1000
    incomplete: ClassVar[IncompleteRequests] = IncompleteRequests()
    refused: ClassVar[RejectedRequestLog] = RejectedRequestLog()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger.addFilter(_INVALID_REQUEST_FILTER)
        self._unparsed = 0
        self._body_bytes = 0
        self._counted_bytes = 0
        self._head_timer: TimerHandle | None = None
        self._body_timer: TimerHandle | None = None
        self._last_byte = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_body_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unparsed += len(data)
        self._last_byte = self.loop.time()
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unparsed > self.header_bytes:
            # Endless headers or trailers, which the parser would buffer.
            self._refuse(HeadersTooLarge())
        elif self._body_expected():
            if self._body_timer is None:
                self._body_timer = self.loop.call_later(self.body_idle_seconds, self._check_body)
        elif self._unparsed and self._head_timer is None:
            self._start_head_timer()

    def on_headers_complete(self) -> None:
        self._stop_head_timer()
        self._stop_body_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.header_bytes:
            self.scope["method"] = self.parser.get_method().decode("ascii")
            self._refuse(HeadersTooLarge())
            return
        self._unparsed = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        if self.transport.is_closing():
            return
        super().on_body(body)
        if self.cycle.response_complete:
            return
        self._body_bytes += len(body)
        large = max(0, self._body_bytes - SMALL_BODY_BYTES)
        self.incomplete.body_bytes += large - self._counted_bytes
        self._counted_bytes = large
        if large and self.incomplete.body_bytes > self.max_incomplete_bytes:
            self._refuse(Unavailable(_BODIES_EXCEEDED))

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._stop_body_timer()
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self._body_expected():
            self._stop_body_timer()
        super().on_response_complete()

    def _start_head_timer(self) -> None:
        heads = self.incomplete.connections
        heads[self] = None
        self._head_timer = self.loop.call_later(self.header_seconds, self._refuse, RequestTimeout())
        if len(heads) > self.max_incomplete_heads:
            next(iter(heads)).transport.abort()

    def _stop_head_timer(self) -> None:
        self.incomplete.connections.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _body_expected(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.more_body and not cycle.response_complete

    def _stop_body_timer(self) -> None:
        self.incomplete.body_bytes -= self._counted_bytes
        self._counted_bytes = self._body_bytes = 0
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _check_body(self) -> None:
        """Time out a body whose sender pauses, unless the application is not reading."""
        remaining = self._last_byte + self.body_idle_seconds - self.loop.time()
        if self.flow.read_paused:
            remaining = self.body_idle_seconds
        if remaining <= 0:
            self._body_timer = None
            self._refuse(RequestTimeout())
        else:
            self._body_timer = self.loop.call_later(remaining, self._check_body)

    def send_400_response(self, msg: str) -> None:
        """Answer invalid HTTP like uvicorn, with a metric and a limited log line."""
        if self.transport.is_closing():
            return
        self._record_refusal(400, InvalidRequest.code, f"req_{uuid4().hex}")
        super().send_400_response(msg)

    def _refuse(self, error: GatewayError) -> None:
        """Answer with the error unless a response has started, and close the connection."""
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        active = cycle is not None and not cycle.response_complete
        if cycle is None or not active:
            request_id = f"req_{uuid4().hex}"
            self._record_refusal(error.status, error.code, request_id)
            self.transport.write(_error_response(error, request_id))
        else:
            if not cycle.response_started:
                self.transport.write(_error_response(error, _refuse_cycle(cycle, error)))
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _record_refusal(self, status: int, code: str, request_id: str) -> None:
        """Log and count a request that the application never sees."""
        begun = self.scope is not None and bool(self._unparsed)
        url = self.url.partition(b"?")[0].decode("latin-1") if begun else None
        method = self.scope.get("method") if begun else None
        self.refused.record(
            RejectedRequest(request_id, status, code, method, url, self.client[0] if self.client else None)
        )


def _refuse_cycle(cycle: RequestResponseCycle, error: GatewayError) -> str:
    """Record the error in the request's state for the access log.

    Returns the request id.
    """
    state: dict[str, Any] = cycle.scope["state"]
    state[REJECTED_STATUS_KEY] = error.status
    RequestOutcome.of(cycle.scope).error_code = error.code  # type: ignore[arg-type]
    request_id: str = state.setdefault("request_id", f"req_{uuid4().hex}")
    return request_id


def _error_response(error: GatewayError, request_id: str) -> bytes:
    """Return a complete HTTP response in the standard error format."""
    status, headers, body = error_response_parts(error, request_id)
    headers |= {"x-request-id": request_id, "content-length": str(len(body)), "connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[status] + lines.encode("latin-1") + b"\r\n" + body
