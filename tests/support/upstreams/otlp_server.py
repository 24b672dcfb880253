"""A collector that receives OTLP over HTTP.

with OtlpCollector() as collector:
    ... OTEL_EXPORTER_OTLP_ENDPOINT=collector.url ...
    spans = collector.wait_for(lambda spans: any(span.name == "GET /v1/models" for span in spans))
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True)
class SentSpan:
    """Ids are hex, `parent` empty for a root; `kind` is `server`, `client` or `internal`."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    kind: str
    failed: bool
    attributes: dict[str, Any]
    service: str
    seconds: float


class OtlpCollector:
    """`posts` are (path, headers) of all that came; `raw` is every byte of it, unpacked."""

    def __init__(self) -> None:
        self.spans: list[SentSpan] = []
        self.posts: list[tuple[str, dict[str, str]]] = []
        self.raw = b""
        self._news = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._take(self.path, dict(self.headers.items()), body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait_for(self, enough: Callable[[list[SentSpan]], bool], seconds: float = 15) -> list[SentSpan]:
        """All spans, once they are enough; blocks, so call it from a thread where a loop is running."""
        with self._news:
            if not self._news.wait_for(lambda: enough(self.spans), seconds):
                raise AssertionError(f"not enough: {sorted(span.name for span in self.spans)}")
            return list(self.spans)

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        with self._news:
            self.posts.append((path, {name.lower(): value for name, value in headers.items()}))
            self.raw += body
            if path.endswith("/v1/traces"):
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    service = _attributes(resource.resource.attributes).get("service.name", "")
                    for scope in resource.scope_spans:
                        self.spans += [_span(span, service) for span in scope.spans]
            self._news.notify_all()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _span(span: Span, service: str) -> SentSpan:
    return SentSpan(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
        service=service,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, which) if which else None
