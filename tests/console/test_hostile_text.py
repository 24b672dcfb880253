"""Stored XSS and exfiltration: hostile text is rendered as text everywhere."""

from __future__ import annotations

from playwright.async_api import BrowserContext, Page, expect

from tests.console import hostile_text
from tests.console.browser import PageMonitor, send_message
from tests.support.gateway import Account, Gateway, set_role
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply, ScriptedToolCall

Profile = tuple[BrowserContext, PageMonitor]


async def assert_nothing_ran(page: Page) -> None:
    assert await page.evaluate("__ran") == []
    assert (
        await page.locator("main script, main iframe, main object, main style, main svg image").count() == 0
    )
    handlers = """() => [...document.querySelectorAll("*")].flatMap((element) =>
      [...element.attributes].filter(({name}) => name.startsWith("on")).map(({name}) => name))"""
    assert await page.evaluate(handlers) == []
    links = "() => [...document.querySelectorAll('a')].map((link) => link.protocol)"
    assert set(await page.evaluate(links)) <= {"http:", "https:", "mailto:"}


async def test_questions_and_answers_are_rendered_as_text(
    profile: Profile, page: Page, upstream: OpenAIUpstream, gateway: Gateway
) -> None:
    _, monitor = profile
    # Streamed in chunks that split the markup, so that incomplete markup is rendered as well.
    whole = "\n\n".join(hostile_text.ALL[: -len(hostile_text.MALFORMED)])
    upstream.script(Reply(text=[whole[at : at + 7] for at in range(0, len(whole), 7)]))
    await send_message(page, "\n\n".join(hostile_text.SCRIPTS + hostile_text.EXFILTRATION))
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_attached()
    await page.locator(".katex").first.wait_for()
    await assert_nothing_ran(page)
    # The same again from the stored message.
    await page.reload()
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_attached()
    await page.locator(".katex").first.wait_for()
    await assert_nothing_ran(page)
    await expect(page.get_by_role("link", name="example.org", exact=True).first).to_have_attribute(
        "rel", "noopener noreferrer nofollow"
    )
    await expect(page.get_by_text("(spy.example)").first).to_be_attached()
    await expect(page.locator("pre", has_text="⟨U+2066⟩hidden⟨U+2069⟩")).to_be_attached()
    monitor.assert_clean()


async def test_malformed_and_extremely_long_text_does_not_break_the_page(
    page: Page, upstream: OpenAIUpstream
) -> None:
    endless = [
        hostile_text.LONG_LINE[at : at + 20_000] for at in range(0, len(hostile_text.LONG_LINE), 20_000)
    ]
    upstream.script(*(Reply(text=[text]) for text in hostile_text.MALFORMED), Reply(text=endless))
    await send_message(page, "Break.")
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_attached()
    answer = page.get_by_role("article", name="Answer")
    for number in range(2, len(hostile_text.MALFORMED) + 2):
        await page.get_by_role("button", name="Regenerate answer").click()
        await expect(page.get_by_text(f"Version {number} of {number}")).to_be_attached()
    await expect(answer).to_contain_text("onerror=__ran.push(99)")
    await assert_nothing_ran(page)


async def test_titles_names_keys_and_tool_results_are_rendered_as_text(
    profile: Profile, page: Page, gateway: Gateway, account: Account, upstream: OpenAIUpstream
) -> None:
    _, monitor = profile
    lines = [" ".join(text.split())[:90] for text in (*hostile_text.SCRIPTS, *hostile_text.SPOOFING)]
    for text in lines:
        await gateway.http.post("/api/conversations", json={"title": text}, headers=account.headers)
        await gateway.http.post("/api/user/api-keys", json={"name": text}, headers=account.headers)
    await gateway.http.put("/api/user/me", json={"name": lines[1] + "\u202ename"}, headers=account.headers)
    await set_role(gateway, account)
    arguments = '{"expression": "<img src=x onerror=__ran.push(50)>"}'
    upstream.script(
        Reply(text=(), tools=[ScriptedToolCall("calculator", (arguments,))]), Reply(text=["Done."])
    )

    await page.reload()
    side = page.get_by_role("navigation", name="Conversations")
    await expect(side.get_by_role("listitem")).to_have_count(len(lines))
    await send_message(page, "Use it.")
    await page.locator("summary", has_text="Calculator").click()
    await expect(page.get_by_role("article", name="Answer")).to_contain_text("onerror=__ran.push(50)")
    await assert_nothing_ran(page)
    assert "\u202e" not in await page.locator("body").inner_text()
    for path, seen in (
        ("/account/keys", "API keys"),
        ("/admin/users", "Users"),
        ("/admin/audit", "Audit log"),
    ):
        await page.goto(path)
        await expect(page.get_by_role("heading", name=seen)).to_be_visible()
        await expect(page.get_by_role("table").first).to_be_visible()
        await assert_nothing_ran(page)
    monitor.assert_clean()
