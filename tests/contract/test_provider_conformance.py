"""The behaviour of every chat provider: one test suite for all vendors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import httpx
import pytest

from gateway.core.exceptions import (
    ContextLengthExceeded,
    GatewayError,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import (
    Completed,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    VendorResponse,
)
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall
from gateway.domain.money import Usage
from gateway.domain.requests import ChatRequest, ResponseFormat, Sampling, ToolChoice, ToolSpec
from gateway.providers.base import ChatProvider
from gateway.providers.http.client import upstream_client
from gateway.providers.registry import build_providers
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.gemini_server import GeminiUpstream
from tests.support.upstreams.http_server import Raw, Refusal, Reply, ScriptedToolCall, Silence, UpstreamServer
from tests.support.upstreams.ollama_server import OllamaUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream

SERVERS: dict[str, type[UpstreamServer]] = {
    "openai": OpenAIUpstream,
    "local": OpenAIUpstream,
    "ollama": OllamaUpstream,
    "anthropic": AnthropicUpstream,
    "gemini": GeminiUpstream,
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CALCULATOR = ToolSpec(
    "calculator",
    "Adds.",
    {
        "type": "object",
        "properties": {"terms": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        "required": ["terms"],
    },
)
CLOCK = ToolSpec("clock", "Tells the time.", {"type": "object", "properties": {}})


@dataclass
class Door:
    """A provider, the fake server behind it, and a helper to call it."""

    type: str
    provider: ChatProvider
    up: UpstreamServer

    async def ask(self, **fields: object) -> list[ProviderEvent]:
        return [event async for event in self.provider.stream(question(**fields))]


def question(text: str = "Say hello.", **fields: object) -> ChatRequest:
    return ChatRequest(
        "model-x",
        fields.pop("messages", (Message("user", text),)),  # type: ignore[arg-type]
        **fields,  # type: ignore[arg-type]
    )


def build(kind: str, url: str, http: httpx.AsyncClient, **timeouts: float) -> ChatProvider:
    config = ProviderConfig(type=kind, base_url=url, api_key="test-key")  # type: ignore[arg-type]
    catalog = Catalog(providers={"it": config}, timeouts=Timeouts(**timeouts))
    return build_providers(catalog, http, "").chat["it"]


@pytest.fixture(params=sorted(SERVERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


@pytest.fixture
async def door(kind: str, http: httpx.AsyncClient) -> AsyncIterator[Door]:
    async with SERVERS[kind]() as up:
        provider = build(kind, up.url, http)
        yield Door(kind, provider, up)
        await provider.aclose()


async def hear(door: Door, request: ChatRequest) -> tuple[list[ProviderEvent], GatewayError | None]:
    """Return all events, and the error that ended them."""
    heard: list[ProviderEvent] = []
    try:
        async for event in door.provider.stream(request):
            heard.append(event)  # noqa: PERF401 - what came before the error counts
    except GatewayError as error:
        return heard, error
    return heard, None


def text_of(events: list[ProviderEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls_of(events: list[ProviderEvent]) -> dict[int, tuple[str, str]]:
    """Return index -> (name, arguments); only the first fragment may have id and name."""
    calls: dict[int, tuple[str, str]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            if event.index not in calls:
                assert event.id
                assert event.name
                calls[event.index] = (event.name, event.arguments)
            else:
                assert event.id is None
                assert event.name is None
                name, arguments = calls[event.index]
                calls[event.index] = (name, arguments + event.arguments)
    return calls


# Successful answers.


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_response_id_and_model_are_read(door: Door, stream: bool) -> None:
    events = await door.ask(stream=stream)
    done = events[-1]
    assert isinstance(done, Completed)
    names = {"anthropic": "msg_1", "gemini": "resp-1", "ollama": None}
    model = "gemini-test" if door.type == "gemini" else "model-x"
    assert done.response == VendorResponse(names.get(door.type, "chatcmpl-1"), model)


async def test_unsafe_ids_and_models_are_dropped(http: httpx.AsyncClient) -> None:
    chunk = {
        "id": "a\ud800b",
        "model": ["x"],
        "choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}],
    }
    async with OpenAIUpstream() as up:
        up.script(Raw([b"data: " + json.dumps(chunk).encode() + b"\n\n", b"data: [DONE]\n\n"]))
        provider = build("openai", up.url, http)
        done = [event async for event in provider.stream(question())][-1]
    assert isinstance(done, Completed)
    assert done.response is None


async def test_text_is_streamed_and_ends_with_one_completed(door: Door) -> None:
    events = await door.ask()
    assert text_of(events) == "Hello, world!"
    assert events[-1] == Completed("stop", Usage(11, 4))
    assert sum(isinstance(event, Completed) for event in events) == 1
    assert len(door.up.calls) == 1


async def test_the_first_delta_is_yielded_before_the_answer_ends(door: Door) -> None:
    gate = asyncio.Event()
    door.up.script(Reply(gate=gate, gate_at=1))
    async with aclosing(door.provider.stream(question())) as events:
        assert await anext(events) == TextDelta("Hello")
        gate.set()
        assert text_of([event async for event in events]) == ", world!"


async def test_an_unstreamed_answer_is_requested_unstreamed(door: Door) -> None:
    events = await door.ask(stream=False)
    assert events == [TextDelta("Hello, world!"), Completed("stop", Usage(11, 4))]
    assert not door.up.wants_stream(door.up.calls[0])


@pytest.mark.parametrize("stream", [True, False])
async def test_reasoning_is_separate_from_text(door: Door, stream: bool) -> None:
    door.up.script(Reply(reasoning=("Let me ", "think.")))
    events = await door.ask(stream=stream)
    assert "".join(e.text for e in events if isinstance(e, ReasoningDelta)) == "Let me think."
    assert text_of(events) == "Hello, world!"


@pytest.mark.parametrize("stream", [True, False])
async def test_parallel_tool_calls_are_assembled_in_order(door: Door, stream: bool) -> None:
    tools = [
        ScriptedToolCall("calculator", ('{"terms"', ': {"a": ', "1}}")),
        ScriptedToolCall("clock", ("{}",), id="call_2"),
    ]
    door.up.script(Reply(text=("One moment.",), tools=tools, finish="tool_calls"))
    events = await door.ask(tools=(CALCULATOR, CLOCK), stream=stream)
    calls = {i: (name, json.loads(arguments)) for i, (name, arguments) in calls_of(events).items()}
    assert calls == {0: ("calculator", {"terms": {"a": 1}}), 1: ("clock", {})}
    assert text_of(events) == "One moment."
    assert isinstance(events[-1], Completed)
    assert events[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_call_without_any_text_is_an_answer(door: Door, stream: bool) -> None:
    door.up.script(Reply(text=(), tools=[ScriptedToolCall("clock", ("{}",))], finish="tool_calls"))
    events = await door.ask(tools=(CLOCK,), stream=stream)
    assert calls_of(events) == {0: ("clock", "{}")}
    assert text_of(events) == ""


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_hits_the_token_limit_finishes_with_length(door: Door, stream: bool) -> None:
    door.up.script(Reply(finish="length"))
    events = await door.ask(stream=stream)
    assert events[-1] == Completed("length", Usage(11, 4))


async def test_non_ascii_text_is_intact_however_it_is_chunked(door: Door) -> None:
    spoken = ("Grüße, ", "안녕하세요 ", "🦊", " \u2028 end")
    door.up.script(Reply(text=spoken))
    assert text_of(await door.ask()) == "".join(spoken)


async def test_concurrent_calls_do_not_mix(door: Door) -> None:
    replies = [Reply(text=(f"<{n}", f"-{n}", f"-{n}>")) for n in range(12)]
    door.up.script(*replies, Reply())
    answers = await asyncio.gather(*(door.ask() for _ in replies))
    assert {text_of(events) for events in answers} == {f"<{n}-{n}-{n}>" for n in range(12)}


async def test_a_finished_answer_releases_its_connection_for_reuse(door: Door) -> None:
    for stream in (True, False, True):
        await door.ask(stream=stream)
    assert door.up.connections == 1


# Requests.


async def test_the_whole_history_reaches_the_vendor(door: Door) -> None:
    history = (
        Message("system", "Be brief."),
        Message("user", (TextPart("What is this?"), ImagePart(f"data:image/png;base64,{PNG}"))),
        Message("assistant", "", tool_calls=(ToolCall("call_9", "calculator", '{"terms": {"a": 42}}'),)),
        Message("tool", "forty-two", tool_call_id="call_9"),
        Message("assistant", "It is 42."),
        Message("user", "Thanks."),
    )
    await door.ask(messages=history, tools=(CALCULATOR,))
    sent = door.up.calls[0].raw.decode()
    for piece in (
        "Be brief.",
        "What is this?",
        PNG[:60],
        "calculator",
        "42",
        "forty-two",
        "It is 42.",
        "Thanks.",
    ):
        assert piece in sent


async def test_sampling_tools_and_formats_reach_the_vendor(door: Door) -> None:
    # Anthropic takes either of the first two.
    top_p = 0.75 if door.type != "anthropic" else None
    sampling = Sampling(temperature=0.25, top_p=top_p, max_tokens=77, stop=("END",))
    schema = {
        "type": "object",
        "properties": {"answer_word": {"type": "string"}},
        "required": ["answer_word"],
    }
    await door.ask(
        sampling=sampling,
        tools=(CALCULATOR,),
        response_format=ResponseFormat("json_schema", "reply", schema, True),
    )
    sent = door.up.calls[0].raw.decode()
    for piece in ("0.25", "77", "END", "calculator", "terms", '"a"', "answer_word", "model-x"):
        assert piece in sent + door.up.calls[0].path
    assert top_p is None or "0.75" in sent


async def test_unset_parameters_are_not_sent(door: Door) -> None:
    await door.ask()
    sent = door.up.calls[0].raw.decode()
    for piece in ("temperature", "top_p", "topP", "seed", "tools", "stop_seq", "penalty", "null"):
        assert piece not in sent


async def test_tools_that_must_not_be_called_are_not_forced(door: Door) -> None:
    await door.ask(tools=(CLOCK,), tool_choice=ToolChoice("none"))
    sent = door.up.calls[0].raw.decode().lower()
    assert "none" in sent or "tools" not in sent


# Errors before the first token.


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, UpstreamUnavailable),
        (503, UpstreamUnavailable),
        (401, UpstreamUnauthorized),
        (403, UpstreamUnauthorized),
        (400, UpstreamRejected),
        (404, UpstreamUnavailable),
        (413, UpstreamTooLarge),
        (422, UpstreamRejected),
        (418, UpstreamUnavailable),
        (302, UpstreamBroken),
    ],
)
async def test_an_http_error_is_classified_and_not_retried(
    door: Door, status: int, error: type[GatewayError], stream: bool
) -> None:
    door.up.script(Refusal(status))
    with pytest.raises(GatewayError) as caught:
        await door.ask(stream=stream)
    assert type(caught.value) is error
    assert "secret" not in str(caught.value)
    assert len(door.up.calls) == 1


async def test_a_rate_limit_has_its_retry_after(door: Door) -> None:
    door.up.script(Refusal(429, headers={"retry-after": "7"}))
    with pytest.raises(UpstreamRateLimited) as caught:
        await door.ask()
    assert caught.value.retry_after == 7
    assert len(door.up.calls) == 1


async def test_context_overflow_is_distinguished_from_a_bad_request(door: Door) -> None:
    codes = {
        "openai": "context_length_exceeded",
        "local": "exceed_context_size_error",
        "ollama": "input length exceeds the context length",
        "anthropic": "prompt is too long: 210000 tokens > 200000 maximum",
        "gemini": "The input token count exceeds the maximum number of tokens allowed",
    }
    door.up.script(Refusal(400, codes[door.type]))
    with pytest.raises(ContextLengthExceeded):
        await door.ask()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_unreachable_server_is_unavailable(door: Door, stream: bool) -> None:
    await door.up.stop()
    with pytest.raises(UpstreamUnavailable):
        await door.ask(stream=stream)


# Broken answers.


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["cut", "reset", "error", "garbage", "half_utf8"])
async def test_a_response_that_becomes_malformed_is_broken_and_not_completed(
    door: Door, fault: str, stream: bool
) -> None:
    door.up.script(Reply(fault=fault))  # type: ignore[arg-type]
    heard, error = await hear(door, question(stream=stream))
    assert type(error) is UpstreamBroken
    assert "secret" not in str(error)
    assert not any(isinstance(event, Completed) for event in heard)
    assert "Hello, world!".startswith(text_of(heard))
    if stream and fault in ("cut", "error"):
        assert text_of(heard) == "Hello, "


@pytest.mark.parametrize("fault", ["cut", "error", "garbage"])
async def test_a_stream_that_breaks_before_its_first_token_yields_nothing(door: Door, fault: str) -> None:
    door.up.script(Reply(fault=fault, after=0))  # type: ignore[arg-type]
    heard, error = await hear(door, question())
    assert type(error) is UpstreamBroken
    assert heard == []


async def test_a_truncated_tool_call_is_broken(door: Door) -> None:
    tool = ScriptedToolCall("calculator", ('{"terms"', ': {"a": ', "1}}"))
    door.up.script(Reply(text=("Wait.",), tools=[tool], finish="tool_calls", fault="cut", after=3))
    with pytest.raises(UpstreamBroken):
        await door.ask(tools=(CALCULATOR,))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "body", [b"<html>Please sign in.</html>", b"", b"\xff\xfe\x00", b"[]", b"null", b"{}"]
)
@pytest.mark.parametrize("content_type", ["text/html", "application/json", "own"])
async def test_a_response_of_another_content_type_is_broken(
    door: Door, body: bytes, content_type: str, stream: bool
) -> None:
    kind = door.up.stream_type if content_type == "own" else content_type
    door.up.script(Raw([body], content_type=kind))
    with pytest.raises(UpstreamBroken):
        await door.ask(stream=stream)


async def test_an_endless_line_is_broken_before_it_fills_memory(door: Door) -> None:
    piece = b"data: " + b"x" * (1 << 20)
    door.up.script(Raw([piece] * 64, content_type=door.up.stream_type))
    with pytest.raises(UpstreamBroken):
        await door.ask()
    await asyncio.wait_for(door.up.calls[0].disconnected.wait(), 30)
    assert door.up.calls[0].sent < 64


# Timeouts and cancellation.


@pytest.mark.parametrize("stream", [True, False])
async def test_silence_before_the_first_byte_times_out(
    kind: str, http: httpx.AsyncClient, stream: bool
) -> None:
    async with SERVERS[kind]() as up:
        up.script(Silence())
        provider = build(kind, up.url, http, live=0.05)
        with pytest.raises(UpstreamTimeout):
            [event async for event in provider.stream(question(stream=stream))]
        await asyncio.wait_for(up.calls[0].disconnected.wait(), 30)
        assert len(up.calls) == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_silence_in_the_middle_times_out(kind: str, http: httpx.AsyncClient, stream: bool) -> None:
    async with SERVERS[kind]() as up:
        up.script(Reply(fault="hang"))
        provider = build(kind, up.url, http, live=0.1)
        with pytest.raises(UpstreamTimeout):
            [event async for event in provider.stream(question(stream=stream))]
        await asyncio.wait_for(up.calls[0].disconnected.wait(), 30)


async def test_closing_the_stream_closes_the_vendors_connection(door: Door) -> None:
    door.up.script(Reply(gate=asyncio.Event(), gate_at=2))
    events = door.provider.stream(question())
    await anext(events)
    await events.aclose()
    await asyncio.wait_for(door.up.calls[0].disconnected.wait(), 30)


@pytest.mark.parametrize("step", [Silence(), Reply(fault="hang")], ids=["before", "within"])
@pytest.mark.parametrize("stream", [True, False])
async def test_cancelling_the_caller_closes_the_vendors_connection(
    door: Door, step: Silence | Reply, stream: bool
) -> None:
    door.up.script(step)
    task = asyncio.create_task(door.ask(stream=stream))
    await door.up.wait_for_calls(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(door.up.calls[0].disconnected.wait(), 30)


async def test_a_provider_works_after_every_kind_of_failure(door: Door) -> None:
    steps = [Refusal(500), Reply(fault="cut"), Reply(fault="reset"), Reply(fault="garbage"), Refusal(429)]
    door.up.script(*steps, Reply())
    for _ in steps:
        with pytest.raises(GatewayError):
            await door.ask()
    assert text_of(await door.ask()) == "Hello, world!"


# Health checks.


async def test_a_health_check_detects_whether_the_server_answers(door: Door) -> None:
    assert (await door.provider.check_health()).reachable
    door.up.script(Refusal(401))
    refused = await door.provider.check_health()
    assert not refused.reachable
    assert "credentials" in refused.detail
    door.up.script(Refusal(500))
    assert not (await door.provider.check_health()).reachable
    await door.up.stop()
    assert not (await door.provider.check_health()).reachable
    assert door.up.calls == []
