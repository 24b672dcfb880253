"""An OpenAI-compatible server that counts tokens and respects `max_tokens`.

A token is four characters, of messages and of definitions of tools alike. It wants to say `answer` tokens;
with `loops` it asks for the calculator first, as often as the caller lets it. `prompt` is what it counts of
each prompt, whatever it was sent. With `heedless` it does not keep to `max_tokens`.
"""

from __future__ import annotations

import json
from dataclasses import replace

from tests.support.upstreams.http_server import ReceivedCall, Reply
from tests.support.upstreams.openai_server import OpenAIUpstream, ScriptedToolCall

WORD = "tok "


class MeteredUpstream(OpenAIUpstream):
    """`log` has (prompt, completion) tokens of each answer."""

    def __init__(
        self,
        *,
        answer: int = 3000,
        loops: bool = False,
        prompt: int | None = None,
        ignores_max_tokens: bool = False,
    ) -> None:
        super().__init__()
        self.ignores_max_tokens = ignores_max_tokens
        self.answer = answer
        self.loops = loops
        self.usage_log: list[tuple[int, int]] = []
        self.prompt = prompt

    @property
    def billed(self) -> int:
        """All tokens of all answers."""
        return sum(map(sum, self.usage_log))

    def frames(self, reply: Reply, call: ReceivedCall) -> tuple[list[bytes], list[bytes]]:
        return super().frames(self._metered(reply, call), call)

    def json_body(self, reply: Reply, call: ReceivedCall) -> bytes:
        return super().json_body(self._metered(reply, call), call)

    def _metered(self, reply: Reply, call: ReceivedCall) -> Reply:
        body = call.body
        prompt = (len(json.dumps(body["messages"])) + len(json.dumps(body.get("tools", "")))) // 4
        if self.prompt is not None:
            prompt = self.prompt
        if self.loops and body.get("tools"):
            arguments = json.dumps({"expression": f"{len(self.usage_log)}+1"})
            self.usage_log.append((prompt, 20))
            tool = ScriptedToolCall("calculator", (arguments,), id=f"call_{len(self.usage_log)}")
            return replace(reply, text=(), tools=(tool,), finish="tool_calls", usage=(prompt, 20))
        most = body.get("max_tokens") or body.get("max_completion_tokens") or self.answer
        said = self.answer if self.ignores_max_tokens else min(self.answer, most)
        self.usage_log.append((prompt, said))
        finish = "length" if said < self.answer else "stop"
        pieces = [WORD * min(50, said - at) for at in range(0, said, 50)]
        return replace(reply, text=pieces, usage=(prompt, said), finish=finish)
