"""Log lines are dropped by rule and per request, errors only by explicit rules."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog
from pydantic import ValidationError

from gateway.core.logging.sampling import LogSampler, parse_sampling_rules
from gateway.core.logging.setup import configure_logging
from gateway.core.settings import Settings


def kept(rules: str, level: str, route: str | None, share: float = 0.5) -> float | None:
    """The `sample_rate` of a line whose trace lies at `share` of all; 1.0 untouched, None dropped."""
    event: dict[str, Any] = {"level": level, "trace_id": f"{int(share * 2**32):032x}"}
    if route is not None:
        event["route"] = route
    try:
        said = LogSampler(parse_sampling_rules(rules))(None, "", event)
    except structlog.DropEvent:
        return None
    return float(said.get("sample_rate", 1.0))


@pytest.mark.parametrize(
    ("rules", "level", "route", "expected"),
    [
        ("/api/models=0", "info", "/api/models", None),
        ("/api/models=0", "info", "/api/tools", 1.0),
        ("/api/models=0", "error", "/api/models", 1.0),
        ("error:/api/models=0", "error", "/api/models", None),
        ("/v1/*=0.6", "info", "/v1/models", 0.6),
        ("/v1/*=0.4", "info", "/v1/models", None),
        ("debug=0", "debug", None, None),
        ("debug=0", "info", None, 1.0),
        ("*=0", "info", None, None),
        ("*=0", "warning", "/api/models", 1.0),
        ("/api/models=1,/api/*=0", "info", "/api/models", 1.0),
        ("/api/models=1,/api/*=0", "info", "/api/tools", None),
        ("info:/v1/*=0", "debug", "/v1/models", 1.0),
    ],
)
def test_first_matching_rule_applies(
    rules: str, level: str, route: str | None, expected: float | None
) -> None:
    assert kept(rules, level, route) == expected


def test_share_of_kept_lines_matches_the_rate() -> None:
    shares = [number / 1000 for number in range(1000)]
    assert sum(kept("/r=0.25", "info", "/r", share) is not None for share in shares) == 250


@pytest.mark.parametrize("rule", ["0.5", "/a=2", "/a=-0.1", "/a", "/a=much", "loud=0.5", "info/a=0.5", "=1"])
def test_malformed_rule_is_rejected_at_start(rule: str) -> None:
    with pytest.raises(ValidationError, match="not a rule"):
        Settings(_env_file=None, log_sampling=rule)  # type: ignore[call-arg]


@pytest.fixture
def lines() -> Iterator[io.BytesIO]:
    stream = io.BytesIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    settings = Settings(_env_file=None, log_level="DEBUG", log_sampling="debug=0")  # type: ignore[call-arg]
    configure_logging(settings, stream=stream)
    yield stream
    configure_logging(Settings(_env_file=None))  # type: ignore[call-arg]
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def test_lines_of_libraries_are_sampled_too(lines: io.BytesIO) -> None:
    logging.getLogger("uvicorn.error").debug("dropped")
    structlog.get_logger("ours").debug("dropped")
    logging.getLogger("sqlalchemy.pool").warning("kept")
    logging.getLogger("uvicorn.error").info("kept")
    events = [orjson.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["event"], line["logger"]) for line in events] == [
        ("kept", "sqlalchemy.pool"),
        ("kept", "uvicorn.error"),
    ]
