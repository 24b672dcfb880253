"""`Idempotency-Key`: one upstream call, one charge, one response for all repeats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.repositories import idempotency as table
from tests.support.database import fetch_rows
from tests.support.gateway import PASSWORD, Account, Gateway, running_gateway
from tests.support.ledger_audit import wait_settled
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply

CHAT, STREAM, COMPLETIONS = "/api/chat/", "/api/chat/stream", "/v1/chat/completions"
TOKENS = 15  # of one answer of the upstream
Serve = Callable[[], AbstractAsyncContextManager[Gateway]]


def config(upstream: str) -> dict[str, Any]:
    able = {"context_window": 8192, "capabilities": ["tools", "json"], "price": {"input": 1, "output": 2}}
    vectors = {"capabilities": ["embeddings"], "price": {"input": 1, "output": 0}}
    return {
        "providers": {"up": {"type": "openai", "base_url": upstream}, "mock": {"type": "mock"}},
        "models": {
            "small": {"provider": "up", "model": "v-small", **able},
            "vectors": {"provider": "up", "model": "v-vectors", **vectors},
            "draw": {"provider": "mock", "model": "mock", "capabilities": ["images"]},
        },
        "routing": {"light": "small", "heavy": "small"},
        "retry": {"attempts": 1},
        "roles": {"writer": {"prompt": "Write.", "model": "small"}},
        "guardrails": {
            "people": {"injection": "off", "unsafe": "off", "leak": "off", "personal_data": "off"}
        },
        "tiers": {"free": {"requests_per_minute": 10_000, "tokens_per_day": 1_000_000}},
    }


@pytest.fixture
def serve(database_url: str, redis_url: str, tmp_path: Path, upstream: OpenAIUpstream) -> Serve:
    return lambda: running_gateway(database_url, redis_url, tmp_path, config(upstream.url))


@pytest.fixture
def gateway_config(upstream: OpenAIUpstream) -> dict[str, Any]:
    return config(upstream.url)


@pytest.fixture
async def service(gateway: Gateway, person: Account) -> dict[str, str]:
    return {"authorization": f"Bearer {await gateway.create_api_key(person)}"}


def completion(**fields: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": "Hi"}], **fields}


async def post(
    gateway: Gateway, path: str, body: Any, headers: dict[str, str], key: str = "k-1"
) -> httpx.Response:
    return await gateway.http.post(path, json=body, headers={**headers, "idempotency-key": key})


def replayed(answer: httpx.Response) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("path", [CHAT, STREAM])
async def test_fifty_concurrent_repeats_on_two_workers_are_one_call_and_one_charge(
    serve: Serve, gateway: Gateway, person: Account, upstream: OpenAIUpstream, path: str
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    body = {"message": "Hi there"}
    async with serve() as other:
        asking = [
            asyncio.create_task(post(one, path, body, person.headers))
            for one in (gateway, other)
            for _ in range(25)
        ]
        await upstream.wait_for_calls(1)
        gate.set()
        answers = await asyncio.gather(*asking)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum(not replayed(answer) for answer in answers) == 1
    assert len(upstream.calls) == 1
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == TOKENS
    (count,) = await fetch_rows(
        gateway.container.engine,
        "SELECT count(*) AS messages FROM messages WHERE user_id = :id",
        id=person.id,
    )
    assert count["messages"] == 2


async def test_a_repeat_after_a_restart_gets_the_same_response(
    serve: Serve, upstream: OpenAIUpstream
) -> None:
    async with serve() as before:
        person = await before.sign_up()
        first = await post(before, STREAM, {"message": "Hi"}, person.headers)
    async with serve() as after:
        again = await post(after, STREAM, {"message": "Hi"}, person.headers)
    assert (again.content, replayed(first), replayed(again)) == (first.content, False, True)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert len(upstream.calls) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPLETIONS, completion()),
        (COMPLETIONS, completion(stream=True, stream_options={"include_usage": True})),
        (COMPLETIONS, completion(n=2)),
        ("/v1/responses", {"model": "small", "input": "Hi"}),
        ("/v1/responses", {"model": "small", "input": "Hi", "stream": True}),
        ("/api/v1/llm/generate", {"role": "writer", "payload": "Hi"}),
        ("/v1/embeddings", {"model": "vectors", "input": "Hi"}),
        ("/api/v1/media/image/generate", {"prompt": "a cat", "width": 32, "height": 32}),
        ("/v1/images/generations", {"prompt": "a cat", "size": "32x32"}),
    ],
    ids=str,
)
async def test_every_creating_route_is_idempotent(
    gateway: Gateway,
    person: Account,
    service: dict[str, str],
    upstream: OpenAIUpstream,
    path: str,
    body: dict[str, Any],
) -> None:
    first = await post(gateway, path, body, service)
    assert first.status_code == 200, first.text
    book = await wait_settled(gateway.container.engine, person.id)
    calls = len(upstream.calls)
    again = await post(gateway, path, body, service)
    assert (again.status_code, again.content, replayed(again)) == (200, first.content, True)
    for name in ("x-gateway-model", "x-gateway-cost-usd", "content-type"):
        assert again.headers.get(name) == first.headers.get(name)
    assert len(upstream.calls) == calls
    assert await wait_settled(gateway.container.engine, person.id) == book
    used = await fetch_rows(
        gateway.container.engine, "SELECT count(*) AS n FROM usage_records WHERE user_id = :id", id=person.id
    )
    assert used[0]["n"] == body.get("n", 1)


async def test_regeneration_is_idempotent(gateway: Gateway, person: Account) -> None:
    kept = (await post(gateway, CHAT, {"message": "Hi"}, person.headers)).json()
    path = f"/api/chat/{kept['message']['id']}/regenerate"
    first, again = [await post(gateway, path, {}, person.headers, "k-2") for _ in range(2)]
    assert first.json()["message"]["id"] != kept["message"]["id"]
    assert again.content == first.content
    streamed = {**person.headers, "accept": "text/event-stream"}
    assert code(await post(gateway, path, {}, streamed, "k-2")) == (422, "idempotency_mismatch")


async def test_only_the_order_of_fields_may_differ_between_repeats(
    gateway: Gateway, person: Account, service: dict[str, str], upstream: OpenAIUpstream
) -> None:
    body = {"message": "Hi", "max_tokens": 9}
    first = await post(gateway, CHAT, body, person.headers)
    turned = await post(gateway, "/api/chat", dict(reversed(body.items())), person.headers)
    assert turned.content == first.content
    for path, other in ((CHAT, {"message": "Hi", "max_tokens": 8}), (STREAM, body)):
        answer = await post(gateway, path, other, person.headers)
        assert code(answer) == (422, "idempotency_mismatch")
    # An API key shares its account's idempotency keys.
    assert code(await post(gateway, COMPLETIONS, completion(), service)) == (422, "idempotency_mismatch")
    assert len(upstream.calls) == 1


async def test_a_different_body_is_rejected_while_the_first_is_running(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    running = asyncio.create_task(post(gateway, CHAT, {"message": "Hi"}, person.headers))
    await upstream.wait_for_calls(1)
    other = await post(gateway, CHAT, {"message": "Ho"}, person.headers)
    assert code(other) == (422, "idempotency_mismatch")
    gate.set()
    assert (await running).status_code == 200


async def test_keys_of_different_accounts_are_independent(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    stranger = await gateway.sign_up()
    mine = await post(gateway, CHAT, {"message": "Hi"}, person.headers)
    theirs = await post(gateway, CHAT, {"message": "Hi"}, stranger.headers)
    assert mine.json()["conversation_id"] != theirs.json()["conversation_id"]
    assert not replayed(theirs)
    assert len(upstream.calls) == 2


@pytest.mark.parametrize("key", ["", "a b", "k" * 256, "schl\u00fcssel"])
async def test_invalid_keys_are_rejected(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream, key: str
) -> None:
    answer = await gateway.http.post(
        CHAT,
        json={"message": "Hi"},
        headers=httpx.Headers({**person.headers, "idempotency-key": key.encode()}),
    )
    assert code(answer) == (422, "validation_failed")
    assert answer.json()["error"]["param"] == "Idempotency-Key"
    assert not upstream.calls


async def test_a_running_stream_is_joined_from_its_beginning(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate, gate_at=2))
    headers = {**person.headers, "idempotency-key": "k-1"}
    body = {"message": "Hi"}
    received: list[list[str]] = []

    async def half(response: httpx.Response) -> AsyncIterator[str]:
        lines = response.aiter_lines()
        received.append([])
        async for line in lines:
            received[-1].append(line)
            if '"text":' in line:
                break
        return lines

    async with gateway.http.stream("POST", STREAM, json=body, headers=headers) as first:
        lines = await half(first)
        async with gateway.http.stream("POST", STREAM, json=body, headers=headers) as second:
            others = await half(second)
            gate.set()
            received[0] += [line async for line in lines]
            received[1] += [line async for line in others]
    assert received[0] == received[1]
    assert "event: done" in received[0]
    assert len(upstream.calls) == 1


async def test_a_running_stream_is_joined_from_another_worker(
    serve: Serve, gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate, gate_at=2))
    headers = {**person.headers, "idempotency-key": "k-1"}
    body = {"message": "Hi"}
    async with serve() as other:
        first = asyncio.create_task(post(gateway, STREAM, body, person.headers))
        await upstream.wait_for_calls(1)
        async with other.http.stream("POST", STREAM, json=body, headers=headers) as joined:
            said = ""
            async for text in joined.aiter_text():
                said += text
                if '"text":' in said:
                    gate.set()  # it gets the first part before the answer is complete
        assert joined.headers["idempotent-replayed"] == "true"
        assert said.encode() == (await first).content
    assert len(upstream.calls) == 1


async def test_a_keyed_turn_continues_after_a_disconnect_and_is_replayed(
    gateway: Gateway, person: Account, service: dict[str, str], upstream: OpenAIUpstream
) -> None:
    gate = asyncio.Event()
    upstream.script(Reply(gate=gate))
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        leaving = asyncio.create_task(
            client.post(COMPLETIONS, json=completion(), headers={**service, "idempotency-key": "k-1"})
        )
        await upstream.wait_for_calls(1)
        leaving.cancel()
        await asyncio.wait({leaving})
    back = asyncio.create_task(post(gateway, COMPLETIONS, completion(), service))
    await asyncio.sleep(0.7)  # by then a turn without a key would have been cancelled
    gate.set()
    answer = await back
    assert answer.json()["choices"][0]["message"]["content"] == "Hello, world!"
    assert replayed(answer)
    assert len(upstream.calls) == 1
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == TOKENS


@pytest.mark.parametrize(("refused", "status"), [(500, 502), (503, 502), (429, 429)])
async def test_a_retryable_failure_is_not_stored(
    gateway: Gateway,
    person: Account,
    service: dict[str, str],
    upstream: OpenAIUpstream,
    refused: int,
    status: int,
) -> None:
    upstream.script(Refusal(refused), Reply())
    first = await post(gateway, COMPLETIONS, completion(), service)
    assert first.status_code == status
    again = await post(gateway, COMPLETIONS, completion(), service)
    assert (again.status_code, replayed(again), len(upstream.calls)) == (200, False, 2)


async def test_a_permanent_failure_is_replayed(
    gateway: Gateway, person: Account, service: dict[str, str], upstream: OpenAIUpstream
) -> None:
    upstream.script(Refusal(400), Reply())
    first = await post(gateway, COMPLETIONS, completion(), service)
    again = await post(gateway, COMPLETIONS, completion(), service)
    assert first.status_code == again.status_code == 400
    assert (again.content, replayed(again), len(upstream.calls)) == (first.content, True, 1)


async def test_a_charged_failure_is_replayed_without_a_second_charge(
    gateway: Gateway, person: Account, service: dict[str, str], upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(fault="cut"), Reply())
    body = completion(stream=True)
    first = await post(gateway, COMPLETIONS, body, service)
    book = await wait_settled(gateway.container.engine, person.id)
    again = await post(gateway, COMPLETIONS, body, service)
    assert (first.status_code, again.content, len(upstream.calls)) == (200, first.content, 1)
    assert book.tokens_used > 0
    assert (await wait_settled(gateway.container.engine, person.id)) == book


async def test_a_rate_limited_request_may_be_repeated(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    order = {"message": "Hi", "max_tokens": 1_000_000}
    assert code(await post(gateway, CHAT, order, person.headers)) == (429, "quota_exceeded")
    less = await post(gateway, CHAT, {"message": "Hi"}, person.headers)
    assert less.status_code == 200


async def test_a_dead_holders_key_is_taken_over_after_its_lease(
    serve: Serve,
    gateway: Gateway,
    service: dict[str, str],
    upstream: OpenAIUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The claim of a dead process, which is not renewed.
    claim = table.IdempotencyRepository.claim

    async def brief(self: Any, *given: Any, **named: Any) -> Any:
        return await claim(self, *given, **{**named, "lease_seconds": 0.5})

    gate = asyncio.Event()
    upstream.script(Reply(gate=gate), Reply())
    monkeypatch.setattr(table.IdempotencyRepository, "claim", brief)
    dead = asyncio.create_task(post(gateway, COMPLETIONS, completion(), service))
    await upstream.wait_for_calls(1)
    async with serve() as other:
        answer = await post(other, COMPLETIONS, completion(), service)
    assert (answer.status_code, replayed(answer), len(upstream.calls)) == (200, False, 2)
    gate.set()
    await dead
    # A worker that was taken for dead does not overwrite the response sent since.
    again = await post(gateway, COMPLETIONS, completion(), service)
    assert again.content == answer.content


async def test_registration_is_idempotent(gateway: Gateway) -> None:
    email = f"{asyncio.get_running_loop().time()}@example.org"
    body = {"email": email, "password": PASSWORD}
    first, again = [await post(gateway, "/api/auth/register", body, {}) for _ in range(2)]
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert replayed(again)
    plain = await gateway.http.post("/api/auth/register", json=body)
    assert code(plain) == (409, "email_taken")
    guess = await post(gateway, "/api/auth/register", {**body, "password": PASSWORD + "!"}, {})
    assert code(guess) == (422, "idempotency_mismatch")
    other = await post(gateway, "/api/auth/register", {**body, "email": "x" + email}, {})
    assert (other.status_code, replayed(other)) == (201, False)


async def test_creating_an_api_key_is_idempotent_and_stores_no_secret(
    gateway: Gateway, person: Account
) -> None:
    body = {"name": "ci"}
    first, again = [await post(gateway, "/api/user/api-keys", body, person.headers) for _ in range(2)]
    secret = first.json()["secret"]
    assert again.json() == first.json()
    assert again.headers["cache-control"] == "no-store"
    listed = await gateway.http.get("/api/user/api-keys", headers=person.headers)
    assert len(listed.json()["items"]) == 1
    (row,) = await fetch_rows(
        gateway.container.engine, "SELECT * FROM idempotency_keys WHERE user_id = :id", id=person.id
    )
    assert row["answer"]
    assert secret.encode() not in b"".join(bytes(value) for value in row.values() if isinstance(value, bytes))


async def test_stored_responses_expire_after_a_day(gateway: Gateway, person: Account) -> None:
    engine = gateway.container.engine
    await post(gateway, CHAT, {"message": "Hi"}, person.headers)
    await post(gateway, CHAT, {"message": "Ho"}, person.headers, "k-2")
    old = "UPDATE idempotency_keys SET expires_at = now() - interval '1 s' WHERE user_id = :id RETURNING id"
    await fetch_rows(engine, old, id=person.id)
    fresh = await post(gateway, CHAT, {"message": "Another"}, person.headers)
    assert (fresh.status_code, replayed(fresh)) == (200, False)
    await gateway.container.idempotency.service.delete_expired()
    left = await fetch_rows(
        engine, "SELECT count(*) AS n FROM idempotency_keys WHERE user_id = :id", id=person.id
    )
    assert left[0]["n"] == 1


async def test_deleting_an_account_deletes_its_stored_responses(gateway: Gateway) -> None:
    email = f"leaving-{asyncio.get_running_loop().time()}@example.org"
    body = {"email": email, "password": PASSWORD}
    made = await post(gateway, "/api/auth/register", body, {})
    tokens = (await gateway.http.post("/api/auth/login", json=body)).json()
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    gone = await gateway.http.request("DELETE", "/api/user/me", json={"password": PASSWORD}, headers=headers)
    assert gone.status_code == 204, gone.text
    again = await post(gateway, "/api/auth/register", body, {})
    assert again.status_code == 201
    assert again.json()["id"] != made.json()["id"]
