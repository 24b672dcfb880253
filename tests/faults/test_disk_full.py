"""A full disk: writes are rejected with a clear error and reads go on."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.summary import RecordFault
from tests.support.private_engines import private_postgres
from tests.support.small_disk import small_disk
from tests.support.two_worker_stage import openai_config, send_request, stream_turn, two_worker_stage

ROW = "disk full"


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_full_database_disk_rejects_turns_and_serves_reads(
    redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    with small_disk(tmp_path / "disk", 220) as disk:
        async with (
            private_postgres(disk.folder) as postgres,
            two_worker_stage(postgres.url(), redis_url, tmp_path) as one,
        ):
            caller = await one.add_caller()
            first = await stream_turn(one.first, caller, "Before")
            conversation = first.turn_ids["conversation_id"]
            disk.fill()
            refused = accepted = 0
            long = random.Random(8).randbytes(40_000).hex()  # so that pages with room run out soon
            async with asyncio.timeout(60):
                while refused < 20:
                    heard = await stream_turn(
                        one.workers[accepted % 2], caller, long, system=f"{accepted} {long}"
                    )
                    if heard.assert_one_ending() == "done":
                        accepted += 1
                        continue
                    assert heard.assert_one_ending() in ("503", "error"), heard.body
                    assert heard.error_code == "overloaded"
                    refused += 1
            for door in one.workers:
                read = await door.http.get(
                    f"/api/conversations/{conversation}/messages", headers=caller.token_headers
                )
                assert read.status_code == 200
                assert {item["content"] for item in read.json()["items"]} == {"Before", "Hello, world!"}
            disk.free()
            async with asyncio.timeout(30):
                while (await stream_turn(one.first, caller, "After")).assert_one_ending() != "done":  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            await one.checker.assert_consistent(seconds=60)
    seen(ROW, times=refused, what="PostgreSQL: 503, reads continued, normal operation after space was freed")


def _with_pictures(**providers: str) -> dict[str, Any]:
    config = openai_config(**providers)
    config["providers"]["painter"] = {"type": "mock"}
    config["models"]["picture"] = {
        "provider": "painter",
        "model": "mock-image",
        "capabilities": ["images"],
        "price": {"image": "0.01"},
    }
    return config


async def test_images_that_do_not_fit_the_disk_are_rejected_and_not_charged(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    with small_disk(tmp_path / "here" / "media", 1) as disk:
        async with two_worker_stage(database_url, redis_url, tmp_path, _with_pictures) as one:
            caller = await one.add_caller()
            path, body = "/api/v1/media/image/generate", {"width": 64, "height": 64}
            first = await send_request(
                one.first, caller.key_headers, {"prompt": "a lighthouse", **body}, path
            )
            assert first.status == 200, first.body
            url = first.json["images"][0]["url"]
            disk.fill()
            for number in range(5):
                heard = await send_request(
                    one.first, caller.key_headers, {"prompt": f"ship {number}", **body}, path
                )
                assert heard.assert_one_ending() == "503", heard.body
                assert heard.error_code == "overloaded"
            kept = await one.first.http.get(url, headers=caller.key_headers)
            assert kept.status_code == 200
            assert kept.content
            disk.free()
            again = await send_request(one.first, caller.key_headers, {"prompt": "ship", **body}, path)
            assert again.status == 200, again.body
            usage = await one.first.http.get("/api/user/me/usage", headers=caller.token_headers)
            assert float(usage.json()["day"]["cost_usd"]) == 0.02
            await one.checker.assert_consistent()
    seen(
        ROW,
        times=5,
        what="image store: 503, not charged, reads continued, normal operation after space was freed",
    )
