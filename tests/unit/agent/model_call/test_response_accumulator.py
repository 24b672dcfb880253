"""Which of a provider's token counts are used."""

from __future__ import annotations

import pytest

from gateway.agent.model_call.response_accumulator import ResponseAccumulator
from gateway.domain.events import Completed, ReasoningDelta, TextDelta
from gateway.domain.messages import Message
from gateway.domain.money import Usage, estimate_tokens
from gateway.domain.requests import ChatRequest, Sampling

PROMPT = "word " * 400
ANSWER = "A short answer."
WINDOW = 4096


def charged(usage: Usage | None, *, max_tokens: int | None = None, reasoning: str = "") -> Usage:
    reply = ResponseAccumulator()
    if reasoning:
        reply.add(ReasoningDelta(reasoning))
    reply.add(TextDelta(ANSWER))
    reply.add(Completed("stop", usage))
    request = ChatRequest("m", (Message("user", PROMPT),), Sampling(max_tokens=max_tokens))
    return reply.usage_or_estimate(request, WINDOW)


ESTIMATE = Usage(estimate_tokens(PROMPT) + 4, estimate_tokens(ANSWER))


def test_plausible_counts_are_charged_as_they_are() -> None:
    usage = Usage(404, 12, cached_tokens=384, cache_write_tokens=8, reasoning_tokens=5)
    assert charged(usage) == charged(usage, max_tokens=8) == usage


@pytest.mark.parametrize("usage", [None, Usage(), Usage(0, 0, 3, 3, 3)])
def test_without_counts_the_prompt_and_the_answer_are_estimated(usage: Usage | None) -> None:
    found = charged(usage)
    assert (found.prompt_tokens, found.completion_tokens) == (
        ESTIMATE.prompt_tokens,
        ESTIMATE.completion_tokens,
    )


def test_a_count_of_zero_is_estimated_and_the_other_is_used() -> None:
    assert charged(Usage(0, 12)) == Usage(ESTIMATE.prompt_tokens, 12)
    assert charged(Usage(404, 0)) == Usage(404, ESTIMATE.completion_tokens)


@pytest.mark.parametrize("absurd", [WINDOW + 1, 49_000_000, 2**52])
def test_a_prompt_count_above_the_window_is_not_charged(absurd: int) -> None:
    assert charged(Usage(absurd, absurd, absurd, absurd, absurd)).total_tokens < 2 * ESTIMATE.total_tokens


def test_a_completion_count_above_max_tokens_is_charged_only_if_it_was_output() -> None:
    assert charged(Usage(404, 3000), max_tokens=50) == Usage(404, ESTIMATE.completion_tokens)
    thought = Usage(404, 3000, reasoning_tokens=2960)
    assert charged(thought, max_tokens=50) == thought
    assert charged(Usage(404, 1500), max_tokens=50, reasoning="hm, " * 500) == Usage(404, 1500)


def test_a_prompt_larger_than_a_window_configured_too_small_is_charged() -> None:
    reply = ResponseAccumulator()
    reply.add(TextDelta(ANSWER))
    reply.add(Completed("stop", Usage(404, 12)))
    request = ChatRequest("m", (Message("user", PROMPT),))
    assert reply.usage_or_estimate(request, 100) == Usage(404, 12)
