"""A client's own retry joins its first attempt and is charged once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.integration.test_idempotency import COMPLETIONS, TOKENS, completion, config, replayed
from tests.support.gateway import Account, Gateway, running_gateway
from tests.support.ledger_audit import wait_settled
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply

Serve = Callable[[], AbstractAsyncContextManager[Gateway]]
MESSAGES: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def serve(database_url: str, redis_url: str, tmp_path: Path, upstream: OpenAIUpstream) -> Serve:
    return lambda: running_gateway(database_url, redis_url, tmp_path, config(upstream.url))


@pytest.fixture
def gateway_config(upstream: OpenAIUpstream) -> dict[str, Any]:
    return config(upstream.url)


@pytest.fixture
async def secret(gateway: Gateway, person: Account) -> str:
    return await gateway.create_api_key(person)


def client(gateway: Gateway, secret: str, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=secret, **options)


async def send(gateway: Gateway, secret: str, count: int, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {secret}", "x-stainless-retry-count": str(count)}
    return await gateway.http.post(COMPLETIONS, json=completion(**body), headers=headers)


async def test_a_client_retry_gets_the_original_requests_answer(
    gateway: Gateway, person: Account, secret: str, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    async with client(gateway, secret, timeout=0.4, max_retries=2) as ai:
        asking = asyncio.create_task(ai.chat.completions.create(model="small", messages=MESSAGES))
        await upstream.wait_for_calls(1)
        await asyncio.sleep(0.6)  # the client has given up its first attempt
        gate.set()
        answer = await asking
    assert answer.choices[0].message.content == "Hello, world!"
    assert len(upstream.calls) == 1
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == TOKENS


async def test_a_retried_stream_starts_at_the_originals_beginning(
    gateway: Gateway, person: Account, secret: str, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    async with client(gateway, secret, timeout=0.4, max_retries=2) as ai:
        opening = asyncio.create_task(
            ai.chat.completions.create(model="small", messages=MESSAGES, stream=True)
        )
        await upstream.wait_for_calls(1)
        await asyncio.sleep(0.6)
        gate.set()
        said = [chunk.choices[0].delta.content or "" async for chunk in await opening if chunk.choices]
    assert "".join(said) == "Hello, world!"
    assert len(upstream.calls) == 1
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == TOKENS


@pytest.mark.parametrize("stream", [False, True])
async def test_a_retry_on_another_worker_joins_too(
    serve: Serve, gateway: Gateway, person: Account, secret: str, upstream: OpenAIUpstream, stream: bool
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    async with serve() as other:
        first = asyncio.create_task(send(gateway, secret, 0, stream=stream))
        await upstream.wait_for_calls(1)
        retry = asyncio.create_task(send(other, secret, 1, stream=stream))
        await asyncio.sleep(0.5)
        gate.set()
        answers = await asyncio.gather(first, retry)
    assert answers[0].content == answers[1].content
    assert [replayed(answer) for answer in answers] == [False, True]
    assert len(upstream.calls) == 1
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == TOKENS


async def test_first_attempts_never_join_another_request(
    gateway: Gateway, secret: str, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    asking = [asyncio.create_task(send(gateway, secret, 0)) for _ in range(3)]
    await upstream.wait_for_calls(3)
    gate.set()
    answers = await asyncio.gather(*asking)
    assert len({answer.json()["id"] for answer in answers}) == 3


async def test_a_retry_with_a_different_body_or_api_key_joins_nothing(
    gateway: Gateway, person: Account, secret: str, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    other_key = await gateway.create_api_key(person)
    asking = [
        asyncio.create_task(send(gateway, secret, 0)),
        asyncio.create_task(send(gateway, secret, 1, max_tokens=9)),
        asyncio.create_task(send(gateway, other_key, 1)),
    ]
    await upstream.wait_for_calls(3)
    gate.set()
    assert not any(replayed(answer) for answer in await asyncio.gather(*asking))


async def test_a_retry_after_a_rejection_does_not_join_another_request(
    gateway: Gateway, secret: str, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Refusal(500), Reply(gate=gate), Reply(text=("Mine",)))
    refused = await send(gateway, secret, 0)
    assert refused.status_code == 502
    other = asyncio.create_task(send(gateway, secret, 0))
    await upstream.wait_for_calls(2)
    mine = await send(gateway, secret, 1)
    gate.set()
    assert (mine.json()["choices"][0]["message"]["content"], replayed(mine)) == ("Mine", False)
    assert (await other).json()["choices"][0]["message"]["content"] == "Hello, world!"


async def test_a_retry_gets_an_answer_that_completed_between_the_attempts(
    gateway: Gateway, person: Account, secret: str, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    async with httpx.AsyncClient(base_url=gateway.url) as leaver:
        headers = {"authorization": f"Bearer {secret}", "x-stainless-retry-count": "0"}
        first = asyncio.create_task(leaver.post(COMPLETIONS, json=completion(), headers=headers))
        await upstream.wait_for_calls(1)
        await asyncio.sleep(0.2)
        first.cancel()
        await asyncio.wait({first})
    gate.set()
    await upstream.calls[0].finished.wait()
    await wait_settled(gateway.container.engine, person.id)
    retry = await send(gateway, secret, 1)
    assert (retry.status_code, replayed(retry), len(upstream.calls)) == (200, True, 1)


async def test_an_abandoned_request_without_a_retry_is_cancelled(
    gateway: Gateway, secret: str, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(gate=asyncio.Event()))
    async with client(gateway, secret, timeout=0.3, max_retries=0) as ai:
        with pytest.raises(openai.APITimeoutError):
            await ai.chat.completions.create(model="small", messages=MESSAGES)
    async with asyncio.timeout(30):
        await upstream.calls[0].disconnected.wait()
        while len(gateway.container.idempotency.client_retries):  # noqa: ASYNC110 - the handler has no event of its end
            await asyncio.sleep(0.01)
