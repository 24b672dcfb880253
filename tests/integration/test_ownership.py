"""Two accounts and every route of the OpenAPI document.

Neither sees or changes the other's data.

The routes are read from the document, so a new route must be added to `calls` (how an intruder would call
it), or the first test fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.support.gateway import PASSWORD, Account, Gateway, running_gateway, set_role

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG: dict[str, object] = {
    "providers": {"mock": {"type": "mock"}},
    "models": {
        "mock": {"provider": "mock", "model": "mock"},
        "picture": {"provider": "mock", "model": "mock", "capabilities": ["images"]},
        "vector": {"provider": "mock", "model": "mock", "capabilities": ["embeddings"]},
    },
    "roles": {"echo": {"prompt": "Say it again."}},
    "routing": {"light": "mock", "heavy": "mock"},
    "guardrails": {"people": {"injection": "off"}},
    "tiers": {"free": {}, "pro": {}},
}
MARK = "the-owner's-secret-plan"
ANOTHER_PASSWORD = "an intruder's own password"


@dataclass(frozen=True)
class Owner:
    """An account with one of everything, and the ids."""

    person: Account
    conversation_id: str
    question_id: str
    message_id: str
    key_id: str
    key: str
    session_id: str
    image_id: str

    @property
    def path(self) -> dict[str, str]:
        """Return the values of path parameters."""
        return {
            "conversation_id": self.conversation_id,
            "message_id": self.message_id,
            "key_id": self.key_id,
            "session_id": self.session_id,
            "image_id": self.image_id,
            "user_id": self.person.id,
            "name": "mock",
            "response_id": self.response_id,
        }

    @property
    def response_id(self) -> str:
        """Return the answer's id in `/v1/responses`."""
        return f"resp_{UUID(self.message_id).hex}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what no response to another account may contain."""
        ids = (self.conversation_id, self.question_id, self.message_id, self.key_id, self.session_id)
        return (MARK, self.person.id, self.person.email, self.key[:12], self.image_id, *ids)


@dataclass(frozen=True)
class Call:
    """How an intruder calls a route, with the owner's ids wherever possible.

    `open` are statuses that are not rejections and still harmless: the intruder gets its own data.
    """

    json: Any = None
    query: dict[str, str] | None = None
    form: dict[str, str] | None = None
    open: tuple[int, ...] = ()


