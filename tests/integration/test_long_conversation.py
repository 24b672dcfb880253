"""Forty turns with long tool results fit a window of 8,192 and forget nothing."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.tools import registry
from tests.support.gateway import Account, Gateway, running_gateway
from tests.support.sql_statements import recorded_statements
from tests.support.tokenizers import llama2, smollm2
from tests.support.upstreams.context_window_server import ContextWindowUpstream
from tests.support.upstreams.openai_server import Refusal, Reply, ScriptedToolCall

FIRST_MESSAGE = "Remember: my ship is the Ariadne and her berth is 47."
WORDS = [
    *("the", "harbour", "tide", "of", "record", "ship", "berth", "and", "manifest", "항구", "기록", "Lotse"),
    *("a", "4711", "0x3fa9", '{"a": 1}', "def f(x): return", "is", "in", "what"),
]


def archivist(chance: random.Random) -> Any:
    """A model that reads two long pages of the archive before each answer, and answers at length."""
    pages = iter(range(10_000))

    def answer(call: Any) -> Reply:
        messages = call.body["messages"]
        if messages[-1]["role"] == "user":
            calls = [
                ScriptedToolCall(
                    "archive", (f'{{"page": {next(pages)}}}',), id=f"call_{chance.getrandbits(32):x}"
                )
                for _ in range(2)
            ]
            return Reply(text=("Let me see.",), tools=calls, finish="tool_calls")
        return Reply(text=(" ".join(chance.choices(WORDS, k=chance.randint(20, 200))),))

    return answer


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def config_of(big: ContextWindowUpstream, light: ContextWindowUpstream) -> dict[str, Any]:
    return {
        "providers": {
            "big": {"type": "openai", "base_url": big.url},
            "light": {"type": "openai", "base_url": light.url},
        },
        "models": {
            name: {
                "provider": name,
                "model": f"v-{name}",
                "context_window": 8192,
                "capabilities": ["tools"],
                "price": {"input": 1, "output": 2},
            }
            for name in ("big", "light")
        },
        "routing": {"light": "light", "heavy": "big"},
        "retry": {"attempts": 1},
        "tools": {"enabled": ["archive"]},
        "tiers": {"free": {"tokens_per_day": 10**9, "usd_per_month": 10**6}},
        "guardrails": {"people": {"injection": "off", "unsafe": "off", "tool_results": "off", "leak": "off"}},
    }


async def talk(gateway: Gateway, person: Account, turns: int) -> list[dict[str, Any]]:
    """Turns in one conversation; every one is answered."""
    chance = random.Random(3)
    body: dict[str, Any] = {
        "message": FIRST_MESSAGE,
        "model": "big",
        "system": "You keep the harbour's records.",
    }
    answers = []
    for _ in range(turns):
        answer = await gateway.http.post("/api/chat", json=body, headers=person.headers)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
        question = " ".join(chance.choices(WORDS, k=chance.randint(3, 120)))
        body = {"message": question, "model": "big", "conversation_id": answers[0]["conversation_id"]}
    return answers


@pytest.mark.parametrize(
    ("tokenizer", "light_says"),
    [(llama2, "a summary"), (smollm2, "nothing of use"), (smollm2, "an error")],
    ids=["llama2 summed up", "smollm2 not summed up", "smollm2 failing"],
)
async def test_forty_turns_with_long_tool_results_never_are_too_long_and_the_start_is_known(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    stack: AsyncExitStack,
    monkeypatch: pytest.MonkeyPatch,
    tokenizer: Any,
    light_says: str,
) -> None:
    monkeypatch.setitem(registry.TOOLS, "archive", ("tests.support.long_result_tool", "LongResultTool"))
    summary = "The user looks things up in the harbour's archive: ships, tides, berths. " * 3
    light = ContextWindowUpstream(
        8192, tokenizer(), lambda call: Reply(text=(summary if light_says == "a summary" else "OK",))
    )
    big = ContextWindowUpstream(8192, tokenizer(), archivist(random.Random(1)))
    await stack.enter_async_context(light)
    await stack.enter_async_context(big)
    if light_says == "an error":
        monkeypatch.setattr(light, "_reply", lambda call: Refusal(400))
    gateway = await stack.enter_async_context(
        running_gateway(database_url, redis_url, tmp_path, config_of(big, light))
    )
    person = await gateway.sign_up()
    answers = await talk(gateway, person, 40)
    # No call was too long, so there was none to recover from either.
    assert (big.refused, light.refused) == (0, 0)
    assert len(big.calls) == 80
    assert big.longest > 8192 * 0.6, "the window is used"
    # What was said at the start is in what the model is shown at the end, whole, with the system prompt.
    last = big.calls[-1].body["messages"]
    assert last[0] == {"role": "system", "content": "You keep the harbour's records."}
    assert any(FIRST_MESSAGE in (message["content"] or "") for message in last)
    if light_says == "a summary":
        assert any("looks things up" in (message["content"] or "") for message in last)
    # Summing up is rare, on the receipt, and what the receipts say is what the ledger says.
    summed_up = [a for answer in answers for a in answer["receipt"]["attempts"] if a["step"] == "summary"]
    assert 1 <= len(summed_up) == len(light.calls) <= 12
    async with gateway.container.engine.connect() as db:
        rows = (
            await db.execute(
                text(
                    "SELECT count(*), sum(cost_usd) FROM usage_records WHERE user_id = :u AND kind = 'chat'"
                ),
                {"u": person.id},
            )
        ).one()
        stored = (
            await db.execute(
                text("SELECT count(*) FROM messages WHERE user_id = :u AND summary IS NOT NULL"),
                {"u": person.id},
            )
        ).scalar_one()
    attempts = [attempt for answer in answers for attempt in answer["receipt"]["attempts"]]
    assert rows[0] == len(attempts)
    assert f"{rows[1]:.6f}" == f"{sum(float(attempt['cost_usd']) for attempt in attempts):.6f}"
    assert stored >= 1


async def test_a_turn_that_sums_up_costs_two_statements_too_and_the_next_reads_less(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    stack: AsyncExitStack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = Reply(text=("The tide rises and falls. " * 150,))
    big = ContextWindowUpstream(8192, llama2(), lambda call: long)
    light = ContextWindowUpstream(8192, llama2(), lambda call: Reply(text=("They spoke of the tide. " * 5,)))
    await stack.enter_async_context(big)
    await stack.enter_async_context(light)
    gateway = await stack.enter_async_context(
        running_gateway(database_url, redis_url, tmp_path, config_of(big, light) | {"tools": {"enabled": []}})
    )
    person = await gateway.sign_up()
    body: dict[str, Any] = {"message": FIRST_MESSAGE, "model": "big"}
    await gateway.http.get("/api/user/me", headers=person.headers)
    while not light.calls:
        with recorded_statements(monkeypatch) as sent:
            answer = await gateway.http.post("/api/chat", json=body, headers=person.headers)
        assert answer.status_code == 200, answer.text
        # A connection's first statement may ask for the types that it speaks of.
        assert len([query for query in sent if "budgets" in query]) == 2
        body = {"message": "And then?", "model": "big", "conversation_id": answer.json()["conversation_id"]}
    before = len(big.calls[-2].body["messages"])
    await gateway.http.post("/api/chat", json=body, headers=person.headers)
    shown = big.calls[-1].body["messages"]
    assert len(light.calls) == 1
    assert len(shown) < before
    assert FIRST_MESSAGE in shown[0]["content"]
    assert "They spoke of the tide." in shown[0]["content"]
