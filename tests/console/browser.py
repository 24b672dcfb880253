"""Chromium for the console's tests, and a monitor for requests and errors that are never allowed.

Whichever is found first is used: `CHROMIUM`, one on the PATH, or the build that the npm package
`@sparticuz/chromium` carries (`web/node_modules`), which runs where no package manager has one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

from tests.console.bundled_browser import bundled_browser, bundled_browser_environment

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_STORAGE = "local_storage,indexeddb,cache_storage,service_workers"
_VIOLATION = "POLICY VIOLATION"
_MONITOR_SCRIPT = f"""
addEventListener("securitypolicyviolation", (event) =>
  console.error("{_VIOLATION}", event.violatedDirective, event.blockedURI, event.sample));
globalThis.__ran = [];
"""


def find_browser() -> tuple[str, dict[str, str]] | None:
    """The browser's executable and environment; None if there is no browser."""
    named = os.environ.get("CHROMIUM") or next(
        (found for name in _NAMES if (found := shutil.which(name))), None
    )
    if named is not None:
        return named, dict(os.environ)
    carried = bundled_browser()
    return None if carried is None else (str(carried), bundled_browser_environment())


@asynccontextmanager
async def running_browser(path: str, environment: dict[str, str]) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=list(_ARGUMENTS), env=dict(environment)
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class PageMonitor:
    """Records policy violations, uncaught errors and requests to other hosts of all pages of a context."""

    host: str
    violations: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def clear(self) -> None:
        """Discard all records before the next test."""
        for seen in (self.violations, self.errors, self.foreign_requests, self.requests):
            seen.clear()

    def assert_clean(self) -> None:
        assert not self.violations, self.violations
        assert not self.foreign_requests, self.foreign_requests
        assert not self.errors, self.errors

    def count(self, method: str, path: str) -> int:
        return sum(one.method == method and urlsplit(one.url).path == path for one in self.requests)

    def on_console(self, message: ConsoleMessage) -> None:
        if message.text.startswith(_VIOLATION) or "Content Security Policy" in message.text:
            self.violations.append(message.text)

    def on_request(self, request: Request) -> None:
        self.requests.append(request)
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.netloc != self.host:
            self.foreign_requests.append(request.url)


@asynccontextmanager
async def monitored_context(
    browser: Browser, url: str, **options: object
) -> AsyncIterator[tuple[BrowserContext, PageMonitor]]:
    """A new browser profile for a gateway's URL; asserts on exit that nothing forbidden happened."""
    context = await browser.new_context(
        base_url=url, **{"locale": "en-US", "viewport": {"width": 1280, "height": 800}, **options}
    )
    context.set_default_timeout(20_000)
    monitor = PageMonitor(urlsplit(url).netloc)
    await context.add_init_script(_MONITOR_SCRIPT)
    context.on("console", monitor.on_console)
    context.on("request", monitor.on_request)
    context.on("weberror", lambda error: monitor.errors.append(str(error.error)))
    try:
        yield context, monitor
        monitor.assert_clean()
    finally:
        await context.close()


class ReusedContext:
    """One browser profile for many tests: a new one takes a second of CPU, clearing it a tenth."""

    def __init__(self, context: BrowserContext, monitor: PageMonitor, url: str) -> None:
        self.context = context
        self.monitor = monitor
        self._url = url

    async def reset(self) -> None:
        """Reset to one empty tab without cookies, storage, routes or emulated media; keeps the HTTP cache."""
        first, *others = self.context.pages or [await self.context.new_page()]
        for page in others:
            await page.close()
        await self.context.unroute_all()
        await first.unroute_all()
        # A page of the same origin, or Chromium starts another process for the next one.
        await first.goto("/health/live")
        await first.evaluate("sessionStorage.clear()")
        await first.emulate_media(media="null", color_scheme="null", reduced_motion="null")
        await self.context.clear_cookies()
        devtools = await self.context.new_cdp_session(first)
        await devtools.send("Storage.clearDataForOrigin", {"origin": self._url, "storageTypes": _STORAGE})
        await devtools.detach()
        self.monitor.clear()


async def sign_in(page: Page, email: str, password: str) -> None:
    """Sign in on the sign-in page and wait for the chat."""
    await page.goto("/sign-in")
    await page.get_by_label("Email address").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_label("Message", exact=True).wait_for()


async def start_session(page: Page, email: str, password: str) -> None:
    """Sign in through the API and open the chat, for tests that are not about signing in."""
    response = await page.request.post(
        "/api/auth/session",
        data={"email": email, "password": password},
        headers={"x-gateway-console": "1", "sec-fetch-site": "same-origin"},
    )
    assert response.ok, await response.text()
    await page.goto("/")
    # Polls every frame; locators poll up to half a second apart.
    await page.wait_for_function("() => document.querySelector('textarea')")


async def send_message(page: Page, text: str) -> None:
    field = page.get_by_label("Message", exact=True)
    await field.fill(text)
    await field.press("Enter")
