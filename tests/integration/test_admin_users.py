"""Administration of accounts: listing, changing and disabling them.

The last administrator stays.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from tests.support.gateway import PASSWORD, Account, Gateway

CONFIG: dict[str, object] = {
    "providers": {"mock": {"type": "mock", "options": {"delay": 0.05}}},
    "models": {
        "mock": {"provider": "mock", "model": "mock"},
        "slow": {"provider": "mock", "model": "slow"},
    },
    "routing": {"light": "mock", "heavy": "mock"},
    "guardrails": {"people": {"injection": "off"}},
    "tiers": {"free": {}, "pro": {"tokens_per_day": 7}},
}
USERS = "/api/admin/users"


@pytest.fixture
def gateway_config(clean_database: str, clean_redis: str) -> dict[str, Any]:
    return CONFIG


async def make_admin(gateway: Gateway) -> Account:
    email = f"{secrets.token_hex(6)}@gateway.localhost"
    account = await gateway.container.accounts.users.create_admin(email, PASSWORD)
    tokens = (await gateway.http.post("/api/auth/login", json={"email": email, "password": PASSWORD})).json()
    return Account(str(account.id), email, tokens["access_token"], tokens["refresh_token"])


async def patch(gateway: Gateway, admin: Account, who: Account | str, **body: Any) -> httpx.Response:
    user_id = who if isinstance(who, str) else who.id
    return await gateway.http.patch(f"{USERS}/{user_id}", json=body, headers=admin.headers)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_accounts_are_found_by_part_of_address_or_name_and_by_filters(
    gateway: Gateway,
) -> None:
    admin = await make_admin(gateway)
    ann, ben = await gateway.sign_up(), await gateway.sign_up()
    await gateway.http.put("/api/user/me", json={"name": "Ann O'Neil 100% _x_"}, headers=ann.headers)
    assert (await patch(gateway, admin, ben, tier="pro")).status_code == 200

    async def found(**query: str) -> set[str]:
        answer = await gateway.http.get(USERS, params=query, headers=admin.headers)
        assert answer.status_code == 200, answer.text
        return {item["id"] for item in answer.json()["items"]}

    assert await found(q=ann.email[3:12].upper()) == {ann.id}
    assert await found(q="o'neil 100%") == {ann.id}
    assert await found(q="%") == {ann.id}  # no wildcards
    assert await found(q="_") == {ann.id}
    assert await found(role="admin") == {admin.id}
    assert await found(tier="pro", role="user") == {ben.id}
    assert await found(status="disabled") == set()
    assert await found(tier="unheard of") == set()
    assert await found() == {admin.id, ann.id, ben.id}


async def test_pages_contain_every_account_once_newest_first(gateway: Gateway) -> None:
    admin = await make_admin(gateway)
    people = [await gateway.sign_up() for _ in range(4)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await gateway.http.get(USERS, params=query, headers=admin.headers)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == [person.id for person in reversed(people)] + [admin.id]
    broken = await gateway.http.get(USERS, params={"cursor": "x"}, headers=admin.headers)
    assert code_of(broken) == (422, "validation_failed")


async def test_a_new_role_and_tier_apply_from_the_next_request(gateway: Gateway) -> None:
    admin, ann = await make_admin(gateway), await gateway.sign_up()
    assert code_of(await gateway.http.get(USERS, headers=ann.headers)) == (403, "forbidden")
    changed = await patch(gateway, admin, ann, role="admin", tier="pro")
    assert (changed.json()["role"], changed.json()["tier"]) == ("admin", "pro")
    assert (await gateway.http.get(USERS, headers=ann.headers)).status_code == 200
    usage = (await gateway.http.get("/api/user/me/usage", headers=ann.headers)).json()
    assert (usage["tier"], usage["limits"]["tokens_per_day"]) == ("pro", 7)
    assert (await patch(gateway, admin, ann, role="user")).status_code == 200
    assert code_of(await gateway.http.get(USERS, headers=ann.headers)) == (403, "forbidden")


@pytest.mark.parametrize(
    "body",
    [
        {"tier": "platinum"},
        {"tier": ""},
        {"role": "root"},
        {"status": "deleted"},
        {"role": ["admin"]},
        {"email": "other@example.com"},
        {"token_version": 1},
        [],
    ],
)
async def test_invalid_account_changes_are_rejected(gateway: Gateway, body: Any) -> None:
    admin, ann = await make_admin(gateway), await gateway.sign_up()
    answer = await gateway.http.patch(f"{USERS}/{ann.id}", json=body, headers=admin.headers)
    assert code_of(answer) == (422, "validation_failed")
    assert code_of(await patch(gateway, admin, str(uuid4()), tier="pro")) == (404, "not_found")
    assert code_of(await patch(gateway, admin, "nobody", tier="pro")) == (404, "not_found")


async def test_disabling_an_account_ends_sessions_keys_and_running_turns_at_once(gateway: Gateway) -> None:
    admin, ann = await make_admin(gateway), await gateway.sign_up()
    key = {"x-api-key": await gateway.create_api_key(ann)}
    assert (await gateway.http.get("/v1/models", headers=key)).status_code == 200
    request = gateway.http.build_request(
        "POST", "/api/chat/stream", json={"message": "Talk at length", "model": "slow"}, headers=ann.headers
    )
    stream = await gateway.http.send(request, stream=True)
    lines = stream.aiter_lines()
    assert await anext(lines)  # the turn has started
    assert len(gateway.container.tasks) == 1
    assert (await patch(gateway, admin, ann, status="disabled")).json()["status"] == "disabled"
    await gateway.container.tasks.wait_idle()
    rest = [line async for line in lines]
    await stream.aclose()
    assert any(line.startswith(("event: done", "event: error")) for line in rest)
    for refused in (
        await gateway.http.get("/api/user/me", headers=ann.headers),
        await gateway.http.post("/api/auth/refresh", json={"refresh_token": ann.refresh_token}),
        await gateway.http.get("/v1/models", headers=key),
    ):
        assert refused.status_code in (401, 403), refused.text
    again = await gateway.http.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
    assert code_of(again) == (403, "account_disabled")
    # A re-enabled account has to sign in again: its sessions stay revoked.
    assert (await patch(gateway, admin, ann, status="active")).status_code == 200
    assert (await gateway.http.get("/api/user/me", headers=ann.headers)).status_code == 401
    assert (await gateway.http.get("/v1/models", headers=key)).status_code == 200
    again = await gateway.http.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
    assert again.status_code == 200


async def test_the_last_active_admin_keeps_the_role(gateway: Gateway) -> None:
    admin = await make_admin(gateway)
    for change in ({"role": "user"}, {"status": "disabled"}, {"role": "user", "status": "disabled"}):
        assert code_of(await patch(gateway, admin, admin, **change)) == (409, "last_admin")
    gone = await gateway.http.request(
        "DELETE", "/api/user/me", json={"password": PASSWORD}, headers=admin.headers
    )
    assert code_of(gone) == (409, "last_admin")
    assert (await patch(gateway, admin, admin, role="admin", tier="pro")).json()["tier"] == "pro"
    other = await make_admin(gateway)
    assert (await patch(gateway, admin, other, status="disabled")).status_code == 200
    # A disabled administrator does not count.
    assert code_of(await patch(gateway, admin, admin, role="user")) == (409, "last_admin")


@pytest.mark.parametrize("round_", range(3))
async def test_admins_who_disable_each_other_concurrently_leave_one(gateway: Gateway, round_: int) -> None:
    admins = [await make_admin(gateway) for _ in range(6)]

    async def turn_on(number: int) -> httpx.Response:
        actor, target = admins[number], admins[(number + 1) % len(admins)]
        if number % 3 == 0:
            return await patch(gateway, actor, target, role="user")
        if number % 3 == 1:
            return await patch(gateway, actor, target, status="disabled")
        return await gateway.http.request(
            "DELETE", "/api/user/me", json={"password": PASSWORD}, headers=actor.headers
        )

    answers = await asyncio.gather(*map(turn_on, range(len(admins))))
    assert all(answer.status_code in (200, 204, 401, 403, 404, 409) for answer in answers)
    async with gateway.container.engine.connect() as connection:
        left = await connection.exec_driver_sql(
            "SELECT count(*) FROM users WHERE role = 'admin' AND status = 'active'"
        )
        assert left.scalar_one() >= 1


async def test_of_two_admins_who_demote_each_other_one_is_rejected(gateway: Gateway) -> None:
    first, second = await make_admin(gateway), await make_admin(gateway)
    service = gateway.container.operations.admin
    async with gateway.unit_of_work() as uow:  # the first change, stopped before its commit
        await uow.users.lock_and_count_other_admins(_uuid(second))
        await uow.admin.update(_uuid(second), {"role": "user"}, revoke_access_tokens=False)
        late = asyncio.create_task(service.change_user(_uuid(second), _uuid(first), role="user"))
        await _until_blocked(gateway, late)
    with pytest.raises(Exception, match="last active admin"):
        await late


async def test_every_action_is_in_the_audit_log_with_actor_target_and_origin(gateway: Gateway) -> None:
    admin, ann = await make_admin(gateway), await gateway.sign_up()
    headers = {**admin.headers, "x-request-id": "act-1"}
    await gateway.http.patch(f"{USERS}/{ann.id}", json={"tier": "pro", "role": "user"}, headers=headers)
    await gateway.http.patch(f"{USERS}/{ann.id}", json={"tier": "pro"}, headers=headers)  # changes nothing
    await patch(gateway, admin, ann, tier="gold")  # rejected
    made = await gateway.http.post("/api/user/api-keys", json={"name": "k"}, headers=ann.headers)
    await gateway.http.delete(f"/api/user/api-keys/{made.json()['id']}", headers=ann.headers)
    await gateway.http.put(
        "/api/user/me/password",
        json={"current_password": PASSWORD, "new_password": "another good password"},
        headers=ann.headers,
    )

    async def acts(**query: Any) -> list[dict[str, Any]]:
        answer = await gateway.http.get("/api/admin/audit", params=query, headers=admin.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    [change] = await acts(actor_id=admin.id)
    assert change["details"] == {"tier": {"from": "free", "to": "pro"}}
    assert (change["action"], change["target_id"], change["request_id"]) == ("user.changed", ann.id, "act-1")
    assert change["ip"] == "127.0.0.1"
    hers = [act["action"] for act in await acts(actor_id=ann.id)]
    assert hers == ["password.changed", "api_key.revoked", "api_key.created"]
    assert [act["id"] for act in await acts(target_id=ann.id, action="user.changed")] == [change["id"]]
    everything = await acts()
    assert [act["id"] for act in everything] == sorted((act["id"] for act in everything), reverse=True)
    first = await gateway.http.get("/api/admin/audit", params={"limit": 2}, headers=admin.headers)
    rest = await acts(limit=100, cursor=first.json()["next_cursor"])
    assert first.json()["items"] + rest == everything
    assert (change["actor_email"], change["target_email"]) == (admin.email, ann.email)
    assert {act["target_name"] for act in everything if act["target_type"] == "api_key"} == {"k"}
    assert change["target_name"] is None
    # Addresses are looked up when the log is read: the log stores none, and none outlives its account.
    written = str([{**act, "actor_email": None, "target_email": None} for act in everything])
    assert ann.email not in written
    assert admin.email not in written
    body = {"password": "another good password"}
    tokens = {"email": ann.email, **body}
    fresh = (await gateway.http.post("/api/auth/login", json=tokens)).json()["access_token"]
    gone = await gateway.http.request(
        "DELETE", "/api/user/me", json=body, headers={"authorization": f"Bearer {fresh}"}
    )
    assert gone.status_code == 204, gone.text
    assert ann.email not in str(await acts())


async def test_the_audit_log_is_filtered_by_days_of_a_zone(gateway: Gateway) -> None:
    admin, ann = await make_admin(gateway), await gateway.sign_up()
    for tier in ("pro", "free", "pro"):
        await patch(gateway, admin, ann, tier=tier)
    times = ("2026-03-01T00:30:00Z", "2026-03-01T23:30:00Z", "2026-03-02T12:00:00Z")
    async with gateway.container.engine.begin() as connection:
        statement = "SELECT id FROM audit_log WHERE target_id = :id ORDER BY id"
        ids = list(await connection.scalars(text(statement), {"id": _uuid(ann)}))
        for id_, at in zip(ids, times, strict=True):
            statement = (
                "UPDATE audit_log SET created_at = cast(cast(:at AS text) AS timestamptz) WHERE id = :id"
            )
            await connection.execute(text(statement), {"id": id_, "at": at})

    async def found(**query: str) -> list[int]:
        params = {"target_id": ann.id, **query}
        answer = await gateway.http.get("/api/admin/audit", params=params, headers=admin.headers)
        assert answer.status_code == 200, answer.text
        return [[str(id_) for id_ in ids].index(act["id"]) for act in answer.json()["items"]]

    assert await found() == [2, 1, 0]
    assert await found(**{"from": "2026-03-01", "to": "2026-03-01"}) == [1, 0]
    assert await found(**{"from": "2026-03-01", "to": "2026-03-01", "tz": "Asia/Seoul"}) == [0]
    assert await found(**{"from": "2026-03-02"}) == [2]
    assert await found(to="2026-03-01T23:30:00Z") == [0]
    for query, param in (
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"tz": "Mars"}, "tz"),
    ):
        answer = await gateway.http.get("/api/admin/audit", params=query, headers=admin.headers)
        assert (answer.status_code, answer.json()["error"]["param"]) == (422, param)


async def test_tiers_are_shown_with_their_limits(gateway: Gateway) -> None:
    admin = await make_admin(gateway)
    tiers = (await gateway.http.get("/api/admin/tiers", headers=admin.headers)).json()["items"]
    assert [tier["name"] for tier in tiers] == ["free", "pro"]
    assert tiers[1] == {
        "name": "pro",
        "requests_per_minute": None,
        "reads_per_minute": 600,
        "tokens_per_day": 7,
        "usd_per_month": None,
        "concurrent_turns": None,
        "storage_mb": 1000,
    }


async def test_models_are_shown_with_prices_and_without_secrets(gateway: Gateway) -> None:
    admin = await make_admin(gateway)
    models = (await gateway.http.get("/api/admin/models", headers=admin.headers)).json()["items"]
    assert [model["name"] for model in models] == ["mock", "slow"]
    assert (models[0]["configured"], models[0]["reachable"]) == (True, True)
    assert models[0]["price"] == {"input": "0", "output": "0"}


def _uuid(person: Account) -> UUID:
    return UUID(person.id)


async def _until_blocked(gateway: Gateway, task: asyncio.Task[Any]) -> None:
    """Wait until a task waits for a lock, or is done without."""
    async with gateway.container.engine.connect() as connection:
        while not task.done():
            waiting = await connection.exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if waiting.scalar_one():
                return
            await connection.rollback()
            await asyncio.sleep(0.01)  # the database does not notify about locks