def calls(owner: Owner) -> dict[str, Call]:
    """Return the worst call for every route."""
    mine, theirs = {"password": PASSWORD}, owner.person.email
    turn = {"message": "What did we say?", "conversation_id": owner.conversation_id}
    completion = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}
    everyone = {"user_id": owner.person.id}
    return {
        # Public, or about the caller itself: answered, without the owner's data.
        "GET /health": Call(open=(200,)),
        "GET /health/ready": Call(open=(200,)),
        "GET /health/live": Call(open=(200,)),
        "GET /metrics": Call(open=(200,)),
        "GET /api/console": Call(open=(200,)),
        "GET /v1/models": Call(open=(200,)),
        "GET /v1/models/{name}": Call(open=(200,)),
        "GET /api/models": Call(open=(200,)),
        "GET /v1/circuit-breakers": Call(open=(200,)),
        "GET /api/tools": Call(open=(200,)),
        "POST /v1/chat/completions": Call(
            {**completion, "user": owner.person.id, "metadata": {"conversation_id": owner.conversation_id}},
            open=(200,),
        ),
        "POST /v1/responses": Call(
            {"model": "mock", "input": "What did we say?", "previous_response_id": owner.response_id}
        ),
        "GET /v1/responses/{response_id}": Call(),
        "GET /v1/responses/{response_id}/input_items": Call(),
        "DELETE /v1/responses/{response_id}": Call(),
        "POST /v1/responses/{response_id}/cancel": Call(),
        "POST /v1/embeddings": Call({"model": "vector", "input": "hi", "user": owner.person.id}, open=(200,)),
        "POST /v1/images/generations": Call({"model": "picture", "prompt": "a cat"}, open=(200,)),
        "POST /api/v1/llm/generate": Call({"role": "echo", "payload": "hi"}, open=(200,)),
        "POST /api/v1/media/image/generate": Call(
            {"prompt": "a cat", "width": 16, "height": 16}, open=(200,)
        ),
        "GET /api/v1/media/images": Call(open=(200,)),
        "GET /api/conversations": Call(open=(200,)),
        "POST /api/conversations": Call({"title": "mine"}, open=(201,)),
        "GET /api/user/me": Call(open=(200,)),
        "GET /api/user/me/usage": Call(query=everyone, open=(200,)),
        "GET /api/user/me/export": Call(query=everyone, open=(200,)),
        "GET /api/user/sessions": Call(open=(200,)),
        "GET /api/user/api-keys": Call(open=(200,)),
        "POST /api/user/api-keys": Call({"name": "k"}, open=(201,)),
        "DELETE /api/user/sessions": Call(open=(204,)),
        # The owner's objects by id.
        "POST /api/chat": Call(turn),
        "POST /api/chat/stream": Call(turn),
        "POST /api/chat/{message_id}/regenerate": Call({}),
        "GET /api/chat/stream/{message_id}": Call(),
        "POST /api/chat/{message_id}/cancel": Call(),
        "GET /api/conversations/{conversation_id}": Call(),
        "PATCH /api/conversations/{conversation_id}": Call({"title": "stolen", "head_id": owner.question_id}),
        "DELETE /api/conversations/{conversation_id}": Call(),
        "GET /api/conversations/{conversation_id}/messages": Call(),
        "GET /api/v1/media/images/{image_id}": Call(),
        "DELETE /api/v1/media/images/{image_id}": Call(),
        "DELETE /api/user/api-keys/{key_id}": Call(),
        "DELETE /api/user/sessions/{session_id}": Call(),
        # The owner's address, password and tokens, as far as an intruder could know them.
        "POST /api/auth/register": Call({"email": theirs, **mine}, open=(409,)),
        "POST /api/auth/login": Call({"email": theirs, "password": ANOTHER_PASSWORD}),
        "POST /api/auth/token": Call(form={"username": theirs, "password": ANOTHER_PASSWORD}),
        "POST /api/auth/refresh": Call({"refresh_token": "A" * 43}),
        "POST /api/auth/logout": Call({"refresh_token": owner.session_id}, open=(204,)),
        "POST /api/auth/session": Call({"email": theirs, "password": ANOTHER_PASSWORD}),
        "POST /api/auth/session/refresh": Call(),
        "DELETE /api/auth/session": Call(),
        "POST /api/auth/password/forgot": Call({"email": theirs}, open=(202,)),
        "POST /api/auth/password/reset": Call({"token": "A" * 43, "password": ANOTHER_PASSWORD}),
        "PUT /api/user/me": Call({"email": theirs}, open=(409,)),
        "PUT /api/user/me/password": Call(
            {"current_password": PASSWORD, "new_password": "yet another password"}
        ),
        "DELETE /api/user/me": Call(mine),
        # Administration.
        "GET /api/admin/users": Call(query={"q": theirs}),
        "PATCH /api/admin/users/{user_id}": Call({"role": "admin", "status": "disabled"}),
        "GET /api/admin/audit": Call(query={"actor_id": owner.person.id}),
        "GET /api/admin/models": Call(),
        "GET /api/admin/tiers": Call(),
        "GET /api/admin/circuit-breakers": Call(),
        "GET /api/admin/circuit-breakers/history": Call(),
        "GET /api/admin/slowest": Call(),
        "GET /api/admin/stats": Call(),
        "GET /api/admin/usage": Call(query={**everyone, "format": "csv"}),
        "GET /api/admin/usage/keys": Call(query=everyone),
        "GET /api/metrics": Call(),
        "POST /api/admin/reload": Call(),
    }


