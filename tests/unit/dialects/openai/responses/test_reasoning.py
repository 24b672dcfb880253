"""`reasoning` items of `/v1/responses`.

Which of them are sent back to a vendor, and with what.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.dialects.openai.responses.output import reasoning_item
from gateway.dialects.openai.responses.reasoning import encode_reasoning
from gateway.dialects.openai.responses.request import parse_response
from gateway.domain.messages import Message

CALL = {"type": "function_call", "call_id": "c", "name": "lookup", "arguments": "{}"}
TOOL = {"type": "function", "name": "lookup"}


def messages(*items: dict[str, Any]) -> tuple[Message, ...]:
    body = {"model": "m", "input": [{"role": "user", "content": "Hi"}, *items], "tools": [TOOL]}
    return parse_response(orjson.dumps(body), "req_1").turn.messages


def thoughts(message: Message) -> Any:
    return None if message.vendor is None else message.vendor.fields.get("reasoning_content")


@pytest.mark.parametrize(
    "item",
    [
        reasoning_item("rs_1", "Hm 생각", "completed"),
        {"type": "reasoning", "summary": [], "encrypted_content": encode_reasoning("Hm 생각")},
        {**reasoning_item("rs_1", "Hm 생각", "completed", include_encrypted=True), "content": None},
    ],
)
def test_reasoning_is_attached_to_the_next_call(item: dict[str, Any]) -> None:
    assert thoughts(messages(item, CALL)[1]) == "Hm 생각"
    said = {"role": "assistant", "content": "Let me see."}
    [_, answer] = messages(item, said, CALL)
    assert (answer.content, answer.tool_calls[0].id, thoughts(answer)) == ("Let me see.", "c", "Hm 생각")


def test_reasoning_without_a_call_is_dropped() -> None:
    item = reasoning_item("rs_1", "Hm.", "completed")
    said = {"role": "assistant", "content": "Yes."}
    question = {"role": "user", "content": "And?"}
    assert [thoughts(message) for message in messages(item, said, question, CALL)] == [None] * 4


@pytest.mark.parametrize("sealed", ["gAAAAA-of-openai", "gw1.!!", "gw1.////", "", None, 7])
def test_another_vendors_encrypted_reasoning_is_dropped(sealed: Any) -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": sealed}
    assert thoughts(messages(item, CALL)[1]) is None


def test_reasoning_is_encrypted_only_on_request() -> None:
    assert "encrypted_content" not in reasoning_item("rs_1", "Hm.", "completed")
    assert "encrypted_content" not in reasoning_item("rs_1", "", "completed", include_encrypted=True)
