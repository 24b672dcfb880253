"""Unknown query parameters are rejected by name under `/api` and ignored under `/v1`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi.routing import APIRoute

from gateway.core.exceptions import InvalidApiKey
from gateway.core.settings import Settings
from gateway.main import create_app
from tests.support.app_without_services import app_without_services

# The gateway's own routes, not OpenAI's.
_STRICT_V1 = "/v1/circuit-breakers"
_CONSOLE = {"origin": "http://gateway", "x-gateway-console": "1"}


def _routes() -> Iterator[tuple[str, str]]:
    for path, operations in create_app(Settings()).openapi()["paths"].items():
        for method in operations:
            yield method.upper(), path


ROUTES = [pytest.param(*route, id=" ".join(route)) for route in _routes()]


async def _ask(method: str, path: str, query: str) -> httpx.Response:
    transport = httpx.ASGITransport(app_without_services(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        address = path.replace("{", "").replace("}", "") + query
        return await http.request(method, address, headers=_CONSOLE)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("query", ["?request_id=req_1", "?limit=&cursor=&q=&request_id"])
async def test_an_unknown_query_parameter_is_rejected_under_api(method: str, path: str, query: str) -> None:
    answer = await _ask(method, path, query)
    if path.startswith("/api/") or path == _STRICT_V1:
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["code"] == "validation_failed"
        if query == "?request_id=req_1":
            assert answer.json()["error"]["param"] == "request_id"
    else:
        assert answer.status_code != 422 or answer.json()["error"]["param"] != "request_id"


@pytest.mark.parametrize(
    "query", ["?limit=1000", "?beta=true", "?after=x&order=desc", "?api-version=2024-10-21"]
)
async def test_query_parameters_that_official_clients_add_under_v1_are_ignored(query: str) -> None:
    assert (await _ask("GET", "/v1/models", query)).status_code == 503


async def test_the_error_lists_the_known_parameters_and_echoes_nothing() -> None:
    answer = await _ask("GET", "/api/admin/audit", "?%3Cscript%3E=secret-marker")
    assert answer.status_code == 422
    assert "secret-marker" not in answer.text
    assert "script" not in answer.text
    assert "action, actor_id, cursor, from, limit, target_id, to, tz" in answer.json()["error"]["message"]


async def test_known_query_parameters_reach_the_route() -> None:
    assert (await _ask("GET", "/api/admin/usage", "?from=2026-01-01&format=json&limit=5")).status_code == 503


def test_every_route_under_api_checks_its_query() -> None:
    app = create_app(Settings())
    plain = [route.path for route in app.routes if type(route) is APIRoute and route.path.startswith("/api/")]
    assert plain == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/llm/generate", {"role": "writer", "payload": "text"}),
        ("POST", "/api/v1/media/image/generate", {"prompt": "a chair"}),
        ("PUT", "/api/user/me", {"name": "A"}),
        ("GET", "/api/conversations?limit=5", None),
    ],
)
async def test_a_request_is_counted_once_though_it_authenticates_before_its_body_is_read(
    method: str, path: str, body: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_without_services(path)
    counted: list[object] = []
    monkeypatch.setattr(app.state.container.accounts.authenticator, "enforce_rate_limit", counted.append)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        assert (await http.request(method, path, json=body)).status_code == 503
    assert len(counted) == 1


async def test_the_body_of_a_rejected_caller_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_without_services("/api/")
    read: list[int] = []

    async def refuse(*_: object) -> None:
        raise InvalidApiKey

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            read.append(1)
            yield b"x" * 1000

    monkeypatch.setattr(app.state.container.accounts.authenticator, "authenticate", refuse)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        for path in ("/api/v1/llm/generate", "/api/user/api-keys", "/api/chat"):
            answer = await http.post(path, content=pieces())
            assert answer.status_code == 401
    assert read == []
