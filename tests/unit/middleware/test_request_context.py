"""What the middleware reads from a request before any route."""

from __future__ import annotations

import time
from typing import Any

import pytest
from starlette.requests import Request

from gateway.middleware.body_limit import announced_length
from gateway.middleware.client_ip import ClientAddresses
from gateway.middleware.request_context import begin_request


def opened(*headers: tuple[bytes, bytes]) -> Request:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": list(headers),
        "client": None,
    }
    begin_request(scope, ClientAddresses(""))
    return Request(scope)


def test_cookies_are_read_in_linear_time() -> None:
    value = b'gw_refresh="' + b"\\" * 60_000 + b'"'
    request = opened((b"cookie", value), (b"cookie", b"a=" + value))
    began = time.thread_time()
    assert request.cookies == {}
    assert time.thread_time() - began < 2


def test_only_cookies_with_a_backslash_are_removed() -> None:
    request = opened((b"accept", b"a\\b"), (b"cookie", b'theirs="a\\054b"; gw_refresh=rt_abc; more=1'))
    assert request.cookies == {"gw_refresh": "rt_abc", "more": "1"}
    assert request.headers["accept"] == "a\\b"


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (b"0", 0),
        (b"12", 12),
        (b"0" * 5000 + b"2", 2),
        (b"0" * 5000, 0),
        (b"9" * 5000, int("9" * 19)),
        (b"x", 0),
    ],
)
def test_an_announced_length_of_any_number_of_digits_is_read(value: bytes, length: int) -> None:
    assert announced_length({"headers": [(b"content-length", value)]}) == length
