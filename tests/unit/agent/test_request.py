from __future__ import annotations

import pytest

from gateway.agent.request import fit, message_tokens
from gateway.core.exceptions import ContextLengthExceeded
from gateway.domain.messages import Message, ToolCall

SYSTEM = Message("system", "Be kind.")


def history(exchanges: int) -> tuple[Message, ...]:
    pairs = [
        (Message("user", f"question {n} " * 20), Message("assistant", "answer " * 20))
        for n in range(exchanges)
    ]
    return tuple(m for pair in pairs for m in pair)


def test_a_conversation_that_fits_is_left_alone() -> None:
    messages = (SYSTEM, *history(3), Message("user", "now"))
    assert fit(messages, 100_000) == messages


def test_the_oldest_exchanges_go_first_and_the_system_prompt_stays() -> None:
    messages = (SYSTEM, *history(10), Message("user", "now"))
    kept = fit(messages, 400)
    assert kept[0] == SYSTEM
    assert kept[1].role == "user"
    assert kept[-1].text == "now"
    assert kept[1:] == messages[len(messages) - len(kept) + 1 :]
    assert sum(map(message_tokens, kept)) <= 400


def test_a_tools_answer_never_stands_without_its_call() -> None:
    call = Message("assistant", "", (ToolCall("a", "calculator", "{}"),))
    result = Message("tool", "4" * 400, tool_call_id="a")
    messages = (*history(4), Message("user", "now"), call, result)
    kept = fit(messages, 250)
    assert kept[0].role == "user"
    assert kept[-3:] == messages[-3:]


def test_what_cannot_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(ContextLengthExceeded, match=r"\d+ tokens.*room for 50"):
        fit((Message("user", "x" * 4000),), 50)
