"""The tool `image` in a chat: charged to the account and within its budget."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.core.ids import new_id
from tests.support.database import fetch_rows
from tests.support.gateway import Gateway, running_gateway

CONFIG: dict[str, Any] = {
    "providers": {"mock": {"type": "mock"}},
    "models": {
        "talk": {
            "provider": "mock",
            "model": "mock",
            "context_window": 32768,
            "capabilities": ["tools"],
            "price": {"input": "1", "output": "2"},
        },
        "draw": {"provider": "mock", "model": "mock", "capabilities": ["images"], "price": {"image": "0.02"}},
    },
    "media": {"default": "draw", "max_side": 256},
    "tools": {"enabled": ["calculator", "image"]},
    "routing": {"light": "talk", "heavy": "talk"},
    "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
    "tiers": {"free": {"usd_per_month": "0.03"}},
}


@pytest.fixture
def gateway_config() -> dict[str, Any]:
    return CONFIG


async def ask(gateway: Gateway, headers: dict[str, str], **arguments: Any) -> httpx.Response:
    call = json.dumps({"prompt": f"a lighthouse {new_id()}", **arguments})
    body = {"message": f"call tool image {call}", "model": "talk"}
    return await gateway.http.post("/api/chat/", json=body, headers=headers)


async def test_a_chat_generates_an_image_that_its_account_can_open_and_that_is_charged_once(
    gateway: Gateway,
) -> None:
    person, stranger = await gateway.sign_up(), await gateway.sign_up()
    answer = (await ask(gateway, person.headers, width=64, height=32)).json()
    (entry,) = answer["receipt"]["tools"]
    assert (entry["name"], entry["ok"], entry["cost_usd"]) == ("image", True, "0.020000")
    address = answer["message"]["content"].partition("](")[2].partition(")")[0]
    assert address.startswith("/api/v1/media/images/")
    shown = await gateway.http.get(address, headers=person.headers)
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")
    assert (await gateway.http.get(address, headers=stranger.headers)).status_code == 404
    charged = await fetch_rows(
        gateway.container.engine,
        "SELECT kind, cost_usd FROM usage_records WHERE request_id = :id",
        id=answer["request_id"],
    )
    assert [row["cost_usd"] for row in charged if row["kind"] == "image"] == [Decimal("0.020000")]
    total = sum((row["cost_usd"] for row in charged), Decimal(0))
    parts = [*answer["receipt"]["attempts"], *answer["receipt"]["tools"]]
    assert sum(Decimal(part.get("cost_usd", "0")) for part in parts) == total
    assert Decimal(answer["message"]["cost_usd"]) == total > Decimal("0.02")


async def test_a_streamed_turn_reports_the_image_like_any_tool_call(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    body = {"message": f'call tool image {{"prompt": "a boat {new_id()}"}}', "model": "talk"}
    answer = await gateway.http.post("/api/chat/stream", json=body, headers=person.headers)
    received = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    result = next(data for data in map(json.loads, received) if "content" in data)
    assert set(result) == {"id", "name", "ok", "content", "ms"}
    assert json.loads(received[-1])["receipt"]["tools"][0]["cost_usd"] == "0.020000"


async def test_a_turn_generates_at_most_four_images(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with running_gateway(database_url, redis_url, tmp_path, {**CONFIG, "tiers": {"free": {}}}) as rich:
        person = await rich.sign_up()
        calls = " ".join(f'call tool image {{"prompt": "a boat {new_id()}"}}' for _ in range(6))
        body = {"message": calls, "model": "talk"}
        answer = (await rich.http.post("/api/chat/", json=body, headers=person.headers)).json()
        errors = [run.get("error", "") for run in answer["receipt"]["tools"]]
        assert sorted(errors) == ["", "", "", "", "too_many", "too_many"]
        listed = await rich.http.get("/api/v1/media/images", headers=person.headers)
        assert len(listed.json()["items"]) == 4


async def test_an_image_beyond_the_budget_is_rejected_and_the_turn_continues(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    first, second = [(await ask(gateway, person.headers)).json() for _ in range(2)]
    assert first["receipt"]["tools"][0]["ok"] is True
    (entry,) = second["receipt"]["tools"]
    assert (entry["ok"], entry["error"]) == (False, "budget_exceeded")
    assert second["message"]["status"] == "complete"


async def test_invalid_sizes_are_reported_to_the_model(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    for arguments, error in (({"width": 257}, "validation_failed"), ({"width": "wide"}, "bad_arguments")):
        answer = (await ask(gateway, person.headers, **arguments)).json()
        assert answer["receipt"]["tools"][0]["error"] == error


async def test_a_key_needs_the_scope_for_images(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    made = await gateway.http.post(
        "/api/user/api-keys", json={"name": "k", "scopes": ["chat"]}, headers=person.headers
    )
    answer = (await ask(gateway, {"x-api-key": made.json()["secret"]})).json()
    assert answer["receipt"]["tools"][0]["error"] == "not_allowed"


async def test_the_tool_is_offered_only_if_a_provider_generates_images(
    gateway: Gateway, database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def names(running: Gateway) -> set[str]:
        person = await running.sign_up()
        listed = (await running.http.get("/api/tools", headers=person.headers)).json()
        return {tool["name"] for tool in listed.get("items", listed.get("data", ()))}

    assert "image" in await names(gateway)
    nobody = {**CONFIG, "media": {"max_side": 256}}
    folder = tmp_path_factory.mktemp("nobody")
    async with running_gateway(database_url, redis_url, folder, nobody) as without:
        assert await names(without) == {"calculator"}


async def test_an_image_needs_no_second_permit_of_a_tier_that_has_one(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    one = {**CONFIG, "tiers": {"free": {"usd_per_month": "0.03", "concurrent_turns": 1}}}
    async with running_gateway(database_url, redis_url, tmp_path, one) as gateway:
        person = await gateway.sign_up()
        answer = (await ask(gateway, person.headers)).json()
    assert answer["receipt"]["tools"][0]["ok"] is True
