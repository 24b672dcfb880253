"""Logging setup for the gateway and its libraries."""

from __future__ import annotations

import logging
import sys
from typing import Any, BinaryIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.core.logging.redaction import redact
from gateway.core.logging.sampling import LogSampler, parse_sampling_rules
from gateway.core.logging.tracebacks import format_exception
from gateway.core.request_context import current_request
from gateway.core.settings import Settings

# The gateway logs one line per request itself, and these libraries log URLs that contain keys.
_QUIET_LOGGERS = ("uvicorn.access", "httpx", "httpcore", "httpx2", "asyncio", "watchfiles", "urllib3")
_MAX_TEXT = 8192


_processors: list[Processor] = []
_prompts_enabled = False


def logs_prompts() -> bool:
    """Whether prompts and answers may be logged (`LOG_PROMPTS`)."""
    return _prompts_enabled


class LogOutput:
    """Output stream of all loggers: the configured one, or standard output.

    Loggers cache what they were given. If that were a stream, they would keep writing to one that has been
    replaced or closed since.
    """

    def __init__(self) -> None:
        self.stream: BinaryIO | None = None

    def write(self, line: bytes) -> int:
        return (self.stream or sys.stdout.buffer).write(line)

    def flush(self) -> None:
        (self.stream or sys.stdout.buffer).flush()


_output = LogOutput()


def configure_logging(settings: Settings, *, stream: BinaryIO | None = None) -> None:
    """Send structlog's and the standard library's records to `stream`, one line each.

    `stream` defaults to standard output. Fields: timestamp, level, event, logger, and inside a request
    request_id and trace_id. Run uvicorn with `log_config=None`, so that it does not undo this.
    """
    level = logging.getLevelNamesMapping()[settings.log_level]
    _output.stream = stream
    out = cast(BinaryIO, _output)
    global _prompts_enabled
    _prompts_enabled = settings.log_prompts
    shared: list[Processor] = [
        add_request_ids,
        structlog.processors.add_log_level,
        add_timestamp,
        render_exception,
    ]
    if rules := parse_sampling_rules(settings.log_sampling):
        shared.insert(2, LogSampler(rules))
    render: Processor = ConsoleRenderer() if settings.log_format == "console" else render_json
    # Loggers that were used before hold a reference to this list, so it is changed in place.
    _processors[:] = [structlog.stdlib.add_logger_name, *shared, render]
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(out),
        cache_logger_on_first_use=stream is None,
    )
    root = logging.getLogger()
    root.handlers[:] = [StructlogHandler(shared, render, structlog.BytesLogger(out))]
    # Below INFO, libraries log whole bodies with prompts and keys.
    root.setLevel(max(level, logging.INFO))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    # Logs every statement (without parameters), which is useful only for debugging.
    logging.getLogger("sqlalchemy.engine").setLevel(
        logging.INFO if level <= logging.DEBUG else logging.WARNING
    )
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


class StructlogHandler(logging.Handler):
    """Renders standard library records like structlog events."""

    def __init__(self, shared: list[Processor], render: Processor, out: structlog.BytesLogger) -> None:
        super().__init__()
        self.shared = shared
        self.renderer = render
        self.out = out

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event: Any = {"event": record.getMessage()[:_MAX_TEXT], "logger": record.name}
            if record.exc_info:
                event["exc_info"] = record.exc_info
            for processor in (*self.shared, self.renderer):
                event = processor(None, record.levelname.lower(), event)
            self.out.msg(event)
        except structlog.DropEvent:
            return
        except Exception:  # noqa: BLE001  a log record must never break what it reports on
            self.handleError(record)


def add_request_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the ids of the current request to the event."""
    request = current_request()
    if request is not None:
        event.setdefault("request_id", request.request_id)
        event.setdefault("trace_id", request.trace_id)
    return event


add_timestamp: Processor = structlog.processors.TimeStamper(fmt="iso", utc=True)


def render_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by a traceback that contains no user content."""
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exc_info"] = format_exception(error)
    return event


def render_json(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    """Render the event as one line of JSON without secrets."""
    try:
        line = orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate or an integer beyond 64 bits: escaped instead of lost
        line = orjson.dumps({str(key): _to_printable(value) for key, value in event.items()})
    return redact(line.decode()).encode()


def _to_printable(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode()


class ConsoleRenderer:
    """Renders the event for a terminal, without secrets."""

    def __init__(self) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> bytes:
        return redact(str(self._render(logger, name, event))).encode(errors="backslashreplace")
