"""Requests per minute of an account, on every worker, with and without Valkey."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.cache.client import ValkeyClient
from gateway.cache.rate_limit import RateLimiter
from gateway.core.metrics.registry import rate_limited_requests
from gateway.domain.usage.budgets import MinuteLimits
from gateway.embedded.valkey import ValkeyServer
from tests.support.accounts import AccountApp, SignedInAccount, account_app, status_and_code
from tests.support.engines import SLOW_MACHINE_SECONDS
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

pytestmark = pytest.mark.usefixtures("patient_engines")
FREE = {"free": 20, "pro": 50}
READS = 30
PROBE = "/api/chat/probe"  # counts as a turn
READ = "/api/user/api-keys"


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(redis_url) as running:
        yield running


@pytest.fixture
async def app(database_url: str, proxy: TcpProxy) -> AsyncIterator[AccountApp]:
    async with account_app(
        database_url, proxy.url, requests_per_minute=FREE, reads_per_minute=READS
    ) as running:
        yield running


@pytest.fixture
async def limiter(redis_url: str) -> AsyncIterator[RateLimiter]:
    client = ValkeyClient(redis_url, deadline=SLOW_MACHINE_SECONDS)
    yield RateLimiter(client, {name: MinuteLimits(turns, READS) for name, turns in FREE.items()})
    await client.aclose()


async def until_up(app: AccountApp) -> None:
    async with asyncio.timeout(30):
        while not app.container.valkey.available:  # noqa: ASYNC110 - the breaker has no event
            await asyncio.sleep(0.01)


async def statuses(app: AccountApp, headers: list[dict[str, str]]) -> list[int]:
    answers = await asyncio.gather(*(app.client.get(PROBE, headers=one) for one in headers))
    return sorted(answer.status_code for answer in answers)


async def promote(app: AccountApp, person: SignedInAccount, tier: str) -> None:
    """Change the tier and invalidate the cached account, as an admin's change does."""
    await app.sql("UPDATE users SET tier = :t WHERE email = :e", t=tier, e=person.email)
    await app.container.cache.invalidate_account(UUID(person.id))


async def test_sixty_concurrent_requests_on_a_limit_of_twenty(app: AccountApp) -> None:
    person = await app.sign_up()
    key = (await person.create_api_key())["secret"]
    both = [person.headers, {"x-api-key": key}, {"authorization": f"Bearer {key}"}]
    found = await statuses(app, both * 20)
    assert found == [200] * 20 + [429] * 40


async def test_two_workers_share_one_window(app: AccountApp, database_url: str, redis_url: str) -> None:
    person = await app.sign_up()
    async with account_app(database_url, redis_url, requests_per_minute=FREE) as other:
        here, there = await asyncio.gather(
            statuses(app, [person.headers] * 20), statuses(other, [person.headers] * 20)
        )
    assert sorted(here + there) == [200] * 20 + [429] * 20


async def test_rejection_has_retry_after_and_every_response_the_remainder(app: AccountApp) -> None:
    person = await app.sign_up()
    counted = rate_limited_requests.labels("rate_limited")._value.get()
    for left in range(19, -1, -1):
        answer = await person.request("GET", PROBE)
        assert answer.status_code == 200
        assert answer.headers["x-ratelimit-limit-requests"] == "20"
        assert answer.headers["x-ratelimit-remaining-requests"] == str(left)
        assert answer.headers["x-ratelimit-reset-requests"] == "1m0s"
    refused = await person.request("GET", PROBE)
    assert status_and_code(refused) == (429, "rate_limited")
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert 0 < int(refused.headers["retry-after-ms"]) <= 60_000
    assert "x-should-retry" not in refused.headers
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert re.fullmatch(r"\d+s|1m0s", refused.headers["x-ratelimit-reset-requests"])
    assert rate_limited_requests.labels("rate_limited")._value.get() == counted + 1


async def test_failing_route_counts_and_reports_the_remainder_too(app: AccountApp) -> None:
    person = await app.sign_up()
    refused = await app.client.get("/v1/probe", headers=person.headers)
    assert refused.status_code == 403
    assert refused.headers["x-ratelimit-remaining-requests"] == str(READS - 1)


async def test_invalid_credential_counts_against_nobody(app: AccountApp) -> None:
    person = await app.sign_up()
    old = dict(person.headers)
    await app.sql("UPDATE users SET token_version = token_version + 1 WHERE email = :e", e=person.email)
    await app.container.cache.invalidate_account(UUID(person.id))
    for _ in range(30):
        assert (await app.client.get(PROBE, headers=old)).status_code == 401
    person.tokens = await app.login(person.email)
    answer = await person.request("GET", PROBE)
    assert answer.headers["x-ratelimit-remaining-requests"] == "19"


async def test_revoked_key_counts_against_nobody(app: AccountApp) -> None:
    person = await app.sign_up()
    key = await person.create_api_key()
    service = {"x-api-key": key["secret"]}
    assert (await app.client.get(PROBE, headers=service)).status_code == 200
    assert (await person.request("DELETE", f"/api/user/api-keys/{key['id']}")).status_code == 204
    for _ in range(30):
        assert (await app.client.get(PROBE, headers=service)).status_code == 401
    assert (await person.request("GET", PROBE)).headers["x-ratelimit-remaining-requests"] == "18"


