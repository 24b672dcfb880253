"""Gauges show the current state.

Running turns, open breakers, connections, engines.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import Gateway, running_gateway, set_role
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply


async def until(gateway: Gateway, name: str, value: float, **labels: str) -> None:
    """Wait for the gauge, which is updated once per second."""
    async with asyncio.timeout(30):
        while await _gauge(gateway, name, labels) != value:  # noqa: ASYNC110 - a gauge does not notify
            await asyncio.sleep(0.1)


async def _gauge(gateway: Gateway, name: str, labels: dict[str, str]) -> float | None:
    page = (await gateway.http.get("/metrics")).text
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


async def test_gauges_show_turns_breakers_and_reloads(
    clean_database: str, clean_redis: str, tmp_path: Path
) -> None:
    async with OpenAIUpstream() as up:
        provider = {"type": "openai", "base_url": up.url}
        config: dict[str, Any] = {
            "providers": {"gauged": provider, "other": provider},
            "models": {name: {"provider": name, "model": "v"} for name in ("gauged", "other")},
            "circuit_breaker": {"failures": 2, "reset_seconds": 600},
            "retry": {"attempts": 1},
            "guardrails": {"people": {"injection": "off"}},
        }
        async with running_gateway(clean_database, clean_redis, tmp_path, config) as gateway:
            person = await gateway.sign_up()
            await set_role(gateway, person)

            async def ask(model: str) -> int:
                body = {"message": "How are you?", "model": model}
                answer = await gateway.http.post("/api/chat/stream", json=body, headers=person.headers)
                return answer.status_code

            await until(gateway, "gateway_database_up", 1)
            await until(gateway, "gateway_valkey_up", 1)
            await until(gateway, "gateway_database_pool_size", 10)
            gate = asyncio.Event()
            up.script(Reply(text=("one",), gate=gate))
            turn = asyncio.create_task(ask("other"))
            await until(gateway, "gateway_running_turns", 1)
            gate.set()
            assert await turn == 200
            await until(gateway, "gateway_running_turns", 0)

            opened = await _gauge(gateway, "gateway_circuit_open_total", {"upstream": "gauged"})
            assert opened is not None, "a provider has its sample before its first opening"
            up.script(Refusal(500))
            for _ in range(2):
                await ask("gauged")
            await until(gateway, "gateway_circuit_open_total", opened + 1, upstream="gauged")
            await until(gateway, "gateway_circuit_breakers_not_closed", 1, upstream="gauged")
            await asyncio.sleep(1.1)  # another update does not count it twice
            await until(gateway, "gateway_circuit_breakers_not_closed", 1, upstream="gauged")
            await until(gateway, "gateway_circuit_breakers_not_closed", 0, upstream="other")

            del config["providers"]["gauged"], config["models"]["gauged"]
            path = tmp_path / "provider_config.yaml"
            await asyncio.to_thread(path.write_text, yaml.safe_dump(config))
            answer = await gateway.http.post("/api/admin/reload", headers=person.headers)
            assert answer.status_code == 200, answer.text
            await until(gateway, "gateway_circuit_breakers_not_closed", 0, upstream="gauged")
