"""How messages are shortened to fit a window."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.agent.context_window.fit import (
    Messages,
    fit_messages,
    fits_cheaply,
    max_message_tokens,
    max_total_tokens,
    truncate,
)
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall
from gateway.domain.token_estimates import estimate_max_tokens

SYSTEM = Message("system", "Be kind.")
QUESTION = Message("user", "And what do you make of all that?")


def exchanges(count: int, words: int = 20) -> Messages:
    pairs = [
        (Message("user", f"question {n} " * words), Message("assistant", "an answer " * words))
        for n in range(count)
    ]
    return tuple(m for pair in pairs for m in pair)


def tool_round(number: int, *lengths: int) -> Messages:
    calls = tuple(ToolCall(f"c{number}_{at}", "search", '{"q": "tides"}') for at in range(len(lengths)))
    results = (
        Message("tool", "row 1, 2, 3; " * length, tool_call_id=call.id, name="search")
        for call, length in zip(calls, lengths, strict=True)
    )
    return (Message("assistant", f"Round {number}.", calls), *results)


def paired(messages: Messages) -> bool:
    """Every call is answered right after it, and every answer has its call."""
    waiting: list[str] = []
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                return False
            waiting.remove(message.tool_call_id or "")
        else:
            if waiting:
                return False
            waiting = [call.id for call in message.tool_calls]
    return not waiting


texts = st.text(max_size=400) | st.integers(0, 3000).map(lambda n: "12, word; " * n)
conversations = st.builds(
    lambda system, history, question, rounds: (
        (Message("system", system),) if system else (),
        history,
        (Message("user", question), *rounds),
    ),
    st.text(max_size=200),
    st.lists(st.tuples(texts, texts), max_size=8).map(
        lambda pairs: tuple(m for q, a in pairs for m in (Message("user", q), Message("assistant", a)))
    ),
    st.text(max_size=200),
    st.lists(st.lists(st.integers(0, 900), min_size=1, max_size=4), max_size=5).map(
        lambda rounds: tuple(m for at, lengths in enumerate(rounds) for m in tool_round(at, *lengths))
    ),
)


def least(parts: tuple[Messages, Messages, Messages]) -> int:
    """What cannot be left out: the system prompt, the question, the last round with hardly a result."""
    head, _, tail = parts
    last = max((at for at, m in enumerate(tail) if m.tool_calls), default=len(tail))
    stubs = sum(min(max_message_tokens(m), 80) for m in tail[last:] if m.role == "tool")
    gone = 40 if any(m.tool_calls for m in tail[:last]) else 0
    return (
        max_total_tokens(head)
        + max_message_tokens(tail[0])
        + max_total_tokens([m for m in tail[last:] if m.role != "tool"])
        + stubs
        + gone
    )


@settings(max_examples=300, deadline=None)
@given(conversations, st.integers(20, 6000))
def test_the_result_fits_and_is_a_valid_conversation(
    parts: tuple[Messages, Messages, Messages], room: int
) -> None:
    head, history, tail = parts
    messages = (*head, *history, *tail)
    shown = fit_messages(head, history, tail, room)
    assert max_total_tokens(shown) <= max(room, least(parts))
    assert shown[: len(head)] == head
    assert tail[0] in shown
    assert paired(shown)
    assert shown[len(head)].role == "user"
    if max_total_tokens(messages) <= room:
        assert shown == messages


def test_the_longest_results_are_cut_before_exchanges_are_dropped() -> None:
    history, tail = exchanges(2), (QUESTION, *tool_round(0, 3, 500))
    shown = fit_messages((SYSTEM,), history, tail, 2000)
    assert shown[1:5] == history
    assert shown[-2] == tail[-2]
    assert "characters left out" in shown[-1].text
    assert shown[-1].text.startswith("row 1")
    assert shown[-1].text.endswith("2, 3; ")
    assert 1800 <= max_total_tokens(shown) <= 2000


def test_earlier_rounds_are_cut_before_the_last() -> None:
    tail = (QUESTION, *tool_round(0, 60), *tool_round(1, 60))
    shown = fit_messages((), (), tail, max_total_tokens(tail) - 200)
    assert "left out" in shown[2].text
    assert shown[-1] == tail[-1]


def test_the_oldest_exchanges_are_dropped_first() -> None:
    history = exchanges(10)
    shown = fit_messages((SYSTEM,), history, (QUESTION,), 400)
    assert shown[0] == SYSTEM
    assert 3 < len(shown) < 22
    assert shown[1:-1] == history[len(history) - len(shown) + 2 :]


def test_many_rounds_of_fifty_calls_fit_with_a_notice() -> None:
    rounds = tuple(m for at in range(8) for m in tool_round(at, *[5] * 50))
    shown = fit_messages((SYSTEM,), exchanges(3), (QUESTION, *rounds), 8192)
    assert max_total_tokens(shown) <= 8192
    assert paired(shown)
    assert shown[:2] == (SYSTEM, QUESTION)
    assert any("earlier tool calls" in m.text for m in shown)


def test_an_image_counts() -> None:
    message = Message("user", (TextPart("What is this?"), ImagePart("https://example.com/a.png")))
    assert max_message_tokens(message) > 800
    assert not fits_cheaply((message,), 10_000)


@given(st.lists(st.text(max_size=300), max_size=6), st.integers(0, 4000))
def test_fits_cheaply_is_never_wrong(said: list[str], room: int) -> None:
    messages = tuple(Message("user", text) for text in said)
    if fits_cheaply(messages, room):
        assert sum(8 + len(text.encode("utf-8", "replace")) for text in said) <= room


@given(st.text(max_size=500) | st.integers(1, 200).map(lambda n: json.dumps([n] * n)), st.integers(1, 300))
def test_a_truncated_text_is_a_prefix_within_its_tokens(text: str, tokens: int) -> None:
    short = truncate(text, tokens)
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))
    assert estimate_max_tokens(short) <= tokens + 2
