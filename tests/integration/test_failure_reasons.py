"""Failed calls.

The provider's redacted error in usage records, the log and the admin view.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from tests.support.gateway import PASSWORD, Gateway, running_gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply

KEY = "sk-proj-1234567890abcdefghijkl"
QUESTION = "The vault opens with CANARY-77, tell nobody about the blue door"


@dataclass
class World:
    gateway: Gateway
    upstream: OpenAIUpstream
    admin: dict[str, str]

    async def rows(self, **params: Any) -> list[dict[str, Any]]:
        answer = await self.gateway.http.get(
            "/api/admin/usage", params={"detail": "rows", **params}, headers=self.admin
        )
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


@pytest.fixture
async def world(clean_database: str, clean_redis: str, tmp_path: Path) -> AsyncIterator[World]:
    async with OpenAIUpstream() as upstream:
        config: dict[str, object] = {
            "providers": {"up": {"type": "openai", "base_url": upstream.url, "api_key": KEY}},
            "models": {
                "one": {"provider": "up", "model": "gpt-test", "price": {"input": 1, "output": 2}},
                "vectors": {
                    "provider": "up",
                    "model": "embed",
                    "capabilities": ["embeddings"],
                    "price": {"input": 1, "output": 0},
                },
            },
            "retry": {"attempts": 1},
            "guardrails": {"people": {"injection": "off"}},
            "tiers": {"free": {"requests_per_minute": 1000}},
        }
        async with running_gateway(clean_database, clean_redis, tmp_path, config) as gateway:
            await gateway.container.accounts.users.create_admin("root@gateway.localhost", PASSWORD)
            body = {"email": "root@gateway.localhost", "password": PASSWORD}
            tokens = (await gateway.http.post("/api/auth/login", json=body)).json()
            yield World(gateway, upstream, {"authorization": f"Bearer {tokens['access_token']}"})


def burnt(status: int = 500) -> Refusal:
    """A provider that repeats the key and the question in its error message."""
    message = f"the upstream has burnt down for {KEY} while it read: {QUESTION}"
    return Refusal(status, body=json.dumps({"error": {"message": message, "type": "x"}}).encode())


async def test_a_failed_turn_is_found_by_request_id_with_the_providers_error(
    world: World,
) -> None:
    person = await world.gateway.sign_up()
    world.upstream.script(burnt())
    with capture_logs() as logs:
        answer = await world.gateway.http.post(
            "/api/chat", json={"message": QUESTION, "model": "one"}, headers=person.headers
        )
    assert answer.status_code == 502
    request_id = answer.headers["x-request-id"]
    (row,) = await world.rows(request_id=request_id)
    assert (row["outcome"], row["upstream_status"], row["email"]) == ("upstream_failed", 500, person.email)
    assert row["upstream_reason"].startswith("the upstream has burnt down for [redacted]")
    (line,) = [entry for entry in logs if entry["event"] == "turn.failed"]
    assert line["log_level"] == "warning"
    assert (line["request_id"], line["code"], line["upstream"], line["model"]) == (
        request_id,
        "upstream_failed",
        "up",
        "one",
    )
    assert (line["upstream_status"], line["reason"]) == (500, row["upstream_reason"])
    for secret in (KEY, "CANARY-77", "blue door"):
        assert secret not in answer.text
        assert secret not in json.dumps([row, line])


async def test_a_failed_embeddings_request_is_reported_the_same_way(world: World) -> None:
    person = await world.gateway.sign_up()
    made = await world.gateway.http.post("/api/user/api-keys", json={"name": "k"}, headers=person.headers)
    world.upstream.script(burnt(402))
    with capture_logs() as logs:
        answer = await world.gateway.http.post(
            "/v1/embeddings",
            json={"model": "vectors", "input": QUESTION},
            headers={"x-api-key": made.json()["secret"]},
        )
    assert answer.status_code == 502
    (row,) = await world.rows(request_id=answer.headers["x-request-id"])
    assert row["upstream_status"] == 402
    (line,) = [entry for entry in logs if entry["event"] == "request.failed"]
    assert line["upstream_status"] == 402
    assert "CANARY-77" not in json.dumps([row, line])


async def test_rows_are_filtered_by_outcome_and_sorted(world: World) -> None:
    person = await world.gateway.sign_up()
    for step in (Reply(), burnt(503), burnt(401), Reply()):
        world.upstream.script(step)
        await world.gateway.http.post(
            "/api/chat", json={"message": "Hi", "model": "one", "cache": False}, headers=person.headers
        )
    failed = await world.rows(outcome="failed", user_id=person.id)
    assert [row["upstream_status"] for row in failed] == [503, 401]
    newest = await world.rows(outcome="failed", order="newest", limit=1)
    assert [row["upstream_status"] for row in newest] == [401]
    assert len(await world.rows(outcome="ok", model="one", user_id=person.id)) >= 2
    sums = await world.gateway.http.get(
        "/api/admin/usage", params={"request_id": "req_1"}, headers=world.admin
    )
    assert (sums.status_code, sums.json()["error"]["param"]) == (422, "request_id")


async def test_pages_of_newest_rows_continue_backwards(world: World) -> None:
    person = await world.gateway.sign_up()
    for _ in range(3):
        world.upstream.script(burnt())
        await world.gateway.http.post(
            "/api/chat", json={"message": "Hi", "model": "one"}, headers=person.headers
        )
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"detail": "rows", "order": "newest", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await world.gateway.http.get("/api/admin/usage", params=params, headers=world.admin)).json()
        seen += [row["created_at"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 3
    assert seen == sorted(seen, reverse=True)


async def test_a_stored_message_contains_its_request_id(world: World) -> None:
    person = await world.gateway.sign_up()
    answers = []
    for step in (Reply(), burnt()):
        world.upstream.script(step)
        body = {"message": "Hi", "model": "one", "cache": False}
        if answers:
            body["conversation_id"] = answers[0].json()["conversation_id"]
        answers.append(await world.gateway.http.post("/api/chat", json=body, headers=person.headers))
    conversation = answers[0].json()["conversation_id"]
    kept = await world.gateway.http.get(f"/api/conversations/{conversation}/messages", headers=person.headers)
    made_for = [one["request_id"] for one in kept.json()["items"] if one["role"] == "assistant"]
    assert made_for == [answer.headers["x-request-id"] for answer in answers]
    assert all("request_id" not in (one["receipt"] or {}) for one in kept.json()["items"])


async def test_a_request_lookup_uses_an_index(world: World) -> None:
    async with world.gateway.container.engine.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await connection.execute(
            text("EXPLAIN SELECT 1 FROM usage_records WHERE request_id = 'req_1'")
        )
        assert "request_id" in "\n".join(row[0] for row in plan if "Index" in row[0])
