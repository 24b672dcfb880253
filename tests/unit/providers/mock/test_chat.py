"""The mock model: deterministic answers, supported parameters, and simulated failures."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from gateway.core.exceptions import (
    UpstreamBroken,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import Completed, ProviderEvent, TextDelta, ToolCallDelta
from gateway.domain.messages import Message
from gateway.domain.money import estimate_tokens
from gateway.domain.requests import ChatRequest, ResponseFormat, Sampling, ToolChoice, ToolSpec
from gateway.providers.mock.chat import MockChat
from gateway.providers.mock.json_generator import generate_value

ADD = ToolSpec(
    "add",
    "Adds.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)


async def ask(text: str = "How tall is a giraffe?", model: str = "m", **fields: Any) -> list[ProviderEvent]:
    messages = fields.pop("messages", (Message("user", text),))
    provider = MockChat("mock", ProviderConfig(type="mock"), Timeouts(mock=0.01), httpx.AsyncClient())
    return [event async for event in provider.stream(ChatRequest(model, messages, **fields))]


def text_of(events: list[ProviderEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_the_answer_is_deterministic_for_a_question() -> None:
    first, again, other = await ask(), await ask(), await ask("How deep is the sea?")
    assert first == again
    assert text_of(first) != text_of(other)
    assert "giraffe" in text_of(first)


async def test_an_answer_is_streamed_by_word_or_returned_whole_with_usage() -> None:
    streamed, whole = await ask(), await ask(stream=False)
    assert len(streamed) > 5
    assert len(whole) == 2
    assert text_of(streamed) == text_of(whole)
    end = streamed[-1]
    assert isinstance(end, Completed)
    assert end == whole[-1]
    assert end.usage is not None
    assert end.usage.completion_tokens == estimate_tokens(text_of(streamed))
    assert end.usage.prompt_tokens == estimate_tokens("How tall is a giraffe?")


async def test_the_token_limit_ends_the_answer_with_length() -> None:
    events = await ask(sampling=Sampling(max_tokens=4))
    end = events[-1]
    assert isinstance(end, Completed)
    assert end.finish_reason == "length"
    assert 0 < estimate_tokens(text_of(events)) <= 4


@pytest.mark.timeout(10)
async def test_a_long_answer_is_truncated_quickly() -> None:
    schema = {"type": "string", "minLength": 90_000}
    wanted = ResponseFormat("json_schema", "s", {"type": "array", "items": schema, "minItems": 2})
    text = text_of(await ask(response_format=wanted, sampling=Sampling(max_tokens=40_000), stream=False))
    assert 39_990 <= estimate_tokens(text) <= 40_000


async def test_a_stop_sequence_ends_the_answer_before_it() -> None:
    events = await ask(sampling=Sampling(stop=("giraffe",)))
    assert text_of(events)
    assert "giraffe" not in text_of(events)


async def test_there_is_one_logprob_per_word() -> None:
    events = await ask(logprobs=True)
    assert all(len(event.logprobs) == 1 for event in events if isinstance(event, TextDelta))


async def test_the_tools_named_in_the_question_are_called() -> None:
    events = await ask(
        'Please call tool add {"a": 2, "b": 3} and call tool add {"a": 1, "b": 1}.', tools=(ADD,)
    )
    calls = [e for e in events if isinstance(e, ToolCallDelta)]
    joined = {i: "".join(c.arguments for c in calls if c.index == i) for i in (0, 1)}
    assert json.loads(joined[0]) == {"a": 2, "b": 3}
    assert json.loads(joined[1]) == {"a": 1, "b": 1}
    assert len({c.id for c in calls if c.id}) == 2
    assert isinstance(events[-1], Completed)
    assert events[-1].finish_reason == "tool_calls"


async def test_without_parallel_calls_only_one_tool_is_called() -> None:
    text = "call tool add {} call tool add {}"
    many = await ask("call tool add {} " * 5000, tools=(ADD,))
    assert len({event.index for event in many if isinstance(event, ToolCallDelta)}) == 128
    events = await ask(text, tools=(ADD,), parallel_tool_calls=False)
    assert {e.index for e in events if isinstance(e, ToolCallDelta)} == {0}


async def test_a_tool_that_is_not_offered_or_not_allowed_is_not_called() -> None:
    for fields in ({"tools": ()}, {"tools": (ADD,), "tool_choice": ToolChoice("none")}):
        events = await ask("call tool add {}", **fields)
        assert not any(isinstance(event, ToolCallDelta) for event in events)


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("function", "add")])
async def test_a_forced_tool_is_called_with_arguments_that_fit(choice: ToolChoice) -> None:
    events = await ask("Hello.", tools=(ADD,), tool_choice=choice, stream=False)
    call = events[0]
    assert isinstance(call, ToolCallDelta)
    arguments = json.loads(call.arguments)
    assert isinstance(arguments["a"], int)
    assert isinstance(arguments["b"], int)


async def test_a_tool_result_is_used_in_the_answer() -> None:
    history = (Message("user", "call tool add {}"), Message("tool", "five hundred", tool_call_id="c"))
    events = await ask(messages=history, tools=(ADD,))
    assert "five hundred" in text_of(events)


async def test_a_json_object_answer_is_valid_json() -> None:
    assert isinstance(json.loads(text_of(await ask(response_format=ResponseFormat("json_object")))), dict)


async def test_an_answer_fits_the_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 12, "maxLength": 14},
            "age": {"type": "integer", "minimum": 18, "exclusiveMaximum": 21},
            "kind": {"enum": ["cat", "dog"]},
            "when": {"type": "string", "format": "date"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3},
            "next": {"$ref": "#/$defs/node"},
            "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "both": {
                "allOf": [{"properties": {"x": {"const": 1}}}, {"properties": {"y": {"type": "boolean"}}}]
            },
        },
        "required": ["name", "age", "extra"],
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["next"],
            }
        },
    }
    value = json.loads(text_of(await ask(response_format=ResponseFormat("json_schema", "s", schema))))
    assert 12 <= len(value["name"]) <= 14
    assert 18 <= value["age"] < 21
    assert value["kind"] in ("cat", "dog")
    assert value["when"] == "2026-01-15"
    assert len(value["tags"]) == 3
    assert isinstance(value["either"], int)
    assert value["both"]["x"] == 1
    assert isinstance(value["both"]["y"], bool)
    assert "extra" in value
    assert value["next"]["next"] is None or "next" in value["next"]["next"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "number", "minimum": 5, "maximum": 4},
        {"type": ["null", "string"]},
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
        {"type": "string", "maxLength": 0},
        {},
    ],
)
def test_a_strange_schema_still_yields_a_value(schema: dict[str, Any]) -> None:
    json.dumps(generate_value(schema, 1))
    assert generate_value(schema, 1) == generate_value(schema, 1)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("fail", UpstreamUnavailable),
        ("rate-limited", UpstreamRateLimited),
        ("unauthorized", UpstreamUnauthorized),
        ("timeout", UpstreamTimeout),
        ("fail-after-3", UpstreamBroken),
        ("cut", UpstreamBroken),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_each_drill_fails_as_its_name_says(
    model: str, error: type[UpstreamError], stream: bool
) -> None:
    with pytest.raises(error):
        await ask(model=model, stream=stream)


async def test_a_drill_that_fails_late_yields_text_first() -> None:
    provider = MockChat("mock", ProviderConfig(type="mock"), Timeouts(), httpx.AsyncClient())
    request = ChatRequest("fail-after-3", (Message("user", "Hello there, how are you?"),))
    events = provider.stream(request)
    assert [isinstance(await anext(events), TextDelta) for _ in range(3)] == [True] * 3
    with pytest.raises(UpstreamBroken):
        await anext(events)


async def test_the_slow_model_returns_the_same_text() -> None:
    config = ProviderConfig(type="mock", options={"delay": 0.001})
    provider = MockChat("mock", config, Timeouts(), httpx.AsyncClient())
    events = [e async for e in provider.stream(ChatRequest("slow", (Message("user", "Hello"),)))]
    assert isinstance(events[-1], Completed)
    assert "Hello" in text_of(events)


async def test_the_mock_is_always_healthy() -> None:
    provider = MockChat("mock", ProviderConfig(type="mock"), Timeouts(), httpx.AsyncClient())
    assert provider.configured
    assert (await provider.check_health()).reachable


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"$ref": "#"}, "minItems": 3},
        {"type": "array", "minItems": "many"},
        {"const": 10**30},
    ],
)
async def test_a_schema_that_cannot_be_filled_is_a_rejected_request(schema: dict[str, Any]) -> None:
    with pytest.raises(UpstreamRejected) as raised:
        await ask(response_format=ResponseFormat("json_schema", "s", schema))
    assert raised.value.param == "response_format"
    tool = ToolSpec("add", "", {"type": "object", "properties": {"a": schema}, "required": ["a"]})
    with pytest.raises(UpstreamRejected) as raised:
        await ask(tools=(tool,), tool_choice=ToolChoice("required"))
    assert raised.value.param == "tools"
