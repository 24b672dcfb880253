"""Health routes: component states, readiness and liveness."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import httpx
import pytest

from gateway.domain.config.catalog import Catalog
from gateway.domain.config.tools import ToolsConfig
from gateway.routers.ops import health
from gateway.tools.code.isolation import Isolation, IsolationName
from tests.support.middleware_app import middleware_app


def tooled(*tools: str) -> Catalog:
    return Catalog(tools=ToolsConfig(enabled=tools))


@dataclass
class Container:
    database: bool = True
    valkey: str = "up"
    draining: bool = False
    hangs: bool = False
    catalog: Catalog = field(default_factory=lambda: tooled())

    async def database_ready(self) -> bool:
        if self.hangs:
            await asyncio.Event().wait()
        return self.database

    async def valkey_state(self) -> str:
        return self.valkey


async def ask(container: Container | None, path: str) -> httpx.Response:
    app = middleware_app()
    if container is not None:
        app.state.container = container
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        return await http.get(path)


@pytest.mark.parametrize(
    ("container", "status", "word"),
    [
        (Container(), 200, "ok"),
        (Container(valkey="down"), 200, "degraded"),
        (Container(valkey="refusing"), 200, "degraded"),
        (Container(database=False), 503, "unavailable"),
        (Container(draining=True), 503, "draining"),
        (None, 503, "unavailable"),
    ],
)
@pytest.mark.parametrize("path", ["/health", "/health/ready", "/health/"])
async def test_readiness_depends_on_the_database_and_the_shutdown(
    container: Container | None, status: int, word: str, path: str
) -> None:
    answer = await ask(container, path)
    assert answer.status_code == status
    assert answer.json()["status"] == word
    assert set(answer.json()["checks"]) == {"database", "valkey"}
    if container is not None:
        assert answer.json()["checks"]["valkey"] == container.valkey


@pytest.mark.parametrize("name", ["bwrap", "process", "none"])
async def test_readiness_reports_the_code_sandbox_without_depending_on_it(
    name: IsolationName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "detect_isolation", lambda: Isolation(name, "in words"))

    answer = await ask(Container(catalog=tooled("code")), "/health/ready")

    assert answer.status_code == 200
    assert answer.json()["sandbox"] == name
    assert (await ask(Container(), "/health/ready")).json()["sandbox"] == "off"


async def test_liveness_does_not_depend_on_the_engines() -> None:
    assert (await ask(Container(database=False, valkey="down"), "/health/live")).json() == {"status": "ok"}


async def test_a_load_balancer_may_use_head() -> None:
    app = middleware_app()
    app.state.container = Container()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        for path in ("/health", "/health/live", "/health/ready"):
            assert (await http.head(path)).status_code == 200


async def test_a_check_that_hangs_counts_as_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.01)
    answer = await ask(Container(hangs=True), "/health/ready")
    assert answer.json()["checks"]["database"] == "down"


async def test_metrics_are_prometheus_text_with_every_promised_name() -> None:
    answer = await ask(None, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for name in (
        "gateway_requests_total", "gateway_request_latency_seconds", "gateway_in_flight_requests",
        "gateway_upstream_requests_total", "gateway_upstream_latency_seconds", "gateway_rate_limited_total",
        "gateway_circuit_open_total", "gateway_fallback_used_total", "gateway_tokens_total",
        "gateway_cost_usd_total", "gateway_time_to_first_token_seconds", "gateway_overhead_seconds",
        "gateway_cache_total", "gateway_guardrail_total", "gateway_tool_calls_total", "gateway_running_turns",
        "gateway_database_pool_in_use", "gateway_database_pool_size", "gateway_database_pool_overflow",
        "gateway_database_up", "gateway_valkey_up", "gateway_circuit_breakers_not_closed",
        "gateway_waiting_turns",
    ):  # fmt: skip
        assert f"# TYPE {name} " in answer.text