async def test_key_limit_and_account_limit_both_apply(app: AccountApp) -> None:
    person = await app.sign_up()
    low = {"x-api-key": (await person.create_api_key(requests_per_minute=3))["secret"]}
    high = {"x-api-key": (await person.create_api_key())["secret"]}
    first = await app.client.get(PROBE, headers=low)
    assert first.headers["x-ratelimit-limit-requests"] == "3"
    assert first.headers["x-ratelimit-remaining-requests"] == "2"
    assert await statuses(app, [low] * 9) == [200] * 2 + [429] * 7
    # Three requests were answered; what was refused used up nothing of the account's.
    answer = await app.client.get(PROBE, headers=high)
    assert answer.headers["x-ratelimit-limit-requests"] == "20"
    assert answer.headers["x-ratelimit-remaining-requests"] == "16"
    assert await statuses(app, [high] * 20) == [200] * 16 + [429] * 4


async def test_accounts_are_limited_independently(app: AccountApp) -> None:
    one, other = await app.sign_up(), await app.sign_up()
    await statuses(app, [one.headers] * 25)
    assert (await other.request("GET", PROBE)).headers["x-ratelimit-remaining-requests"] == "19"


async def test_new_tier_applies_to_the_next_request(app: AccountApp) -> None:
    person = await app.sign_up()
    await statuses(app, [person.headers] * 20)
    assert (await person.request("GET", PROBE)).status_code == 429
    await promote(app, person, "pro")
    answer = await person.request("GET", PROBE)
    assert (answer.status_code, answer.headers["x-ratelimit-remaining-requests"]) == (200, "29")
    await promote(app, person, "free")
    assert (await person.request("GET", PROBE)).status_code == 429


async def test_removed_tier_gets_the_limits_of_the_first(app: AccountApp) -> None:
    person = await app.sign_up()
    await promote(app, person, "platinum")
    for left in ("19", "18"):  # from PostgreSQL, then from the cache
        assert (await person.request("GET", PROBE)).headers["x-ratelimit-remaining-requests"] == left


async def test_without_a_limit_there_are_no_headers(database_url: str, redis_url: str) -> None:
    async with account_app(database_url, redis_url, requests_per_minute={"free": None}) as app:
        person = await app.sign_up()
        assert await statuses(app, [person.headers] * 60) == [200] * 60
        answer = await person.request("GET", PROBE)
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
        key = {"x-api-key": (await person.create_api_key(requests_per_minute=2))["secret"]}
        assert await statuses(app, [key] * 4) == [200] * 2 + [429] * 2


async def test_window_slides(clean_redis: str, limiter: RateLimiter) -> None:
    user = uuid4()
    for _ in range(20):
        await limiter.count(user, "free")
    refused = (await limiter.count(user, "free")).window
    assert refused is not None
    assert refused.retry_after is not None
    assert 0 < refused.retry_after <= 60
    # A minute passes for the five oldest only.
    client = ValkeyClient(clean_redis, deadline=SLOW_MACHINE_SECONDS)
    (name,) = await client.execute("KEYS", "rate:*")
    for member in await client.execute("ZRANGE", name, 0, 4):
        await client.execute("ZINCRBY", name, -61_000_000, member)
    assert 0 < await client.execute("PTTL", name) <= 60_000
    await client.aclose()
    admitted = [(await limiter.count(user, "free")).window for _ in range(6)]
    assert [w is not None and w.retry_after is None for w in admitted] == [True] * 5 + [False]


async def test_keys_in_valkey_do_not_reveal_accounts(app: AccountApp, clean_redis: str) -> None:
    person = await app.sign_up()
    await person.request("GET", PROBE)
    names = await app.container.valkey.execute("KEYS", "*")
    assert any(name.startswith(b"rate:") for name in names)
    assert not [n for n in names if person.id.replace("-", "").encode() in n or person.id.encode() in n]


async def test_without_valkey_a_worker_admits_half_of_the_limit(app: AccountApp, proxy: TcpProxy) -> None:
    person = await app.sign_up()
    key = {"x-api-key": (await person.create_api_key(requests_per_minute=4))["secret"]}
    assert (await person.request("GET", PROBE)).status_code == 200
    await proxy.stop()
    assert await statuses(app, [key] * 6) == [200] * 2 + [429] * 4
    # What the key asked counts as well, and what Valkey had let in before: an outage is no new minute.
    assert await statuses(app, [person.headers] * 30) == [200] * 7 + [429] * 23
    refused = await person.request("GET", PROBE)
    assert status_and_code(refused) == (429, "rate_limited")
    assert 0 < int(refused.headers["retry-after-ms"]) <= 60_000
    assert refused.headers["x-ratelimit-limit-requests"] == "10"
    await proxy.start()
    await until_up(app)
    assert (await person.request("GET", PROBE)).headers["x-ratelimit-limit-requests"] == "20"


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_limit_of_one_admits_one_without_valkey(limit: int) -> None:
    limiter = RateLimiter(ValkeyClient(""), {"free": MinuteLimits(limit)})
    user = uuid4()
    windows = [(await limiter.count(user, "free")).window for _ in range(4)]
    assert sum(w is not None and w.retry_after is None for w in windows) == (limit + 1) // 2


