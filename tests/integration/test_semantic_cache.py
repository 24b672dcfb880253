"""The semantic cache through the whole gateway, on a real pgvector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from gateway.core.database import create_engine
from gateway.domain.config.caches import SemanticCache
from gateway.domain.same_question import SameQuestion
from gateway.providers.embedding.wordllama import WordLlamaEmbedder
from gateway.repositories.response_embedding import ResponseEmbeddingRepository
from gateway.services.semantic import SemanticAnswers
from tests.engines import execute, url_of
from tests.gateway_server import Gateway, Person, running_gateway
from tests.storage import make_user
from tests.upstreams.openai_server import OpenAIUpstream, Reply

FIRST = "What is the best way to learn physics?"
ALIKE = "What's the best way to learn physics?"


def config(url: str) -> dict[str, Any]:
    able = {"context_window": 8192, "capabilities": ["tools", "json"]}
    return {
        "providers": {"up": {"type": "openai", "base_url": url}},
        "models": {
            "small": {"provider": "up", "model": "v-small", "price": {"input": 1, "output": 2}, **able}
        },
        "routing": {"light": "small", "heavy": "small"},
        "titles": {"enabled": False},
        "guardrails": {"people": {"injection": "off", "unsafe": "off"}},
        "tiers": {"free": {"requests_per_minute": 1000}},
        "cache": {"semantic": {"enabled": True}},
    }


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as server:
        yield server


@pytest.fixture
async def gateway(
    database_url: str, redis_url: str, tmp_path: Path, upstream: OpenAIUpstream
) -> AsyncIterator[Gateway]:
    async with running_gateway(database_url, redis_url, tmp_path, config(upstream.url)) as running:
        yield running


@pytest.fixture
async def person(gateway: Gateway) -> Person:
    return await gateway.sign_up()


async def chat(gateway: Gateway, person: Person, message: str, **body: Any) -> dict[str, Any]:
    asked = {"message": message, "temperature": 0, **body}
    answer = await gateway.http.post("/api/chat", json=asked, headers=person.headers)
    assert answer.status_code == 200, answer.text
    parsed = answer.json()
    assert answer.headers["x-gateway-cache"] == parsed["cache"]
    assert isinstance(parsed, dict)
    return parsed


async def kept(gateway: Gateway, person: Person, count: int) -> None:
    """Until so many answers of the account are written: that happens beside its answers."""
    query = text("SELECT count(*) FROM response_embeddings WHERE user_id = :id")
    for _ in range(500):
        async with gateway.container.engine.connect() as db:
            if (await db.execute(query, {"id": person.id})).scalar_one() == count:
                return
        await asyncio.sleep(0.01)
    raise AssertionError("the answers were not kept")


async def test_the_same_question_in_other_words_is_told_from_the_cache(
    gateway: Gateway, person: Person, upstream: OpenAIUpstream
) -> None:
    made = await chat(gateway, person, FIRST)
    await kept(gateway, person, 1)
    again = await chat(gateway, person, ALIKE)
    assert (made["cache"], again["cache"]) == ("miss", "semantic")
    assert again["message"]["content"] == "Hello, world!"
    assert again["message"]["cost_usd"] == "0.000000"
    cache = again["receipt"]["cache"]
    assert (cache["result"], cache["question"], cache["request_id"]) == (
        "semantic",
        FIRST,
        made["request_id"],
    )
    assert 0.5 < cache["score"] <= 1
    assert [a["outcome"] for a in again["receipt"]["attempts"]] == ["cached"]
    assert len(upstream.calls) == 1


async def test_a_number_a_name_or_a_not_makes_it_another_question(gateway: Gateway, person: Person) -> None:
    await chat(gateway, person, "How many calories are in 2 eggs?")
    await chat(gateway, person, "Is Anna in Paris?")
    await chat(gateway, person, "Can I take aspirin before a run?")
    await kept(gateway, person, 3)
    for other in (
        "How many calories are in 3 eggs?",
        "Is Anna in Rome?",
        "Can't I take aspirin before a run?",
    ):
        assert (await chat(gateway, person, other))["cache"] == "miss", other


async def test_another_account_system_prompt_or_model_and_a_history_find_nothing(
    gateway: Gateway, person: Person
) -> None:
    opened = await chat(gateway, person, FIRST)
    await kept(gateway, person, 1)
    stranger = await gateway.sign_up()
    assert (await chat(gateway, stranger, ALIKE))["cache"] == "miss"
    assert (await chat(gateway, person, ALIKE, system="Be brief."))["cache"] == "miss"
    assert (await chat(gateway, person, ALIKE, model="small"))["cache"] == "miss"
    assert (await chat(gateway, person, ALIKE, conversation_id=opened["conversation_id"]))["cache"] == "miss"
    assert (await chat(gateway, person, ALIKE, temperature=0.5))["cache"] == "bypass"


async def test_a_cut_answer_is_not_kept_for_other_words(
    gateway: Gateway, person: Person, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=("Cut",), finish="length"), Reply())
    await chat(gateway, person, FIRST)
    assert (await chat(gateway, person, ALIKE))["cache"] == "miss"
    await kept(gateway, person, 1)


async def test_what_is_kept_goes_with_its_account(gateway: Gateway, person: Person) -> None:
    await chat(gateway, person, FIRST)
    await kept(gateway, person, 1)
    export = await gateway.http.get("/api/user/me/export", headers=person.headers)
    assert [row["question"] for row in export.json()["cached_questions"]] == [FIRST]
    body = {"password": "correct horse battery staple"}
    gone = await gateway.http.request("DELETE", "/api/user/me", json=body, headers=person.headers)
    assert gone.status_code == 204
    await kept(gateway, person, 0)


async def test_answers_of_an_account_are_bounded_and_expire(database_url: str) -> None:
    engine = create_engine(database_url)
    answers, embedder = ResponseEmbeddingRepository(engine), WordLlamaEmbedder.load()
    user = await make_user(engine)
    assert await answers.prepare()
    vectors = embedder.embed([f"question {at}" for at in range(5)])
    for at, vector in enumerate(vectors):
        await answers.keep(user, b"s", f"question {at}", vector, b"{}", ttl_seconds=60, most=3)
    found = await answers.nearest(user, b"s", vectors[4], limit=9, at_least=0.0)
    assert {near.question for near in found} == {"question 2", "question 3", "question 4"}
    assert found[0].similarity == pytest.approx(1.0, abs=1e-3)
    assert await answers.nearest(user, b"other scope", vectors[4], limit=9, at_least=0.0) == []
    await answers.keep(user, b"s", "question 4", vectors[4], b"{}", ttl_seconds=-1, most=3)
    found = await answers.nearest(user, b"s", vectors[4], limit=9, at_least=0.0)
    assert {near.question for near in found} == {"question 2", "question 3"}
    await answers.keep(UUID(int=9), b"s", "nobody's", vectors[0], b"{}", ttl_seconds=60, most=3)
    await engine.dispose()


async def test_without_the_extension_turns_are_answered_and_the_log_tells_once(
    worker_id: str,
) -> None:
    name = f"gateway_no_vector_{worker_id}"
    execute(f'DROP DATABASE IF EXISTS "{name}"')
    execute(f'CREATE DATABASE "{name}"')
    engine = create_engine(url_of(name))
    async with engine.begin() as db:
        # Whoever may not create it is as badly off as whoever does not have it.
        await db.execute(text("CREATE ROLE gateway_poor LOGIN"))
        await db.execute(text(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC'))
        await db.execute(text(f'GRANT CONNECT ON DATABASE "{name}" TO gateway_poor'))
    await engine.dispose()
    poor = create_engine(url_of(name).replace("postgres@", "gateway_poor@"))
    embedder = WordLlamaEmbedder.load()
    semantic = SemanticAnswers(
        ResponseEmbeddingRepository(poor),
        embedder,
        SameQuestion.load(embedder.token_vectors),
        SemanticCache(enabled=True),
    )
    try:
        with capture_logs() as logs:
            assert not await semantic.open()
            assert not await semantic.open()
    finally:
        await poor.dispose()
        execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        execute("DROP ROLE gateway_poor")
    assert [entry["event"] for entry in logs] == ["semantic_cache_unavailable"]
