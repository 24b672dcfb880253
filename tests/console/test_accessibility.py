"""axe-core reports no violations on any page in the light and the dark theme."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.browser import PageMonitor, monitored_context, send_message, sign_in, start_session
from tests.support.gateway import PASSWORD, Account, Gateway, set_role
from tests.support.paths import PROJECT
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

AXE = PROJECT / "web" / "node_modules" / "axe-core" / "axe.min.js"
_MARKDOWN = """## Heading

A [link](https://example.org), `code`, **bold** and $x^2$.

| a | b |
|---|--:|
| 1 | 2 |

```python
def f(x: int) -> str:
    return "text"  # comment
```

- [x] done
- [ ] open

> quoted
"""
PUBLIC = ("/sign-in", "/sign-up", "/forgot", "/reset")
SIGNED_IN = (
    "/account", "/account/password", "/account/sessions", "/account/keys", "/account/usage", "/account/data",
    "/admin", "/admin/usage", "/admin/users", "/admin/requests", "/admin/models", "/admin/audit", "/nowhere",
)  # fmt: skip
THEMES: dict[Literal["light", "dark"], str] = {"light": "", "dark": "runOnly: ['color-contrast']"}


@pytest.fixture(scope="session")
def axe() -> str:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: scripts/build_console.py --check")
    return AXE.read_text(encoding="utf-8")


async def axe_violations(page: Page, axe: str, *, popup: bool = False) -> list[Any]:
    """axe's violations in both themes; the dark one is checked for colours only.

    Popups are outside of the page's landmarks and have hidden focus traps, both intentionally.
    """
    await page.evaluate(axe)
    found = []
    for theme, rules in THEMES.items():
        await page.emulate_media(color_scheme=theme)
        more = "rules: {region: {enabled: false}}" if popup and not rules else rules
        where = "{exclude: ['[data-focus-trap]']}"
        result = await page.evaluate(f"axe.run({where}, {{resultTypes: ['violations'], {more}}})")
        found += [
            (theme, page.url, one["id"], one["nodes"][0]["html"][:300], one["nodes"][0]["failureSummary"])
            for one in result["violations"]
        ]
    return found


async def test_sign_in_and_chat_are_accessible_in_both_themes(
    browser: Browser, gateway: Gateway, account: Account, upstream: OpenAIUpstream, axe: str
) -> None:
    upstream.script(Reply(text=[_MARKDOWN]))
    found: list[Any] = []
    async with monitored_context(browser, gateway.url, reduced_motion="reduce") as (context, _):
        page = await context.new_page()
        for path in PUBLIC:
            await page.goto(path)
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            found += await axe_violations(page, axe)
        # On the page: after a visit without a session the console does not look for one by itself.
        await sign_in(page, account.email, PASSWORD)
        found += await axe_violations(page, axe)
        await send_message(page, "Everything.")
        await page.locator(".katex").first.wait_for()
        await page.locator(".hljs-keyword").first.wait_for()
        await expect(page.get_by_role("button", name="Regenerate answer")).to_be_visible()
        found += await axe_violations(page, axe)
        for opener in (
            page.get_by_role("combobox", name="Model"),
            page.get_by_role("button", name="All tools"),
            page.get_by_role("button", name="Answer details"),
            page.get_by_role("button", name=account.email),
        ):
            await opener.click()
            found += await axe_violations(page, axe, popup=True)
            await page.keyboard.press("Escape")
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("part", ["/account", "/admin"])
async def test_account_and_admin_pages_are_accessible_in_both_themes(
    part: str, browser: Browser, gateway: Gateway, account: Account, axe: str
) -> None:
    await set_role(gateway, account)
    found: list[Any] = []
    async with monitored_context(browser, gateway.url, reduced_motion="reduce") as (context, _):
        page = await context.new_page()
        await start_session(page, account.email, PASSWORD)
        if part == "/account":
            await page.goto("/account/keys")
            await page.get_by_role("button", name="New key").click()
            found += await axe_violations(page, axe, popup=True)
        for path in (path for path in SIGNED_IN if path.startswith((part, "/nowhere"))):
            await page.goto(path)
            await expect(page.get_by_role("heading").first).to_be_visible()
            await expect(page.get_by_text("Loading…")).to_have_count(0)
            found += await axe_violations(page, axe)
    assert not found, "\n".join(map(str, found))


async def test_no_page_scrolls_horizontally_on_a_phone(
    phone: tuple[Page, PageMonitor], gateway: Gateway, account: Account, upstream: OpenAIUpstream
) -> None:
    await set_role(gateway, account)
    upstream.script(Reply(text=[_MARKDOWN]))
    page, _ = phone
    await start_session(page, account.email, PASSWORD)
    await page.get_by_label("Message", exact=True).fill("Everything.")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_visible()
    await page.get_by_role("button", name="Open navigation").click()
    await page.get_by_role("dialog", name="Menu").get_by_role("button", name="New chat").click()
    await expect(page.get_by_role("heading", name="How can I help you?")).to_be_visible()
    for path in ("/", *SIGNED_IN, *PUBLIC):
        await page.goto(path)
        await expect(page.get_by_role("heading").first).to_be_visible()
        await expect(page.get_by_text("Loading…")).to_have_count(0)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
