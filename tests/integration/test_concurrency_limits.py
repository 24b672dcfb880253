"""Concurrency limits delay the account that floods, and no other."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import pytest

from tests.integration.test_idempotency import COMPLETIONS, completion, config
from tests.support.gateway import Account, Gateway
from tests.support.ledger_audit import wait_settled
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply


@pytest.fixture
def gateway_config(upstream: OpenAIUpstream) -> dict[str, Any]:
    limits = {"turns": 4, "per_account": 2, "queue": 20, "wait_seconds": 0.3}
    return {**config(upstream.url), "concurrency": limits}


async def headers_of(gateway: Gateway) -> tuple[Account, dict[str, str]]:
    person = await gateway.sign_up()
    return person, {"authorization": f"Bearer {await gateway.create_api_key(person)}"}


async def test_an_account_that_floods_gets_429_and_others_are_served(
    gateway: Gateway, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate), Reply(gate=gate), Reply())
    flooder, flood = await headers_of(gateway)
    _, modest = await headers_of(gateway)
    asking = [
        asyncio.create_task(gateway.http.post(COMPLETIONS, json=completion(), headers=flood))
        for _ in range(10)
    ]
    await upstream.wait_for_calls(2)
    began = perf_counter()
    answer = await gateway.http.post(COMPLETIONS, json=completion(), headers=modest)
    assert (answer.status_code, perf_counter() - began < 0.3) == (200, True)
    left = set(asking)
    while len(left) > 2:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().result()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
    assert refused.headers["retry-after"]
    assert "x-should-retry" not in refused.headers
    gate.set()
    statuses = sorted(one.status_code for one in await asyncio.gather(*asking))
    assert statuses == [200] * 2 + [429] * 8
    assert len(upstream.calls) == 3
    assert (await wait_settled(gateway.container.engine, flooder.id)).leases == 0
    assert (gateway.container.tasks.limiter.running, gateway.container.tasks.limiter.waiting) == (0, 0)


async def test_streams_hold_their_permit_until_the_turn_ends(
    gateway: Gateway, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    asking = []
    for _ in range(2):
        _, headers = await headers_of(gateway)
        asking += [
            asyncio.create_task(gateway.http.post(COMPLETIONS, json=completion(stream=True), headers=headers))
            for _ in range(2)
        ]
    await upstream.wait_for_calls(4)
    _, late = await headers_of(gateway)
    refused = await gateway.http.post(COMPLETIONS, json=completion(stream=True), headers=late)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"]
    gate.set()
    assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200] * 4
    again = await gateway.http.post(COMPLETIONS, json=completion(stream=True), headers=late)
    assert again.status_code == 200
