"""Spans of what happens: a facade that costs nothing and imports nothing where no exporter is configured.

    with span("execute_tool", kind="internal") as it:
        ...
        if it.recording:
            it.set({"gen_ai.tool.name": name})

A span's parent is the one that is open around it, across awaits and tasks. Attributes are names, numbers and
ids; what people and models said is among them only where `content_captured` says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from gateway.core import lazy_otel_sdk
from gateway.core.request_context import current_request

SpanKind = Literal["internal", "server", "client"]
AttributeValue = str | bool | int | float | list[str]
Attributes = Mapping[str, AttributeValue | None]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_LANGSMITH: Final = ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING")
_CAPTURE_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Span(Protocol):
    """Entered around what it measures; an exception that passes through is its error."""

    recording: bool

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def set_attributes(self, attributes: Attributes) -> None:
        """Add attributes; None is left out."""

    def rename(self, name: str) -> None:
        """Call it otherwise than it began."""

    def set_error(self, kind: str) -> None:
        """It went wrong; `kind` is a code or a class, of few values."""


class TracingBackend(Protocol):
    """What makes real spans; see `otel`."""

    captures_content: bool

    def span(self, name: str, kind: SpanKind, attributes: Attributes | None) -> Span: ...
    def server_span(self, traceparent: str | None, tracestate: str | None) -> tuple[Span, str, str, str]: ...
    def record_completed(
        self, name: str, seconds: float, attributes: Attributes, failure: str | None
    ) -> None: ...
    def traceparent(self) -> str | None: ...
    def shutdown(self) -> None: ...


class _NoopSpan:
    """The span where nothing is traced."""

    __slots__ = ()
    recording = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def set_attributes(self, attributes: Attributes) -> None:
        return None

    def rename(self, name: str) -> None:
        return None

    def set_error(self, kind: str) -> None:
        return None


NOOP_SPAN: Final[Span] = _NoopSpan()
_backend: TracingBackend | None = None


def configure_tracing() -> bool:
    """Trace from here on if the standard variables of OpenTelemetry or LangSmith's ask for it.

    Returns whether they do. LangChain's own tracer is switched off: it would send every prompt.
    """
    global _backend
    langsmith = any(_is_enabled(name) for name in _LANGSMITH)
    for name in _LANGSMITH:
        os.environ.pop(name, None)
    if _backend is not None:
        return True
    wanted = any(os.environ.get(name) for name in _ENDPOINTS) or langsmith
    if not wanted or _is_enabled("OTEL_SDK_DISABLED") or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    lazy_otel_sdk.allow_sdk_import()
    from gateway.core.otel import OtelBackend

    _backend = OtelBackend.from_environment(
        otlp=any(os.environ.get(name) for name in _ENDPOINTS),
        langsmith=langsmith,
        content=os.environ.get(_CAPTURE_CONTENT, "").lower() in ("true", "1", "span_only", "span_and_event"),
    )
    return True


def stop_tracing() -> None:
    """Send what has not been sent yet; waits some seconds for that at most."""
    global _backend
    if _backend is not None:
        backend, _backend = _backend, None
        backend.shutdown()


def span(name: str, kind: SpanKind = "internal", attributes: Attributes | None = None) -> Span:
    """A span to be entered. Where nothing is traced, or it lies within no request, it is none."""
    return NOOP_SPAN if _backend is None else _backend.span(name, kind, attributes)


def server_span(traceparent: str | None, tracestate: str | None) -> tuple[Span, str, str, str] | None:
    """The span of a request that came with these headers, and its trace id, span id and flags in hex."""
    return None if _backend is None else _backend.server_span(traceparent, tracestate)


def is_tracing() -> bool:
    """Whether spans are made at all."""
    return _backend is not None


def record_completed_span(
    name: str, seconds: float, attributes: Attributes, failure: str | None = None
) -> None:
    """A client's span of something that ended just now and took `seconds`."""
    if _backend is not None:
        _backend.record_completed(name, seconds, attributes, failure)


def captures_content() -> bool:
    """Whether what people and models said is to be among the attributes."""
    return _backend is not None and _backend.captures_content


def outgoing_traceparent() -> str | None:
    """The header for a server that is asked on behalf of this request; None where nobody follows a trace."""
    if _backend is not None:
        return _backend.traceparent()
    request = current_request()
    return request.traceparent if request is not None and request.trace_continued else None


def _is_enabled(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in ("true", "1")
