"""Log lines: one JSON object each, with request ids and without secrets."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from gateway.core.logging.redaction import redact
from gateway.core.logging.setup import configure_logging
from gateway.core.request_context import bind_request, new_request_context, unbind_request
from gateway.core.settings import Settings

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
SECRETS = {
    "our key": ("gw_0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5PqRsTuV", "gw_0a1B"),
    "a vendor's key": ("sk-proj-abcdef0123456789", "abcdef"),
    "a refresh token": ("rt_abcdefghijklmnop", "abcdefgh"),
    "a reset token": ("pr_abcdefghijklmnop", "abcdefgh"),
    "a JSON Web Token": (JWT, "eyJ"),
    "Google's key": ("AIzaSyA0123456789abcdefghijklmnopqrstu", "SyA01"),
    "a bearer": ("Authorization: Bearer opaque-credential", "opaque"),
    "basic": ("authorization: basic dXNlcjpwYXNz", "dXNl"),
    "a header in a dict": ("{'Authorization': 'opaque-credential'}", "opaque"),
    "a header in JSON": ('{"authorization": "opaque-credential"}', "opaque"),
    "a database's password": ("postgresql+asyncpg://gateway:hunter2@db:5432/gateway", "hunter2"),
}


@pytest.fixture
def lines() -> Iterator[io.BytesIO]:
    stream = io.BytesIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging(Settings(_env_file=None, log_level="DEBUG"), stream=stream)  # type: ignore[call-arg]
    yield stream
    configure_logging(Settings(_env_file=None))  # type: ignore[call-arg]
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def read(stream: io.BytesIO) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_cached_logger_writes_to_replaced_standard_output(
    lines: io.BytesIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logging(Settings(_env_file=None))  # type: ignore[call-arg]
    log = structlog.get_logger("kept")
    first, second = (io.TextIOWrapper(io.BytesIO()) for _ in range(2))
    monkeypatch.setattr("sys.stdout", first)
    log.info("one")
    first_lines = first.buffer.getvalue()  # type: ignore[attr-defined]
    first.close()
    monkeypatch.setattr("sys.stdout", second)
    log.info("two")
    assert b"one" in first_lines
    assert b"two" in second.buffer.getvalue()  # type: ignore[attr-defined]
    assert lines.getvalue() == b""


def test_structlog_and_standard_loggers_write_the_same_fields(lines: io.BytesIO) -> None:
    token = bind_request(new_request_context("req-1"))
    structlog.get_logger("ours").info("one", n=1)
    logging.getLogger("theirs").warning("two %s", 2)
    unbind_request(token)
    structlog.get_logger("ours").info("outside")
    first, second, third = read(lines)
    for entry in (first, second):
        assert {"timestamp", "level", "event", "logger", "request_id", "trace_id"} <= set(entry)
        assert entry["request_id"] == "req-1"
    assert (first["event"], first["logger"], first["level"], first["n"]) == ("one", "ours", "info", 1)
    assert (second["event"], second["logger"], second["level"]) == ("two 2", "theirs", "warning")
    assert "request_id" not in third


@pytest.mark.parametrize(("text", "part"), SECRETS.values(), ids=SECRETS.keys())
def test_secret_is_masked_everywhere_in_a_line(lines: io.BytesIO, text: str, part: str) -> None:
    structlog.get_logger("a").info(
        f"said {text}", field=text, nested={"deep": [text]}, quoted=repr({"k": text})
    )
    logging.getLogger("b").error("said %s", text)
    written = lines.getvalue().decode()
    assert part not in written
    assert "[redacted]" in written
    assert len(read(lines)) == 2


@pytest.mark.parametrize(
    "text", ["a plain sentence", "mail@example.org", "task-list sk", "Bearer", "http://host:80/@x"]
)
def test_text_without_secrets_is_unchanged(text: str) -> None:
    assert redact(text) == text


def test_traceback_contains_locations_but_no_user_content(lines: io.BytesIO) -> None:
    try:
        try:
            {}["a person's words"]
        except KeyError as cause:
            raise RuntimeError("the pool is closed") from cause
    except RuntimeError:
        structlog.get_logger("a").exception("failed")
        logging.getLogger("b").exception("failed")
    for entry in read(lines):
        text = str(entry["exc_info"])
        assert "KeyError" in text
        assert "a person's words" not in text
        assert "RuntimeError: the pool is closed" in text
        assert "test_traceback_contains_locations" in text


def test_values_that_json_cannot_encode_are_still_logged(lines: io.BytesIO) -> None:
    structlog.get_logger("a").info("odd", surrogate="\ud800", huge=2**70, thing=object(), raw=b"\xff")
    logging.getLogger("b").info("odd \ud800 %s", "x")
    assert [str(entry["event"])[:3] for entry in read(lines)] == ["odd", "odd"]


def test_a_newline_in_a_value_cannot_forge_a_line(lines: io.BytesIO) -> None:
    structlog.get_logger("a").info("one", path='/x\n{"event": "forged"}')
    assert len(lines.getvalue().splitlines()) == 1


def test_log_level_follows_the_settings() -> None:
    stream = io.BytesIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging(Settings(_env_file=None, log_level="WARNING", log_format="console"), stream=stream)  # type: ignore[call-arg]
    structlog.get_logger("a").info("quiet")
    logging.getLogger("b").info("quiet")
    structlog.get_logger("a").warning("loud", key="sk-proj-abcdef0123456789")
    root.handlers[:], root.level = before
    structlog.reset_defaults()
    written = stream.getvalue().decode()
    assert "quiet" not in written
    assert "loud" in written
    assert "abcdef" not in written
