"""Reads the vendors' usage objects.

An invalid number is ignored and never fails an answer.
"""

from __future__ import annotations

import math
from typing import Any

from gateway.domain.money import Usage

_MAX_COUNT = 2**53


class TokenCounts:
    """The token counts of one answer, from what its vendor has sent so far.

    Vendors may send usage several times. The last count of each kind is used; zeros, nulls and invalid
    numbers do not replace an earlier count.
    """

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def read_openai(self, usage: Any) -> None:
        """Read the `usage` of a chat completion, including the field names of compatible servers."""
        if not isinstance(usage, dict):
            return
        # Some servers use the field names of OpenAI's Responses API and of Anthropic.
        prompt = _mapping(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
        completion = _mapping(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
        hit, miss = usage.get("prompt_cache_hit_tokens"), usage.get("prompt_cache_miss_tokens")  # DeepSeek
        self._record(
            "prompt",
            usage.get("prompt_tokens"),
            usage.get("input_tokens"),
            parse_count(hit) + parse_count(miss),
        )
        self._record("completion", usage.get("completion_tokens"), usage.get("output_tokens"))
        self._record("total", usage.get("total_tokens"))
        self._record(
            "cached",
            prompt.get("cached_tokens"),
            hit,
            usage.get("cached_tokens"),  # Moonshot
            usage.get("cache_read_input_tokens"),  # LiteLLM
        )
        self._record(
            "written",
            prompt.get("cache_write_tokens"),
            prompt.get("cache_creation_tokens"),
            usage.get("cache_creation_input_tokens"),
        )
        self._record("reasoning", completion.get("reasoning_tokens"), usage.get("reasoning_tokens"))
        # Proxies of Anthropic's API may, as it does, not include these in the prompt tokens.
        cache_read, cache_created = (
            usage.get("cache_read_input_tokens"),
            usage.get("cache_creation_input_tokens"),
        )
        self._record("outside_prompt", parse_count(cache_read) + parse_count(cache_created))

    def read_anthropic(self, usage: Any) -> None:
        """Read the `usage` of a message, of `message_start` or of `message_delta`."""
        if not isinstance(usage, dict):
            return
        self._record("uncached", usage.get("input_tokens"))
        self._record("completion", usage.get("output_tokens"))
        self._record("cached", usage.get("cache_read_input_tokens"))
        by_lifetime = _mapping(usage.get("cache_creation")).values()  # one count per cache lifetime
        self._record("written", usage.get("cache_creation_input_tokens"), sum(map(parse_count, by_lifetime)))
        self._record("reasoning", _mapping(usage.get("output_tokens_details")).get("thinking_tokens"))

    def read_gemini(self, usage: Any) -> None:
        """Read the `usageMetadata` of one chunk or of a whole response."""
        if not isinstance(usage, dict):
            return
        self._record("prompt", usage.get("promptTokenCount"))
        self._record("tool_prompt", usage.get("toolUsePromptTokenCount"))
        self._record("candidates", usage.get("candidatesTokenCount"))
        self._record("total", usage.get("totalTokenCount"))  # some responses have no separate count
        self._record("cached", usage.get("cachedContentTokenCount"))
        self._record("reasoning", usage.get("thoughtsTokenCount"))

    def read_ollama(self, line: dict[str, Any]) -> None:
        """Read the counts of a line whose `done` is true."""
        self._record("prompt", line.get("prompt_eval_count"))
        self._record("completion", line.get("eval_count"))

    @property
    def usage(self) -> Usage | None:
        """The counts as usage, with 0 for missing ones; None if there are none.

        A total alone does not count, since it says nothing about prompt and completion.
        """
        counts = self._counts
        if not counts.keys() - {"total", "outside_prompt"}:
            return None
        cached, written = counts.get("cached", 0), counts.get("written", 0)
        reasoning = counts.get("reasoning", 0)
        prompt = counts.get("prompt", 0) + counts.get("tool_prompt", 0)
        if "uncached" in counts:
            prompt = counts["uncached"] + cached + written
        completion = counts.get("completion", 0)
        if "candidates" in counts or "completion" not in counts:
            completion = counts.get("candidates", 0) + reasoning
        total = counts.get("total", 0)
        if not prompt:
            prompt = max(0, total - completion)
        # xAI and Google include reasoning in the total only.
        completion = max(completion, total - prompt)
        if reasoning > completion:
            completion += reasoning
        if counts.get("outside_prompt", 0) > prompt:
            prompt += cached + written
        cached = min(cached, prompt)
        return Usage(prompt, completion, cached, min(written, prompt - cached), reasoning)

    def _record(self, kind: str, *candidates: Any) -> None:
        """Store the first candidate that is a valid count."""
        for value in candidates:
            if (number := parse_count(value)) > 0:
                self._counts[kind] = number
                return


def parse_count(value: Any) -> int:
    """Return a token count as an integer, also from a float or a string.

    Returns 0 for anything else.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return int(value) if 0 < value < _MAX_COUNT else 0


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
