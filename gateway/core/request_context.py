"""Ids of the current request, in a context variable for tasks and logs."""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from dataclasses import dataclass

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Ids of one request.

    `trace_id`, `span_id` and `trace_flags` are lower-case hex (W3C).

    `client_ip` is None if unknown. `trace_continued`: the client sent the trace.
    """

    request_id: str
    trace_id: str
    span_id: str
    trace_flags: str = "00"
    client_ip: str | None = None
    trace_continued: bool = False

    @property
    def request_key(self) -> int:
        """A signed 64-bit number unique to this request, whatever the client sent."""
        return int(self.span_id, 16) - 2**63

    @property
    def traceparent(self) -> str:
        """The `traceparent` header that continues this trace."""
        return f"00-{self.trace_id}-{self.span_id}-{self.trace_flags}"


_current: ContextVar[RequestContext | None] = ContextVar("gateway_request", default=None)
current_request = _current.get
bind_request = _current.set
unbind_request = _current.reset


def new_request_context(
    request_id: str | None = None, traceparent: str | None = None, client_ip: str | None = None
) -> RequestContext:
    """Create the context of a request from its headers.

    Missing or malformed ids are generated.
    """
    entropy = os.urandom(40).hex()
    trace_id, flags = _parse_traceparent(traceparent) if traceparent else (None, "00")
    known = request_id is not None and _REQUEST_ID.fullmatch(request_id) is not None
    return RequestContext(
        request_id=request_id if known and request_id else f"req_{entropy[:32]}",
        trace_id=trace_id or entropy[32:64],
        span_id=entropy[64:80],
        trace_flags=flags,
        client_ip=client_ip,
        trace_continued=trace_id is not None,
    )


def _parse_traceparent(header: str) -> tuple[str | None, str]:
    """Return (trace id, flags); the id is None if the header is invalid.

    See https://www.w3.org/TR/trace-context/.
    """
    match = _TRACEPARENT.fullmatch(header.strip())
    if match is None:
        return None, "00"
    version, trace_id, parent, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or trace_id == _NO_TRACE or parent == _NO_SPAN:
        return None, "00"
    return trace_id, "01" if int(flags, 16) & 1 else "00"
