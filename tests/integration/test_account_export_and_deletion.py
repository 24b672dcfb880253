"""Everything stored about an account is exported on request, and gone after its deletion."""

from __future__ import annotations

import asyncio
import secrets
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis.asyncio
from sqlalchemy import text

from gateway.core.ids import new_id
from gateway.domain.usage.turn_records import UsageOwner
from gateway.repositories.turns.repository import TurnRepository
from gateway.services.accounts import deletion
from tests.support.database import usage_entry
from tests.support.gateway import PASSWORD, Account, Gateway

CONFIG: dict[str, object] = {
    "providers": {"mock": {"type": "mock", "options": {"delay": 0.05}}},
    "models": {
        "mock": {"provider": "mock", "model": "mock", "price": {"input": 1, "output": 1}},
        "slow": {"provider": "mock", "model": "slow", "price": {"input": 1, "output": 1}},
    },
    "routing": {"light": "mock", "heavy": "mock"},
    "guardrails": {"people": {"injection": "off"}},
}
ME = "/api/user/me"
# Short-lived or hashed data, or data derived from what is exported.
NOT_EXPORTED = {"reservations", "usage_days"}


@pytest.fixture
def gateway_config(clean_database: str, clean_redis: str) -> dict[str, Any]:
    return CONFIG


async def sql(gateway: Gateway, statement: str, **values: Any) -> list[Any]:
    async with gateway.container.engine.begin() as connection:
        return list((await connection.execute(text(statement), values)).all())


