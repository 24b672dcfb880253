"""An OpenAI-compatible server that rejects prompts longer than its context window.

async with WindowedUpstream(8192, llama2(), answer) as up: ...
assert up.refused == 0
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tokenizers import Tokenizer

from tests.support.tokenizers import count
from tests.support.upstreams.http_server import ReceivedCall, Refusal, Reply, Step
from tests.support.upstreams.openai_server import OpenAIUpstream

# What chat templates put around a message.
_AROUND = 5


class ContextWindowUpstream(OpenAIUpstream):
    """Answers with `answer(call)`, unless prompt and `max_tokens` are more than `window`.

    `refused` counts the latter, `longest` is the longest prompt that was answered.
    """

    def __init__(
        self,
        window: int,
        tokenizer: Tokenizer,
        answer: Callable[[ReceivedCall], Reply] = lambda call: Reply(),
    ) -> None:
        super().__init__()
        self.window = window
        self.refused = 0
        self.longest = 0
        self._tokenizer = tokenizer
        self._reply = answer

    def tokens(self, body: dict[str, Any]) -> int:
        """The prompt's length: what is said, the calls of tools, and the tools' schemas."""
        texts = [json.dumps(body["tools"])] if body.get("tools") else []
        for message in body["messages"]:
            texts.append(message.get("content") or "")
            texts += [
                call["function"]["name"] + call["function"]["arguments"]
                for call in message.get("tool_calls") or ()
            ]
        return sum(count(self._tokenizer, text) for text in texts) + _AROUND * len(body["messages"])

    async def _answer(
        self, step: Step, call: ReceivedCall, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        prompt_tokens = self.tokens(call.body)
        max_tokens = call.body.get("max_tokens") or call.body.get("max_completion_tokens") or 0
        if prompt_tokens + max_tokens > self.window:
            self.refused += 1
            return await super()._answer(Refusal(400, "context_length_exceeded"), call, reader, writer)
        self.longest = max(self.longest, prompt_tokens)
        return await super()._answer(self._reply(call), call, reader, writer)
