"""A query parameter that a route does not know is refused by name under `/api`, and ignored under `/v1`."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from fastapi.routing import APIRoute

from gateway.core.settings import Settings
from gateway.main import create_app
from tests.upstreams.stand_in import stand_in_app

# Our own, not OpenAI's.
_STRICT_V1 = "/v1/circuit-breakers"
_CONSOLE = {"origin": "http://gateway", "x-gateway-console": "1"}


def _routes() -> Iterator[tuple[str, str]]:
    for path, operations in create_app(Settings()).openapi()["paths"].items():
        for method in operations:
            yield method.upper(), path


ROUTES = [pytest.param(*route, id=" ".join(route)) for route in _routes()]


async def _ask(method: str, path: str, query: str) -> httpx.Response:
    transport = httpx.ASGITransport(stand_in_app(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        address = path.replace("{", "").replace("}", "") + query
        return await http.request(method, address, headers=_CONSOLE)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("query", ["?request_id=req_1", "?limit=&cursor=&q=&request_id"])
async def test_an_unknown_query_parameter_is_refused_where_no_other_client_sends_one(
    method: str, path: str, query: str
) -> None:
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
async def test_what_official_clients_add_to_v1_is_ignored(query: str) -> None:
    assert (await _ask("GET", "/v1/models", query)).status_code == 503


async def test_the_refusal_says_what_the_route_takes_and_echoes_nothing() -> None:
    answer = await _ask("GET", "/api/admin/audit", "?%3Cscript%3E=secret-marker")
    assert answer.status_code == 422
    assert "secret-marker" not in answer.text
    assert "script" not in answer.text
    assert "action, actor_id, cursor, limit, target_id" in answer.json()["error"]["message"]


async def test_known_query_parameters_reach_the_route() -> None:
    assert (await _ask("GET", "/api/admin/usage", "?from=2026-01-01&format=json&limit=5")).status_code == 503


def test_every_route_under_api_checks_its_query() -> None:
    app = create_app(Settings())
    plain = [route.path for route in app.routes if type(route) is APIRoute and route.path.startswith("/api/")]
    assert plain == []
