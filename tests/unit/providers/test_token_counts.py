"""Usage objects as each vendor sends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.money import Usage
from gateway.providers.token_counts import TokenCounts, parse_count


def read(vendor: str, *objects: Any) -> Usage | None:
    counts = TokenCounts()
    note: Callable[[Any], None] = getattr(counts, vendor)
    for one in objects:
        note(one)
    return counts.usage


OPENAI = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 192, "accepted_prediction_tokens": 0},
}
XAI = {
    "prompt_tokens": 100,
    "completion_tokens": 10,
    "total_tokens": 510,
    "completion_tokens_details": {"reasoning_tokens": 400},
}
DEEPSEEK = {
    "prompt_tokens": 100,
    "completion_tokens": 10,
    "total_tokens": 110,
    "prompt_cache_hit_tokens": 64,
    "prompt_cache_miss_tokens": 36,
}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (OPENAI, Usage(2006, 300, cached_tokens=1920, reasoning_tokens=192)),
        (XAI, Usage(100, 410, reasoning_tokens=400)),
        (XAI | {"total_tokens": None}, Usage(100, 410, reasoning_tokens=400)),
        (DEEPSEEK, Usage(100, 10, cached_tokens=64)),
        (DEEPSEEK | {"prompt_tokens": 0, "total_tokens": None}, Usage(100, 10, cached_tokens=64)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "cached_tokens": 5}, Usage(9, 4, cached_tokens=5)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 4,
                "cache_read_input_tokens": 60,
                "cache_creation_input_tokens": 30,
            },
            Usage(100, 4, cached_tokens=60, cache_write_tokens=30),
        ),
        ({"prompt_tokens": 7.0, "completion_tokens": "4", "total_tokens": 11.0}, Usage(7, 4)),
        ({"prompt_tokens": -7, "completion_tokens": 4}, Usage(0, 4)),
        ({"prompt_tokens": 0, "completion_tokens": 4, "total_tokens": 104}, Usage(100, 4)),
        ({"prompt_tokens": 5, "completion_tokens": 4, "prompt_tokens_details": None}, Usage(5, 4)),
        ({"prompt_tokens": 5, "completion_tokens": 4, "prompt_tokens_details": [1]}, Usage(5, 4)),
        ({"prompt_tokens": 5, "completion_tokens": 4, "cached_tokens": 50}, Usage(5, 4, cached_tokens=5)),
        # A proxy that counts like Anthropic: the prompt does not include cached tokens.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 4,
                "total_tokens": 14,
                "cache_read_input_tokens": 1000,
                "cache_creation_input_tokens": 500,
            },
            Usage(1510, 4, cached_tokens=1000, cache_write_tokens=500),
        ),
        (
            {
                "input_tokens": 100,
                "output_tokens": 4,
                "input_tokens_details": {"cached_tokens": 60},
                "output_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(100, 4, cached_tokens=60, reasoning_tokens=2),
        ),
        ({"prompt_tokens": 100, "total_tokens": 104}, Usage(100, 4)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 104}, None),
        ({"total_tokens": 104}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
        ({"prompt_tokens": None, "completion_tokens": None}, None),
        ({"prompt_tokens": True, "completion_tokens": "1e999"}, None),
        ("many", None),
    ],
)
def test_usage_of_a_chat_completion(usage: Any, expected: Usage | None) -> None:
    assert read("read_openai", usage) == expected


def test_zeros_and_nulls_after_good_counts_do_not_replace_them() -> None:
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert read("read_openai", {"prompt_tokens": 404, "completion_tokens": 12}, zeros, None) == Usage(404, 12)
    begun = {"input_tokens": 404, "output_tokens": 1}
    assert read("read_anthropic", begun, {"input_tokens": 0, "output_tokens": 12}) == Usage(404, 12)


def test_an_anthropic_message_delta_of_output_tokens_alone_keeps_the_starts_prompt() -> None:
    begun = {"input_tokens": 25, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 75}
    assert read("read_anthropic", begun, {"output_tokens": 15}) == Usage(
        1000, 15, cached_tokens=900, cache_write_tokens=75
    )


def test_anthropics_thinking_tokens_are_part_of_its_output() -> None:
    usage = {"input_tokens": 5, "output_tokens": 90, "output_tokens_details": {"thinking_tokens": 70}}
    assert read("read_anthropic", usage) == Usage(5, 90, reasoning_tokens=70)


def test_geminis_thinking_tokens_are_added_to_the_completion() -> None:
    chunk = {"promptTokenCount": 100, "candidatesTokenCount": 3, "thoughtsTokenCount": 40}
    last = chunk | {"candidatesTokenCount": 10, "cachedContentTokenCount": 64, "toolUsePromptTokenCount": 7}
    assert read("read_gemini", chunk, last) == Usage(107, 50, cached_tokens=64, reasoning_tokens=40)


def test_geminis_total_includes_tokens_of_no_other_field() -> None:
    usage = {"promptTokenCount": 100, "thoughtsTokenCount": 40, "totalTokenCount": 190}
    assert read("read_gemini", usage) == Usage(100, 90, reasoning_tokens=40)


def test_anthropics_cache_writes_may_be_split_by_lifetime() -> None:
    kinds = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20}
    usage = {"input_tokens": 5, "output_tokens": 9, "cache_creation": kinds}
    assert read("read_anthropic", usage) == Usage(55, 9, cache_write_tokens=50)


def test_ollamas_counts_are_those_of_its_last_line() -> None:
    assert read("read_ollama", {"done": True, "prompt_eval_count": 26, "eval_count": 9}) == Usage(26, 9)


@pytest.mark.parametrize("value", [None, True, -1, 0, float("nan"), float("inf"), "", "x", {}, 10**40])
def test_an_invalid_count_is_zero(value: Any) -> None:
    assert parse_count(value) == 0
