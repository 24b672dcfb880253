"""Event streams in every legal form, and text that is split inside a character."""

from __future__ import annotations

import codecs
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.exceptions import UpstreamBroken
from gateway.domain.events import Completed, ProviderEvent, ReasoningDelta, TextDelta
from gateway.domain.messages import VendorData
from gateway.providers.anthropic.response_parser import AnthropicResponseParser
from gateway.providers.http.stream_decoders import (
    DONE,
    NDJSONDecoder,
    SSEDecoder,
    SurrogateJoiner,
    parse_event_json,
)
from gateway.providers.openai.response_parser import OpenAIResponseParser

PAYLOADS: list[Any] = [{"a": 1}, {"b": "x y"}, [3]]
PLAIN = b"".join(b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in PAYLOADS)


def read(*pieces: bytes) -> list[Any]:
    reader = SSEDecoder()
    payloads = [payload for piece in pieces for payload in reader.feed(piece)]
    payloads += reader.feed_eof()
    if reader.error is not None:
        raise reader.error
    return payloads


FORMS = {
    "LF": PLAIN,
    "CR LF": PLAIN.replace(b"\n", b"\r\n"),
    "CR": PLAIN.replace(b"\n", b"\r"),
    "mixed ends": PLAIN.replace(b"\n\n", b"\r\n\r", 1),
    "byte order mark": codecs.BOM_UTF8 + PLAIN,
    "no line break at the end": PLAIN.rstrip(b"\n"),
    "no space behind the colon": PLAIN.replace(b"data: ", b"data:"),
    "no empty lines": PLAIN.replace(b"\n\n", b"\n"),
    "comments and known fields": b": ping\nevent: message\nid: 7\nretry: 10\n" + PLAIN,
    "unknown fields": b"x-trace: 1\nfoo\n" + PLAIN,
    "fields without a colon": b"data\nevent\n\n" + PLAIN,
    "several data lines of one event": PLAIN.replace(b'{"b": "x y"}', b'{"b":\ndata: "x y"\ndata: }'),
    "several data lines, CR": PLAIN.replace(b'{"b": "x y"}', b'{"b":\ndata: "x y"}').replace(b"\n", b"\r"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_legal_form_decodes_the_same_however_it_is_chunked(form: str) -> None:
    data = FORMS[form]
    assert read(data) == PAYLOADS
    for cut in range(len(data)):
        assert read(data[:cut], data[cut:]) == PAYLOADS, cut
    assert read(*(data[at : at + 1] for at in range(len(data)))) == PAYLOADS


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_is_emitted_with_its_line(end: bytes) -> None:
    reader = SSEDecoder()
    assert reader.feed(b'data: {"a": 1}' + end + end) == [{"a": 1}]
    assert reader.feed(b"data: [DONE]" + end + end) == [DONE]


@pytest.mark.parametrize(
    "data",
    [
        b"<html>\n",
        b'{"error": 1}\n',
        b"Internal Server Error\n",
        b"data: {]\n\n",
        b"data: <p>\n\n",
        b"\xff\xfe\n",
    ],
)
def test_malformed_lines_are_distinguished_from_fields(data: bytes) -> None:
    reader = SSEDecoder()
    assert reader.feed(PLAIN + data) == PAYLOADS
    assert reader.error is not None


def test_an_endless_event_is_broken_before_it_fills_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.providers.http.stream_decoders.MAX_LINE_BYTES", 1000)
    reader = SSEDecoder()
    for _ in range(40):
        reader.feed(b"data: {" + b"x" * 50 + b"\n")
    assert reader.error is not None


@given(
    st.lists(st.sampled_from([b"data:", b"{", b"}", b"\n", b"\r", b" ", b"\xef\xbb\xbf", b"a", b":", b"1"]))
)
def test_no_input_raises_another_error(pieces: list[bytes]) -> None:
    reader = SSEDecoder()
    for piece in pieces:
        reader.feed(piece)
    reader.feed_eof()


def test_json_lines_may_have_a_byte_order_mark_and_no_final_newline() -> None:
    reader = NDJSONDecoder()
    payloads = reader.feed(codecs.BOM_UTF8 + b'{"a": 1}\r\n{"b"') + reader.feed(b": 2}")
    assert payloads + reader.feed_eof() == [{"a": 1}, {"b": 2}]
    assert reader.error is None


# Text.


def test_surrogates_are_joined_and_lone_ones_replaced() -> None:
    text = SurrogateJoiner()
    assert text.feed("a\ud83d") + text.feed("") + text.feed("\ude00b") == "a😀b"
    assert text.feed("\ude00") == "\ufffd"
    assert text.feed("x\ud83d") + text.feed("y") == "x\ufffdy"
    assert text.feed("\ud83d") + text.flush() == "\ufffd"
    assert text.flush() == ""


@given(st.text(), st.integers(0, 50))
def test_text_split_by_utf16_units_is_restored(spoken: str, cut: int) -> None:
    units = spoken.encode("utf-16-le", "surrogatepass")
    halves = [part.decode("utf-16-le", "surrogatepass") for part in (units[: 2 * cut], units[2 * cut :])]
    text = SurrogateJoiner()
    whole = "".join(text.feed(half) for half in halves) + text.flush()
    assert whole == spoken.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def test_json_that_ends_inside_a_surrogate_pair_is_parsed() -> None:
    assert parse_event_json(b'{"a": "\\ud83d"}') == {"a": "\ud83d"}
    assert parse_event_json(codecs.BOM_UTF8 + b"[1]") == [1]
    with pytest.raises(json.JSONDecodeError):
        parse_event_json(b'{"a": "\\ud83d"')


# Complete answers of the vendors.


def openai(*pieces: bytes) -> list[ProviderEvent]:
    reader = OpenAIResponseParser()
    events = [event for piece in pieces for event in reader.feed(piece)] + reader.feed_eof()
    if reader.error is not None:
        raise reader.error
    return [*events, *reader.finish()]


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return (
        b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()
    )


def test_an_answer_without_final_newline_is_complete() -> None:
    whole = chunk({"content": "Hi"}) + b"\n\n" + chunk({}, "stop")
    assert openai(whole) == [TextDelta("Hi"), Completed("stop")]
    assert openai(whole + b"\n\ndata: [DONE]") == [TextDelta("Hi"), Completed("stop")]


def test_text_reasoning_and_calls_split_inside_a_character_are_restored() -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a": "\ud83d\ude00"}'}}
    pieces = [
        {"reasoning_content": "\ud83d"},
        {"reasoning_content": "\ude00"},
        {"content": "x\ud83d"},
        {"content": "\ude00y"},
        {"tool_calls": [call]},
    ]
    events = openai(*(chunk(piece) + b"\n\n" for piece in pieces), chunk({}, "tool_calls"))
    assert "".join(e.text for e in events if isinstance(e, ReasoningDelta)) == "😀"
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "x😀y"
    json.dumps([getattr(e, "arguments", "") for e in events], ensure_ascii=False).encode()


def test_a_json_body_with_a_byte_order_mark_is_parsed() -> None:
    body = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert OpenAIResponseParser().parse_body(codecs.BOM_UTF8 + json.dumps(body).encode())[0] == TextDelta(
        "Hi"
    )
    message = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
    reader = AnthropicResponseParser(VendorData())
    assert reader.parse_body(codecs.BOM_UTF8 + json.dumps(message).encode())[0] == TextDelta("Hi")


def test_a_stream_that_ends_inside_an_event_is_broken() -> None:
    with pytest.raises(UpstreamBroken):
        openai(chunk({"content": "Hi"}) + b"\n\n" + chunk({}, "stop")[:-3])


def test_no_part_of_an_answer_contains_a_lone_surrogate() -> None:
    half = "a\ud83d"
    call = {
        "index": 0,
        "id": "c1",
        "extra_content": {half: [half]},
        "function": {"name": "f", "arguments": half},
    }
    choice = {
        "delta": {
            "content": half,
            "reasoning_content": half,
            "reasoning_details": [half],
            "tool_calls": [call],
        },
        "logprobs": {"content": [{"token": half, "logprob": -0.1}]},
        "finish_reason": "stop",
    }
    events = openai(b"data: " + json.dumps({"choices": [choice]}).encode())
    assert b"a\xef\xbf\xbd" in orjson.dumps(events)
    block = {"type": "thinking", "thinking": half, "signature": "s"}
    tool = {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": half}}
    body = {
        "type": "message",
        "content": [block, {"type": "text", "text": half}, tool],
        "stop_reason": "tool_use",
    }
    assert b"a\xef\xbf\xbd" in orjson.dumps(
        AnthropicResponseParser(VendorData()).parse_body(json.dumps(body).encode())
    )
