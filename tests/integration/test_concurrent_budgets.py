"""Many concurrent turns of one account exceed no limit by more than 5 %."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.ledger_audit import wait_settled
from tests.support.upstreams.http_server import ReceivedCall, Reply
from tests.support.upstreams.metered_server import WORD, MeteredUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream

pytestmark = pytest.mark.usefixtures("patient_engines")
LIMIT = 20_000
DOLLARS = Decimal("0.02")
Serve = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture
def serve(database_url: str, redis_url: str, tmp_path: Path) -> Serve:
    def start(
        upstream: OpenAIUpstream, sections: dict[str, Any] | None = None, **tier: Any
    ) -> AbstractAsyncContextManager[Gateway]:
        config: dict[str, Any] = {
            "providers": {"up": {"type": "openai", "base_url": upstream.url}},
            "models": {
                "small": {
                    "provider": "up",
                    "model": "v",
                    "context_window": 32_768,
                    "capabilities": ["tools"],
                    "price": {"input": 1, "output": 2},
                },
                "vectors": {"provider": "up", "model": "e", "capabilities": ["embeddings"]},
            },
            "routing": {"light": "small", "heavy": "small"},
            "titles": {"enabled": False},
            "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
            "tools": {"enabled": ["calculator"]},
            "cache": {"exact": {"ttl_seconds": 0}},
            "tiers": {"free": {"requests_per_minute": 100_000, **tier}},
            **(sections or {}),
        }
        return running_gateway(database_url, redis_url, tmp_path, config)

    return start


def codes(answers: list[httpx.Response]) -> dict[int, int]:
    found: dict[int, int] = {}
    for answer in answers:
        found[answer.status_code] = found.get(answer.status_code, 0) + 1
    return found


@pytest.mark.parametrize("limits", [{"tokens_per_day": LIMIT}, {"usd_per_month": str(DOLLARS)}])
@pytest.mark.parametrize("counted", [None, 1000])
async def test_twelve_concurrent_tool_loops_stay_within_the_limit(
    serve: Serve, limits: dict[str, Any], counted: int | None
) -> None:
    up = MeteredUpstream(answer=100, loops=True, prompt=counted)
    async with up, serve(up, **limits) as gateway:
        person = await gateway.sign_up()
        asked = [
            gateway.http.post("/api/chat", json={"message": "Count to ten."}, headers=person.headers)
            for _ in range(12)
        ]
        answers = await asyncio.gather(*asked)
        book = (await wait_settled(gateway.container.engine, person.id)).assert_consistent()
    assert set(codes(answers)) <= {200, 429}
    assert book.tokens_used == up.billed
    assert book.tokens_used <= LIMIT * 1.05
    assert book.usd_used <= DOLLARS * Decimal("1.05") or "tokens_per_day" in limits
    assert up.billed > LIMIT // 4, "the limit is there to be used"


@pytest.mark.parametrize("limits", [{"tokens_per_day": LIMIT}, {"usd_per_month": str(DOLLARS)}])
@pytest.mark.parametrize("stream", [False, True])
async def test_forty_concurrent_long_answers_stay_within_the_limit(
    serve: Serve, limits: dict[str, Any], stream: bool
) -> None:
    async with MeteredUpstream(answer=3000) as up, serve(up, **limits) as gateway:
        person = await gateway.sign_up()
        headers = {"x-api-key": await gateway.create_api_key(person)}
        body = {"model": "small", "messages": [{"role": "user", "content": "Tell me all."}], "stream": stream}
        asked = [gateway.http.post("/v1/chat/completions", json=body, headers=headers) for _ in range(40)]
        answers = await asyncio.gather(*asked)
        book = (await wait_settled(gateway.container.engine, person.id)).assert_consistent()
    assert book.tokens_used == up.billed
    assert book.tokens_used <= LIMIT * 1.05
    assert book.usd_used <= DOLLARS * Decimal("1.05") or "tokens_per_day" in limits
    assert codes(answers)[429] > 0
    assert codes(answers)[200] >= 2


class HigherCounts(MeteredUpstream):
    """An upstream that counts `per_character` tokens for each character of a prompt or input."""

    def __init__(self, per_character: float) -> None:
        super().__init__()
        self._per_character = per_character

    def _metered(self, reply: Reply, call: ReceivedCall) -> Reply:
        said = sum(len(message.get("content") or "") for message in call.body["messages"])
        self.prompt = int(said * self._per_character)
        return super()._metered(reply, call)

    def json_body(self, reply: Reply, call: ReceivedCall) -> bytes:
        if "messages" in call.body:
            return super().json_body(reply, call)
        tokens = int(sum(map(len, call.body["input"])) * self._per_character)
        self.usage_log.append((tokens, 0))
        return OpenAIUpstream.json_body(self, replace(reply, usage=(tokens, 0)), call)


@pytest.mark.parametrize("door", ["/v1/chat/completions", "/v1/embeddings"])
@pytest.mark.parametrize(("text", "per_character"), [("7 3 9 1 " * 250, 0.5), ("뷁쀓" * 500, 2.0)])
async def test_texts_with_high_token_counts_stay_within_the_limit(
    serve: Serve, text: str, per_character: float, door: str
) -> None:
    async with HigherCounts(per_character) as up, serve(up, tokens_per_day=LIMIT) as gateway:
        person = await gateway.sign_up()
        headers = {"x-api-key": await gateway.create_api_key(person)}

        def body(number: int) -> dict[str, Any]:
            if door == "/v1/embeddings":
                return {"model": "vectors", "input": f"{number} {text}"}
            question = {"role": "user", "content": f"{number} {text}"}
            return {"model": "small", "max_tokens": 5, "messages": [question]}

        asked = [gateway.http.post(door, json=body(number), headers=headers) for number in range(40)]
        answers = await asyncio.gather(*asked)
        book = (await wait_settled(gateway.container.engine, person.id)).assert_consistent()
    assert codes(answers)[429] > 0
    assert codes(answers)[200] >= 2
    assert book.tokens_used == up.billed <= LIMIT * 1.05


async def test_tool_rounds_and_auxiliary_calls_are_reserved_with_short_answers(serve: Serve) -> None:
    sections = {
        "titles": {"enabled": True},
        "intent": {"mode": "llm"},
        "guardrails": {"moderation": {"model": "small"}, "people": {"injection": "off", "unsafe": "block"}},
    }
    async with MeteredUpstream() as up, serve(up, sections, tokens_per_day=LIMIT) as gateway:
        person = await gateway.sign_up()
        asked = [
            gateway.http.post(
                "/api/chat", json={"message": f"Hello {number}", "max_tokens": 50}, headers=person.headers
            )
            for number in range(40)
        ]
        answers = await asyncio.gather(*asked)
        await gateway.container.chat.service.titles.wait_idle()
        book = (await wait_settled(gateway.container.engine, person.id)).assert_consistent()
    assert codes(answers)[429] > 0
    assert codes(answers)[200] >= 2
    assert book.tokens_used == up.billed <= LIMIT * 1.05


@pytest.mark.parametrize("limits", [{"tokens_per_day": LIMIT}, {"usd_per_month": str(DOLLARS)}])
@pytest.mark.parametrize("max_tokens", [None, 500])
async def test_streams_beyond_their_reservation_end_at_the_limit(
    serve: Serve, limits: dict[str, Any], max_tokens: int | None
) -> None:
    async with MeteredUpstream(answer=30_000, ignores_max_tokens=True) as up, serve(up, **limits) as gateway:
        up.script(Reply(pause=0.002))  # output in one piece is counted at once
        person = await gateway.sign_up()
        headers = {"x-api-key": await gateway.create_api_key(person)}
        body = {"model": "small", "messages": [{"role": "user", "content": "Tell me all."}], "stream": True}
        if max_tokens is not None:
            body["max_tokens"] = max_tokens
        asked = [gateway.http.post("/v1/chat/completions", json=body, headers=headers) for _ in range(4)]
        answers = await asyncio.gather(*asked)
        book = (await wait_settled(gateway.container.engine, person.id)).assert_consistent()
    assert book.tokens_used > LIMIT // 4
    assert book.tokens_used <= LIMIT * 1.05 or "usd_per_month" in limits
    assert book.usd_used <= DOLLARS * Decimal("1.05") or "tokens_per_day" in limits
    said = [answer.text for answer in answers if answer.status_code == 200]
    assert said
    for text in said:
        assert '"finish_reason":"length"' in text
        assert text.endswith("data: [DONE]\n\n")


async def test_a_long_answer_with_budget_left_is_not_cut_off(serve: Serve) -> None:
    async with MeteredUpstream(answer=9000) as up, serve(up, tokens_per_day=200_000) as gateway:
        person = await gateway.sign_up()
        answer = await gateway.http.post("/api/chat", json={"message": "All."}, headers=person.headers)
    assert answer.json()["message"]["finish_reason"] == "stop"
    assert "max_tokens" not in up.calls[0].body


async def test_an_answer_after_tool_rounds_with_budget_left_is_not_cut_off(serve: Serve) -> None:
    async with MeteredUpstream(answer=3900, loops=True) as up, serve(up, tokens_per_day=200_000) as gateway:
        person = await gateway.sign_up()
        answer = await gateway.http.post("/api/chat", json={"message": "Count."}, headers=person.headers)
    assert len(up.calls) > 5
    assert answer.json()["message"]["finish_reason"] == "stop"
    assert [call.body.get("max_tokens") for call in up.calls] == [None] * len(up.calls)


async def test_the_history_of_stored_conversations_is_reserved(serve: Serve) -> None:
    async with MeteredUpstream(answer=50) as up, serve(up, tokens_per_day=LIMIT) as gateway:
        person = await gateway.sign_up()

        async def ask(text: str, **more: Any) -> httpx.Response:
            return await gateway.http.post(
                "/api/chat", json={"message": text, "max_tokens": 50, **more}, headers=person.headers
            )

        begun = [await ask(WORD * 2000) for _ in range(4)]
        ids = [answer.json()["conversation_id"] for answer in begun]
        spent = up.billed
        assert LIMIT // 3 < spent < LIMIT // 2
        # The new messages are short; the history sent with them is not.
        rounds = [
            await asyncio.gather(*(ask("And now?", conversation_id=one) for one in ids)) for _ in range(4)
        ]
        book = (await wait_settled(gateway.container.engine, person.id)).assert_consistent()
    answers = [answer for asked in rounds for answer in asked]
    assert book.tokens_used == up.billed <= LIMIT * 1.05
    assert codes(answers)[429] > 0
    assert codes(answers)[200] >= 2


async def test_a_turn_out_of_budget_between_rounds_fails_by_name_or_returns_its_text(serve: Serve) -> None:
    async with MeteredUpstream(answer=100, loops=True) as up, serve(up, tokens_per_day=2500) as gateway:
        person = await gateway.sign_up()
        answer = await gateway.http.post("/api/chat", json={"message": "Count."}, headers=person.headers)
        book = (await wait_settled(gateway.container.engine, person.id)).assert_consistent()
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "quota_exceeded")
    assert 1 < len(up.calls) < 9
    assert book.tokens_used == up.billed <= 2500 * 1.05
