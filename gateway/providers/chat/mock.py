"""A model that needs no model: the same question always gets the same answer, and failures on demand.

The answer is a readable paraphrase of the last message, seeded by its hash, with usage as estimated from
the texts. `max_tokens`, `stop`, `response_format`, `logprobs` and tools are obeyed: a question that holds
`call tool NAME {json}` calls that tool, if it is offered (up to 128 times), and the result is used in the
next answer.

Drills, by the model's name in the configuration (`model: fail`):

    fail            UpstreamUnavailable before the first word
    fail-after-N    N words, then UpstreamBroken
    cut             half of the words, then UpstreamBroken: the end marker never came
    rate-limited    UpstreamRateLimited with a retry_after of 1 second
    unauthorized    UpstreamUnauthorized
    timeout         silent for `timeouts.mock` seconds, then UpstreamTimeout
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
from gateway.domain.chat import ChatRequest, ToolSpec
from gateway.domain.events import Completed, FinishReason, ProviderEvent, TextDelta, ToolCallDelta
from gateway.domain.messages import Message
from gateway.domain.usage import Usage, estimate_tokens
from gateway.providers.chat.base import ChatProvider, ProviderHealth
from gateway.providers.chat.mock_json import Allowance, fitting

_WORD = re.compile(r"(?:(?<!\s)\s+)?\S+")
_CALL = re.compile(r"call tool ([\w.-]+)\s*")
_FAIL_AFTER = re.compile(r"fail-after-(\d+)")
# As many as a request may offer tools.
_MOST_CALLS = 128
# Of a streamed answer.
_MOST_PIECES = 4096
_OPENINGS = ("You asked:", "The question was:", "I understood:", "Here is what I read:")
_CLOSINGS = (
    "In short, it depends on what you want to do with it.",
    "There are two sides to it, and both deserve a look.",
    "The plain answer is yes, with a few conditions.",
    "Start small, measure, and go on from there.",
    "A good example says more than a long explanation.",
)


class MockProvider(ChatProvider):
    """See the module."""

    type = "mock"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        await self._fail_early(request.model)
        prompt = sum(estimate_tokens(message.text) for message in request.messages)
        calls = _tool_calls(request)
        if calls:
            arguments = sum(estimate_tokens(name) + estimate_tokens(text) for name, text in calls)
            for index, (name, text) in enumerate(calls):
                call_id = f"call_{_seed(request) & 0xFFFFFF:06x}{index}"
                half = len(text) // 2 if request.incremental else len(text)
                yield ToolCallDelta(index, call_id, name, text[:half])
                if half < len(text):
                    yield ToolCallDelta(index, arguments=text[half:])
            yield Completed("tool_calls", Usage(prompt, arguments))
            return
        words, finish = _limited(_answer(request), request)
        async for event in self._speak(words, request):
            yield event
        yield Completed(finish, Usage(prompt, estimate_tokens("".join(words))))

    async def check(self) -> ProviderHealth:
        return ProviderHealth(True, "always answers")

    async def _fail_early(self, model: str) -> None:
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

    async def _speak(self, words: list[str], request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        """The words one by one (several at a time where there are very many), or as one delta.

        Raises where the model's name asks for a failure.
        """
        limit = _breaking_point(request.model, len(words))
        said = words[:limit]
        delay = float(self.config.options.get("delay", 0.1)) if request.model == "slow" else 0.0
        if not request.incremental and limit is None:
            await asyncio.sleep(delay * len(said))
            yield TextDelta("".join(said), tuple(_logprob(word) for word in said) if request.logprobs else ())
        elif request.incremental:
            size = 1 + len(said) // _MOST_PIECES
            for start in range(0, len(said), size):
                piece = said[start : start + size]
                if delay:
                    await asyncio.sleep(delay * len(piece))
                yield TextDelta("".join(piece), tuple(map(_logprob, piece)) if request.logprobs else ())
        if limit is not None:
            raise UpstreamBroken


def _breaking_point(model: str, words: int) -> int | None:
    """After how many words the answer breaks off; None for never."""
    if model == "cut":
        return max(1, words // 2)
    found = _FAIL_AFTER.fullmatch(model)
    return int(found[1]) if found else None


def _seed(request: ChatRequest) -> int:
    last = request.messages[-1].text if request.messages else ""
    return zlib.crc32(f"{request.model}\0{request.sampling.seed}\0{last}".encode("utf-8", "replace"))


def _answer(request: ChatRequest) -> str:
    """The whole answer's text."""
    seed = _seed(request)
    wanted = request.response_format
    if wanted is not None and wanted.schema is not None:
        return _filled(wanted.schema, seed, "response_format", Allowance())
    last = request.messages[-1] if request.messages else Message("user")
    topic = " ".join(last.text.split()[:40]) or "nothing at all"
    if last.role == "tool":
        text = f"The tool answered: {topic}"
    else:
        text = f"{_OPENINGS[seed % len(_OPENINGS)]} {topic} {_CLOSINGS[seed // 7 % len(_CLOSINGS)]}"
        images = sum(message.has_images for message in request.messages)
        text += f" I was shown {images} message(s) with images." if images else ""
    return orjson.dumps({"answer": text}).decode() if wanted is not None else text


