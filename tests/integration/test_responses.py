"""`/v1/responses` with the official client, with an upstream server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel
from sqlalchemy import text

from tests.support.gateway import Account, Gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, ScriptedToolCall

LOOKUP: Any = {
    "type": "function",
    "name": "lookup",
    "description": "Looks something up.",
    "parameters": {"type": "object", "properties": {"q": {"type": "integer"}}},
}


@pytest.fixture
def gateway_config(upstream: OpenAIUpstream) -> dict[str, Any]:
    able = ["tools", "json", "logprobs", "vision"]
    return {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}, "mock": {"type": "mock"}},
        "models": {
            "small": {"provider": "up", "model": "v-small", "capabilities": able, "context_window": 32768},
            "plain": {"provider": "up", "model": "v-plain"},
            "vector": {"provider": "up", "model": "v-vector", "capabilities": ["embeddings"]},
            "mock": {"provider": "mock", "model": "mock", "capabilities": able},
        },
        "routing": {"light": "small", "heavy": "small"},
        "roles": {"pirate": {"prompt": "Talk like a pirate."}},
    }


@pytest.fixture
async def client(gateway: Gateway, person: Account) -> AsyncIterator[openai.AsyncOpenAI]:
    key = await gateway.create_api_key(person)
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as made:
        yield made


def sent(upstream: OpenAIUpstream, at: int = -1) -> list[tuple[str, Any]]:
    """Return (role, content) of the messages sent to the model."""
    return [(message["role"], message["content"]) for message in upstream.calls[at].body["messages"]]


async def test_a_response_has_openais_shape_and_belongs_to_a_conversation(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    raw = await client.responses.with_raw_response.create(
        model="small",
        instructions="Be brief.",
        input="Hi",
        temperature=0.5,
        max_output_tokens=99,
        metadata={"team": "blue"},
    )
    response = raw.parse()
    assert (response.output_text, response.status, response.model) == ("Hello, world!", "completed", "small")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (11, 4)
    assert response.metadata == {"team": "blue"}
    assert (response.instructions, response.temperature, response.max_output_tokens) == ("Be brief.", 0.5, 99)
    assert raw.headers["x-gateway-model"] == "small"
    assert sent(upstream) == [("system", "Be brief."), ("user", "Hi")]
    assert upstream.calls[0].body["max_tokens"] == 99
    page = await gateway.http.get("/api/conversations", headers=person.headers)
    [conversation] = page.json()["items"]
    assert conversation["title"] == "Hi"
    read = await gateway.http.get(f"/api/conversations/{conversation['id']}", headers=person.headers)
    question, answer = read.json()["messages"]
    assert (question["content"], question["metadata"]) == ("Hi", {"team": "blue"})
    assert answer["content"] == "Hello, world!"
    assert response.id == "resp_" + answer["id"].replace("-", "")


async def test_the_next_response_includes_history_but_not_earlier_instructions(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    first = await client.responses.create(model="small", instructions="Be brief.", input="One")
    second = await client.responses.create(model="small", input="Two", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert sent(upstream) == [("user", "One"), ("assistant", "Hello, world!"), ("user", "Two")]
    # Continued from the first: a separate branch that does not include the second.
    await client.responses.create(
        model="small", instructions="Be kind.", input="Three", previous_response_id=first.id
    )
    assert sent(upstream) == [
        ("system", "Be kind."),
        ("user", "One"),
        ("assistant", "Hello, world!"),
        ("user", "Three"),
    ]
    page = await gateway.http.get("/api/conversations", headers=person.headers)
    assert len(page.json()["items"]) == 1


async def test_a_user_can_continue_the_conversation_of_a_response(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    await client.responses.create(model="small", input="One")
    [conversation] = (await gateway.http.get("/api/conversations", headers=person.headers)).json()["items"]
    answer = await gateway.http.post(
        "/api/chat",
        json={"message": "Two", "conversation_id": conversation["id"], "tools": "none"},
        headers=person.headers,
    )
    assert sent(upstream)[:2] == [("user", "One"), ("assistant", "Hello, world!")]
    received = "resp_" + answer.json()["message"]["id"].replace("-", "")
    await client.responses.create(model="small", input="Three", previous_response_id=received)
    assert [content for _, content in sent(upstream)] == [
        "One",
        "Hello, world!",
        "Two",
        "Hello, world!",
        "Three",
    ]


async def test_calls_and_their_outputs_are_in_the_history(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    calls = (
        ScriptedToolCall("lookup", ('{"q"', ":1}"), "call_a"),
        ScriptedToolCall("lookup", ('{"q":2}',), "call_b"),
    )
    upstream.script(Reply(text=(), tools=calls, finish="tool_calls"), Reply(text=("Done.",)), Reply())
    asked = await client.responses.create(model="small", input="Look up", tools=[LOOKUP])
    assert [(c.type, c.call_id, c.arguments) for c in asked.output if c.type == "function_call"] == [
        ("function_call", "call_a", '{"q":1}'),
        ("function_call", "call_b", '{"q":2}'),
    ]
    assert upstream.calls[0].body["tools"][0]["function"]["name"] == "lookup"
    outputs: list[Any] = [
        {"type": "function_call_output", "call_id": "call_a", "output": "one"},
        {"type": "function_call_output", "call_id": "call_b", "output": "two"},
    ]
    done = await client.responses.create(
        model="small", input=outputs, tools=[LOOKUP], previous_response_id=asked.id
    )
    assert done.output_text == "Done."
    history = upstream.calls[1].body["messages"]
    assert [m["role"] for m in history] == ["user", "assistant", "tool", "tool"]
    assert [c["id"] for c in history[1]["tool_calls"]] == ["call_a", "call_b"]
    assert [(m["tool_call_id"], m["content"]) for m in history[2:]] == [("call_a", "one"), ("call_b", "two")]
    # Later questions still include them, also those asked in the conversation.
    await client.responses.create(model="small", input="And now?", previous_response_id=done.id)
    [conversation] = (await gateway.http.get("/api/conversations", headers=person.headers)).json()["items"]
    await gateway.http.post(
        "/api/chat",
        json={"message": "Why?", "conversation_id": conversation["id"], "tools": "none"},
        headers=person.headers,
    )
    for at, more in ((2, ["assistant", "user"]), (3, ["assistant", "user", "assistant", "user"])):
        roles = [m["role"] for m in upstream.calls[at].body["messages"]]
        assert roles == ["user", "assistant", "tool", "tool", *more]


async def test_a_call_that_a_user_skips_is_shown_as_unanswered(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.script(
        Reply(text=(), tools=(ScriptedToolCall("lookup", ("{}",), "call_a"),), finish="tool_calls"), Reply()
    )
    await client.responses.create(model="small", input="Look up", tools=[LOOKUP])
    [conversation] = (await gateway.http.get("/api/conversations", headers=person.headers)).json()["items"]
    body = {"message": "Never mind", "conversation_id": conversation["id"], "tools": "none"}
    for _ in range(2):
        answer = await gateway.http.post("/api/chat", json=body, headers=person.headers)
        assert answer.status_code == 200, answer.text
        shown = upstream.calls[-1].body["messages"]
        assert [m["role"] for m in shown[:4]] == ["user", "assistant", "tool", "user"]
        assert (shown[2]["tool_call_id"], "never answered" in shown[2]["content"]) == ("call_a", True)


@pytest.mark.parametrize("previous", [True, False])
async def test_outputs_without_calls_and_calls_without_outputs_are_rejected(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream, previous: bool
) -> None:
    upstream.script(
        Reply(text=(), tools=(ScriptedToolCall("lookup", ("{}",), "call_a"),), finish="tool_calls")
    )
    asked = await client.responses.create(model="small", input="Look up", tools=[LOOKUP])
    follow: dict[str, Any] = {"previous_response_id": asked.id} if previous else {}
    stray: Any = {"type": "function_call_output", "call_id": "call_x", "output": "?"}
    open_call: Any = {"type": "function_call", "call_id": "call_y", "name": "lookup", "arguments": "{}"}
    for given in ([stray], [open_call], "Never mind" if previous else [open_call, stray]):
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.create(model="small", input=given, tools=[LOOKUP], **follow)
        assert refused.value.param == "input"
    assert len(upstream.calls) == 1


async def test_input_items_describe_the_conversation(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    items: list[Any] = [
        {"role": "developer", "content": "Be exact."},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "What is "}, {"type": "input_text", "text": "this?"}],
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "call_a", "name": "lookup", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_a", "output": "a cat"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "And this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
            ],
        },
    ]
    first = await client.responses.create(model="small", input=items, instructions="Be brief.")
    shown = upstream.calls[0].body["messages"]
    assert [m["role"] for m in shown] == ["system", "user", "assistant", "tool", "user"]
    assert shown[0]["content"] == "Be brief.\n\nBe exact."
    assert (shown[1]["content"], shown[2]["content"]) == ("What is this?", "Let me see.")
    assert shown[2]["tool_calls"][0]["id"] == "call_a"
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}
    assert shown[4]["content"][1] == image
    # Input items become part of the conversation, instructions do not.
    await client.responses.create(model="small", input="More", previous_response_id=first.id)
    again = upstream.calls[1].body["messages"]
    assert again[0] == {"role": "system", "content": "Be exact."}
    assert again[1:5] == shown[1:]
    assert [m["role"] for m in again[5:]] == ["assistant", "user"]
    listed = await client.responses.input_items.list(first.id)
    assert [item.type for item in listed.data] == [
        "message",
        "message",
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]


async def test_an_unstored_response_leaves_only_usage(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    kept = await client.responses.create(model="small", input="One")
    loose = await client.responses.create(
        model="small", instructions="Be kind.", input="Two", previous_response_id=kept.id, store=False
    )
    assert sent(upstream) == [
        ("system", "Be kind."),
        ("user", "One"),
        ("assistant", "Hello, world!"),
        ("user", "Two"),
    ]
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(loose.id)
    with pytest.raises(openai.NotFoundError) as missing:
        await client.responses.create(model="small", input="Three", previous_response_id=loose.id)
    assert missing.value.param == "previous_response_id"
    async with gateway.container.engine.connect() as db:
        query = text("SELECT count(*) FROM messages WHERE user_id = :u")
        assert (await db.execute(query, {"u": person.id})).scalar_one() == 2
        query = text("SELECT count(*) FROM usage_records WHERE user_id = :u")
        assert (await db.execute(query, {"u": person.id})).scalar_one() == 2


async def test_a_stored_response_is_read_back_and_deleted(client: openai.AsyncOpenAI) -> None:
    first = await client.responses.create(
        model="small", input="One", temperature=0.25, tools=[LOOKUP], metadata={"k": "v"}
    )
    second = await client.responses.create(model="small", input="Two", previous_response_id=first.id)
    read = await client.responses.retrieve(first.id)
    assert read.model_dump(exclude={"output", "created_at"}) == first.model_dump(
        exclude={"output", "created_at"}
    )
    assert read.output_text == "Hello, world!"
    with pytest.raises(openai.ConflictError):
        await client.responses.delete(first.id)
    await client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(second.id)
    third = await client.responses.create(model="small", input="Three", previous_response_id=first.id)
    await client.responses.delete(third.id)
    await client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="small", input="Four", previous_response_id=first.id)


async def test_deleting_the_last_response_deletes_its_conversation(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI
) -> None:
    response = await client.responses.create(model="small", input="One")
    await client.responses.delete(response.id)
    page = await gateway.http.get("/api/conversations", headers=person.headers)
    assert page.json()["items"] == []


async def test_another_accounts_response_is_not_found(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(model="small", input="One")
    key = await gateway.create_api_key(await gateway.sign_up())
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as other:
        for store in (True, False):
            with pytest.raises(openai.NotFoundError):
                await other.responses.create(
                    model="small", input="Two", previous_response_id=response.id, store=store
                )
        for call in (other.responses.retrieve, other.responses.delete, other.responses.input_items.list):
            with pytest.raises(openai.NotFoundError):
                await call(response.id)
    assert (await client.responses.retrieve(response.id)).output_text == "Hello, world!"


async def test_a_conversation_with_a_running_turn_is_a_conflict(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    first = await client.responses.create(model="small", input="One")
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    slow = asyncio.create_task(
        client.responses.create(model="small", input="Two", previous_response_id=first.id)
    )
    await upstream.wait_for_calls(2)
    with pytest.raises(openai.ConflictError) as busy:
        await client.responses.create(model="small", input="Three", previous_response_id=first.id)
    assert busy.value.code == "turn_in_progress"
    gate.set()
    assert (await slow).output_text == "Hello, world!"


class City(BaseModel):
    name: str
    people: int


async def test_a_schema_is_enforced_and_parsed(client: openai.AsyncOpenAI, upstream: OpenAIUpstream) -> None:
    upstream.script(Reply(text=('{"name": "Oslo", ', '"people": 717710}')))
    parsed = await client.responses.parse(model="small", input="Which city?", text_format=City)
    assert parsed.output_parsed == City(name="Oslo", people=717710)
    wanted = upstream.calls[0].body["response_format"]
    assert (wanted["type"], wanted["json_schema"]["name"]) == ("json_schema", "City")
    assert wanted["json_schema"]["schema"]["required"] == ["name", "people"]


async def test_gateway_tools_run_here_and_are_not_returned_as_calls(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    own: Any = {"gateway": {"tools": ["calculator"]}}
    for stream in (False, True):
        upstream.script(
            Reply(
                text=(),
                tools=(ScriptedToolCall("calculator", ('{"expression":"6*7"}',)),),
                finish="tool_calls",
            ),
            Reply(text=("42",)),
        )
        made: Any = await client.responses.create(model="small", input="6*7?", extra_body=own, stream=stream)
        if stream:
            made = [event async for event in made][-1].response
        assert [item.type for item in made.output] == ["message"]
        assert made.output_text == "42"


async def test_a_roles_prompt_precedes_the_instructions(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    role: Any = {"gateway": {"role": "pirate"}}
    await client.responses.create(model="small", input="Hi", instructions="Be brief.", extra_body=role)
    assert sent(upstream)[0] == ("system", "Talk like a pirate.\n\nBe brief.")
    await client.responses.create(model="small", input="Hi", extra_body=role, store=False)
    assert sent(upstream)[0] == ("system", "Talk like a pirate.")


PICTURE = [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}]


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"tools": [{"type": "teleport"}]}, openai.BadRequestError, "tools.0.type"),
        ({"background": True}, openai.BadRequestError, "background"),
        ({"conversation": "conv_1"}, openai.BadRequestError, "conversation"),
        ({"max_tool_calls": 0}, openai.UnprocessableEntityError, "max_tool_calls"),
        ({"include": ["reasoning.secrets"]}, openai.BadRequestError, "include"),
        ({"reasoning": {"summary": "poem"}}, openai.BadRequestError, "reasoning.summary"),
        (
            {"instructions": [{"role": "user", "content": "Hi"}]},
            openai.BadRequestError,
            "instructions.0.role",
        ),
        (
            {"tools": [{"type": "web_search"}], "tool_choice": "required"},
            openai.BadRequestError,
            "tool_choice",
        ),
        (
            {
                "tools": [LOOKUP],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "other"}],
                },
            },
            openai.UnprocessableEntityError,
            "tool_choice.tools",
        ),
        ({"extra_body": {"n": 2}}, openai.BadRequestError, "n"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, openai.NotFoundError, "input.0.id"),
        ({"input": [{"id": f"msg_{'0' * 32}_0"}]}, openai.NotFoundError, "input.0.id"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
            openai.BadRequestError,
            "input.0.content.0.type",
        ),
        ({"input": []}, openai.UnprocessableEntityError, "input"),
        (
            {"input": [{"type": "reasoning", "id": "r", "summary": []}]},
            openai.UnprocessableEntityError,
            "input",
        ),
        ({"tool_choice": "required"}, openai.UnprocessableEntityError, "tool_choice"),
        ({"model": "plain", "tools": [LOOKUP]}, openai.BadRequestError, "tools"),
        ({"model": "plain", "top_logprobs": 2}, openai.BadRequestError, "top_logprobs"),
        (
            {"model": "plain", "text": {"format": {"type": "json_object"}}},
            openai.BadRequestError,
            "text.format",
        ),
        ({"model": "plain", "input": PICTURE}, openai.BadRequestError, "input"),
        ({"model": "vector"}, openai.BadRequestError, "model"),
        ({"model": "no-such"}, openai.NotFoundError, "model"),
        ({"previous_response_id": "resp_1"}, openai.NotFoundError, "previous_response_id"),
        ({"extra_body": {"gateway": {"role": "nobody"}}}, openai.NotFoundError, "gateway.role"),
        ({"metadata": {"k": "v" * 600}}, openai.UnprocessableEntityError, "metadata.k"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_unsupported_parameters_are_named(
    gateway: Gateway,
    person: Account,
    client: openai.AsyncOpenAI,
    upstream: OpenAIUpstream,
    fields: dict[str, Any],
    kind: type[openai.APIStatusError],
    param: str,
    stream: bool,
) -> None:
    with pytest.raises(kind) as refused:
        await client.responses.create(**{"model": "small", "input": "Hi", "stream": stream, **fields})
    assert refused.value.param == param
    assert upstream.calls == []


async def test_an_immediate_upstream_failure_is_an_http_status_and_a_failed_answer(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    for stream in (False, True):
        upstream.script(Refusal(500))
        with pytest.raises(openai.InternalServerError) as failed:
            await client.responses.create(model="small", input="Hi", stream=stream)
        assert failed.value.status_code == 502
    async with gateway.container.engine.connect() as db:
        query = text("SELECT id, status FROM messages WHERE user_id = :u AND role = 'assistant'")
        rows = (await db.execute(query, {"u": person.id})).all()
    assert [row.status for row in rows] == ["failed", "failed"]
    read = await client.responses.retrieve(f"resp_{rows[0].id.hex}")
    assert (read.status, read.output) == ("failed", [])
    assert read.error is not None


async def test_a_truncated_answer_is_incomplete(client: openai.AsyncOpenAI, upstream: OpenAIUpstream) -> None:
    upstream.script(Reply(finish="length"))
    whole = await client.responses.create(model="small", input="Hi", max_output_tokens=4)
    stream = await client.responses.create(model="small", input="Hi", max_output_tokens=4, stream=True)
    last: Any = [event async for event in stream][-1]
    assert last.type == "response.incomplete"
    for response in (whole, last.response, await client.responses.retrieve(whole.id)):
        assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        assert response.output_text == "Hello, world!"


async def test_no_title_is_generated_and_the_export_contains_the_input(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    await client.responses.create(model="small", input="Hi")
    await gateway.container.chat.service.titles.wait_idle()
    assert len(upstream.calls) == 1
    exported = await gateway.http.get("/api/user/me/export", headers=person.headers)
    [conversation] = exported.json()["conversations"]
    question, answer = conversation["messages"]
    assert question["request"]["parameters"]["store"] is True
    assert answer["request"] is None
