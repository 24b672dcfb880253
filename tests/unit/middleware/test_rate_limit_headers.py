"""The rate limit headers, in the format that clients parse."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.usage.budgets import CallerLimits, LimitWindow
from gateway.middleware.rate_limit_headers import format_duration, rate_limit_headers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0115, "12ms"),
        (0.9991, "1s"),
        (1, "1s"),
        (59.2, "1m0s"),
        (150, "2m30s"),
        (3605, "1h0m5s"),
        (86_400, "24h0m0s"),
    ],
)
def test_a_duration_has_the_format_that_clients_parse(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0, 10_000_000))
def test_a_duration_is_never_shorter_than_the_wait(seconds: float) -> None:
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    text = format_duration(seconds)
    assert re.fullmatch(r"(\d+(h|ms|m|s))+", text)
    read = sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)(ms|h|m|s)", text))
    assert seconds - 1e-6 <= read <= seconds + 1


def test_no_limit_means_no_headers() -> None:
    assert rate_limit_headers(CallerLimits()) == []
    headers = dict(rate_limit_headers(CallerLimits(requests=LimitWindow(20, 19, 60.0))))
    assert headers == {
        b"x-ratelimit-limit-requests": b"20",
        b"x-ratelimit-remaining-requests": b"19",
        b"x-ratelimit-reset-requests": b"1m0s",
    }
