"""Parsing of OpenAI's responses: what is merged, tolerated and rejected."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.exceptions import UpstreamBroken
from gateway.domain.events import Completed, ProviderEvent, ReasoningDelta, TextDelta, ToolCallDelta
from gateway.domain.money import Usage
from gateway.providers.openai.response_parser import OpenAIResponseParser

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return b"data: " + json.dumps({"choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"


END = chunk({}, "stop")
DONE = b"data: [DONE]\n\n"


def read(*pieces: bytes) -> list[ProviderEvent]:
    reader = OpenAIResponseParser()
    events = [event for piece in pieces for event in reader.feed(piece)]
    if reader.error is None:
        events += reader.feed_eof()
    if reader.error is not None:
        raise reader.error
    return [*events, *reader.finish()]


def tool(index: int | None, call_id: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    call: dict[str, Any] = {"function": {"name": name, "arguments": arguments}}
    if index is not None:
        call["index"] = index
    if call_id is not None:
        call["id"] = call_id
    return {"tool_calls": [call]}


def test_adjacent_text_becomes_one_delta_with_all_logprobs() -> None:
    entries = [{"token": token, "logprob": -0.1} for token in "abc"]
    data = b"".join(chunk({"content": e["token"]}, logprobs={"content": [e]}) for e in entries)
    assert read(data + END + DONE) == [TextDelta("abc", tuple(entries)), Completed("stop")]


def test_text_is_not_merged_over_reasoning_or_a_tool_call() -> None:
    data = chunk({"content": "a"}) + chunk({"reasoning": "hm"}) + chunk({"content": "b"})
    data += chunk(tool(0, "c1", "f", "{}")) + chunk({"content": "c"})
    assert read(data + chunk({}, "tool_calls") + DONE) == [
        TextDelta("a"),
        ReasoningDelta("hm"),
        TextDelta("b"),
        ToolCallDelta(0, "c1", "f", "{}"),
        TextDelta("c"),
        Completed("tool_calls"),
    ]


def test_an_answer_is_the_same_however_it_is_chunked() -> None:
    data = chunk({"content": "Grüße 🦊"}) + b": ping\r\n\r\n" + chunk({"content": "!"}) + END + DONE
    for cut in range(len(data)):
        events = read(data[:cut], data[cut:])
        assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Grüße 🦊!"


def test_comments_event_names_and_carriage_returns_are_valid() -> None:
    lines = b": keep-alive\r\nevent: message\r\nid: 1\r\nretry: 5\r\n\r\n"
    assert read(lines + chunk({"content": "x"}).replace(b"\n", b"\r\n") + END + DONE)[0] == TextDelta("x")


def test_a_close_after_the_finish_reason_completes_the_answer() -> None:
    assert read(chunk({"content": "x"}), END)[-1] == Completed("stop", None)


@pytest.mark.parametrize("data", [b"", chunk({"content": "x"}), chunk({"content": "x"}) + DONE, DONE])
def test_a_close_before_the_finish_reason_is_broken(data: bytes) -> None:
    with pytest.raises(UpstreamBroken):
        read(data)


def test_a_close_within_a_line_is_broken() -> None:
    with pytest.raises(UpstreamBroken):
        read(END, b'data: {"choices"')


def test_usage_is_read_from_its_own_chunk_and_from_the_last_choices_chunk() -> None:
    own = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    assert read(END + own + DONE)[-1] == Completed("stop", Usage(3, 2))
    shared = json.loads(END[6:]) | {"usage": USAGE}
    assert read(b"data: " + json.dumps(shared).encode() + b"\n\n")[-1] == Completed("stop", Usage(3, 2))


@pytest.mark.parametrize("usage", [{"prompt_tokens": "many"}, {"prompt_tokens": -5}, "much", [1], 7])
def test_invalid_usage_does_not_fail_the_answer(usage: Any) -> None:
    own = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    assert read(chunk({"content": "Hi"}) + END + own + DONE) == [TextDelta("Hi"), Completed("stop")]


def test_moonshots_usage_is_read_from_the_last_choice() -> None:
    last = chunk({}, "stop", usage=USAGE | {"cached_tokens": 1})
    assert read(last + DONE)[-1] == Completed("stop", Usage(3, 2, cached_tokens=1))


def test_text_before_an_error_in_the_same_packet_is_not_lost() -> None:
    reader = OpenAIResponseParser()
    events = reader.feed(chunk({"content": "kept"}) + b'data: {"error": {"message": "no"}}\n\n')
    assert events == [TextDelta("kept")]
    assert isinstance(reader.error, UpstreamBroken)


def test_a_tool_call_without_index_and_id_gets_both() -> None:
    data = chunk(tool(None, None, "f", '{"a"')) + chunk(tool(None, None, None, ":1}"))
    first, second, end = read(data + chunk(tool(None, None, "g", {"b": 2}), "stop"))[0:3]
    assert isinstance(first, ToolCallDelta)
    assert first.id
    assert (first.index, first.name, first.arguments) == (0, "f", '{"a"')
    assert second == ToolCallDelta(0, arguments=":1}")
    assert isinstance(end, ToolCallDelta)
    assert (end.index, end.name, end.arguments) == (1, "g", '{"b":2}')


def test_id_and_name_are_emitted_once_even_if_the_vendor_repeats_them() -> None:
    data = chunk(tool(0, "c1", "f", "{")) + chunk(tool(0, "c1", "f", "}"))
    assert read(data + chunk({}, "tool_calls"))[:2] == [
        ToolCallDelta(0, "c1", "f", "{"),
        ToolCallDelta(0, arguments="}"),
    ]


def test_a_call_waits_for_a_late_name() -> None:
    data = chunk(tool(0, "c1", None, "{")) + chunk(tool(0, None, "f", "}"))
    assert read(data + chunk({}, "tool_calls"))[0] == ToolCallDelta(0, "c1", "f", "{}")
    with pytest.raises(UpstreamBroken):
        read(chunk(tool(0, "c1", None, "{}")) + chunk({}, "tool_calls"))


def test_a_stop_after_tool_calls_means_tool_calls() -> None:
    assert read(chunk(tool(0, "c1", "f", "{}")) + END)[-1] == Completed("tool_calls")


@pytest.mark.parametrize("finish", ["error", "abort", 7, {"a": 1}])
def test_a_failure_finish_reason_does_not_complete_the_answer(finish: Any) -> None:
    with pytest.raises(UpstreamBroken):
        read(chunk({"content": "x"}) + chunk({}, finish) + DONE)


@pytest.mark.parametrize(
    "data",
    [
        b"data: {}x\n",
        b"data: 5\n",
        b'data: "text"\n',
        b'data: {"choices": 5}\n',
        b'data: {"choices": [5]}\n',
        b'data: {"choices": [{"delta": "x"}]}\n',
        b'data: {"choices": [{"delta": {"content": 5}}]}\n',
        b'data: {"choices": [{"delta": {"content": [5]}}]}\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"index": [], "function": {"name": "f"}}]}}]}\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": {"name": 5}}]}}]}\n',
        b'{"error": "without data:"}\n',
        b"data: " + b"[" * 100_000 + b"\n",
    ],
)
def test_a_malformed_response_is_broken(data: bytes) -> None:
    with pytest.raises(UpstreamBroken):
        read(data + END + DONE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "index",
                    "usage",
                    "logprobs",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_json_shape_raises_another_error(value: Any) -> None:
    reader = OpenAIResponseParser()
    reader.feed(b"data: " + json.dumps(value).encode() + b"\n")
    reader = OpenAIResponseParser()
    try:
        reader.parse_body(json.dumps({"choices": [{"message": value, "finish_reason": "stop"}]}).encode())
    except UpstreamBroken:
        return


def test_an_unstreamed_answer_has_text_calls_and_usage() -> None:
    message = {
        "content": "Hi",
        "reasoning_content": "hm",
        "tool_calls": [tool(None, "c1", "f", "{}")["tool_calls"][0]],
    }
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": USAGE}
    assert OpenAIResponseParser().parse_body(json.dumps(body).encode()) == [
        ReasoningDelta("hm"),
        TextDelta("Hi"),
        ToolCallDelta(0, "c1", "f", "{}"),
        Completed("tool_calls", Usage(3, 2)),
    ]


def test_two_calls_without_ids_in_an_unstreamed_answer_stay_separate() -> None:
    calls = [tool(None, None, name, "{}")["tool_calls"][0] for name in ("f", "g")]
    body = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    events = OpenAIResponseParser().parse_body(json.dumps(body).encode())
    assert [(e.index, e.name) for e in events if isinstance(e, ToolCallDelta)] == [(0, "f"), (1, "g")]
