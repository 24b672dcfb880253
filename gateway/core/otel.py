"""Tracing backend: OpenTelemetry's SDK with OTLP over HTTP.

The tracer provider is not made the global one: libraries that trace by themselves would export prompts.
"""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Final, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.core.tracing import NOOP_SPAN, Attributes, Span, SpanKind
from gateway.core.version import VERSION

_KINDS: Final = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
}
_LANGSMITH_URL = "https://api.smith.langchain.com"
_FLUSH_SECONDS = 5.0
_propagator = TraceContextTextMapPropagator()


class OtelBackend:
    """The process's tracer.

    Sampling, limits, batching and headers follow the SDK's variables.
    """

    def __init__(self, *exporters: SpanExporter, content: bool = False) -> None:
        named = "OTEL_SERVICE_NAME" in os.environ or "service.name" in os.environ.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        resource = Resource.create(
            {SERVICE_VERSION: VERSION, **({} if named else {SERVICE_NAME: "llm-gateway"})}
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for exporter in exporters:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("llm-gateway")
        self.captures_content = content

    @classmethod
    def from_environment(cls, *, otlp: bool, langsmith: bool, content: bool) -> Self:
        """Export to `OTEL_EXPORTER_OTLP_*`, to LangSmith (`LANGSMITH_*`), or to both."""
        exporters: list[SpanExporter] = []
        if otlp:
            exporters.append(OTLPSpanExporter())
        if langsmith:
            exporters.append(_langsmith_exporter())
        return cls(*exporters, content=content)

    def span(self, name: str, kind: SpanKind, attributes: Attributes | None) -> Span:
        if not self.in_trace():
            return NOOP_SPAN
        started = self._tracer.start_span(name, kind=_KINDS[kind], attributes=_without_none(attributes))
        return _ActiveSpan(started)

    def server_span(self, traceparent: str | None, tracestate: str | None) -> tuple[Span, str, str, str]:
        carrier = {"traceparent": traceparent or "", "tracestate": tracestate or ""}
        parent = _propagator.extract(carrier, otel_context.Context())
        started = self._tracer.start_span("HTTP", parent, kind=trace.SpanKind.SERVER)
        ids = started.get_span_context()
        return (
            _ActiveSpan(started),
            trace.format_trace_id(ids.trace_id),
            trace.format_span_id(ids.span_id),
            f"{int(ids.trace_flags):02x}",
        )

    def in_trace(self) -> bool:
        """Whether the current context belongs to a sampled trace.

        True also after the parent span has ended, because a stream's turn can outlive its request.
        """
        return trace.get_current_span().get_span_context().trace_flags.sampled

    def record_completed(
        self, name: str, seconds: float, attributes: Attributes, failure: str | None
    ) -> None:
        if not self.in_trace():
            return
        now = time.time_ns()
        done = self._tracer.start_span(
            name,
            kind=trace.SpanKind.CLIENT,
            attributes=_without_none(attributes),
            start_time=now - int(seconds * 1e9),
        )
        if failure is not None:
            done.set_attribute("error.type", failure)
            done.set_status(Status(StatusCode.ERROR))
        done.end(now)

    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier.get("traceparent")

    def shutdown(self) -> None:
        self._provider.force_flush(int(_FLUSH_SECONDS * 1000))
        self._provider.shutdown()


class _ActiveSpan:
    """A span that is the current one inside its block."""

    __slots__ = ("_failed", "_span", "_token", "recording")

    def __init__(self, started: trace.Span) -> None:
        self._span = started
        self._token: object | None = None
        self._failed = False
        self.recording = started.is_recording()

    def __enter__(self) -> Self:
        self._token = otel_context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        otel_context.detach(self._token)  # type: ignore[arg-type]
        # Cancellation is not an error.
        if isinstance(error, Exception) and self.recording and not self._failed:
            # Only the class or code: the message may contain user content.
            self.set_error(str(getattr(error, "code", None) or type(error).__name__))
        self._span.end()

    def set_attributes(self, attributes: Attributes) -> None:
        self._span.set_attributes(_without_none(attributes))

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def set_error(self, kind: str) -> None:
        self._failed = True
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))


def _without_none(attributes: Attributes | None) -> dict[str, str | bool | int | float | list[str]]:
    return {name: value for name, value in (attributes or {}).items() if value is not None}


def _langsmith_exporter() -> OTLPSpanExporter:
    """Create LangSmith's OTLP exporter.

    It understands the GenAI semantic conventions.
    """
    base = (
        os.environ.get("LANGSMITH_ENDPOINT") or os.environ.get("LANGCHAIN_ENDPOINT") or _LANGSMITH_URL
    ).rstrip("/")
    headers = {
        "x-api-key": os.environ.get("LANGSMITH_API_KEY") or os.environ.get("LANGCHAIN_API_KEY") or "",
        "Langsmith-Project": os.environ.get("LANGSMITH_PROJECT")
        or os.environ.get("LANGCHAIN_PROJECT")
        or "default",
    }
    return OTLPSpanExporter(endpoint=f"{base}/otel/v1/traces", headers=headers)