def routes(gateway: Gateway) -> list[str]:
    """Return `GET /path` for every operation of the document."""
    paths = gateway.app.openapi()["paths"]
    return [f"{method.upper()} {path}" for path, item in paths.items() for method in item]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    directory = tmp_path_factory.mktemp("matrix")
    async with running_gateway(database_url, redis_url, directory, CONFIG) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(gateway: Gateway) -> Owner:
    person = await gateway.sign_up()
    await gateway.http.put("/api/user/me", json={"name": MARK}, headers=person.headers)
    turn = await gateway.http.post(
        "/api/chat", json={"message": f"Keep this: {MARK}", "system": MARK}, headers=person.headers
    )
    assert turn.status_code == 200, turn.text
    conversation_id = turn.json()["conversation_id"]
    await gateway.http.patch(
        f"/api/conversations/{conversation_id}", json={"title": MARK}, headers=person.headers
    )
    messages = (
        await gateway.http.get(f"/api/conversations/{conversation_id}/messages", headers=person.headers)
    ).json()["items"]
    key = (await gateway.http.post("/api/user/api-keys", json={"name": MARK}, headers=person.headers)).json()
    [session] = (await gateway.http.get("/api/user/sessions", headers=person.headers)).json()["items"]
    pictures = await gateway.http.post(
        "/api/v1/media/image/generate",
        json={"prompt": MARK, "width": 16, "height": 16},
        headers=person.headers,
    )
    return Owner(
        person,
        conversation_id,
        messages[0]["id"],
        messages[1]["id"],
        key["id"],
        key["secret"],
        session["id"],
        pictures.json()["images"][0]["id"],
    )


async def holdings(gateway: Gateway, owner: Owner) -> dict[str, list[Any]]:
    """Read every row of the owner, except what anybody may trigger.

    The password reset e-mail.
    """
    columns = {
        "users": "id",
        "refresh_tokens": "user_id",
        "api_keys": "user_id",
        "conversations": "user_id",
        "messages": "user_id",
        "images": "user_id",
        "budgets": "user_id",
        "usage_records": "user_id",
        "audit_log": "actor_id",
    }
    held = {}
    async with gateway.container.engine.connect() as connection:
        for table, column in columns.items():
            rows = await connection.execute(
                text(f'SELECT t::text FROM "{table}" t WHERE "{column}" = :id ORDER BY 1'),
                {"id": UUID(owner.person.id)},
            )
            held[table] = list(rows.scalars())
            assert held[table], table
    return held


async def intruder(gateway: Gateway, kind: str) -> dict[str, str]:
    """Headers of a stranger with an account, an API key, or neither."""
    if kind == "nobody":
        return {}
    person = await _sign_up(gateway)
    if kind == "person":
        return person.headers
    return {"x-api-key": await gateway.create_api_key(person)}


async def _sign_up(gateway: Gateway) -> Account:
    """Create an account with another password than the owner's."""
    person = await gateway.sign_up()
    changed = await gateway.http.put(
        "/api/user/me/password",
        json={"current_password": PASSWORD, "new_password": ANOTHER_PASSWORD},
        headers=person.headers,
    )
    assert changed.status_code == 204, changed.text
    return person


async def send(
    gateway: Gateway, route: str, call: Call, owner: Owner, headers: dict[str, str]
) -> httpx.Response:
    method, path = route.split(" ", 1)
    return await gateway.http.request(
        method, path.format(**owner.path), json=call.json, params=call.query, data=call.form, headers=headers
    )


async def test_every_route_is_covered(gateway: Gateway, owner: Owner) -> None:
    known, served = set(calls(owner)), set(routes(gateway))
    assert served - known == set(), "say in `calls` how an intruder would call these"
    assert known - served == set(), "these are no more"


@pytest.mark.parametrize("kind", ["person", "key", "nobody"])
async def test_a_stranger_sees_and_changes_nothing_of_the_owners(
    gateway: Gateway, owner: Owner, kind: str
) -> None:
    before = await holdings(gateway, owner)
    headers = await intruder(gateway, kind)
    for route, call in calls(owner).items():
        if route == "DELETE /api/user/sessions":
            continue
        answer = await send(gateway, route, call, owner, headers)
        where = f"{kind}: {route}: {answer.status_code} {answer.text[:300]}"
        allowed = {401, 403, 404, 422, 429, *call.open}
        assert answer.status_code in allowed, where
        shown = [secret for secret in owner.secrets if secret in answer.text]
        assert not shown, f"{where} shows {shown}"
        assert await holdings(gateway, owner) == before, f"{route} as {kind} changed something"
    if kind == "person":  # last: it ends the intruder's own session
        assert (await gateway.http.delete("/api/user/sessions", headers=headers)).status_code == 204
        assert await holdings(gateway, owner) == before