async def live(gateway: Gateway) -> Account:
    """An account with rows in every table and entries in every cache."""
    person = await gateway.sign_up()
    await gateway.http.put(ME, json={"name": "Ann Example"}, headers=person.headers)
    key = {"x-api-key": await gateway.create_api_key(person, name="books")}
    revoked = await gateway.http.post("/api/user/api-keys", json={"name": "old"}, headers=person.headers)
    await gateway.http.delete(f"/api/user/api-keys/{revoked.json()['id']}", headers=person.headers)
    for said in ("My first question", "My second question"):
        answer = await gateway.http.post("/api/chat", json={"message": said}, headers=person.headers)
        assert answer.status_code == 200, answer.text
    completion = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}
    # A client may send its account id as the request id.
    for headers in (key, {**key, "x-request-id": person.id}):
        answer = await gateway.http.post("/v1/chat/completions", json=completion, headers=headers)
        assert answer.status_code == 200, answer.text
    wrong = {"email": person.email, "password": "wrong" * 3}
    await gateway.http.post("/api/auth/login", json=wrong)
    await gateway.http.post("/api/auth/password/forgot", json={"email": person.email})
    async with asyncio.timeout(30):
        # It is created in the background, without notification.
        while not await sql(gateway, "SELECT 1 FROM password_resets WHERE user_id = :id", id=UUID(person.id)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await gateway.http.post("/api/auth/refresh", json={"refresh_token": person.refresh_token})
    return person


async def traces(gateway: Gateway, redis_url: str, *needles: str) -> list[str]:
    """Return every table column, and every Valkey key and value, that contains one of the needles."""
    found = []
    columns = await sql(
        gateway,
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    )
    assert len(columns) > 60
    for table, column, kind in columns:
        shown = f"encode(\"{column}\", 'escape')" if kind == "bytea" else f'"{column}"::text'
        for needle in needles:
            for form in (shown, f'"{column}"::text'):
                count = await sql(
                    gateway,
                    f'SELECT count(*) FROM "{table}" WHERE strpos(lower({form}), lower(:needle)) > 0',
                    needle=needle,
                )
                if count[0][0]:
                    found.append(f"{table}.{column}: {needle}")
    client = redis.asyncio.Redis.from_url(redis_url)
    async for key in client.scan_iter(count=1000):
        parts = key + b" " + repr(await everything_under(client, key)).encode()
        found += [f"{key!r}: {needle}" for needle in needles if needle.lower().encode() in parts.lower()]
    await client.aclose()
    return sorted(set(found))


async def everything_under(client: redis.asyncio.Redis, key: bytes) -> Any:
    match await client.type(key):
        case b"string":
            return await client.get(key)
        case b"hash":
            return await client.hgetall(key)
        case b"list":
            return await client.lrange(key, 0, -1)
        case b"set":
            return await client.smembers(key)
        case b"zset":
            return await client.zrange(key, 0, -1)
        case b"stream":
            return await client.xrange(key)
        case other:
            raise AssertionError(f"a type of value that this test does not read: {other!r}")


def needles_of(person: Account) -> tuple[str, ...]:
    raw = UUID(person.id)
    email = person.email
    return (str(raw), raw.hex, repr(raw.bytes)[2:-1], email, email.encode().hex(), "Ann Example")


async def test_after_deletion_no_table_and_no_valkey_key_contains_the_account(
    gateway: Gateway, clean_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await live(gateway)
    assert await traces(gateway, clean_redis, *needles_of(person))  # the search does find existing data
    before = await sql(gateway, "SELECT sum(cost_usd), count(DISTINCT request_id) FROM usage_records")
    monkeypatch.setattr(deletion, "_USAGE_BATCH_SIZE", 2)  # it takes several batches
    answer = await gateway.http.request("DELETE", ME, json={"password": PASSWORD}, headers=person.headers)
    assert answer.status_code == 204, answer.text
    assert await traces(gateway, clean_redis, *needles_of(person)) == []
    # Its usage stays in the totals, per request, without an owner.
    assert await sql(gateway, "SELECT sum(cost_usd), count(DISTINCT request_id) FROM usage_records") == before
    assert before[0][0] > Decimal(0)
    linked = "SELECT count(*) FROM usage_records WHERE num_nonnulls(user_id, api_key_id, message_id) > 0"
    assert (await sql(gateway, linked))[0][0] == 0


async def test_the_audit_log_keeps_the_action_without_the_account(gateway: Gateway) -> None:
    person = await live(gateway)
    await gateway.http.request("DELETE", ME, json={"password": PASSWORD}, headers=person.headers)
    acts = await sql(gateway, "SELECT actor_id, action, target_id, ip, request_id FROM audit_log ORDER BY id")
    assert [act.action for act in acts] == [
        "api_key.created",
        "api_key.created",
        "api_key.revoked",
        "user.deleted",
    ]
    assert all(act.actor_id is None for act in acts)
    assert all((act.ip, act.request_id) == (None, None) for act in acts[:-1])
    assert acts[-1].target_id not in (None, UUID(person.id))
    # The ids of its keys are deleted as well.
    assert {act.target_id for act in acts} == {acts[-1].target_id}


async def test_another_admins_actions_keep_their_actor(gateway: Gateway) -> None:
    email = f"{secrets.token_hex(6)}@gateway.localhost"
    admin = await gateway.container.accounts.users.create_admin(email, PASSWORD)
    person = await gateway.sign_up()
    await gateway.container.operations.admin.change_user(admin.id, UUID(person.id), tier="pro")
    await gateway.http.request("DELETE", ME, json={"password": PASSWORD}, headers=person.headers)
    [(actor, target)] = await sql(
        gateway, "SELECT actor_id, target_id FROM audit_log WHERE action = 'user.changed'"
    )
    assert actor == admin.id
    deleted = await sql(gateway, "SELECT target_id FROM audit_log WHERE action = 'user.deleted'")
    assert [target] == [row.target_id for row in deleted]  # one pseudonym per account


async def test_running_turns_end_with_their_account_and_stay_anonymous(
    gateway: Gateway, clean_redis: str
) -> None:
    person = await gateway.sign_up()
    key = {"x-api-key": await gateway.create_api_key(person)}
    completion = {
        "model": "slow",
        "messages": [{"role": "user", "content": "Talk at length"}],
        "stream": True,
    }
    requests = (
        ("/api/chat/stream", {"message": "Talk at length", "model": "slow"}, person.headers),
        ("/v1/chat/completions", completion, key),
    )
    streams = []
    for path, body, headers in requests:
        request = gateway.http.build_request("POST", path, json=body, headers=headers)
        streams.append(await gateway.http.send(request, stream=True))
        assert streams[-1].status_code == 200
    assert len(gateway.container.tasks) == 2
    answer = await gateway.http.request("DELETE", ME, json={"password": PASSWORD}, headers=person.headers)
    assert answer.status_code == 204, answer.text
    async with asyncio.timeout(30):
        await gateway.container.tasks.wait_idle()
    for stream in streams:
        assert await stream.aread()
        await stream.aclose()
    assert await traces(gateway, clean_redis, *needles_of(person)[:5]) == []
    [(unnamed,)] = await sql(
        gateway, "SELECT count(*) FROM usage_records WHERE num_nonnulls(user_id, api_key_id) = 0"
    )
    assert unnamed == 2


async def test_a_turn_ended_later_by_another_worker_stays_anonymous(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    key_id = new_id()
    await gateway.http.request("DELETE", ME, json={"password": PASSWORD}, headers=person.headers)
    owner = UsageOwner(UUID(person.id), person.id, key_id, new_id())
    await TurnRepository(gateway.container.engine).record_usage(owner, [usage_entry(), usage_entry()])
    rows = await sql(gateway, "SELECT user_id, api_key_id, message_id, request_id FROM usage_records")
    assert [row[:3] for row in rows] == [(None, None, None)] * 2
    assert len({row.request_id for row in rows}) == 1  # still one request
    assert person.id not in rows[0].request_id


async def test_a_wrong_password_deletes_nothing(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    answer = await gateway.http.request("DELETE", ME, json={"password": "wrong" * 3}, headers=person.headers)
    assert answer.status_code == 401
    assert (await gateway.http.get(ME, headers=person.headers)).status_code == 200


async def test_the_export_contains_everything_but_secrets(gateway: Gateway) -> None:
    person, other = await live(gateway), await live(gateway)
    answer = await gateway.http.get(f"{ME}/export", headers=person.headers)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    held = answer.json()
    assert held["account"]["email"] == person.email
    assert {key["name"] for key in held["api_keys"]} == {"books", "old"}
    assert any(key["revoked_at"] for key in held["api_keys"])
    questions = [m["content"] for c in held["conversations"] for m in c["messages"] if m["role"] == "user"]
    assert sorted(questions) == ["My first question", "My second question"]
    assert all(len(c["messages"]) == 2 for c in held["conversations"])
    assert (len(held["usage"]), len(held["budgets"]), len(held["password_resets"])) == (4, 1, 1)
    assert len(held["sessions"]) == 2
    assert {act["action"] for act in held["audit"]} == {"api_key.created", "api_key.revoked"}
    for secret in ("argon2", "key_hash", "token_hash", person.refresh_token, other.id, other.email):
        assert secret not in answer.text


async def test_a_long_export_is_read_in_pages_and_complete(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    gateway.container.accounts.data_export.page_size = 3
    for number in range(7):
        body = {"message": f"Question {number}"}
        assert (await gateway.http.post("/api/chat", json=body, headers=person.headers)).status_code == 200
    [(conversation,)] = await sql(gateway, "SELECT id FROM conversations ORDER BY id LIMIT 1")
    for number in range(3):
        body = {"message": f"More {number}", "conversation_id": str(conversation)}
        assert (await gateway.http.post("/api/chat", json=body, headers=person.headers)).status_code == 200
    held = (await gateway.http.get(f"{ME}/export", headers=person.headers)).json()
    assert len({c["id"] for c in held["conversations"]}) == len(held["conversations"]) == 7
    assert sorted(len(c["messages"]) for c in held["conversations"]) == [2] * 6 + [8]
    assert len({row["id"] for row in held["usage"]}) == len(held["usage"]) == 10


async def test_every_table_that_refers_to_accounts_is_exported(gateway: Gateway) -> None:
    """A new table with a column that refers to accounts must be exported or listed above."""
    tables = await sql(
        gateway,
        "SELECT DISTINCT r.relname FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid"
        " WHERE r.relkind IN ('r', 'p') AND NOT r.relispartition AND NOT a.attisdropped"
        " AND a.attname ~ '^(user|owner|account|actor)(_id)?$'"
        " AND r.relnamespace = 'public'::regnamespace",
    )
    named_in_export = {
        "refresh_tokens": "sessions",
        "api_keys": "api_keys",
        "password_resets": "password_resets",
        "idempotency_keys": "idempotency_keys",
        "budgets": "budgets",
        "conversations": "conversations",
        "messages": "conversations",
        "images": "images",
        "response_embeddings": "cached_questions",
        "usage_records": "usage",
        "audit_log": "audit",
    }
    assert {row.relname for row in tables} == set(named_in_export) | NOT_EXPORTED
    person = await gateway.sign_up()
    held = (await gateway.http.get(f"{ME}/export", headers=person.headers)).json()
    assert set(held) == {"account", *named_in_export.values()}


async def test_stored_mails_are_deleted_with_their_account(gateway: Gateway, tmp_path: Path) -> None:
    leaving, staying = await gateway.sign_up(), await gateway.sign_up()
    for person in (leaving, staying):
        await gateway.http.post("/api/auth/password/forgot", json={"email": person.email})
    await gateway.container.accounts.password_resets.aclose()
    mailbox = gateway.container.settings.data_dir / "mailbox"
    assert len(list(mailbox.glob("*.eml"))) == 2

    answer = await gateway.http.request("DELETE", ME, json={"password": PASSWORD}, headers=leaving.headers)

    assert answer.status_code == 204
    [left] = mailbox.glob("*.eml")
    assert staying.email in left.read_text()
