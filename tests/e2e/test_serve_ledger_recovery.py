"""Reservations of a killed gateway are released."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import httpx
import pytest
import yaml

from gateway.core.database import create_engine
from tests.support.database import fetch_rows
from tests.support.gateway_process import GatewayProcess
from tests.support.ledger_audit import read_ledger, wait_settled
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

pytestmark = pytest.mark.timeout(180)


async def test_reservations_of_a_killed_gateway_are_released(
    clean_database: str, redis_url: str, tmp_path: Path
) -> None:
    # A turn reserves 15 tokens, as in test_ledger_turns; the day has room for ten.
    asked = {"model": "small", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
    engine = create_engine(clean_database, 2)
    async with OpenAIUpstream() as up:
        up.script(Reply(usage=(5, 10), gate=asyncio.Event()))
        config = {
            "providers": {"up": {"type": "openai", "base_url": up.url}},
            "models": {"small": {"provider": "up", "model": "v", "price": {"input": 1, "output": 2}}},
            "tiers": {"all": {"requests_per_minute": 1000, "tokens_per_day": 150, "usd_per_month": 1}},
        }
        path = tmp_path / "providers.yaml"
        path.write_text(yaml.safe_dump(config))
        given = {"DATABASE_URL": clean_database, "REDIS_URL": redis_url, "PROVIDER_CONFIG": str(path)}

        with GatewayProcess("--data-dir", str(tmp_path / "data"), cwd=tmp_path, **given) as first:
            banner = await asyncio.to_thread(first.wait_for_banner)
            found = re.search(r"^API key: (\S+)$", banner, re.MULTILINE)
            assert found is not None, banner
            headers = {"authorization": f"Bearer {found[1]}"}
            async with httpx.AsyncClient(base_url=first.address, headers=headers, timeout=30) as http:
                turns = [
                    asyncio.create_task(http.post("/v1/chat/completions", json=asked)) for _ in range(30)
                ]
                await up.wait_for_calls(10)
                while sum(turn.done() for turn in turns) < 20:
                    await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED, timeout=0.1)
                await asyncio.to_thread(first.stop, signal.SIGKILL)
                ended = await asyncio.gather(*turns, return_exceptions=True)
        assert [answer.status_code for answer in ended if isinstance(answer, httpx.Response)] == [429] * 20

        (account,) = await fetch_rows(engine, "SELECT id FROM users")
        left = (await read_ledger(engine, account["id"])).assert_consistent()
        assert (left.tokens_used, left.tokens_reserved, left.leases) == (0, 150, 10)
        # The time that a lease outlives its process.
        await fetch_rows(engine, "UPDATE reservations SET expires_at = now() - interval '1 s' RETURNING 1")
        up.script(Reply(usage=(5, 10)))
        with GatewayProcess("--data-dir", str(tmp_path / "data"), cwd=tmp_path, **given) as second:
            await asyncio.to_thread(second.wait_for_banner)
            swept = await wait_settled(engine, account["id"])
            # The ten prompts had been sent: each is charged by its estimate of five tokens.
            assert (swept.tokens_reserved, swept.tokens_used) == (0, 50)
            async with httpx.AsyncClient(base_url=second.address, headers=headers, timeout=30) as http:
                answers = await asyncio.gather(
                    *(http.post("/v1/chat/completions", json=asked) for _ in range(10))
                )
            assert sorted(answer.status_code for answer in answers) == [200] * 6 + [429] * 4
            assert (await wait_settled(engine, account["id"])).tokens_used == 50 + 6 * 15
    await engine.dispose()