async def test_the_owner_has_access_where_strangers_do_not(gateway: Gateway, owner: Owner) -> None:
    """Otherwise the rejections above would prove nothing."""
    headers = owner.person.headers
    reads = [
        "GET /api/conversations/{conversation_id}",
        "GET /api/conversations/{conversation_id}/messages",
        "GET /api/conversations",
        "GET /api/user/me",
        "GET /api/user/sessions",
        "GET /api/user/api-keys",
        "GET /api/v1/media/images",
    ]
    for route in reads:
        answer = await send(gateway, route, Call(), owner, headers)
        assert answer.status_code == 200, route
        assert any(secret in answer.text for secret in owner.secrets), route
    answer = await gateway.http.post(
        "/api/chat",
        json={
            "message": "And then?",
            "conversation_id": owner.conversation_id,
            "parent_id": owner.message_id,
        },
        headers=headers,
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", ["/api/chat", "/api/chat/stream"])
async def test_a_strangers_conversation_cannot_continue_the_owners_message(
    gateway: Gateway, owner: Owner, path: str
) -> None:
    person = await gateway.sign_up()
    first = await gateway.http.post("/api/chat", json={"message": "mine"}, headers=person.headers)
    own = first.json()["conversation_id"]
    for body in (
        {"message": "x", "parent_id": owner.message_id},
        {"message": "x", "conversation_id": own, "parent_id": owner.message_id},
        {
            "message": "x",
            "conversation_id": owner.conversation_id,
            "parent_id": first.json()["message"]["id"],
        },
    ):
        answer = await gateway.http.post(path, json=body, headers=person.headers)
        assert answer.status_code == 404, f"{path} {body}: {answer.text[:200]}"
        assert MARK not in answer.text
    head = await gateway.http.patch(
        f"/api/conversations/{own}", json={"head_id": owner.message_id}, headers=person.headers
    )
    assert head.status_code == 404


async def test_users_cannot_make_themselves_administrators(gateway: Gateway, owner: Owner) -> None:
    person = await gateway.sign_up()
    claims: dict[str, Any] = {
        "role": "admin",
        "tier": "pro",
        "status": "active",
        "token_version": 9,
        "id": owner.person.id,
    }
    register = {"email": f"x{person.email}", "password": PASSWORD}
    for name, value in claims.items():
        for method, path, body in (
            ("POST", "/api/auth/register", {**register, name: value}),
            ("PUT", "/api/user/me", {name: value}),
            ("POST", "/api/user/api-keys", {"name": "k", name: value, "user_id": owner.person.id}),
        ):
            answer = await gateway.http.request(method, path, json=body, headers=person.headers)
            assert answer.status_code == 422, f"{path} {body}: {answer.text}"
    assert (await gateway.http.get("/api/user/me", headers=person.headers)).json()["role"] == "user"
    assert (await gateway.http.get("/api/admin/users", headers=person.headers)).status_code == 403


async def test_an_administrators_api_key_has_no_admin_access(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    await set_role(gateway, person)
    assert (await gateway.http.get("/api/admin/users", headers=person.headers)).status_code == 200
    key = {"x-api-key": await gateway.create_api_key(person)}
    admin_routes = [
        route for route in routes(gateway) if "/api/admin" in route or route.endswith("/api/metrics")
    ]
    assert len(admin_routes) >= 7
    for route in admin_routes:
        method, path = route.split(" ", 1)
        answer = await gateway.http.request(
            method, path.replace("{user_id}", person.id), headers=key, json={}
        )
        assert answer.status_code == 403, route
