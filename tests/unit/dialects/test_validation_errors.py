"""Validation errors name the path that the caller wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.exceptions import ValidationFailed
from gateway.dialects.base import parse_body
from gateway.dialects.openai.chat.body import ChatCompletionBody

QUESTION = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({"stop": ["a"] * 5}, "stop", "at most 4"),
        ({"stop": 5}, "stop", "string"),
        ({"stop": ["a", 5]}, "stop.1", "string"),
        ({"tool_choice": "sometimes"}, "tool_choice", "'required'"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function", "required"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "string"),
        (
            {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
            "messages.0.content.0.type",
            "required",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 1}}]}]},
            "messages.0.content.0.image_url.url",
            "string",
        ),
        ({"messages": [QUESTION, {"role": "robot"}]}, "messages.1.role", "'user'"),
        ({"n": 0, "stop": 5}, "n", "greater"),
    ],
)
def test_the_field_is_named_without_pydantics_union_alternatives(
    fields: dict[str, Any], param: str, word: str
) -> None:
    body = {"model": "m", "messages": [QUESTION], **fields}
    with pytest.raises(ValidationFailed) as raised:
        parse_body(ChatCompletionBody, json.dumps(body).encode())
    assert raised.value.param == param
    assert word in raised.value.message