async def test_script_is_sent_again_after_script_flush(tmp_path: Path) -> None:
    # A server of its own: scripts belong to the whole server, and other tests count what theirs are sent.
    server = ValkeyServer(tmp_path / "valkey")
    await asyncio.to_thread(server.start)
    client = ValkeyClient(server.url(), deadline=SLOW_MACHINE_SECONDS)
    limiter = RateLimiter(client, {"free": MinuteLimits(20)})
    user = uuid4()
    try:
        for left in (19, 18):
            await client.execute("SCRIPT", "FLUSH")
            window = (await limiter.count(user, "free")).window
            assert window is not None
            assert window.remaining == left
    finally:
        await client.aclose()
        await asyncio.to_thread(server.stop)


@pytest.mark.usefixtures("patient_engines")  # the client gives up before Valkey's deadline
async def test_cancelled_count_leaves_no_reply_for_the_next(app: AccountApp, proxy: TcpProxy) -> None:
    one, other = await app.sign_up(), await app.sign_up()
    await one.request("GET", PROBE)
    await other.request("GET", PROBE)
    proxy.hold_responses()
    tasks = [asyncio.create_task(one.request("GET", PROBE)) for _ in range(5)]
    await proxy.held.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    proxy.flow()
    for left in range(18, 13, -1):
        answer = await other.request("GET", PROBE)
        assert answer.json()["user_id"] == other.id
        assert answer.headers["x-ratelimit-remaining-requests"] == str(left)


async def test_key_of_a_foreign_type_does_not_stop_the_gateway(app: AccountApp) -> None:
    person = await app.sign_up()
    await person.request("GET", PROBE)
    client: Any = app.container.valkey
    for name in await client.execute("KEYS", "rate:*"):
        await client.execute("SET", name, "not ours", "EX", 60)
    answer = await person.request("GET", PROBE)
    assert answer.status_code == 200
    assert answer.headers["x-ratelimit-limit-requests"] == "10"


async def test_reads_do_not_count_as_turns(app: AccountApp) -> None:
    person = await app.sign_up()
    for left in range(READS - 1, -1, -1):
        read = await person.request("GET", READ)
        assert read.status_code == 200
        assert read.headers["x-ratelimit-limit-requests"] == str(READS)
        assert read.headers["x-ratelimit-remaining-requests"] == str(left)
    refused = await person.request("GET", READ)
    assert status_and_code(refused) == (429, "rate_limited")
    assert 0 < int(refused.headers["retry-after-ms"]) <= 60_000
    turn = await person.request("GET", PROBE)
    assert (turn.status_code, turn.headers["x-ratelimit-remaining-requests"]) == (200, "19")


async def test_turns_do_not_count_as_reads(app: AccountApp) -> None:
    person = await app.sign_up()
    assert await statuses(app, [person.headers] * 25) == [200] * 20 + [429] * 5
    read = await person.request("GET", READ)
    assert (read.status_code, read.headers["x-ratelimit-remaining-requests"]) == (200, str(READS - 1))


async def test_exhausted_limits_still_allow_account_and_session_routes(
    app: AccountApp,
) -> None:
    person = await app.sign_up()
    await statuses(app, [person.headers] * 20)
    await asyncio.gather(*(person.request("GET", READ) for _ in range(READS)))
    assert [(await person.request("GET", path)).status_code for path in (PROBE, READ)] == [429, 429]
    for path in ("/api/user/me", "/api/user/sessions"):
        answer = await person.request("GET", path)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    assert (await person.request("DELETE", "/api/user/sessions")).status_code == 204


async def test_without_valkey_reads_and_turns_have_separate_half_limits(
    app: AccountApp, proxy: TcpProxy
) -> None:
    person = await app.sign_up()
    await proxy.stop()
    assert await statuses(app, [person.headers] * 15) == [200] * 10 + [429] * 5
    reads = await asyncio.gather(*(person.request("GET", READ) for _ in range(READS)))
    assert sorted(read.status_code for read in reads) == [200] * (READS // 2) + [429] * (READS // 2)
    assert (await person.request("GET", "/api/user/me")).status_code == 200


@pytest.mark.parametrize("away", [False, True])
async def test_read_reports_the_remaining_turns(limiter: RateLimiter, away: bool) -> None:
    if away:
        limiter = RateLimiter(ValkeyClient(""), {"free": MinuteLimits(20, READS)})
    user, most = uuid4(), 10 if away else 20
    for _ in range(3):
        await limiter.count(user, "free")
    for counts in ("read", "none", "read"):
        assert (await limiter.count(user, "free", rate_category=counts)).turns_left == most - 3
