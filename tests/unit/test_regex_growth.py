"""No regular expression of the code base takes more than linear time over a text, whatever the text."""

from __future__ import annotations

import random
import re
from itertools import islice

import pytest

import gateway
from tests.support.regex_growth import (
    anchored_patterns,
    attack_strings,
    compiled_patterns,
    grows_faster_than_linear,
)

PATTERNS = compiled_patterns(gateway)
ANCHORED = anchored_patterns(gateway)
_MOST_ATTACKS = 150
# These are given short texts alone; the reason says what bounds them.
SHORT = {
    **dict.fromkeys(
        (
            f"gateway.domain.conversations.titles.{name}"
            for name in ("_STRONG", "_EMPHASIS", "_CODE", "_LINK")
        ),
        "a line of the first `_WINDOW` characters",
    ),
    "gateway.providers.mock.sample_text._NAME_RULES": "the first `_LONGEST_NAME` characters, by fullmatch",
}
_NAMES = [name for name in PATTERNS if name.partition("[")[0] not in SHORT]
_GROUPS = 8


def test_the_patterns_are_found() -> None:
    assert len(PATTERNS) > 150
    assert {"gateway.guardrails.reading.features._MIXED", "gateway.core.tag_escaping._TAG_OPENERS"} <= set(
        PATTERNS
    )


@pytest.mark.parametrize("group", range(_GROUPS))
def test_no_pattern_takes_more_than_linear_time(group: int) -> None:
    slow = {}
    for name in _NAMES[group::_GROUPS]:
        pattern = PATTERNS[name]
        for attack in islice(attack_strings(pattern, random.Random(name)), _MOST_ATTACKS):
            if found := grows_faster_than_linear(pattern, attack, anchored=name in ANCHORED):
                slow[name] = f"{pattern.pattern!r:.80}: {found}"
                break
    assert slow == {}


@pytest.mark.parametrize(
    "pattern",
    [
        # As it was in the injection guard: a free account stopped a worker with 32 KB.
        r"\b[a-z]+[0-9@$]+[a-z]+[a-z0-9@$]*\b",
        r"\s+[-–—]\s+[^-–—]{1,40}$",
        r"(?:a|a)+$",
        r"\$\{([^}]*)\}",
    ],
)
def test_a_slow_pattern_is_recognised(pattern: str) -> None:
    compiled = re.compile(pattern)

    assert any(
        grows_faster_than_linear(compiled, attack) for attack in attack_strings(compiled, random.Random(1))
    )
