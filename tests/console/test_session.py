"""Sign-up, sign-in and sign-out: where tokens are stored, and what tabs share."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from uuid import uuid4

from playwright.async_api import BrowserContext, Page, Route, expect

from tests.console.browser import PageMonitor, sign_in, start_session
from tests.support.gateway import PASSWORD, Account, Gateway, set_role

REFRESH = "/api/auth/session/refresh"
Profile = tuple[BrowserContext, PageMonitor]
_STORED = """async () => {
  const databases = await indexedDB.databases();
  const caches_ = "caches" in globalThis ? await caches.keys() : [];
  return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, databases, caches_]);
}"""


def mailed_token(mailbox: Path, email: str) -> str | None:
    """The token of the email to this address; None until it is written."""
    for path in mailbox.glob("*"):
        text = path.read_text(encoding="utf-8")
        if email in text and (found := re.search(r"pr_[\w-]+", text)):
            return found[0]
    return None


async def test_sign_up_signs_in_and_stores_no_token_readable_by_scripts(
    profile: Profile, gateway: Gateway
) -> None:
    context, monitor = profile
    page = context.pages[0]
    await page.goto("/")
    await page.get_by_role("link", name="Create account").click()
    email = f"{uuid4().hex}@example.org"
    await page.get_by_label("Name").fill("Ada")
    await page.get_by_label("Email address").fill(email)
    await page.get_by_label("Password").fill("short")
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_label("Password")).to_be_focused()
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    await page.get_by_label("Message", exact=True).wait_for()
    await expect(page.get_by_role("button", name="Ada")).to_be_visible()

    [cookie] = await context.cookies(f"{gateway.url}/api/auth/session")
    assert cookie["name"] == "gw_refresh"
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/api/auth/session")
    stored = await page.evaluate(_STORED)
    assert cookie["value"] not in stored
    assert "eyJ" not in stored
    for request in monitor.requests:
        if "/api/auth/session" not in request.url:
            assert "cookie" not in await request.all_headers()


async def test_a_wrong_password_is_reported(blank_page: Page, account: Account) -> None:
    page = blank_page
    await page.goto("/")
    await page.get_by_label("Email address").fill(account.email)
    await page.get_by_label("Password").fill("not this one at all")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("Incorrect email address or password.")


async def test_a_slow_refresh_does_not_end_a_new_session(profile: Profile, account: Account) -> None:
    context, monitor = profile
    page = context.pages[0]
    held, released = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        held.set()
        await released.wait()
        await route.continue_()

    await page.route(f"**{REFRESH}", hold)
    await page.goto("/sign-in")
    await held.wait()
    await page.get_by_label("Email address").fill(account.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Sign in")).to_be_disabled()
    await asyncio.sleep(0.2)
    assert (
        monitor.count("POST", "/api/auth/session") == 0
    )  # sign-in waits for the refresh, whose 401 would end the session
    released.set()
    await page.get_by_label("Message", exact=True).wait_for()


async def test_a_signed_out_browser_does_not_refresh(profile: Profile, page: Page, account: Account) -> None:
    monitor = profile[1]
    await page.get_by_role("button", name="@example.org").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    before = monitor.count("POST", REFRESH)
    await page.reload()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert monitor.count("POST", REFRESH) == before
    await sign_in(page, account.email, PASSWORD)
    await page.reload()
    await expect(page.get_by_label("Message", exact=True)).to_be_visible()
    assert monitor.count("POST", REFRESH) == before + 1


async def test_a_new_tab_gets_the_token_of_another_tab_or_refreshes(profile: Profile, page: Page) -> None:
    context, monitor = profile
    before = monitor.count("POST", REFRESH)
    second = await context.new_page()
    await second.goto("/account/usage")
    await expect(second.get_by_role("heading", name="Usage")).to_be_visible()
    assert monitor.count("POST", REFRESH) == before
    await page.close()
    await second.reload()
    await expect(second.get_by_role("heading", name="Usage")).to_be_visible()
    assert monitor.count("POST", REFRESH) == before + 1


async def test_tabs_with_an_expired_token_share_one_refresh(new_profile: Profile, account: Account) -> None:
    context, monitor = new_profile
    tabs = [await context.new_page() for _ in range(4)]
    await start_session(tabs[0], account.email, PASSWORD)
    for tab in tabs:
        await tab.clock.install()
        await tab.goto("/account/sessions")
        await expect(tab.get_by_role("table")).to_be_visible()
    before = monitor.count("POST", REFRESH)
    for tab in tabs:
        # Within the margin in which a token is refreshed before use.
        await tab.clock.fast_forward(890_000)
    for tab in tabs:
        await tab.get_by_role("link", name="Usage").click()
    for tab in tabs:
        await expect(tab.get_by_text("Tokens today")).to_be_visible()
    assert monitor.count("POST", REFRESH) == before + 1


async def test_signing_out_ends_the_session_in_every_tab(
    profile: Profile, page: Page, gateway: Gateway, account: Account
) -> None:
    context, _ = profile
    other = await context.new_page()
    await other.goto("/account/keys")
    await expect(other.get_by_text("No API keys yet")).to_be_visible()
    await page.get_by_role("button", name=account.email).click()
    await page.get_by_role("menuitem", name="Sign out").click()
    for tab in (page, other):
        await expect(tab.get_by_text("You have been signed out.")).to_be_visible()
        await expect(tab.get_by_role("button", name="Sign in")).to_be_visible()
    assert await context.cookies(f"{gateway.url}/api/auth/session") == []
    await other.reload()
    await expect(other.get_by_role("button", name="Sign in")).to_be_visible()


async def test_signing_out_everywhere_revokes_all_sessions(
    page: Page, gateway: Gateway, account: Account
) -> None:
    await page.goto("/account/sessions")
    await page.get_by_role("button", name="Sign out everywhere").click()
    await page.get_by_role("dialog").get_by_role("button", name="Sign out everywhere").click()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    elsewhere = await gateway.http.get("/api/user/me", headers=account.headers)
    assert elsewhere.status_code == 401


async def test_a_forgotten_password_can_be_reset_by_email(
    blank_page: Page, gateway: Gateway, account: Account
) -> None:
    page = blank_page
    await page.goto("/forgot")
    await page.get_by_label("Email address").fill(account.email)
    await page.get_by_role("button", name="Send link").click()
    await expect(page.get_by_text("an email is on its way")).to_be_visible()
    mailbox = gateway.container.settings.data_dir / "mailbox"
    while (token := mailed_token(mailbox, account.email)) is None:  # noqa: ASYNC110 - a file appears
        await asyncio.sleep(0.02)
    await page.goto(f"/reset#token={token}")
    await expect(page).to_have_url(f"{gateway.url}/reset")
    await page.get_by_label("New password").fill("sixteen grey herons")
    await page.get_by_role("button", name="Set password").click()
    await expect(page.get_by_text("Your password has been changed.")).to_be_visible()
    await sign_in(page, account.email, "sixteen grey herons")


async def test_the_administration_requires_the_admin_role(
    profile: Profile, page: Page, gateway: Gateway
) -> None:
    _, monitor = profile
    await page.goto("/admin")
    await expect(page.get_by_label("Message", exact=True)).to_be_visible()
    assert not any("/api/admin" in request.url for request in monitor.requests)

    admin = await gateway.sign_up()
    await set_role(gateway, admin)
    await page.get_by_role("navigation", name="Conversations").wait_for()
    await page.evaluate("fetch('/api/auth/session', {method: 'DELETE', headers: {'x-gateway-console': '1'}})")
    await page.context.clear_cookies()
    await sign_in(page, admin.email, PASSWORD)
    await page.goto("/admin")
    await expect(page.get_by_role("navigation", name="Administration")).to_be_visible()


async def test_unknown_pages_and_conversations_are_reported(page: Page) -> None:
    await page.goto("/nowhere/at/all")
    await expect(page.get_by_text("Page not found")).to_be_visible()
    await page.goto("/c/01a1f842-0000-7000-8000-000000000000")
    await expect(page.get_by_text("Conversation not found")).to_be_visible()
