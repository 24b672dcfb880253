"""A failing provider under load on two workers: bounded calls, one probe, recovery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import set_role
from tests.support.load_storm import LoadFigures, LoadStorm, load_storm, max_failing_calls, random_failures
from tests.support.upstreams.openai_server import Refusal, Reply


@pytest.fixture
async def stage(database_url: str, clean_redis: str, tmp_path: Path) -> AsyncIterator[LoadStorm]:
    async with load_storm(database_url, clean_redis, tmp_path, silence=30) as made:
        yield made


@pytest.fixture
async def impatient(database_url: str, clean_redis: str, tmp_path: Path) -> AsyncIterator[LoadStorm]:
    async with load_storm(database_url, clean_redis, tmp_path) as made:
        yield made


@pytest.fixture
async def lasting(database_url: str, clean_redis: str, tmp_path: Path) -> AsyncIterator[LoadStorm]:
    async with load_storm(database_url, clean_redis, tmp_path, silence=30, reset=600) as made:
        yield made


async def test_a_storm_is_answered_by_the_healthy_and_costs_few_calls_more(impatient: LoadStorm) -> None:
    stage = impatient
    stage.failing.script(*random_failures(400))
    figures = await stage.run(120, concurrency=8)
    assert figures.statuses == {200: 120}
    failing, healthy = len(stage.failing.calls), len(stage.healthy.calls)
    assert healthy == figures.models["second"]
    # A limit without a breaker's memory spares each worker a second at a time; a probe follows each reset.
    probes_and_limits = 3 * len(stage.workers) * (1 + int(sum(figures.seconds) / 8))
    assert failing + healthy <= 1.2 * 120 + max_failing_calls(2, 8) + probes_and_limits


async def test_one_request_of_all_workers_probes_and_then_the_upstream_is_asked_again(
    stage: LoadStorm,
) -> None:
    stage.failing.script(Refusal(500))
    await stage.run(24, concurrency=4)
    gate = asyncio.Event()
    stage.failing.script(Reply(gate=gate))
    await stage.wait_for_state("half_open")
    before = len(stage.failing.calls)
    probing = asyncio.create_task(stage.run(60, concurrency=12))
    await stage.failing.wait_for_calls(before + 1)
    # All but the probe itself are answered by the healthy one meanwhile.
    meanwhile = await stage.run(40, concurrency=8)
    assert len(stage.failing.calls) == before + 1
    assert meanwhile.statuses == {200: 40}
    assert meanwhile.models == {"second": 40}
    gate.set()
    await probing
    await stage.wait_for_state("closed")
    figures = LoadFigures()
    assert {await stage.send_question(number, figures) for number in range(4)} == {"first"}


async def test_a_breaker_is_shown_to_those_who_may_use_its_model(lasting: LoadStorm) -> None:
    stage = lasting
    stage.failing.script(Refusal(500))
    await stage.run(24, concurrency=4)
    await stage.wait_for_state("open")
    here = stage.workers[0]
    person = await here.sign_up()
    narrow = await here.create_api_key(person, models=["second"])
    answers = {}
    for name, headers in (
        ("person", person.headers),
        ("key", {"x-api-key": stage.keys[0]}),
        ("narrow", {"x-api-key": narrow}),
    ):
        answer = await here.http.get("/v1/circuit-breakers", headers=headers)
        assert answer.status_code == 200
        assert answer.json()["object"] == "list"
        answers[name] = {one["model"]: one for one in answer.json()["data"]}
    assert answers["person"].keys() == answers["key"].keys() == {"first", "second"}
    assert answers["narrow"].keys() == {"second"}
    first, second = answers["key"]["first"], answers["key"]["second"]
    assert (first["upstream"], first["failures"]) == ("shaky", 5)
    assert first["state"] in ("open", "half_open")
    assert first["opened_at"] < first["retry_at"]
    assert second == {
        "upstream": "sound",
        "model": "second",
        "state": "closed",
        "failures": 0,
        "opened_at": None,
        "retry_at": None,
    }
    assert (await here.http.get("/v1/circuit-breakers")).status_code == 401


async def test_administrators_see_all_breakers_with_their_totals(stage: LoadStorm) -> None:
    here = stage.workers[0]
    person = await here.sign_up()
    refused = await here.http.get("/api/admin/circuit-breakers", headers=person.headers)
    assert refused.status_code == 403
    await set_role(here, person)
    answer = await here.http.get("/api/admin/circuit-breakers/", headers=person.headers)
    assert answer.status_code == 200, answer.text
    assert [one["model"] for one in answer.json()["data"]] == ["first", "second"]
    assert answer.json()["totals"] == {"closed": 2, "open": 0, "half_open": 0}


async def test_an_answer_from_nobody_says_when_to_come_back(stage: LoadStorm) -> None:
    stage.failing.script(Refusal(500))
    await stage.run(24, concurrency=4)
    key = {"authorization": f"Bearer {stage.keys[0]}"}
    body = {
        "model": "first",
        "messages": [{"role": "user", "content": "Hi"}],
        "gateway": {"fallbacks": []},
    }
    answer = await stage.workers[0].http.post("/v1/chat/completions", json=body, headers=key)
    # On a busy machine the breaker's second may be over: this request was the probe, and opened it again.
    async with asyncio.timeout(20):
        while answer.status_code != 503:
            answer = await stage.workers[0].http.post("/v1/chat/completions", json=body, headers=key)
    assert answer.json()["error"]["code"] == "circuit_open"
    assert answer.headers["retry-after"] == "1"
    assert 0 < int(answer.headers["retry-after-ms"]) <= 1000
