"""Deterministic chat answers without a model, and failures on demand.

The answer is a readable paraphrase of the last message, seeded by its hash, with estimated usage.
`max_tokens`, `stop`, `response_format`, `logprobs` and tools are supported: a question that contains `call
tool NAME {json}` calls that tool if it is offered (up to 128 times), and the next answer uses the result.

Simulated failures, selected by the model's name in the configuration (`model: fail`):

    fail            UpstreamUnavailable before the first word
    fail-after-N    N words, then UpstreamBroken
    cut             half of the words, then UpstreamBroken (a stream without end marker)
    rate-limited    UpstreamRateLimited with a retry_after of 1 second
    unauthorized    UpstreamUnauthorized
    timeout         no output for `timeouts.mock` seconds, then UpstreamTimeout
    slow            `options.delay` seconds (0.1) before each word
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from bisect import bisect_right
from collections.abc import AsyncGenerator, Mapping
from itertools import islice
from typing import Any

import orjson

from gateway.core.exceptions import (
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)
from gateway.domain.events import Completed, FinishReason, ProviderEvent, TextDelta, ToolCallDelta
from gateway.domain.messages import Message
from gateway.domain.money import Usage, estimate_tokens
from gateway.domain.requests import ChatRequest, ToolSpec
from gateway.providers.base import ChatProvider, ProviderHealth
from gateway.providers.mock.json_generator import GenerationBudget, generate_value

_WORD = re.compile(r"(?:(?<!\s)\s+)?\S+")
_TOOL_CALL = re.compile(r"call tool ([\w.-]+)\s*")
_FAIL_AFTER = re.compile(r"fail-after-(\d+)")
# The number of tools that a request may offer.
_MAX_TOOL_CALLS = 128
# Text deltas of one streamed answer.
_MAX_DELTAS = 4096
_OPENINGS = ("You asked:", "The question was:", "I understood:", "Here is what I read:")
_CLOSINGS = (
    "In short, it depends on what you want to do with it.",
    "There are two sides to it, and both deserve a look.",
    "The plain answer is yes, with a few conditions.",
    "Start small, measure, and go on from there.",
    "A good example says more than a long explanation.",
)


class MockChat(ChatProvider):
    """Deterministic answers and simulated failures; see the module."""

    type = "mock"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        await self._raise_drill_error(request.model)
        prompt = sum(estimate_tokens(message.text) for message in request.messages)
        calls = _tool_calls(request)
        if calls:
            arguments = sum(estimate_tokens(name) + estimate_tokens(text) for name, text in calls)
            for index, (name, text) in enumerate(calls):
                call_id = f"call_{_seed(request) & 0xFFFFFF:06x}{index}"
                half = len(text) // 2 if request.stream else len(text)
                yield ToolCallDelta(index, call_id, name, text[:half])
                if half < len(text):
                    yield ToolCallDelta(index, arguments=text[half:])
            yield Completed("tool_calls", Usage(prompt, arguments))
            return
        words, finish = _apply_limits(_answer_text(request), request)
        async for event in self._stream_words(words, request):
            yield event
        yield Completed(finish, Usage(prompt, estimate_tokens("".join(words))))

    async def check_health(self) -> ProviderHealth:
        return ProviderHealth(True, "always answers")

    async def _raise_drill_error(self, model: str) -> None:
        match model:
            case "fail":
                raise UpstreamUnavailable
            case "rate-limited":
                raise UpstreamRateLimited(retry_after=1.0)
            case "unauthorized":
                raise UpstreamUnauthorized
            case "timeout":
                await asyncio.sleep(self.timeouts.mock)
                raise UpstreamTimeout

    async def _stream_words(
        self, words: list[str], request: ChatRequest
    ) -> AsyncGenerator[ProviderEvent, None]:
        """Yield the words one by one (in batches if there are very many), or as one delta.

        Raises:
            UpstreamBroken: the model simulates an interrupted answer.
        """
        limit = _failure_position(request.model, len(words))
        shown = words[:limit]
        delay = float(self.config.options.get("delay", 0.1)) if request.model == "slow" else 0.0
        if not request.stream and limit is None:
            await asyncio.sleep(delay * len(shown))
            yield TextDelta(
                "".join(shown), tuple(_logprob(word) for word in shown) if request.logprobs else ()
            )
        elif request.stream:
            size = 1 + len(shown) // _MAX_DELTAS
            for start in range(0, len(shown), size):
                batch = shown[start : start + size]
                if delay:
                    await asyncio.sleep(delay * len(batch))
                yield TextDelta("".join(batch), tuple(map(_logprob, batch)) if request.logprobs else ())
        if limit is not None:
            raise UpstreamBroken


def _failure_position(model: str, words: int) -> int | None:
    """Return after how many words the model interrupts its answer, or None."""
    if model == "cut":
        return max(1, words // 2)
    found = _FAIL_AFTER.fullmatch(model)
    return int(found[1]) if found else None


def _seed(request: ChatRequest) -> int:
    last = request.messages[-1].text if request.messages else ""
    return zlib.crc32(f"{request.model}\0{request.sampling.seed}\0{last}".encode("utf-8", "replace"))


def _answer_text(request: ChatRequest) -> str:
    """Return the complete text of the answer."""
    seed = _seed(request)
    response_format = request.response_format
    if response_format is not None and response_format.schema is not None:
        return _generate_json(response_format.schema, seed, "response_format", GenerationBudget())
    last = request.messages[-1] if request.messages else Message("user")
    topic = " ".join(last.text.split()[:40]) or "nothing at all"
    if last.role == "tool":
        text = f"The tool answered: {topic}"
    else:
        text = f"{_OPENINGS[seed % len(_OPENINGS)]} {topic} {_CLOSINGS[seed // 7 % len(_CLOSINGS)]}"
        images = sum(message.has_images for message in request.messages)
        text += f" I was shown {images} message(s) with images." if images else ""
    return orjson.dumps({"answer": text}).decode() if response_format is not None else text


def _apply_limits(text: str, request: ChatRequest) -> tuple[list[str], FinishReason]:
    """Apply `stop` and `max_tokens`.

    Returns the remaining words and the finish reason.
    """
    for stop in request.sampling.stop:
        text = text.partition(stop)[0] if stop else text
    words = _WORD.findall(text)
    limit = request.sampling.max_tokens
    if limit is None or estimate_tokens(text) <= limit:
        return words, "stop"
    count = bisect_right(range(len(words)), limit, key=lambda n: estimate_tokens("".join(words[: n + 1])))
    return words[:count], "length"


def _tool_calls(request: ChatRequest) -> list[tuple[str, str]]:
    """Return (name, JSON arguments) of the tool calls that the last message asks for."""
    last = request.messages[-1] if request.messages else None
    if last is None or last.role != "user" or request.tool_choice.mode == "none":
        return []
    offered = {tool.name: tool for tool in request.tools}
    if request.tool_choice.mode == "function":
        offered = {name: tool for name, tool in offered.items() if name == request.tool_choice.name}
    text = last.text
    budget = GenerationBudget()
    matches = (match for match in _TOOL_CALL.finditer(text) if match[1] in offered)
    calls = [
        (match[1], _arguments(text, match.end(), offered[match[1]], request, budget))
        for match in islice(matches, 1 if request.parallel_tool_calls is False else _MAX_TOOL_CALLS)
    ]
    if not calls and offered and request.tool_choice.mode in ("required", "function"):
        tool = next(iter(offered.values()))
        calls = [(tool.name, _arguments("", 0, tool, request, budget))]
    return calls


def _arguments(text: str, start: int, tool: ToolSpec, request: ChatRequest, budget: GenerationBudget) -> str:
    """Return the JSON object at `start`, else a generated one that fits the tool's schema."""
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return _generate_json({"type": "object", **tool.parameters}, _seed(request), "tools", budget)
    return orjson.dumps(value).decode()


def _generate_json(schema: Mapping[str, Any], seed: int, param: str, budget: GenerationBudget) -> str:
    """Generate JSON for `schema`; errors name `param` of the request."""
    try:
        return orjson.dumps(generate_value(schema, seed, budget)).decode()
    except (ValueError, TypeError) as error:
        reason = "JSON cannot represent it" if isinstance(error, TypeError) else str(error)
        raise UpstreamRejected(f"The mock cannot fill this schema: {reason}.", param=param) from error


def _logprob(word: str) -> dict[str, Any]:
    return {"token": word, "logprob": -0.125, "bytes": list(word.encode()), "top_logprobs": []}