def _limited(text: str, request: ChatRequest) -> tuple[list[str], FinishReason]:
    """The words that `stop` and `max_tokens` leave, and why the answer ends."""
    for mark in request.sampling.stop:
        text = text.partition(mark)[0] if mark else text
    words = _WORD.findall(text)
    limit = request.sampling.max_tokens
    if limit is None or estimate_tokens(text) <= limit:
        return words, "stop"
    kept = bisect_right(range(len(words)), limit, key=lambda n: estimate_tokens("".join(words[: n + 1])))
    return words[:kept], "length"


def _tool_calls(request: ChatRequest) -> list[tuple[str, str]]:
    """(name, arguments as JSON text) of the calls that the last message asks for."""
    last = request.messages[-1] if request.messages else None
    if last is None or last.role != "user" or request.tool_choice.mode == "none":
        return []
    offered = {tool.name: tool for tool in request.tools}
    if request.tool_choice.mode == "function":
        offered = {name: tool for name, tool in offered.items() if name == request.tool_choice.name}
    text = last.text
    allowance = Allowance()
    wanted = (found for found in _CALL.finditer(text) if found[1] in offered)
    calls = [
        (found[1], _arguments(text, found.end(), offered[found[1]], request, allowance))
        for found in islice(wanted, 1 if request.parallel_tool_calls is False else _MOST_CALLS)
    ]
    if not calls and offered and request.tool_choice.mode in ("required", "function"):
        tool = next(iter(offered.values()))
        calls = [(tool.name, _arguments("", 0, tool, request, allowance))]
    return calls


def _arguments(text: str, start: int, tool: ToolSpec, request: ChatRequest, allowance: Allowance) -> str:
    """The JSON object that stands at `start`, or one that fits the tool's schema."""
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return _filled({"type": "object", **tool.parameters}, _seed(request), "tools", allowance)
    return orjson.dumps(value).decode()


def _filled(schema: Mapping[str, Any], seed: int, param: str, allowance: Allowance) -> str:
    """JSON that fits `schema`, which `param` of the request holds."""
    try:
        return orjson.dumps(fitting(schema, seed, allowance)).decode()
    except (ValueError, TypeError) as error:
        why = "it holds what JSON cannot" if isinstance(error, TypeError) else str(error)
        raise UpstreamRejected(f"The mock cannot fill this schema: {why}.", param=param) from error


def _logprob(word: str) -> dict[str, Any]:
    return {"token": word, "logprob": -0.125, "bytes": list(word.encode()), "top_logprobs": []}
