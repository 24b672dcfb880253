"""A call for a hundred clients goes on after its first client disconnects."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from gateway.services.execution.disconnect import WATCH_AFTER_SECONDS
from tests.integration.test_idempotency import COMPLETIONS, TOKENS, completion, config
from tests.support.gateway import Gateway
from tests.support.ledger_audit import wait_settled
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply


@pytest.fixture
def gateway_config(clean_redis: str, upstream: OpenAIUpstream) -> dict[str, Any]:
    return config(upstream.url)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_leader_disconnects_and_ninety_nine_waiters_get_its_answer(
    gateway: Gateway, upstream: OpenAIUpstream, stream: bool
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate, gate_at=2))
    person = await gateway.sign_up()
    headers = {"authorization": f"Bearer {await gateway.create_api_key(person)}"}
    body: dict[str, Any] = completion(temperature=0, stream=stream)
    limits = httpx.Limits(max_connections=200)
    async with (
        httpx.AsyncClient(base_url=gateway.url, timeout=30) as leaver,
        httpx.AsyncClient(base_url=gateway.url, timeout=30, limits=limits) as client,
    ):
        leader = asyncio.create_task(leaver.post(COMPLETIONS, json=body, headers=headers))
        await upstream.wait_for_calls(1)
        others = [
            asyncio.create_task(client.post(COMPLETIONS, json=body, headers=headers)) for _ in range(99)
        ]
        single_flight = gateway.container.chat.service.runner.single_flight
        async with asyncio.timeout(20):
            while single_flight.waiting < 99:  # noqa: ASYNC110 - waiters send no event
                await asyncio.sleep(0.01)
        leader.cancel()
        await asyncio.wait({leader})
        await asyncio.sleep(WATCH_AFTER_SECONDS + 0.2)  # by then the disconnect has been detected
        gate.set()
        answers = await asyncio.gather(*others)
    assert {answer.status_code for answer in answers} == {200}
    assert all("world!" in answer.text for answer in answers)
    assert len(upstream.calls) == 1
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == TOKENS
