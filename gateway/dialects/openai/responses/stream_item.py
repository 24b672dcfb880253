"""One output item of a streamed response while it is in progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.dialects.openai.client_tools import ClientTools
from gateway.dialects.openai.responses.output import (
    call_item,
    message_item,
    reasoning_item,
    text_part,
)
from gateway.domain.messages import ToolCall

ID_PREFIXES = {"text": "msg", "refusal": "msg", "reasoning": "rs", "call": "fc", "custom": "ctc"}
DELTA_EVENTS = {
    "text": "response.output_text.delta",
    "refusal": "response.refusal.delta",
    "reasoning": "response.reasoning_text.delta",
    "call": "response.function_call_arguments.delta",
    "custom": "response.custom_tool_call_input.delta",
}
CALL_KINDS = ("call", "custom")


@dataclass(slots=True)
class StreamItem:
    """An output item in progress; `call_id` and `name` are set for calls only.

    `number` follows the type prefix in the item's id.
    """

    kind: str
    number: str
    index: int
    tools: ClientTools
    pieces: list[str] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    call_id: str = ""
    name: str = ""
    delta_prefix: bytes = b""
    include_encrypted: bool = False

    @property
    def id(self) -> str:
        return f"{ID_PREFIXES[self.kind]}_{self.number}"

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def part(self, text: str) -> dict[str, Any]:
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": text}
        return text_part(text, self.kind == "refusal", self.logprobs if text else ())

    def body(self, status: str, text: str) -> dict[str, Any]:
        if self.kind in CALL_KINDS:
            return call_item(self.number, ToolCall(self.call_id, self.name, text), status, self.tools)
        if self.kind == "reasoning":
            return reasoning_item(self.id, text, status, self.include_encrypted)
        return message_item(self.id, [self.part(text)] if text else [], status)
