"""`/openapi.json` is encoded once and served from memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from gateway.core.settings import Settings
from gateway.main import create_app
from gateway.routers import openapi


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings())


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        yield client


async def test_the_document_is_built_and_encoded_once_for_concurrent_requests(
    app: FastAPI, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []
    build = app.openapi

    def count() -> dict[str, object]:
        built.append(1)
        return build()

    monkeypatch.setattr(app, "openapi", count)
    first, *others = await asyncio.gather(*(http.get(openapi.OPENAPI_PATH) for _ in range(20)))
    assert first.json() == build()
    assert {answer.content for answer in others} == {first.content}
    assert sum(built) <= 1


async def test_behind_a_prefix_the_document_lists_it_as_its_server(
    http: httpx.AsyncClient, app: FastAPI
) -> None:
    transport = httpx.ASGITransport(app, root_path="/gw")
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as behind:
        answer = await behind.get("/gw/openapi.json")
    plain = (await http.get(openapi.OPENAPI_PATH)).json()
    assert answer.json() == {**plain, "servers": [{"url": "/gw"}]}


async def test_only_get_and_head_are_allowed(http: httpx.AsyncClient) -> None:
    assert (await http.head(openapi.OPENAPI_PATH)).status_code == 200
    assert (await http.post(openapi.OPENAPI_PATH)).status_code == 405
