"""The official client as programs use it, sync and async: one test per feature."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.support.gateway import Gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply

HELLO: list[Any] = [{"role": "user", "content": "Hi"}]


def function(name: str) -> Any:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


@pytest.fixture
def gateway_config(upstream: OpenAIUpstream) -> dict[str, Any]:
    return {
        "providers": {"up": {"type": "openai", "base_url": upstream.url}, "mock": {"type": "mock"}},
        "models": {
            "mock": {"provider": "mock", "model": "mock", "capabilities": ["tools", "json"]},
            "small": {"provider": "up", "model": "v-small", "capabilities": ["tools"]},
            "vector": {"provider": "mock", "model": "mock", "capabilities": ["embeddings"]},
            "picture": {"provider": "mock", "model": "mock", "capabilities": ["images"]},
        },
    }


class Client:
    """A client of either kind with one interface; the sync one runs in a thread."""

    def __init__(self, kind: str, key: str, url: str, **options: Any) -> None:
        settings = {"api_key": key, "base_url": f"{url}/v1", "max_retries": 0, **options}
        self.sync = kind == "sync"
        self.api: Any = openai.OpenAI(**settings) if self.sync else openai.AsyncOpenAI(**settings)

    async def call(self, method: Callable[..., Any], **fields: Any) -> Any:
        if self.sync:
            return await asyncio.to_thread(method, **fields)
        return await method(**fields)

    async def all(self, method: Callable[..., Any], **fields: Any) -> list[Any]:
        """Collect a whole stream."""
        if self.sync:
            return await asyncio.to_thread(lambda: list(method(**fields, stream=True)))
        return [event async for event in await method(**fields, stream=True)]

    async def close(self) -> None:
        if self.sync:
            self.api.close()
        else:
            await self.api.close()


@pytest.fixture(params=["sync", "async"])
async def client(gateway: Gateway, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    made = Client(request.param, await gateway.create_api_key(await gateway.sign_up()), gateway.url)
    yield made
    await made.close()


async def test_chat_and_stream_return_the_same_text(client: Client) -> None:
    create = client.api.chat.completions.create
    whole = await client.call(create, model="mock", messages=HELLO)
    chunks = await client.all(create, model="mock", messages=HELLO)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"


async def test_tools_make_the_round_trip_several_at_once(client: Client) -> None:
    create = client.api.chat.completions.create
    tools = [function("weather"), function("clock")]
    question = 'call tool weather {"city": "Oslo"} and call tool clock {"city": "Rome"}'
    messages: list[Any] = [{"role": "user", "content": question}]
    asked = await client.call(create, model="mock", messages=messages, tools=tools)
    message = asked.choices[0].message
    assert asked.choices[0].finish_reason == "tool_calls"
    assert [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls] == [
        ("weather", {"city": "Oslo"}),
        ("clock", {"city": "Rome"}),
    ]
    messages.append(message)
    messages += [
        {"role": "tool", "tool_call_id": c.id, "content": c.function.name} for c in message.tool_calls
    ]
    done = await client.call(create, model="mock", messages=messages, tools=tools)
    assert "clock" in done.choices[0].message.content
    single = await client.call(
        create, model="mock", messages=messages[:1], tools=tools, parallel_tool_calls=False
    )
    assert len(single.choices[0].message.tool_calls) == 1
    pieces: dict[int, str] = {}
    for chunk in await client.all(create, model="mock", messages=messages[:1], tools=tools):
        for delta in chunk.choices[0].delta.tool_calls or []:
            pieces[delta.index] = pieces.get(delta.index, "") + delta.function.arguments
    assert [json.loads(text) for text in pieces.values()] == [{"city": "Oslo"}, {"city": "Rome"}]


class City(BaseModel):
    name: str
    people: int


async def test_a_schema_is_enforced_and_parsed(client: Client) -> None:
    parsed = await client.call(
        client.api.chat.completions.parse, model="mock", messages=HELLO, response_format=City
    )
    assert isinstance(parsed.choices[0].message.parsed, City)
    parsed = await client.call(client.api.responses.parse, model="mock", input="Hi", text_format=City)
    assert isinstance(parsed.output_parsed, City)


async def test_both_encodings_return_the_same_vectors(client: Client) -> None:
    create = client.api.embeddings.create
    texts = ["one", "two"]
    plain = await client.call(create, model="vector", input=texts, encoding_format="float")
    packed = await client.call(create, model="vector", input=texts, encoding_format="base64")
    usual = await client.call(
        create, model="vector", input=texts
    )  # the client requests base64 and decodes it
    assert len(plain.data) == len(usual.data) == 2
    for numbers, text, unpacked in zip(plain.data, packed.data, usual.data, strict=True):
        raw = base64.b64decode(text.embedding)
        assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(numbers.embedding, abs=1e-6)
        assert unpacked.embedding == pytest.approx(numbers.embedding, abs=1e-6)


async def test_images_are_valid(client: Client) -> None:
    made = await client.call(client.api.images.generate, model="picture", prompt="a cat", size="256x256")
    assert base64.b64decode(made.data[0].b64_json).startswith(b"\x89PNG")


async def test_responses_are_created_streamed_and_continued(client: Client) -> None:
    create = client.api.responses.create
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
    asked = await client.call(create, model="mock", input='call tool weather {"city": "Oslo"}', tools=[tool])
    [call] = asked.output
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    events = await client.all(
        create, model="mock", input=[output], tools=[tool], previous_response_id=asked.id
    )
    assert events[-1].type == "response.completed"
    assert "rain" in events[-1].response.output_text
    read = await client.call(client.api.responses.retrieve, response_id=events[-1].response.id)
    assert read.output_text == events[-1].response.output_text


async def failing(client: Client, upstream: OpenAIUpstream, gateway: Gateway, kind: str) -> Awaitable[Any]:
    """A call that fails in this way."""
    create = client.api.chat.completions.create
    ask = {"model": "small", "messages": HELLO}
    match kind:
        case "bad request":
            return client.call(create, **ask, extra_body={"functions": [{"name": "f"}]})
        case "unprocessable":
            return client.call(create, **{**ask, "messages": []})
        case "authentication":
            client.api.api_key = "gw_nonsense"
            return client.call(create, **ask)
        case "permission":
            client.api.api_key = await gateway.create_api_key(await gateway.sign_up(), scopes=["models"])
            return client.call(create, **ask)
        case "not found":
            return client.call(create, **{**ask, "model": "no-such"})
        case "server":
            upstream.script(Refusal(500))
            return client.call(create, **ask)
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("bad request", openai.BadRequestError, "unsupported_parameter"),
        ("unprocessable", openai.UnprocessableEntityError, "validation_failed"),
        ("authentication", openai.AuthenticationError, "invalid_api_key"),
        ("permission", openai.PermissionDeniedError, "scope_missing"),
        ("not found", openai.NotFoundError, "model_not_found"),
        ("server", openai.InternalServerError, "upstream_failed"),
    ],
)
async def test_errors_are_the_clients_own_classes(
    gateway: Gateway,
    client: Client,
    upstream: OpenAIUpstream,
    kind: str,
    error: type[openai.APIStatusError],
    code: str,
) -> None:
    with pytest.raises(error) as caught:
        await (await failing(client, upstream, gateway, kind))
    assert type(caught.value) is error
    assert caught.value.code == code
    assert caught.value.request_id is not None


async def test_a_conversation_that_is_busy_is_a_conflict(client: Client, upstream: OpenAIUpstream) -> None:
    create = client.api.responses.create
    first = await client.call(create, model="small", input="One")
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    follow = {"model": "small", "input": "Two", "previous_response_id": first.id}
    slow = asyncio.create_task(client.call(create, **follow))
    await upstream.wait_for_calls(2)
    with pytest.raises(openai.ConflictError):
        await client.call(create, **follow)
    gate.set()
    await slow


async def test_too_many_requests_are_a_rate_limit_with_a_time_to_wait(
    gateway: Gateway, client: Client
) -> None:
    person = await gateway.sign_up()
    key = await gateway.create_api_key(person, requests_per_minute=1)
    client.api.api_key = key
    create = client.api.chat.completions.create
    await client.call(create, model="mock", messages=HELLO)
    with pytest.raises(openai.RateLimitError) as limited:
        await client.call(create, model="mock", messages=HELLO)
    assert limited.value.code == "rate_limited"
    assert float(limited.value.response.headers["retry-after"]) > 0


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_refused_connection_and_a_timeout_are_distinguished(
    gateway: Gateway, upstream: OpenAIUpstream, kind: str
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    nobody = Client(kind, "gw_x", f"http://127.0.0.1:{port}")
    with pytest.raises(openai.APIConnectionError) as refused:
        await nobody.call(nobody.api.models.list)
    assert not isinstance(refused.value, openai.APITimeoutError)
    await nobody.close()
    upstream.script(Reply(gate=asyncio.Event()))
    key = await gateway.create_api_key(await gateway.sign_up())
    hasty = Client(kind, key, gateway.url, timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        await hasty.call(hasty.api.chat.completions.create, model="small", messages=HELLO)
    await hasty.close()
