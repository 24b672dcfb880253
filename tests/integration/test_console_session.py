"""The console's session.

A cookie that no script can read and no other site can use.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.gateway import PASSWORD, Account, Gateway, running_gateway

CONFIG = {"providers": {"mock": {"type": "mock"}}, "models": {"mock": {"provider": "mock", "model": "mock"}}}
OURS = {"sec-fetch-site": "same-origin", "x-gateway-console": "1"}
PATH = "/api/auth/session"


@pytest.fixture
def gateway_config() -> dict[str, Any]:
    return CONFIG


@pytest.fixture
def gateway_settings() -> dict[str, Any]:
    return {"trusted_proxies": "127.0.0.1"}


def browser(gateway: Gateway, **headers: str) -> httpx.AsyncClient:
    """A client with its own cookie jar."""
    return httpx.AsyncClient(base_url=gateway.url, headers={**OURS, **headers}, timeout=20)


async def sign_in(page: httpx.AsyncClient, person: Account) -> httpx.Response:
    return await page.post(PATH, json={"email": person.email, "password": PASSWORD})


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def test_the_refresh_token_is_only_in_the_cookie(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    async with browser(gateway) as page:
        began = await sign_in(page, person)
        assert began.status_code == 200
        assert set(began.json()) == {"access_token", "token_type", "expires_in"}
        assert began.headers["cache-control"] == "no-store"
        cookie = began.headers["set-cookie"].lower()
        assert cookie.startswith("gw_refresh=")
        for part in ("httponly", "samesite=strict", f"path={PATH}", "max-age="):
            assert part in cookie
        assert "secure" not in cookie
        me = await page.get("/api/user/me", headers=bearer(began))
        assert me.json()["email"] == person.email
        assert (await page.get("/api/user/me")).status_code == 401, "the cookie alone opens nothing"


async def test_over_https_the_cookie_is_secure_with_a_secure_prefix(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    async with browser(gateway, **{"x-forwarded-proto": "https", "x-forwarded-prefix": "/llm"}) as page:
        cookie = (await sign_in(page, person)).headers["set-cookie"]
    assert cookie.startswith("__Secure-gw_refresh=")
    assert "; secure" in cookie.lower()
    assert f"path=/llm{PATH};" in cookie.lower()


async def test_a_session_is_renewed_by_its_cookie_and_ended(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    async with browser(gateway) as page:
        began = await sign_in(page, person)
        first = page.cookies["gw_refresh"]
        renewed = await page.post(f"{PATH}/refresh")
        assert renewed.status_code == 200
        assert page.cookies["gw_refresh"] != first
        ended = await page.delete(PATH)
        assert ended.status_code == 204
        assert "gw_refresh" not in page.cookies
        for answer in (began, renewed):
            assert (await page.get("/api/user/me", headers=bearer(answer))).status_code == 401
        assert (await page.post(f"{PATH}/refresh")).json()["error"]["code"] == "token_invalid"
        page.cookies.set("gw_refresh", first)
        assert (await page.post(f"{PATH}/refresh")).status_code == 401
        assert (await page.delete(PATH)).status_code == 204, "ending what has ended is no error"


async def test_two_tabs_may_refresh_at_once(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    async with browser(gateway) as page, browser(gateway) as tab:
        await sign_in(page, person)
        tab.cookies = page.cookies
        answers = await asyncio.gather(
            *(each.post(f"{PATH}/refresh") for each in (page, tab) for _ in range(4))
        )
        assert {answer.status_code for answer in answers} == {200}
        for answer in answers:
            assert (await page.get("/api/user/me", headers=bearer(answer))).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "x-gateway-console": "1"},
        {"sec-fetch-site": "same-site", "x-gateway-console": "1"},
        {"sec-fetch-site": "none", "x-gateway-console": "1"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin", "x-gateway-console": "0"},
        {"x-gateway-console": "1"},
        {"origin": "https://evil.example", "x-gateway-console": "1"},
        {"origin": "null", "x-gateway-console": "1"},
        {"origin": "http://[", "x-gateway-console": "1"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1", "x-gateway-console": "1"},
    ],
)
async def test_other_sites_cannot_use_the_cookie(gateway: Gateway, headers: dict[str, str]) -> None:
    person = await gateway.sign_up()
    async with browser(gateway) as page:
        await sign_in(page, person)
        async with httpx.AsyncClient(base_url=gateway.url, cookies=page.cookies) as other:
            calls = [
                await other.post(PATH, json={"email": person.email, "password": PASSWORD}, headers=headers),
                await other.post(f"{PATH}/refresh", headers=headers),
                await other.delete(PATH, headers=headers),
            ]
        assert [call.status_code for call in calls] == [403, 403, 403]
        assert {call.json()["error"]["code"] for call in calls} == {"forbidden"}
        assert not any("set-cookie" in call.headers for call in calls)
        assert (await page.post(f"{PATH}/refresh")).status_code == 200, "the session is untouched"


async def test_an_old_browser_is_checked_by_its_origin(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    headers = {"origin": gateway.url, "x-gateway-console": "1"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers) as page:
        assert (await sign_in(page, person)).status_code == 200


async def test_the_cookie_only_applies_to_its_own_routes(gateway: Gateway) -> None:
    person = await gateway.sign_up()
    async with browser(gateway) as page:
        await sign_in(page, person)
        secret = page.cookies["gw_refresh"]
        answer = await page.post("/api/auth/refresh", json={}, headers={"cookie": f"gw_refresh={secret}"})
        assert answer.status_code == 422


async def test_registration_can_be_closed_and_the_console_knows(
    tmp_path_factory: pytest.TempPathFactory, database_url: str, redis_url: str
) -> None:
    folder = tmp_path_factory.mktemp("closed")
    async with running_gateway(database_url, redis_url, folder, CONFIG, sign_up_open=False) as closed:
        facts = (await closed.http.get("/api/console")).json()
        assert facts["sign_up_open"] is False
        assert facts["version"]
        refused = await closed.http.post(
            "/api/auth/register", json={"email": "new@example.com", "password": PASSWORD}
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
