"""When and after what delay the client retries."""

from __future__ import annotations

import httpx
import pytest

from gateway.client.retries import backoff_seconds, retry_after, should_retry


@pytest.mark.parametrize(
    ("status", "headers", "again"),
    [
        (503, {}, True),
        (429, {"retry-after": "1"}, True),
        (429, {"x-should-retry": "false", "retry-after": "1"}, False),
        (409, {}, False),
        (409, {"x-should-retry": "true"}, True),
        (400, {}, False),
        (503, {"retry-after": "3600"}, False),
    ],
)
def test_should_retry_header_overrides_the_status(status: int, headers: dict[str, str], again: bool) -> None:
    assert should_retry(status, httpx.Headers(headers)) is again


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_parsed(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(httpx.Headers(headers)) == seconds


def test_backoff_doubles_up_to_a_maximum() -> None:
    waits = [backoff_seconds(attempt) for attempt in range(12)]

    assert all(0.125 <= wait <= 8.0 for wait in waits)
    assert waits[0] <= 0.25
    assert waits[-1] >= 4.0
