"""Slow, narrow and fragmented networks lose and invent nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.two_worker_stage import stream_turn, two_worker_stage
from tests.support.upstreams.http_server import Reply


async def test_a_slow_and_fragmented_network_changes_no_byte(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path) as one:
        caller = await one.add_caller()
        words = tuple(f"word{n} Größe 🦊 " for n in range(50))
        one.upstream.script(Reply(text=words))
        for proxy in (one.database, one.valkey):
            proxy.latency, proxy.slice = 0.01, 3
        heard = await asyncio.gather(*(stream_turn(one.workers[n % 2], caller) for n in range(8)))
        assert [h.assert_one_ending() for h in heard] == ["done"] * 8
        assert {h.text for h in heard} == {"".join(words)}
        entries = await one.checker.assert_consistent()
        assert {row["content"] for row in entries.answer_rows()} == {"".join(words)}
