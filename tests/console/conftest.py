"""One gateway, one browser and one scripted upstream per test worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from playwright.async_api import Browser, BrowserContext, Page, expect

from gateway.console.site import DIST
from tests.console.browser import (
    PageMonitor,
    ReusedContext,
    find_browser,
    monitored_context,
    running_browser,
    start_session,
)
from tests.support.gateway import PASSWORD, Account, Gateway, clear_failed_attempts, running_gateway
from tests.support.paths import PROJECT
from tests.support.upstreams.openai_server import OpenAIUpstream

# Tests wait for events; the timeout only limits tests that fail, and is long for slow machines.
expect.set_options(timeout=20_000)

PHONE: dict[str, object] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests in the session's event loop, because they share a gateway and a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("asyncio") is not None:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def console() -> Path:
    """The console, built from the current sources."""
    built = subprocess.run(
        [sys.executable, PROJECT / "scripts" / "build_console.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    if built.returncode != 0:
        pytest.skip(f"The console cannot be built here: {built.stderr.strip()[-500:]}")
    return DIST


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(console: Path) -> AsyncIterator[Browser]:
    found = find_browser()
    if found is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("REQUIRE_BROWSER is set, and there is no Chromium")
        pytest.skip(
            "There is no Chromium here: install Debian's `chromium`, name one in CHROMIUM, "
            "or have npm bring one: scripts/build_console.py --check"
        )
    async with running_browser(*found) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(
    database_url: str,
    redis_url: str,
    upstream: OpenAIUpstream,
    console: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Gateway]:
    config: dict[str, object] = {
        "providers": {
            "scripted": {"type": "openai", "api_key": "sk-test", "base_url": upstream.url},
            "mock": {"type": "mock"},
            "slow": {"type": "mock", "options": {"delay": 0.05}},
        },
        "models": {
            "scripted": {
                "provider": "scripted",
                "model": "gpt-test",
                "context_window": 100_000,
                "capabilities": ["tools"],
                "price": {"input": 1, "output": 2},
            },
            "mock": {"provider": "mock", "model": "mock", "capabilities": ["tools"]},
            "slow": {"provider": "slow", "model": "slow"},
            "picture": {"provider": "mock", "model": "mock", "capabilities": ["images"]},
        },
        "routing": {"light": "scripted", "heavy": "scripted"},
        "tools": {"enabled": ["calculator", "current_time"]},
        "retry": {"attempts": 1},
        "cache": {"exact": {"ttl_seconds": 0}},
        "guardrails": {
            "people": {"injection": "off", "unsafe": "off", "leak": "off", "personal_data": "off"}
        },
        # The shipped tiers: the console has to work within their limits.
        "tiers": yaml.safe_load((PROJECT / "provider_config.yaml").read_text(encoding="utf-8"))["tiers"],
    }
    directory = tmp_path_factory.mktemp("console")
    async with running_gateway(database_url, redis_url, directory, config) as gateway:
        yield gateway


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def reused_context(browser: Browser, gateway: Gateway) -> AsyncIterator[ReusedContext]:
    async with monitored_context(browser, gateway.url) as (context, monitor):
        yield ReusedContext(context, monitor, gateway.url)


@pytest_asyncio.fixture(loop_scope="session")
async def profile(
    reused_context: ReusedContext, gateway: Gateway
) -> AsyncIterator[tuple[BrowserContext, PageMonitor]]:
    """An empty browser profile with one blank tab, and its monitor."""
    await clear_failed_attempts(gateway)
    await reused_context.reset()
    yield reused_context.context, reused_context.monitor
    reused_context.monitor.assert_clean()


@pytest_asyncio.fixture(loop_scope="session")
async def blank_page(profile: tuple[BrowserContext, PageMonitor]) -> Page:
    """A blank tab without a session."""
    return profile[0].pages[0]


@pytest_asyncio.fixture(loop_scope="session")
async def new_profile(
    browser: Browser, gateway: Gateway
) -> AsyncIterator[tuple[BrowserContext, PageMonitor]]:
    """A separate profile for changes that cannot be reset, such as a fake clock."""
    await clear_failed_attempts(gateway)
    async with monitored_context(browser, gateway.url) as profile:
        yield profile


@pytest_asyncio.fixture(loop_scope="session")
async def account(gateway: Gateway) -> Account:
    await clear_failed_attempts(gateway)
    return await gateway.sign_up()


@pytest_asyncio.fixture(loop_scope="session")
async def page(blank_page: Page, account: Account) -> Page:
    """A tab with a new chat, signed in as `account`."""
    await start_session(blank_page, account.email, PASSWORD)
    return blank_page


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def reused_phone(browser: Browser, gateway: Gateway) -> AsyncIterator[ReusedContext]:
    async with monitored_context(browser, gateway.url, **PHONE) as (context, monitor):
        yield ReusedContext(context, monitor, gateway.url)


@pytest_asyncio.fixture(loop_scope="session")
async def phone(reused_phone: ReusedContext, gateway: Gateway) -> AsyncIterator[tuple[Page, PageMonitor]]:
    """A blank tab of a phone's browser, and its monitor."""
    await clear_failed_attempts(gateway)
    await reused_phone.reset()
    yield reused_phone.context.pages[0], reused_phone.monitor
    reused_phone.monitor.assert_clean()
