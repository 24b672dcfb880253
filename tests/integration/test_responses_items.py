"""`/v1/responses` as agents use it.

References, custom and hosted tools, replays, cancellation.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.support.gateway import Gateway
from tests.support.upstreams.openai_server import Reply, ScriptedToolCall
from tests.support.upstreams.strict_openai_server import StrictOpenAIUpstream

LOOKUP: Any = {"type": "function", "name": "lookup", "parameters": {"type": "object"}}
WRITE: Any = {"type": "custom", "name": "write", "description": "Writes.", "format": {"type": "text"}}


@pytest.fixture
async def upstream() -> AsyncIterator[StrictOpenAIUpstream]:
    async with StrictOpenAIUpstream() as server:
        yield server


@pytest.fixture
def gateway_config(upstream: StrictOpenAIUpstream) -> dict[str, Any]:
    able = {"provider": "up", "capabilities": ["tools", "json", "logprobs", "vision"]}
    return {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}},
        "models": {
            "small": {**able, "model": "v-small", "context_window": 32768},
            "narrow": {**able, "model": "v-narrow", "context_window": 1024},
            "plain": {"provider": "up", "model": "v-plain"},
        },
        "routing": {"light": "small", "heavy": "small"},
        "tools": {"enabled": ["calculator", "web_search"]},
    }


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    key = await gateway.create_api_key(await gateway.sign_up())
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as made:
        yield made


def sent(upstream: StrictOpenAIUpstream, at: int = -1) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in upstream.calls[at].body["messages"]]


async def stream_of(client: openai.AsyncOpenAI, **fields: Any) -> list[Any]:
    stream = await client.responses.create(**{"model": "small", "input": "Hi", "stream": True, **fields})
    return [event async for event in stream]


@pytest.mark.parametrize("stream", [False, True])
async def test_items_have_the_same_ids_when_they_are_read_back(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream, stream: bool
) -> None:
    calls = (
        ScriptedToolCall("lookup", ("{}",), "call_a"),
        ScriptedToolCall("write", ('{"input":"x"}',), "call_b"),
    )
    upstream.script(Reply(text=("Yes.",), reasoning=("Hm.",), tools=calls, finish="tool_calls"))
    made: Any
    if stream:
        made = (await stream_of(client, tools=[LOOKUP, WRITE]))[-1].response
    else:
        made = await client.responses.create(model="small", input="Hi", tools=[LOOKUP, WRITE])
    assert [item.type for item in made.output] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
    ]
    read = await client.responses.retrieve(made.id)
    assert [item.id for item in read.output] == [item.id for item in made.output if item.type != "reasoning"]
    assert [item.type for item in read.output] == ["message", "function_call", "custom_tool_call"]


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("store", [True, False])
async def test_a_reference_resolves_to_its_item(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream, typed: bool, store: bool
) -> None:
    calls = (
        ScriptedToolCall("lookup", ('{"q":1}',), "call_a"),
        ScriptedToolCall("write", ('{"input":"x"}',), "call_b"),
    )
    upstream.script(
        Reply(text=("Let me see.",), reasoning=("Hm.",), tools=calls, finish="tool_calls"), Reply()
    )
    first = await client.responses.create(model="small", input="Hi", tools=[LOOKUP, WRITE])
    kind = {"type": "item_reference"} if typed else {}
    items: list[Any] = [
        {"role": "user", "content": "Hi"},
        *({**kind, "id": item.id} for item in first.output),
        {"type": "function_call_output", "call_id": "call_a", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "call_b", "output": "two"},
    ]
    await client.responses.create(model="small", input=items, tools=[LOOKUP, WRITE], store=store)
    assert sent(upstream) == [("user", "Hi"), ("assistant", "Let me see."), ("tool", "one"), ("tool", "two")]
    again = upstream.calls[-1].body["messages"][1]["tool_calls"]
    assert [(call["id"], call["function"]["name"]) for call in again] == [
        ("call_a", "lookup"),
        ("call_b", "write"),
    ]
    assert again[0]["function"]["arguments"] == '{"q":1}'


@pytest.mark.parametrize("way", ["items", "references", "previous"])
@pytest.mark.parametrize("stream", [False, True])
async def test_reasoning_is_sent_back_to_the_vendor_with_its_calls(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream, way: str, stream: bool
) -> None:
    calls = (
        ScriptedToolCall("lookup", ("{}",), "call_a"),
        ScriptedToolCall("lookup", ('{"q":2}',), "call_b"),
    )
    upstream.script(Reply(text=(), reasoning=("Hm", "m."), tools=calls, finish="tool_calls"), Reply())
    fields: dict[str, Any] = {"model": "small", "tools": [LOOKUP], "store": way != "items"}
    asked: dict[str, Any] = {**fields, "input": "Hi", "include": ["reasoning.encrypted_content"]}
    first: Any
    if stream:
        first = (await stream_of(client, **asked))[-1].response
    else:
        first = await client.responses.create(**asked)
    outputs: list[Any] = [
        {"type": "function_call_output", "call_id": id_, "output": "?"} for id_ in ("call_a", "call_b")
    ]
    said: list[Any] = [{"role": "user", "content": "Hi"}]
    if way == "items":  # as Codex sends reasoning back: without its text
        thoughts = first.output[0].model_dump(exclude={"content", "status"})
        said += [thoughts, *(item.model_dump(exclude_none=True) for item in first.output[1:])]
    elif way == "references":
        said += [{"type": "item_reference", "id": item.id} for item in first.output]
    else:
        fields["previous_response_id"], said = first.id, []
    await client.responses.create(**fields, input=[*said, *outputs])
    question, call, *results = upstream.calls[1].body["messages"]
    assert (question["role"], [result["role"] for result in results]) == ("user", ["tool", "tool"])
    assert call["reasoning_content"] == "Hmm."
    assert [one["id"] for one in call["tool_calls"]] == ["call_a", "call_b"]


async def test_input_items_can_be_referenced(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    first = await client.responses.create(model="small", input="What is new?")
    [asked] = (await client.responses.input_items.list(first.id)).data
    items: list[Any] = [{"type": "item_reference", "id": asked.id}]
    await client.responses.create(model="small", input=items)
    assert sent(upstream) == [("user", "What is new?")]


async def test_a_reference_to_anothers_item_or_an_unstored_one_is_not_found(
    gateway: Gateway, client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    mine = await client.responses.create(model="small", input="Hi")
    loose = await client.responses.create(model="small", input="Hi", store=False)
    key = await gateway.create_api_key(await gateway.sign_up())
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as other:
        for who, id_ in ((other, mine.output[0].id), (client, loose.output[0].id)):
            items: Any = [{"type": "item_reference", "id": id_}, {"role": "user", "content": "And?"}]
            with pytest.raises(openai.NotFoundError) as missing:
                await who.responses.create(model="small", input=items)
            assert missing.value.param == "input.0.id"
    assert len(upstream.calls) == 2


@pytest.mark.parametrize("store", [True, False])
async def test_instructions_and_developer_items_are_one_system_message(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream, store: bool
) -> None:
    items: Any = [
        {"role": "developer", "content": "Be exact."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "developer", "content": "In between."},
        {"role": "user", "content": "Yes?"},
    ]
    await client.responses.create(model="small", instructions="Be brief.", input=items, store=store)
    assert sent(upstream) == [
        ("system", "Be brief.\n\nBe exact.\n\nBe kind."),
        ("user", "Hi"),
        ("system", "In between."),
        ("user", "Yes?"),
    ]
    listed: Any = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be kind."}]},
    ]
    await client.responses.create(model="small", instructions=listed, input="Hi", store=store)
    assert sent(upstream) == [("system", "Be brief.\n\nBe kind."), ("user", "Hi")]


async def test_include_values_are_accepted_and_reasoning_is_returned(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    upstream.script(Reply(text=("Yes.",), reasoning=("Hm.",)))
    included: Any = [
        *("file_search_call.results", "web_search_call.results", "web_search_call.action.sources"),
        *("message.input_image.image_url", "computer_call_output.output.image_url"),
        *("code_interpreter_call.outputs", "reasoning.encrypted_content", "message.output_text.logprobs"),
    ]
    summaries: list[Any] = ["auto", "concise", "detailed", None]
    for summary in summaries:
        made = await client.responses.create(
            model="small", input="Hi", include=included, reasoning={"summary": summary}
        )
        assert [item.type for item in made.output] == ["reasoning", "message"]
        assert made.reasoning is not None
        assert made.reasoning.summary == summary


async def test_only_fields_known_to_chat_completions_are_forwarded(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    more: Any = {
        "client_metadata": {"session": "1"},
        "prompt_cache_options": {"mode": "implicit"},
        "api_base": "http://attacker.example",
        "stream_options": {"include_obfuscation": False},
    }
    made = await client.responses.create(
        model="small",
        input="Hi",
        prompt_cache_key="k",
        safety_identifier="s",
        prompt_cache_retention="24h",
        service_tier="flex",
        extra_body=more,
    )
    body = upstream.calls[0].body
    assert sorted(set(body) - {"model", "messages", "stream"}) == [
        *("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier"),
    ]
    assert (made.prompt_cache_key, made.safety_identifier) == ("k", "s")


async def test_hosted_tools_are_ignored_and_the_gateways_search_is_used(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    hosted: list[Any] = [{"type": "web_search"}, {"type": "image_generation"}]
    made = await client.responses.create(model="small", input="Hi", tools=[*hosted, LOOKUP])
    assert [tool["function"]["name"] for tool in upstream.calls[0].body["tools"]] == ["lookup"]
    assert [tool.type for tool in made.tools] == ["function"]
    await client.responses.create(model="small", input="Hi", tools=hosted)
    assert [tool["function"]["name"] for tool in upstream.calls[1].body["tools"]] == ["web_search"]
    # A model without tool support answers without them.
    await client.responses.create(model="plain", input="Hi", tools=hosted)
    assert "tools" not in upstream.calls[2].body


async def test_a_custom_tool_is_called_with_text(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    upstream.script(
        Reply(
            text=(),
            tools=(ScriptedToolCall("write", ('{"inp', 'ut":"a\\nb"}'), "call_a"),),
            finish="tool_calls",
        )
    )
    choice: Any = {"type": "custom", "name": "write"}
    events = await stream_of(client, tools=[WRITE], tool_choice=choice)
    assert upstream.calls[0].body["tool_choice"]["function"]["name"] == "write"
    done = events[-1].response
    [call] = done.output
    assert (call.type, call.call_id, call.name, call.input) == ("custom_tool_call", "call_a", "write", "a\nb")
    of_the_call = [e for e in events if getattr(e, "item_id", None) == call.id]
    assert [e.type for e in of_the_call] == [
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
    ]
    assert (of_the_call[0].delta, of_the_call[1].input) == ("a\nb", "a\nb")
    assert [e.item.type for e in events if e.type == "response.output_item.added"] == ["custom_tool_call"]
    whole = await client.responses.create(model="small", input="Hi", tools=[WRITE])
    read = await client.responses.retrieve(whole.id)
    for response in (whole, read):
        assert response.output[0].model_dump(include={"type", "input"}) == {
            "type": "custom_tool_call",
            "input": "a\nb",
        }
    upstream.script(Reply())
    output: Any = [{"type": "custom_tool_call_output", "call_id": "call_a", "output": "written"}]
    after = await client.responses.create(
        model="small", input=output, tools=[WRITE], previous_response_id=whole.id
    )
    assert sent(upstream)[-2:] == [("assistant", None), ("tool", "written")]
    arguments = upstream.calls[-1].body["messages"][-2]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"input": "a\nb"}
    listed = await client.responses.input_items.list(after.id)
    assert [item.type for item in listed.data] == ["function_call_output"]


async def test_the_input_of_a_custom_call_is_listed_unchanged(client: openai.AsyncOpenAI) -> None:
    items: Any = [
        {"role": "user", "content": "Write"},
        {"type": "custom_tool_call", "call_id": "call_a", "name": "write", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "call_a", "output": "written"},
    ]
    made = await client.responses.create(model="small", input=items, tools=[WRITE])
    listed = await client.responses.input_items.list(made.id)
    assert [item.type for item in listed.data] == ["message", "custom_tool_call", "custom_tool_call_output"]
    called: Any = listed.data[1]
    assert called.input == "x"


async def test_allowed_tools_limit_what_is_offered(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    choice: Any = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "custom", "name": "write"}],
    }
    made = await client.responses.create(model="small", input="Hi", tools=[LOOKUP, WRITE], tool_choice=choice)
    body = upstream.calls[0].body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["write"]
    assert body["tool_choice"] == "required"
    received: Any = made.tool_choice
    assert (received.type, received.mode) == ("allowed_tools", "required")
    assert [tool.type for tool in made.tools] == ["function", "custom"]


async def test_truncation_drops_the_oldest_unstored_messages(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    def exchange(at: int) -> list[Any]:
        return [
            {"role": "user", "content": f"Question {at}: " + "word " * 120},
            {"role": "assistant", "content": f"Answer {at}"},
        ]

    items: Any = [*(one for at in range(20) for one in exchange(at)), {"role": "user", "content": "Last?"}]
    fields: dict[str, Any] = {"model": "narrow", "input": items, "instructions": "Be brief."}
    await client.responses.create(**fields, store=False, truncation="auto")
    shown = sent(upstream)
    assert (shown[0], shown[-1]) == (("system", "Be brief."), ("user", "Last?"))
    assert 2 <= len(shown) < 20
    assert shown[-2] == ("assistant", "Answer 19")
    for refused in ({"store": False}, {"store": False, "truncation": "disabled"}, {"truncation": "disabled"}):
        with pytest.raises(openai.BadRequestError) as long:
            await client.responses.create(**fields, **refused)
        assert long.value.code == "context_length_exceeded"
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("store", [True, False])
async def test_files_and_audio_are_forwarded_in_the_chat_completions_format(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream, store: bool
) -> None:
    file = {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}
    audio = {"data": "UklGRg==", "format": "wav"}
    parts: list[Any] = [
        {"type": "input_text", "text": "Sum it up."},
        {"type": "input_file", **file},
        {"type": "input_audio", "input_audio": audio},
    ]
    items: Any = [{"role": "user", "content": parts}]
    first = await client.responses.create(model="small", input=items, store=store)
    expected = [
        {"type": "text", "text": "Sum it up."},
        {"type": "file", "file": file},
        {"type": "input_audio", "input_audio": audio},
    ]
    assert sent(upstream) == [("user", expected)]
    if store:
        await client.responses.create(model="small", input="More", previous_response_id=first.id)
        assert sent(upstream)[0] == ("user", expected)
        [listed] = (await client.responses.input_items.list(first.id)).data
        content: Any = listed.model_dump(exclude_none=True)["content"]
        assert content[1]["type"] == "input_file"
        assert content[1]["filename"] == "a.pdf"


async def test_max_tool_calls_limits_the_gateways_own_tools(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    sum_ = ScriptedToolCall("calculator", ('{"expression":"1+1"}',), "call_a")
    more = ScriptedToolCall("calculator", ('{"expression":"2+2"}',), "call_b")
    upstream.script(Reply(text=(), tools=(sum_, more), finish="tool_calls"), Reply(text=("2",)))
    made = await client.responses.create(
        model="small", input="1+1?", max_tool_calls=1, extra_body={"gateway": {"tools": ["calculator"]}}
    )
    assert (made.output_text, made.max_tool_calls) == ("2", 1)
    results = [m["content"] for m in upstream.calls[1].body["messages"] if m["role"] == "tool"]
    assert "max_tool_calls" in results[1]
    assert "max_tool_calls" not in results[0]
    assert "tools" not in upstream.calls[1].body


async def test_a_stored_response_is_replayed(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    calls = (
        ScriptedToolCall("lookup", ('{"q":1}',), "call_a"),
        ScriptedToolCall("write", ('{"input":"x"}',), "call_b"),
    )
    upstream.script(Reply(text=("Let me ", "see."), tools=calls, finish="tool_calls"))
    made = await client.responses.create(model="small", input="Hi", tools=[LOOKUP, WRITE])
    events: list[Any] = [event async for event in await client.responses.retrieve(made.id, stream=True)]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    done = events[-1].response
    assert (text, done.id, done.usage.output_tokens) == ("Let me see.", made.id, 4)
    assert [item.model_dump() for item in done.output] == [item.model_dump() for item in made.output]
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.retrieve(made.id, stream=True, starting_after=2)
    assert refused.value.param == "starting_after"


async def test_a_running_response_is_streamed_and_cancelled(
    client: openai.AsyncOpenAI, upstream: StrictOpenAIUpstream
) -> None:
    upstream.script(Reply(text=("One ", "two "), gate=asyncio.Event(), gate_at=1))
    stream: Any = await client.responses.create(model="small", input="Hi", stream=True)
    first = await anext(aiter(stream))
    followed: Any = await client.responses.retrieve(first.response.id, stream=True)
    begun = await anext(aiter(followed))
    assert (begun.type, begun.response.id) == ("response.created", first.response.id)
    cancelled = await client.responses.cancel(first.response.id)
    assert (cancelled.status, cancelled.output_text) == ("cancelled", "One ")
    assert [event async for event in followed][-1].response.status == "cancelled"
    again = await client.responses.cancel(first.response.id)
    assert again.status == "cancelled"
    with pytest.raises(openai.NotFoundError):
        await client.responses.cancel(f"resp_{'0' * 32}")
