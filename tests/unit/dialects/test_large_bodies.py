"""Large legitimate bodies are accepted, and every number in a body is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from gateway.core.body_limit import LARGE_BODY
from gateway.core.exceptions import ValidationFailed
from gateway.core.settings import Settings
from gateway.dialects.native.request import parse_turn
from gateway.dialects.openai.chat.request import parse_completion
from gateway.dialects.openai.embeddings import parse_embeddings
from gateway.dialects.openai.responses.request import parse_response
from gateway.main import create_app

MODEL = {"model": "gpt-4o-mini"}
PROSE = 'First, second, and third: {a}, [b]; "quoted, text" and a \\ backslash.\n'


def _encoded(body: dict[str, Any]) -> bytes:
    data = orjson.dumps(body)
    assert len(data) <= LARGE_BODY
    return data


def test_a_chat_of_thousands_of_messages_with_parts_tools_and_an_image_is_accepted() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5_000_000}}
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a": [1, 2]}'}}
    exchange = [
        {"role": "user", "content": [{"type": "text", "text": PROSE}, {"type": "text", "text": PROSE}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": PROSE},
        {"role": "assistant", "content": PROSE},
    ]
    properties = {f"field_{at}": {"type": "string", "enum": ["a", "b", "c"]} for at in range(30)}
    tools = [
        {"type": "function", "function": {"name": f"tool_{at}", "parameters": {"properties": properties}}}
        for at in range(128)
    ]
    messages = [*exchange * 1500, {"role": "user", "content": [{"type": "text", "text": "?"}, image]}]
    turn, _ = parse_completion(_encoded({**MODEL, "messages": messages, "tools": tools}), "req_1")
    assert (len(turn.messages), len(turn.client_tools)) == (6001, 128)


def test_a_response_of_thousands_of_items_is_accepted() -> None:
    item = {"role": "user", "content": [{"type": "input_text", "text": PROSE}]}
    assert len(parse_response(_encoded({**MODEL, "input": [item] * 8000}), "req_1").turn.messages) == 8000


def test_a_question_of_a_million_characters_with_many_commas_is_accepted() -> None:
    question = (PROSE * 15_000)[:1_000_000]
    assert parse_turn(_encoded({"message": question}), "req_1", stream=False).messages[0].text == question


def test_a_batch_of_texts_is_accepted() -> None:
    _, request = parse_embeddings(_encoded({**MODEL, "input": [PROSE * 20] * 2048}))
    assert len(request.texts) == 2048


QUESTION = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "seed", "n", "top_logprobs"])
@pytest.mark.parametrize("number", [2**63, 10**30, 10**300, -(2**64), 1e300, 2**64 - 1])
def test_a_number_beyond_64_bits_is_a_validation_error(field: str, number: float) -> None:
    body = (
        orjson.dumps({**MODEL, "messages": QUESTION}).removesuffix(b"}")
        + f',"{field}":{number:.0f}}}'.encode()
    )
    with pytest.raises(ValidationFailed) as raised:
        parse_completion(body, "req_1")
    assert raised.value.param == field


@pytest.mark.parametrize("field", ["max_output_tokens", "seed", "top_logprobs"])
def test_a_number_beyond_64_bits_is_a_validation_error_in_responses(field: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        parse_response(orjson.dumps({**MODEL, "input": "Hi", field: 2**63}), "req_1")
    assert raised.value.param == field


@pytest.mark.parametrize(
    ("metadata", "param"),
    [
        ({f"k{at}": "v" for at in range(17)}, "metadata"),
        ({"k" * 65: "v"}, "metadata"),
        ({"k": "v" * 513}, "metadata.k"),
        ({"k": ["v"] * 200}, "metadata.k"),
        ({"k": {"a": "v" * 510}}, "metadata.k"),
    ],
)
def test_metadata_of_a_turn_is_bounded(metadata: dict[str, Any], param: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        parse_turn(orjson.dumps({"message": "Hi", "metadata": metadata}), "req_1", stream=False)
    assert (raised.value.param or "").startswith(param)


def test_metadata_of_a_turn_may_hold_any_short_value() -> None:
    metadata = {"team": "b" * 512, "n": 1, "nested": {"a": [1, None]}, **{f"k{at}": "v" for at in range(13)}}
    turn = parse_turn(orjson.dumps({"message": "Hi", "metadata": metadata}), "req_1", stream=False)
    assert turn.conversation.metadata == metadata


def _integers(node: Any, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if node.get("type") == "integer":
            yield at, node
        for name, part in node.items():
            yield from _integers(part, f"{at}.{name}")
    elif isinstance(node, list):
        for index, part in enumerate(node):
            yield from _integers(part, f"{at}.{index}")


def test_every_integer_of_a_body_has_both_bounds() -> None:
    document = create_app(Settings()).openapi()
    asked: dict[str, Any] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {})
            asked[f"{method} {path}"] = [body, operation.get("parameters", [])]
    named = {part["schema"]["$ref"] for _, part in _refs(asked)}
    asked |= {name: document["components"]["schemas"][name.rsplit("/", 1)[1]] for name in named}
    found = list(_integers(asked, ""))
    unbounded = [
        at
        for at, one in found
        if not ({"minimum", "exclusiveMinimum"} & set(one) and {"maximum", "exclusiveMaximum"} & set(one))
    ]
    assert len(found) > 10
    # A placeholder for a custom workflow; the database never sees it.
    assert [at for at in unbounded if "placeholders" not in at] == []


def _refs(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "$ref" in node.get("schema", {}):
            yield "", node
        for part in node.values():
            yield from _refs(part)
    elif isinstance(node, list):
        for part in node:
            yield from _refs(part)
