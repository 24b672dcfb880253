"""The console on a phone by touch only, within the limits of the shipped tier `free`."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, Page, expect

from tests.console.browser import PageMonitor, start_session
from tests.support.gateway import PASSWORD, Account
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply


async def sign_in_by_touch(page: Page, account: Account) -> None:
    await page.goto("/sign-in")
    await page.get_by_label("Email address").tap()
    await page.keyboard.type(account.email)
    await page.get_by_label("Password").tap()
    await page.keyboard.type(PASSWORD)
    await page.get_by_role("button", name="Sign in").tap()
    await page.get_by_label("Message", exact=True).wait_for()


async def drawer_of(page: Page) -> Locator:
    await page.get_by_role("button", name="Open navigation").tap()
    drawer = page.get_by_role("dialog", name="Menu", exact=True)
    await expect(drawer).to_be_visible()
    return drawer


async def choose(page: Page, drawer: Locator, button: str, item: str, role: str = "menuitem") -> None:
    """Tap an item of one of the drawer's menus; the tap goes to the topmost element."""
    await drawer.get_by_role("button", name=button).tap()
    await page.get_by_role(role, name=item, exact=True).tap()  # type: ignore[arg-type]


async def test_questions_and_all_menus_of_the_drawer_work_by_touch(
    phone: tuple[Page, PageMonitor], account: Account, upstream: OpenAIUpstream
) -> None:
    page, monitor = phone
    await sign_in_by_touch(page, account)
    upstream.script(*(Reply(text=[f"Answer {number}."]) for number in range(12)))
    for number in range(12):
        await page.get_by_label("Message", exact=True).tap()
        await page.keyboard.type(f"Question {number}?")
        await page.get_by_role("button", name="Send").tap()
        await expect(page.get_by_text(f"Answer {number}.", exact=True)).to_be_visible()
        await expect(page.get_by_role("button", name="Regenerate answer")).to_have_count(number + 1)
    assert monitor.count("POST", "/api/chat/stream") == 12
    # One at sign-in, and one per question.
    assert monitor.count("GET", "/api/conversations") <= 13

    drawer = await drawer_of(page)
    await choose(page, drawer, "Actions for Question 0?", "Rename")
    rename = page.get_by_role("dialog", name="Rename conversation")
    await rename.get_by_label("Title").fill("Twelve")
    await rename.get_by_role("button", name="Save").tap()
    await expect(rename).to_have_count(0)
    await expect(drawer.get_by_role("link", name="Twelve")).to_be_visible()

    await drawer.get_by_role("button", name=account.email).tap()
    await page.get_by_role("menuitemradio", name="Dark").tap()
    await expect(page.locator("html[data-theme=dark]")).to_be_attached()
    await page.get_by_role("menuitem", name="Account", exact=True).tap()
    await expect(page.get_by_role("heading", name="Profile")).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)

    drawer = await drawer_of(page)
    await choose(page, drawer, account.email, "Sign out")
    await expect(page.get_by_text("You have been signed out.")).to_be_visible()


async def test_an_error_of_deleting_a_conversation_is_shown_above_the_dialog(
    phone: tuple[Page, PageMonitor], account: Account, upstream: OpenAIUpstream
) -> None:
    page, _ = phone
    await start_session(page, account.email, PASSWORD)
    upstream.script(Reply(text=["Gone."]))
    await page.get_by_label("Message", exact=True).fill("Delete me.")
    await page.get_by_role("button", name="Send").tap()
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_visible()
    drawer = await drawer_of(page)
    await page.context.set_offline(True)
    await choose(page, drawer, "Actions for Delete me.", "Delete")
    confirm = page.get_by_role("dialog", name="Delete conversation?")
    await confirm.get_by_role("button", name="Delete").tap()
    refusal = page.get_by_text("The gateway is unreachable.")
    await expect(refusal).to_be_visible()
    # The toast is in the top layer, above the open dialog.
    await page.get_by_role("button", name="Dismiss").tap()
    await expect(refusal).to_have_count(0)
    await page.context.set_offline(False)
    await confirm.get_by_role("button", name="Delete").tap()
    await expect(page.get_by_role("heading", name="How can I help you?")).to_be_visible()


@pytest.mark.parametrize("opener", ["Model: Auto", "All tools"])
async def test_the_composers_lists_can_be_tapped(
    opener: str, phone: tuple[Page, PageMonitor], account: Account
) -> None:
    page, _ = phone
    await start_session(page, account.email, PASSWORD)
    if opener == "All tools":
        await page.get_by_role("button", name=opener).tap()
        await page.get_by_role("checkbox", name="Calculator").tap()
        await expect(page.get_by_role("checkbox", name="Calculator")).not_to_be_checked()
    else:
        await page.get_by_role("combobox", name=opener).tap()
        await page.get_by_role("option", name="mock").tap()
        await expect(page.get_by_role("combobox", name="Model: mock")).to_be_visible()


async def test_escape_closes_the_menu_before_the_drawer(
    phone: tuple[Page, PageMonitor], account: Account
) -> None:
    page, _ = phone
    await start_session(page, account.email, PASSWORD)
    drawer = await drawer_of(page)
    await drawer.get_by_role("button", name=account.email).tap()
    await expect(page.get_by_role("menu")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("menu")).to_have_count(0)
    await expect(drawer).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(drawer).to_have_count(0)
