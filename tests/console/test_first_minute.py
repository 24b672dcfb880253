"""From `gateway serve` to the first answer of the local model, as a new user sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.console.browser import monitored_context, send_message
from tests.support.gateway_process import GatewayProcess

# Long enough an answer, even from a small model, to reload the page while it streams.
QUESTION = "Write three sentences about a bird."


@pytest.mark.timeout(180)  # the model runs on the CPU, which other test processes use too
async def test_a_new_user_signs_up_asks_and_reloads_while_streaming(browser: Browser, tmp_path: Path) -> None:
    with GatewayProcess("--data-dir", str(tmp_path / "data"), cwd=tmp_path) as served:
        served.wait_for_banner()
        async with monitored_context(browser, served.address) as (context, _):
            page = await context.new_page()
            await page.goto("/sign-up")
            await page.get_by_label("Email address").fill("ada@example.org")
            await page.get_by_label("Password").fill("correct horse battery")
            await page.get_by_role("button", name="Create account").click()
            await expect(page.get_by_role("region", name="You are using a small local model")).to_be_visible()
            await page.get_by_text("Connect a better model").click()
            await expect(page.get_by_text("OPENAI_API_KEY=sk-…")).to_be_visible()
            await send_message(page, QUESTION)
            answer = page.get_by_role("article", name="Answer")
            await expect(answer.locator(".markdown")).not_to_be_empty(timeout=60_000)
            await page.reload()
            await expect(answer.locator(".markdown")).not_to_be_empty(timeout=60_000)
            await expect(page.get_by_role("button", name="Regenerate answer")).to_be_visible(timeout=90_000)
            await expect(answer).to_contain_text("local (small model)")
