"""The account pages: API keys, profile, password, sessions, usage, export and deletion."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
from openai import AsyncOpenAI
from playwright.async_api import BrowserContext, Page, expect

from tests.console.browser import PageMonitor, send_message
from tests.support.gateway import PASSWORD, Account, Gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

Profile = tuple[BrowserContext, PageMonitor]


async def test_a_new_keys_secret_is_shown_once_with_examples_that_work(
    page: Page, gateway: Gateway, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=["Good day."]))
    await page.goto("/account/keys")
    await page.get_by_role("button", name="New key").click()
    form = page.get_by_role("dialog", name="New key")
    await form.get_by_label("Name").fill("my program")
    await form.get_by_role("checkbox", name="Generate images").uncheck()
    await form.get_by_role("button", name="Create key").click()

    shown = page.get_by_role("dialog", name="Your new API key")
    blocks = shown.locator("pre")
    secret = await blocks.nth(0).inner_text()
    assert secret.startswith("gw_")
    curl, python = await blocks.nth(1).inner_text(), await blocks.nth(2).inner_text()
    assert f"curl {gateway.url}/v1/chat/completions" in curl
    assert f'base_url="{gateway.url}/v1", api_key="{secret}"' in python
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=secret) as client:
        answer = await client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "Say hello."}]
        )
    assert answer.choices[0].message.content == "Good day."

    await shown.get_by_role("button", name="Done").click()
    await expect(shown).to_have_count(0)
    table = page.get_by_role("table", name="API keys")
    await expect(table).to_contain_text("my program")
    await expect(table).to_contain_text("Chat, Create embeddings, List models, Read usage")
    assert secret not in await page.content()
    await page.reload()
    await expect(table).to_contain_text("my program")
    assert secret not in await page.content()

    await page.get_by_role("button", name="Revoke my program").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(page.get_by_text("No API keys yet")).to_be_visible()
    refused = await gateway.http.get("/v1/models", headers={"authorization": f"Bearer {secret}"})
    assert refused.status_code == 401


async def test_name_and_password_can_be_changed_and_errors_are_shown(page: Page, account: Account) -> None:
    await page.goto("/account")
    await page.get_by_label("Name").fill("Ada L.")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("button", name="Ada L.")).to_be_visible()
    await page.get_by_role("link", name="Password").click()
    await page.get_by_label("Current password").fill("not this one at all")
    await page.get_by_label("New password").fill("sixteen grey herons")
    await page.get_by_role("button", name="Change password").click()
    await expect(page.get_by_text("The current password is incorrect.")).to_be_visible()
    await page.get_by_label("Current password").fill(PASSWORD)
    await page.get_by_role("button", name="Change password").click()
    await expect(page.get_by_text("Password changed.")).to_be_visible()


async def test_another_session_can_be_signed_out(page: Page, gateway: Gateway, account: Account) -> None:
    await page.goto("/account/sessions")
    table = page.get_by_role("table")
    await expect(table.get_by_role("row")).to_have_count(3)
    await table.get_by_role("button", name="Sign out").click()
    await expect(table.get_by_role("row")).to_have_count(2)
    ended = await gateway.http.get("/api/user/me", headers=account.headers)
    assert ended.status_code == 401


async def test_usage_is_shown_with_its_limits(page: Page, upstream: OpenAIUpstream) -> None:
    upstream.script(Reply(text=["Yes."], usage=(1000, 500)))
    await send_message(page, "Used?")
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_visible()
    await page.goto("/account/usage")
    await expect(page.get_by_role("meter", name="Storage")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text("of 1 GB")
    await expect(page.get_by_text("1,500 of 200,000")).to_be_visible()
    await expect(page.get_by_text("$0.002 of $1.00")).to_be_visible()
    await expect(page.get_by_role("table", name="Usage by model this month")).to_contain_text("scripted")
    await expect(page.get_by_role("table", name="Usage by API key this month")).to_contain_text("signed in")


async def test_data_can_be_exported_and_the_account_deleted(
    profile: Profile, page: Page, gateway: Gateway, account: Account, upstream: OpenAIUpstream, tmp_path: Path
) -> None:
    upstream.script(Reply(text=["Kept."]))
    await send_message(page, "Keep this.")
    await expect(page.get_by_role("button", name="Regenerate answer")).to_be_visible()
    await page.goto("/account/data")
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Download").click()
    download = await downloading.value
    await download.save_as(tmp_path / "export.json")
    exported = (tmp_path / "export.json").read_text(encoding="utf-8")
    assert json.loads(exported)
    assert "Keep this." in exported

    await page.get_by_role("button", name="Delete account").click()
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Delete permanently").click()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    gone: httpx.Response = await gateway.http.post(
        "/api/auth/login", json={"email": account.email, "password": PASSWORD}
    )
    assert gone.status_code == 401


async def test_images_of_the_gateway_are_shown_and_external_ones_are_not_loaded(
    page: Page, gateway: Gateway, account: Account, upstream: OpenAIUpstream
) -> None:
    made = await gateway.http.post(
        "/api/v1/media/image/generate",
        json={"prompt": "a mug", "width": 64, "height": 64},
        headers=account.headers,
    )
    assert made.status_code == 200, made.text
    address = made.json()["images"][0]["url"]
    upstream.script(
        Reply(
            text=[
                f"![a mug]({address})\n\n![spy](https://spy.example/pixel.png?q=secret)\n\n![none](/api/v1/media/images/{account.id})"
            ]
        )
    )
    await send_message(page, "Show me.")
    picture = page.locator("img[alt='a mug']")
    await expect(picture).to_be_visible()
    assert (await picture.get_attribute("src") or "").startswith("blob:")
    assert (
        await picture.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") == 64
    )
    await expect(page.get_by_text("External image, not loaded:")).to_be_visible()
    await expect(page.get_by_role("link", name="https://spy.example/pixel.png?q=secret")).to_be_visible()
    await expect(page.get_by_text("This image no longer exists.")).to_be_visible()


async def test_language_and_theme_are_stored(page: Page, account: Account) -> None:
    await page.get_by_role("button", name=account.email).click()
    await page.get_by_role("menuitemradio", name="Dark").click()
    await page.get_by_role("menuitemradio", name="한국어").click()
    await expect(page.get_by_role("heading", name="무엇을 도와드릴까요?")).to_be_attached()
    await page.reload()
    await expect(page.get_by_role("heading", name="무엇을 도와드릴까요?")).to_be_visible()
    assert await page.evaluate("[document.documentElement.lang, document.documentElement.dataset.theme]") == [
        "ko",
        "dark",
    ]


async def test_signing_in_returns_to_the_requested_page(blank_page: Page, account: Account) -> None:
    page = blank_page
    await page.goto("/account/keys")
    await page.get_by_label("Email address").fill(account.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("No API keys yet")).to_be_visible()
