"""The worst-case duration of an untrusted pattern is known before it runs."""

from __future__ import annotations

import time

import pytest

from gateway.core.bounded_regex import MAX_STEPS, BoundedRegex


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^[a-z]{2,20}$", "morning", True),
        (r"^[A-Z]{3}-\d{4}$", "ABC-12", False),
        (r"^[^@ ]+@[^@ ]+\.[a-z]+$", "someone@example.com", True),
        (r"^(cat|dog)s?$", "dogs", True),
        (r"b", "a" * 1000, False),
        (r"^(?!a)[a-c]{2}$", "bc", True),
        (r"^\S{40}$", "x" * 40, True),
    ],
)
def test_ordinary_pattern_is_searched(pattern: str, text: str, found: bool) -> None:
    assert BoundedRegex(pattern).search(text) is found


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "pattern",
    [
        r"^(?:.?){60}!$",
        r"(a+)+$",
        r"^(a|aa)+$",
        r"(?:a|b|ab)*c",
        r"^(a?){40}a{40}$",
        r"(?=(a+))+b",
        r"(?:(?=a)){100000000}b",
        r"(?:(?:){10000}){10000}b",
        r"(x{1,20}){1,20}y",
        r"^(\d+|\w+)*-$",
        r"(?i)[\u0000-\U0010ffff]b",
        r"(?i:x[\u0000-\uffff])b",
        r"(?m)^(?:a?){15}x",
    ],
)
def test_potentially_slow_pattern_is_not_searched(pattern: str) -> None:
    assert BoundedRegex(pattern).search("a" * 200) is None


@pytest.mark.parametrize(
    "pattern", [r".*.*x", r"\w+\s+\w+$", r"(ab|a)(bc|c)?(d+)e", r"^.*,.*,$", r"[a-z]+\d?[a-z]+!"]
)
def test_number_of_steps_is_an_upper_bound(pattern: str) -> None:
    bounded = BoundedRegex(pattern)
    length = 8
    while bounded.max_steps(2 * length) <= MAX_STEPS:
        length *= 2
    started = time.thread_time()
    assert bounded.search(("ab" * length)[:length]) is not None
    # A step takes a few nanoseconds; a bound that is too low would cost seconds.
    assert time.thread_time() - started < 1


@pytest.mark.parametrize("pattern", ["[", "(" * 500, "a" * 1001])
def test_invalid_pattern_is_rejected(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"too long|not a regular expression"):
        BoundedRegex(pattern)
