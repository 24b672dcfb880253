"""Several choices of one completion, and further parameters, with the official client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from sqlalchemy import text

from tests.support.gateway import Account, Gateway
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream, Raw, Refusal, Reply, ScriptedToolCall

HELLO: list[Any] = [{"role": "user", "content": "Hi"}]
LOOKUP: Any = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}


@pytest.fixture
async def claude() -> AsyncIterator[AnthropicUpstream]:
    async with AnthropicUpstream() as server:
        yield server


@pytest.fixture
def gateway_config(upstream: OpenAIUpstream, claude: AnthropicUpstream) -> dict[str, Any]:
    return {
        "providers": {
            "up": {"type": "openai", "base_url": upstream.url},
            "claude": {"type": "anthropic", "base_url": claude.url, "api_key": "k"},
        },
        "models": {
            "vector": {"provider": "up", "model": "v-vector", "capabilities": ["embeddings"]},
            "picture": {"provider": "up", "model": "v-picture", "capabilities": ["images"]},
            "small": {
                "provider": "up",
                "model": "v-small",
                "capabilities": ["tools", "json", "logprobs"],
                "price": {"input": 1, "output": 2},
            },
            "other": {"provider": "claude", "model": "v-claude", "capabilities": ["tools"]},
        },
        "aliases": {"arts": ["picture", "vector"], "mixed": ["picture", "small"]},
        "roles": {
            "pirate": {"prompt": "Talk like a pirate."},
            "echo": {"prompt": "The question is: {{payload}}"},
            "clerk": {"prompt": "Fill in {{form}}."},
        },
    }


@pytest.fixture
async def client(gateway: Gateway, person: Account) -> AsyncIterator[openai.AsyncOpenAI]:
    key = await gateway.create_api_key(person)
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as made:
        yield made


async def outcomes(gateway: Gateway, person: Account) -> list[str]:
    await gateway.container.tasks.wait_idle()
    async with gateway.container.engine.connect() as db:
        query = text("SELECT outcome FROM usage_records WHERE user_id = :u ORDER BY id")
        return list((await db.execute(query, {"u": person.id})).scalars())


async def reserved(gateway: Gateway, person: Account) -> int:
    async with gateway.container.engine.connect() as db:
        query = text("SELECT tokens_reserved FROM budgets WHERE user_id = :u")
        return int((await db.execute(query, {"u": person.id})).scalar_one())


async def test_n_choices_are_n_calls_summed_up(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=("One",)), Reply(text=("Two",)), Reply(text=("Three",), finish="length"))
    raw = await client.chat.completions.with_raw_response.create(model="small", messages=HELLO, n=3, seed=7)
    answer = raw.parse()
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.message.content for choice in answer.choices} == {"One", "Two", "Three"}
    assert sorted(choice.finish_reason for choice in answer.choices) == ["length", "stop", "stop"]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (33, 12)
    assert raw.headers["x-gateway-cost-usd"] == "0.000057"
    # Each choice has its own seed, or all would be the same; the first is that of a single choice.
    assert sorted(call.body["seed"] for call in upstream.calls) == [7, 8, 9]
    assert all("n" not in call.body for call in upstream.calls)
    assert await outcomes(gateway, person) == ["ok", "ok", "ok"]
    assert await reserved(gateway, person) == 0


async def test_streamed_choices_have_indexes_and_one_end(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream, gateway: Gateway
) -> None:
    upstream.script(Reply(text=("O", "ne")), Reply(text=("Tw", "o")))
    stream = await client.chat.completions.create(
        model="small", messages=HELLO, n=2, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    said = {0: "", 1: ""}
    finished: list[int] = []
    for chunk in chunks[:-1]:
        [choice] = chunk.choices
        said[choice.index] += choice.delta.content or ""
        if choice.finish_reason is not None:
            finished.append(choice.index)
    assert set(said.values()) == {"One", "Two"}
    assert sorted(finished) == [0, 1]
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 30)  # type: ignore[union-attr]
    assert len({chunk.id for chunk in chunks}) == 1
    raw = await gateway.http.post(
        "/v1/chat/completions",
        json={"model": "small", "messages": HELLO, "n": 2, "stream": True},
        headers={"x-api-key": client.api_key},
    )
    assert raw.text.count("[DONE]") == 1
    assert raw.text.rstrip().endswith("[DONE]")


async def test_choices_may_call_tools(client: openai.AsyncOpenAI, upstream: OpenAIUpstream) -> None:
    upstream.script(
        Reply(text=(), tools=(ScriptedToolCall("lookup", ("{}",), "call_a"),), finish="tool_calls")
    )
    answer = await client.chat.completions.create(model="small", messages=HELLO, n=2, tools=[LOOKUP])
    assert [len(choice.message.tool_calls or []) for choice in answer.choices] == [1, 1]


@pytest.mark.parametrize("stream", [False, True])
async def test_one_failed_choice_fails_the_request_and_all_are_settled(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream, stream: bool
) -> None:
    upstream.script(Refusal(400), Reply(gate=asyncio.Event()))
    with pytest.raises(openai.BadRequestError):
        await asyncio.wait_for(
            client.chat.completions.create(model="small", messages=HELLO, n=3, stream=stream), 10
        )
    assert "upstream_rejected" in await outcomes(gateway, person)
    assert await reserved(gateway, person) == 0


async def test_a_truncated_stream_of_choices_ends_with_an_error(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(fault="cut", after=2))
    raw = await gateway.http.post(
        "/v1/chat/completions",
        json={"model": "small", "messages": HELLO, "n": 2, "stream": True},
        headers={"x-api-key": client.api_key},
    )
    assert "[DONE]" not in raw.text
    assert raw.text.count("upstream_failed") == 1
    assert len(await outcomes(gateway, person)) == 2
    assert await reserved(gateway, person) == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_disconnect_cancels_all_choices(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream, stream: bool
) -> None:
    upstream.script(Reply(gate=asyncio.Event(), gate_at=2))
    asking = asyncio.create_task(_first_words(client, stream))
    await upstream.wait_for_calls(3)
    if stream:
        await asking
    else:
        asking.cancel()
        await asyncio.wait({asking})
    for call in upstream.calls:
        await asyncio.wait_for(call.disconnected.wait(), 30)
    assert await outcomes(gateway, person) == ["cancelled"] * 3
    assert await reserved(gateway, person) == 0


async def _first_words(client: openai.AsyncOpenAI, stream: bool) -> None:
    answer: Any = await client.chat.completions.create(model="small", messages=HELLO, n=3, stream=stream)
    seen: set[int] = set()
    async for chunk in answer:
        if chunk.choices[0].delta.content:
            seen.add(chunk.choices[0].index)
        if len(seen) == 3:
            break
    await answer.close()


REFUSAL = {"role": "assistant", "content": None, "refusal": "I must not."}


async def test_a_refusal_is_encoded_as_a_refusal(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    whole = {"choices": [{"index": 0, "message": REFUSAL, "finish_reason": "stop"}]}
    upstream.script(Raw([json.dumps(whole).encode()], content_type="application/json"))
    answer = await client.chat.completions.create(model="small", messages=HELLO)
    assert (answer.choices[0].message.content, answer.choices[0].message.refusal) == (None, "I must not.")
    made = await client.responses.create(model="small", input="Hi")
    assert made.output[0].content[0].model_dump() == {"type": "refusal", "refusal": "I must not."}  # type: ignore[union-attr]
    deltas: list[dict[str, Any]] = [{"refusal": "I must"}, {"refusal": " not."}]
    frames = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    frames.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    upstream.script(Raw([*(b"data: %s\n\n" % json.dumps(f).encode() for f in frames), b"data: [DONE]\n\n"]))
    stream = await client.chat.completions.create(model="small", messages=HELLO, stream=True)
    pieces = [chunk.choices[0].delta async for chunk in stream]
    assert "".join(delta.refusal or "" for delta in pieces) == "I must not."
    assert not any(delta.content for delta in pieces)
    events = await client.responses.create(model="small", input="Hi", stream=True)
    received: list[Any] = [event async for event in events]
    assert "".join(e.delta for e in received if e.type == "response.refusal.delta") == "I must not."
    assert received[-1].response.output[0].content[0].refusal == "I must not."


async def test_logprobs_are_returned_in_both_forms(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(logprobs=True))
    asked: dict[str, Any] = {"model": "small", "messages": HELLO, "logprobs": True, "top_logprobs": 1}
    answer = await client.chat.completions.create(**asked)
    assert answer.choices[0].logprobs is not None
    assert [p.token for p in answer.choices[0].logprobs.content or []] == ["Hello", ", ", "world", "!"]
    stream: Any = await client.chat.completions.create(**asked, stream=True)
    tokens = [p.token async for c in stream if c.choices[0].logprobs for p in c.choices[0].logprobs.content]
    assert tokens == ["Hello", ", ", "world", "!"]


async def test_gateway_tool_calls_are_not_streamed(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.script(
        Reply(
            text=(), tools=(ScriptedToolCall("calculator", ('{"expression":"6*7"}',)),), finish="tool_calls"
        ),
        Reply(text=("42",)),
    )
    stream = await client.chat.completions.create(
        model="small", messages=HELLO, stream=True, extra_body={"gateway": {"tools": ["calculator"]}}
    )
    chunks = [chunk async for chunk in stream]
    assert not any(chunk.choices[0].delta.tool_calls for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "42"
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_role_adds_its_prompt(client: openai.AsyncOpenAI, upstream: OpenAIUpstream) -> None:
    async def shown(role: str, *messages: Any) -> list[Any]:
        await client.chat.completions.create(
            model="small", messages=[*messages, *HELLO], extra_body={"gateway": {"role": role}}
        )
        return list(upstream.calls[-1].body["messages"])

    assert await shown("pirate") == [{"role": "system", "content": "Talk like a pirate."}, *HELLO]
    own = {"role": "developer", "content": "Be brief."}
    assert (await shown("echo", own))[0]["content"] == "The question is: Hi\n\nBe brief."
    with pytest.raises(openai.NotFoundError) as unknown:
        await shown("nobody")
    assert unknown.value.param == "gateway.role"
    with pytest.raises(openai.UnprocessableEntityError):
        await shown("clerk")


async def test_openais_parameters_are_forwarded_to_compatible_providers(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    await client.chat.completions.create(
        model="small",
        messages=[{"role": "user", "name": "ada", "content": "Hi"}],
        reasoning_effort="low",
        logit_bias={"50256": -100},
        service_tier="flex",
        stop=["END"],
        max_completion_tokens=9,
        parallel_tool_calls=False,
        tools=[LOOKUP],
        metadata={"not": "passed on"},
        store=True,
        user="u",
    )
    body = upstream.calls[0].body
    sent = {name: body.get(name) for name in ("reasoning_effort", "service_tier", "stop", "max_tokens")}
    assert sent == {"reasoning_effort": "low", "service_tier": "flex", "stop": ["END"], "max_tokens": 9}
    assert (body["logit_bias"], body["parallel_tool_calls"]) == ({"50256": -100}, False)
    assert body["messages"] == [{"role": "user", "content": "Hi", "name": "ada"}]
    assert not {"metadata", "store", "user"} & set(body)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "other", "reasoning_effort": "low"}, "reasoning_effort"),
        ({"model": "other", "logit_bias": {"1": 1}}, "logit_bias"),
        ({"model": "other", "service_tier": "priority"}, "service_tier"),
        ({"model": "other", "seed": 1}, "seed"),
        ({"model": "other", "logprobs": True}, "logprobs"),
        ({"model": "other", "response_format": {"type": "json_object"}}, "response_format"),
        ({"model": "vector"}, "model"),
        ({"model": "picture"}, "model"),
        ({"model": "arts"}, "model"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"tools": [{"type": "teleport", "custom": {"name": "c"}}]}, "tools.0.type"),
        (
            {
                "messages": [
                    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}
                ]
            },
            "messages.0.function_call",
        ),
    ],
)
async def test_an_unsupported_parameter_is_a_400_that_names_it(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream, claude: AnthropicUpstream, fields: Any, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(**{"model": "small", "messages": HELLO, **fields})
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", param)
    assert not upstream.calls
    assert not claude.calls


async def test_an_unknown_tool_choice_is_rejected(client: openai.AsyncOpenAI) -> None:
    choice: Any = {"type": "function", "function": {"name": "other"}}
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        await client.chat.completions.create(
            model="small", messages=HELLO, tools=[LOOKUP], tool_choice=choice
        )
    assert refused.value.param == "tool_choice"


async def test_auto_selects_only_chat_models(client: openai.AsyncOpenAI) -> None:
    for name in ("auto", "mixed"):
        answer = await client.chat.completions.create(model=name, messages=HELLO)
        assert answer.model == "small"
