"""The administration pages: statistics, requests, usage, users, models and the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect
from sqlalchemy import insert

from gateway.core.ids import new_id
from gateway.models.usage_record import UsageRecord
from gateway.services.usage.rollup import RollupJob
from tests.console.browser import PageMonitor, start_session
from tests.support.gateway import PASSWORD, Account, Gateway, set_role
from tests.support.upstreams.http_server import Refusal
from tests.support.upstreams.openai_server import OpenAIUpstream

NOON = datetime(2026, 2, 10, 12, tzinfo=UTC)


async def insert_usage(gateway: Gateway, *rows: dict[str, Any]) -> None:
    defaults = {"kind": "chat", "model": "m", "provider": "p", "prompt_tokens": 100, "completion_tokens": 20}
    defaults |= {"outcome": "ok", "latency_ms": 400, "cost_usd": "0.5", "user_id": None}
    full = [{**defaults, "id": (made := new_id()), "request_id": str(made), **row} for row in rows]
    async with gateway.container.engine.begin() as connection:
        await connection.execute(insert(UsageRecord), full)


@pytest_asyncio.fixture(loop_scope="session")
async def admin_page(
    profile: tuple[BrowserContext, PageMonitor], gateway: Gateway, account: Account
) -> AsyncIterator[Page]:
    """A tab with an administrator signed in."""
    await set_role(gateway, account)
    page = profile[0].pages[0]
    await start_session(page, account.email, PASSWORD)
    yield page
    await set_role(gateway, account, role="user")


async def test_statistics_follow_the_date_range_and_the_time_zone(
    admin_page: Page, gateway: Gateway, account: Account
) -> None:
    who = {"user_id": UUID(account.id)}
    await insert_usage(
        gateway,
        *({"created_at": NOON, "latency_ms": ms, **who} for ms in (100, 200, 300)),
        {"created_at": NOON, "outcome": "cached", "latency_ms": 1},
        {"created_at": NOON + timedelta(hours=4), "outcome": "upstream_failed", "latency_ms": 60_000, **who},
    )
    await RollupJob(gateway.unit_of_work).catch_up(datetime.now(UTC))
    await admin_page.goto("/admin?from=2026-02-10&to=2026-02-11&tz=UTC")
    figures = admin_page.get_by_role("main")
    await expect(figures.get_by_text("5", exact=True).first).to_be_visible()
    await expect(figures.get_by_text("1 failed request")).to_be_visible()
    await expect(figures.get_by_text("1 hit", exact=True)).to_be_visible()

    for chart, row in (
        ("Requests by day", ["Feb 10", "5", "1"]),
        ("Cache hits by day", ["Feb 10", "1"]),
        ("Active users by day", ["Feb 10", "1"]),
    ):
        panel = admin_page.get_by_role("region", name=chart, exact=True).first
        await panel.get_by_role("button", name="table").click()
        cells = panel.get_by_role("row").filter(has_text="Feb 10").get_by_role("cell")
        await expect(cells).to_have_text(row)
    times = admin_page.get_by_role("region", name="Latency by day", exact=True).first
    await times.get_by_role("button", name="table").click()
    await expect(times.get_by_role("row").filter(has_text="Feb 11")).to_contain_text("–")

    slowest = admin_page.get_by_role("table", name="Slowest model calls in this period")
    first = slowest.get_by_role("row").nth(1)
    await expect(first).to_contain_text("60 sec")
    await expect(first).to_contain_text("The model provider returned an error.")
    await expect(first).to_contain_text(account.email)

    # Four hours after noon it is the next day in Seoul.
    await admin_page.get_by_label("Time zone").select_option("Asia/Seoul")
    panel = admin_page.get_by_role("region", name="Requests by day", exact=True).first
    cells = panel.get_by_role("row").filter(has_text="Feb 11").get_by_role("cell")
    await expect(cells).to_have_text(["Feb 11", "1", "1"])


async def test_an_open_circuit_breaker_is_shown_with_its_history(admin_page: Page, gateway: Gateway) -> None:
    upstreams = gateway.container.chat.service.runner.resources.upstreams
    await admin_page.goto("/admin/breakers")  # the page's former URL
    upstream = upstreams.get("slow", "slow")
    for _ in range(5):
        upstreams.breakers.record(upstream, "failure", None)
        await upstreams.breakers.flush()
    history = admin_page.get_by_role("table", name="Circuit breaker history")
    await expect(history).to_contain_text("Opened", timeout=20_000)
    # The provider passes health checks meanwhile; the open breaker takes precedence.
    states = admin_page.get_by_role("table", name="Models")
    await expect(states.get_by_role("row").filter(has_text="slow")).to_contain_text("Circuit open")
    upstreams.breakers.record(upstream, "success", None)


async def test_users_can_be_filtered_and_disabled(admin_page: Page, gateway: Gateway) -> None:
    other = await gateway.sign_up()
    await admin_page.goto("/admin/users")
    table = admin_page.get_by_role("table", name="Users")
    await admin_page.get_by_label("Email address or name").fill(other.email)
    await admin_page.get_by_label("Tier").select_option("enterprise")
    await expect(admin_page.get_by_text("No users found")).to_be_visible()
    await admin_page.get_by_label("Tier").select_option("free")
    await expect(table.get_by_role("row")).to_have_count(2)
    await table.get_by_role("button", name=f"Edit {other.email}").click()
    dialog = admin_page.get_by_role("dialog")
    await dialog.get_by_label("Tier").select_option("pro")
    await expect(dialog).to_contain_text("120 requests per minute")
    await dialog.get_by_label("Status").select_option("disabled")
    await dialog.get_by_role("button", name="Save").click()
    await expect(admin_page.get_by_text("No users found")).to_be_visible()
    await admin_page.get_by_label("Tier").select_option("pro")
    await expect(table.get_by_role("row").nth(1)).to_contain_text("Disabled")
    refused = await gateway.http.get("/api/user/me", headers=other.headers)
    assert refused.status_code in (401, 403)


async def test_an_unknown_time_zone_is_reported_and_can_be_corrected(admin_page: Page) -> None:
    for path in ("/admin", "/admin/usage"):
        await admin_page.goto(f"{path}?tz=Nowhere/Atlantis")
        await expect(admin_page.get_by_role("alert").first).to_be_visible()
        await admin_page.get_by_role("button", name="7 days").click()
        await expect(admin_page.get_by_role("alert")).to_have_count(0)
        await expect(admin_page.get_by_label("Time zone")).to_have_value("UTC")


async def test_a_failed_request_can_be_found_with_the_providers_error(
    admin_page: Page, gateway: Gateway, upstream: OpenAIUpstream
) -> None:
    other = await gateway.sign_up()
    upstream.script(Refusal(500, body=b'{"error": {"message": "the upstream has burnt down"}}'))
    asked = await gateway.http.post("/api/chat", json={"message": "Hello"}, headers=other.headers)
    assert asked.status_code == 502
    request_id = asked.headers["x-request-id"]
    await admin_page.goto("/admin/requests")
    await admin_page.get_by_label("Outcome").select_option("failed")
    await admin_page.get_by_label("Account").fill(other.email)
    rows = admin_page.get_by_role("table", name="Requests").get_by_role("row")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(1)).to_contain_text("500")
    await expect(rows.nth(1)).to_contain_text("burnt down")
    await rows.nth(1).get_by_role("button", name=request_id).click()
    dialog = admin_page.get_by_role("dialog", name="Request")
    await expect(dialog).to_contain_text(other.email)
    await expect(dialog.get_by_role("table", name="Model calls")).to_contain_text("burnt down")
    await admin_page.keyboard.press("Escape")
    await admin_page.goto(f"/admin/requests?request_id={request_id}")
    await expect(rows).to_have_count(2)
    await admin_page.get_by_label("Outcome").select_option("ok")
    await expect(admin_page.get_by_text("No calls match these filters")).to_be_visible()


async def test_usage_is_sorted_by_cost_and_links_to_details(
    admin_page: Page, gateway: Gateway, account: Account
) -> None:
    other = await gateway.sign_up()
    day = datetime(2026, 1, 5, 12, tzinfo=UTC)
    for who, cost in ((account, "0.002"), (other, "0.14")):
        user_id = UUID(who.id)
        await insert_usage(
            gateway, *({"created_at": day, "cost_usd": Decimal(cost), "user_id": user_id} for _ in "ab")
        )
    await admin_page.goto("/admin/usage?from=2026-01-05&to=2026-01-05&tz=UTC")
    rows = admin_page.get_by_role("table", name="Usage").get_by_role("row")
    await expect(rows.nth(1)).to_contain_text(other.email)
    await expect(rows.nth(1)).to_contain_text("$0.2800")
    await expect(rows.nth(2)).to_contain_text("$0.0040")
    await expect(rows.nth(3)).to_contain_text("$0.2840")  # the total
    await rows.nth(1).get_by_role("link").click()
    await expect(admin_page.get_by_text("Filtered by one account")).to_be_visible()
    await expect(rows.nth(2)).to_contain_text("$0.28")


async def test_usage_is_grouped_by_key_and_charted_by_model(
    admin_page: Page, gateway: Gateway, account: Account
) -> None:
    secret = await gateway.create_api_key(account, name="Nightly report")
    listed = await gateway.http.get("/api/user/api-keys", headers=account.headers)
    key_id = UUID(next(key["id"] for key in listed.json()["items"] if secret.startswith(key["prefix"])))
    day = datetime(2026, 1, 7, 12, tzinfo=UTC)
    of_key = {"created_at": day, "user_id": UUID(account.id), "api_key_id": key_id, "model": "large"}
    await insert_usage(
        gateway,
        {**of_key, "cost_usd": Decimal(2)},
        {"created_at": day, "user_id": UUID(account.id), "api_key_id": None, "cost_usd": Decimal(1)},
    )
    days = "from=2026-01-07&to=2026-01-08&tz=UTC"
    await admin_page.goto(f"/admin/usage?{days}")
    await admin_page.get_by_role("button", name="API key", exact=True).click()
    rows = admin_page.get_by_role("table", name="Usage").get_by_role("row")
    await expect(rows.nth(1)).to_contain_text("Nightly report")
    await expect(rows.nth(1)).to_contain_text("$2.00")
    await expect(rows.nth(2)).to_contain_text("No API key (signed in)")
    await expect(rows.nth(3)).to_contain_text("$3.00")
    await admin_page.goto(f"/admin?{days}")
    chart = admin_page.get_by_role("region", name="Cost by model")
    await expect(chart.get_by_text("large")).to_be_visible()
    await chart.get_by_role("button", name="Show as table").click()
    table = chart.get_by_role("table")
    await expect(table.get_by_role("row").nth(1)).to_contain_text("$2.00")
    await expect(table.get_by_role("row").nth(2)).to_contain_text("$0.00")


async def test_the_configuration_can_be_reloaded_and_errors_are_shown(
    admin_page: Page, gateway: Gateway
) -> None:
    path = gateway.container.settings.provider_config
    before = path.read_text(encoding="utf-8")
    await admin_page.goto("/admin/models")
    button = admin_page.get_by_role("button", name="Reload configuration")
    try:
        path.write_text(before + "\nnonsense: true\n", encoding="utf-8")
        await button.click()
        await expect(admin_page.get_by_role("dialog")).to_contain_text("nonsense")
        await admin_page.keyboard.press("Escape")
    finally:
        path.write_text(before, encoding="utf-8")
    await button.click()
    await expect(admin_page.get_by_text("Reloaded provider_config.yaml: 4 models")).to_be_visible()


async def test_the_audit_log_shows_email_addresses(
    admin_page: Page, gateway: Gateway, account: Account
) -> None:
    other = await gateway.sign_up()
    await gateway.http.patch(f"/api/admin/users/{other.id}", json={"tier": "pro"}, headers=account.headers)
    await admin_page.goto("/admin/audit")
    row = admin_page.get_by_role("row").filter(has_text=other.email)
    await expect(row).to_contain_text(account.email)
    await expect(row).to_contain_text("Account changed")
    await expect(row).to_contain_text("tier: free → pro")
    await gateway.create_api_key(account, name="Nightly report")
    await admin_page.get_by_label("Action").select_option("API key created")
    row = admin_page.get_by_role("row").filter(has_text="Nightly report")
    await expect(row).to_contain_text("API key created")
    await admin_page.get_by_label("To", exact=True).fill("2026-01-01")
    await expect(admin_page.get_by_text("No entries found")).to_be_visible()


async def test_users_cannot_open_the_administration(page: Page) -> None:
    await page.goto("/admin")
    await expect(page.get_by_text("Administration", exact=True)).to_have_count(0)
    await expect(page.get_by_role("table")).to_have_count(0)
