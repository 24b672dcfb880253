"""Responses of compatible servers: undocumented but complete forms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.exceptions import (
    ContextLengthExceeded,
    GatewayError,
    UpstreamBroken,
    UpstreamRateLimited,
)
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import Completed, ProviderEvent, ReasoningDelta, TextDelta, ToolCallDelta
from gateway.domain.messages import Message, VendorData
from gateway.domain.money import Usage
from gateway.domain.requests import ChatRequest
from gateway.providers.anthropic.response_parser import AnthropicResponseParser
from gateway.providers.http.client import upstream_client
from gateway.providers.openai.chat import OpenAIChat
from gateway.providers.openai.response_parser import OpenAIResponseParser
from tests.support.upstreams.openai_server import OpenAIUpstream, Raw

ORIGIN = VendorData("anthropic", "a", "m")


def frames(*objects: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in objects)


def read(reader: OpenAIResponseParser | AnthropicResponseParser, data: bytes) -> list[ProviderEvent]:
    events = reader.feed(data)
    if reader.error is None and not reader.done:
        events += reader.feed_eof()
    if reader.error is not None and not reader.is_complete:
        raise reader.error
    return [*events, *reader.finish()]


def said(events: list[ProviderEvent]) -> tuple[str, str]:
    """Return (reasoning, text) of the events."""
    thoughts = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    return thoughts, "".join(event.text for event in events if isinstance(event, TextDelta))


def chunk(delta: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


@pytest.mark.parametrize(
    "content",
    [
        [THOUGHT, {"type": "text", "text": "Hi"}],
        [{"type": "thinking", "thinking": "hm"}, {"type": "output_text", "text": "Hi"}],
        [THOUGHT, "H", {"type": "text", "text": None}, {"type": "text", "text": "i"}],
        [THOUGHT, {"type": "reference", "reference_ids": [1]}, {"text": "Hi"}],
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_thinking_parts_of_a_content_become_reasoning(content: Any, streamed: bool) -> None:
    if streamed:
        data = frames(*(chunk({"content": [part]}) for part in content), chunk({"content": ""}, "stop"))
        events = read(OpenAIResponseParser(), data)
    else:
        body = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
        events = OpenAIResponseParser().parse_body(json.dumps(body).encode())
    assert said(events) == ("hm", "Hi")
    assert events[-1] == Completed("stop")  # Mistral does not need them back


@pytest.mark.parametrize("logprobs", [-0.3, [], ["x"], {"content": ["x"]}, {"tokens": ["x"]}, {"content": 7}])
def test_logprobs_in_an_unknown_form_are_ignored(logprobs: Any) -> None:
    events = read(OpenAIResponseParser(), frames(chunk({"content": "Hi"}, "stop", logprobs=logprobs)))
    assert events == [TextDelta("Hi"), Completed("stop")]


@pytest.mark.parametrize(
    "alive",
    [
        b"event: ping\ndata: ping\n\n",
        b"event: keep-alive\ndata: still here\n\n",
        b"data: null\n\n",
        b"data:\n\n",
    ],
)
def test_keepalive_events_are_ignored(alive: bytes) -> None:
    data = alive + frames(chunk({"content": "Hi"})) + alive + frames(chunk({}, "stop")) + b"data: [DONE]\n\n"
    assert read(OpenAIResponseParser(), data) == [TextDelta("Hi"), Completed("stop")]
    with pytest.raises(UpstreamBroken):
        read(OpenAIResponseParser(), b"event: message\ndata: ping\n\n" + data)


COUNTS = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


@pytest.mark.parametrize(
    "last",
    [
        [{**chunk({}, "stop"), "x_groq": {"id": "r", "usage": COUNTS}}],
        [chunk({}, "stop", usage=COUNTS)],
        [chunk({"content": ""}, usage=COUNTS), chunk({}, "stop")],
        [{**chunk({}), "usage": COUNTS | {"completion_tokens": 1}}, {**chunk({}, "stop"), "usage": COUNTS}],
        [chunk({}, "stop"), {"choices": None, "usage": COUNTS}],
    ],
)
def test_usage_is_read_wherever_a_server_puts_it(last: list[Any]) -> None:
    assert read(OpenAIResponseParser(), frames(chunk({"content": "Hi"}), *last))[-1] == Completed(
        "stop", Usage(9, 3)
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"object": "error", "message": "maximum context length is 5", "code": 400}, ContextLengthExceeded),
        ({"message": "Rate limit reached", "code": 429}, UpstreamRateLimited),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow"}}, UpstreamRateLimited),
        (chunk({}, "error", error={"code": 429, "message": "Slow"}), UpstreamRateLimited),
        (chunk({"content": ""}, error={"code": 502, "message": "Gone"}), UpstreamBroken),
        ({"detail": "Internal error"}, UpstreamBroken),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_errors_in_a_response_are_classified_in_every_form(
    error: dict[str, Any], kind: type[GatewayError], streamed: bool
) -> None:
    stream, body = frames(chunk({"content": "Half"}), error, chunk({}, "stop")), json.dumps(error).encode()
    with pytest.raises(GatewayError) as caught:
        read(OpenAIResponseParser(), stream) if streamed else OpenAIResponseParser().parse_body(body)
    assert type(caught.value) is kind


START = {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}
END = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]


def block(block: dict[str, Any], *deltas: dict[str, Any], index: int = 0) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


HI = {"type": "text_delta", "text": "Hi"}
TEXT = block({"type": "text", "text": ""}, HI)
# Events of Anthropic-compatible servers that differ from the vendor's.
FORMS: dict[str, list[Any]] = {
    "a text block without text": [START, *block({"type": "text"}, HI), *END],
    "a text block of null": [START, *block({"type": "text", "text": None}, HI), *END],
    "a start without its message": [{"type": "message_start", "message": None}, START, *TEXT, *END],
    "a delta of null": [START, *TEXT, {"type": "message_delta", "delta": None}, *END],
    "usage before the end": [START, *TEXT, {"type": "message_delta", "usage": {"output_tokens": 4}}, *END],
    "an event without a type": [START, {"ping": 1}, *TEXT, {}, *END],
    "unknown events": [START, {"type": "keepalive"}, *TEXT, {"type": "trace", "x": [1]}, *END],
}


@pytest.mark.parametrize("form", FORMS)
def test_messages_of_compatible_servers_are_parsed(form: str) -> None:
    events = read(AnthropicResponseParser(ORIGIN), frames(*FORMS[form]))
    assert events == [TextDelta("Hi"), Completed("stop", Usage(10, 5))]


def test_the_done_marker_ends_an_anthropic_stream() -> None:
    data = frames(START, *TEXT, END[0]) + b"data: [DONE]\n\n"
    assert read(AnthropicResponseParser(ORIGIN), data) == [TextDelta("Hi"), Completed("stop", Usage(10, 5))]
    with pytest.raises(UpstreamBroken):
        read(AnthropicResponseParser(ORIGIN), frames(START, *TEXT) + b"data: [DONE]\n\n")


ARGUMENTS = '{"city":"Seoul"}'
PIECES = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", ARGUMENTS[:5], ARGUMENTS[5:])]


@pytest.mark.parametrize(
    ("given", "deltas"),
    [
        ({"input": {}}, PIECES),
        ({}, PIECES),
        ({"input": None}, PIECES),
        ({"input": ""}, PIECES),
        ({"input": {"city": "Seoul"}}, []),
        ({"input": {"city": "Seoul"}}, PIECES),
    ],
)
def test_tool_input_is_read_once_wherever_it_is(given: Any, deltas: list[Any]) -> None:
    thought = block({"type": "thinking", "thinking": None}, {"type": "thinking_delta", "thinking": "hm"})
    tool = block({"type": "tool_use", "id": "t1", "name": "w", **given}, *deltas, index=1)
    events = read(AnthropicResponseParser(ORIGIN), frames(START, *thought, *tool, *END))
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert [(event.id, event.name) for event in calls if event.id] == [("t1", "w")]
    assert "".join(event.arguments for event in calls) == ARGUMENTS
    end = events[-1]
    assert isinstance(end, Completed)
    assert end.vendor is not None
    assert end.vendor.content == [
        {"type": "thinking", "thinking": "hm"},
        {"type": "tool_use", "id": "t1", "name": "w", "input": {"city": "Seoul"}},
    ]


def test_an_unstreamed_error_is_classified() -> None:
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow"}}
    with pytest.raises(UpstreamRateLimited):
        AnthropicResponseParser(ORIGIN).parse_body(json.dumps(body).encode())


WHOLE = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()
STREAM = frames(chunk({"content": "Hi"}), chunk({}, "stop")) + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("body", "content_type", "asked"),
    [
        (WHOLE, "application/json", True),
        (STREAM, "text/event-stream", False),
        (STREAM, "Text/Event-Stream;charset=utf-8", True),
        (STREAM, "text/plain; charset=utf-8", True),
        (WHOLE, "text/plain", False),
        (WHOLE, "application/octet-stream", False),
        (WHOLE, "application/vnd.api+json", False),
    ],
)
async def test_the_content_type_decides_how_a_body_is_parsed(
    body: bytes, content_type: str, asked: bool
) -> None:
    async with upstream_client(trust_env=False) as http, OpenAIUpstream() as up:
        up.script(Raw([body], content_type=content_type))
        it = OpenAIChat("o", ProviderConfig(type="openai", base_url=up.url), Timeouts(), http)
        request = ChatRequest("m", (Message("user", "Hi"),), stream=asked)
        assert [event async for event in it.stream(request)] == [TextDelta("Hi"), Completed("stop")]


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [(STREAM, "text/html"), (WHOLE, "text/html"), (b"<html>", "text/plain"), (WHOLE, "application/xml")],
)
async def test_a_web_page_is_not_an_answer(body: bytes, content_type: str, asked: bool) -> None:
    async with upstream_client(trust_env=False) as http, OpenAIUpstream() as up:
        up.script(Raw([body], content_type=content_type))
        it = OpenAIChat("o", ProviderConfig(type="openai", base_url=up.url), Timeouts(), http)
        with pytest.raises(UpstreamBroken):
            [e async for e in it.stream(ChatRequest("m", (Message("user", "Hi"),), stream=asked))]
