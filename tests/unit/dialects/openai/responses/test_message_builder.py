"""Order of calls and outputs.

Responses accept any order, chat completions exactly one.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.dialects.openai.responses.request import parse_response

USER: dict[str, Any] = {"role": "user", "content": "Hi"}
SAID: dict[str, Any] = {"role": "assistant", "content": "On it"}


def call(id_: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": id_, "name": f"tool_{id_}", "arguments": "{}"}


def output(id_: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id_, "output": "42"}


def shown(*items: dict[str, Any]) -> list[Any]:
    """Return each message as its role and text, its call ids, or the id of the call it answers."""
    body = orjson.dumps({"model": "m", "input": list(items)})
    return [
        message.tool_call_id or [call.id for call in message.tool_calls] or f"{message.role}: {message.text}"
        for message in parse_response(body, "req_1").turn.messages
    ]


HI = "user: Hi"


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([USER, call("a"), call("b"), output("b"), output("a")], [HI, ["a", "b"], "b", "a"]),
        ([USER, call("a"), SAID, output("a"), USER], [HI, ["a"], "a", HI]),
        ([USER, call("a"), SAID, call("b"), output("a"), output("b")], [HI, ["a", "b"], "a", "b"]),
        ([USER, call("a"), USER, output("a")], [HI, ["a"], "a", HI]),
        ([USER, call("a"), output("a"), SAID, USER], [HI, ["a"], "a", "assistant: On it", HI]),
        ([USER, call("a"), output("a"), call("b"), output("b")], [HI, ["a"], "a", ["b"], "b"]),
        ([USER, call("a"), output("a"), call("a"), output("a")], [HI, ["a"], "a", ["a"], "a"]),
        ([USER, output("z"), USER], [HI, "z", HI]),
    ],
)
def test_outputs_follow_the_calls_of_their_round(items: list[Any], expected: list[Any]) -> None:
    assert shown(*items) == expected


def test_text_beside_a_call_and_the_tools_name_are_preserved() -> None:
    body = orjson.dumps({"model": "m", "input": [USER, SAID, call("a"), SAID, USER, output("a")]})
    _, said, answer, _ = parse_response(body, "req_1").turn.messages
    assert said.text == "On it\n\nOn it"
    assert answer.name == "tool_a"
