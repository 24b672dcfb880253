"""The semantic cache through the whole gateway, on a real pgvector."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from gateway.core.database import create_engine
from gateway.domain.config.caches import SemanticCacheConfig
from gateway.providers.local.wordllama import WordLlamaEmbedder
from gateway.question_match import QuestionMatcher
from gateway.repositories.response_embeddings import ResponseEmbeddingRepository
from gateway.services.response_cache.semantic import SemanticCache
from tests.support.database import create_account
from tests.support.engines import database_url_for, execute_on_server
from tests.support.gateway import Account, Gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

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
def gateway_config(upstream: OpenAIUpstream) -> dict[str, Any]:
    return config(upstream.url)


async def chat(gateway: Gateway, person: Account, message: str, **body: Any) -> dict[str, Any]:
    asked = {"message": message, "temperature": 0, **body}
    answer = await gateway.http.post("/api/chat", json=asked, headers=person.headers)
    assert answer.status_code == 200, answer.text
    parsed = answer.json()
    assert answer.headers["x-gateway-cache"] == parsed["cache"]
    assert isinstance(parsed, dict)
    return parsed


async def kept(gateway: Gateway, person: Account, count: int) -> None:
    """Wait until this many answers of the account are stored, in the background."""
    query = text("SELECT count(*) FROM response_embeddings WHERE user_id = :id")
    for _ in range(500):
        async with gateway.container.engine.connect() as db:
            if (await db.execute(query, {"id": person.id})).scalar_one() == count:
                return
        await asyncio.sleep(0.01)
    raise AssertionError("the answers were not kept")


async def test_the_same_question_in_other_words_is_a_hit(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
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


async def test_a_different_number_name_or_negation_is_a_miss(gateway: Gateway, person: Account) -> None:
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


async def test_another_account_system_prompt_model_or_history_is_a_miss(
    gateway: Gateway, person: Account
) -> None:
    opened = await chat(gateway, person, FIRST)
    await kept(gateway, person, 1)
    stranger = await gateway.sign_up()
    assert (await chat(gateway, stranger, ALIKE))["cache"] == "miss"
    assert (await chat(gateway, person, ALIKE, system="Be brief."))["cache"] == "miss"
    assert (await chat(gateway, person, ALIKE, model="small"))["cache"] == "miss"
    assert (await chat(gateway, person, ALIKE, conversation_id=opened["conversation_id"]))["cache"] == "miss"
    assert (await chat(gateway, person, ALIKE, temperature=0.5))["cache"] == "bypass"


async def test_a_truncated_answer_is_not_stored(
    gateway: Gateway, person: Account, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(text=("Cut",), finish="length"), Reply())
    await chat(gateway, person, FIRST)
    assert (await chat(gateway, person, ALIKE))["cache"] == "miss"
    await kept(gateway, person, 1)


async def test_deleting_an_account_deletes_its_semantic_answers(gateway: Gateway, person: Account) -> None:
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
    user = await create_account(engine)
    assert await answers.ensure_table()
    vectors = embedder.embed([f"question {at}" for at in range(5)])
    for at, vector in enumerate(vectors):
        await answers.store(user, b"s", f"question {at}", vector, b"{}", ttl_seconds=60, max_entries=3)
    found = await answers.find_similar(user, b"s", vectors[4], limit=9, min_similarity=0.0)
    assert {near.question for near in found} == {"question 2", "question 3", "question 4"}
    assert found[0].similarity == pytest.approx(1.0, abs=1e-3)
    assert await answers.find_similar(user, b"other scope", vectors[4], limit=9, min_similarity=0.0) == []
    await answers.store(user, b"s", "question 4", vectors[4], b"{}", ttl_seconds=-1, max_entries=3)
    found = await answers.find_similar(user, b"s", vectors[4], limit=9, min_similarity=0.0)
    assert {near.question for near in found} == {"question 2", "question 3"}
    await answers.store(UUID(int=9), b"s", "nobody's", vectors[0], b"{}", ttl_seconds=60, max_entries=3)
    await engine.dispose()


async def test_without_pgvector_turns_are_answered_and_one_warning_is_logged(
    worker_id: str,
) -> None:
    name = f"gateway_no_vector_{worker_id}"
    execute_on_server(f'DROP DATABASE IF EXISTS "{name}"')
    execute_on_server(f'CREATE DATABASE "{name}"')
    engine = create_engine(database_url_for(name))
    async with engine.begin() as db:
        # Without the privilege to create it, the extension stays missing.
        await db.execute(text("CREATE ROLE gateway_poor LOGIN"))
        await db.execute(text(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC'))
        await db.execute(text(f'GRANT CONNECT ON DATABASE "{name}" TO gateway_poor'))
    await engine.dispose()
    poor = create_engine(database_url_for(name).replace("postgres@", "gateway_poor@"))
    embedder = WordLlamaEmbedder.load()
    semantic = SemanticCache(
        ResponseEmbeddingRepository(poor),
        embedder,
        QuestionMatcher.load(embedder.token_vectors),
        SemanticCacheConfig(enabled=True),
    )
    try:
        with capture_logs() as logs:
            assert not await semantic.ensure_available()
            assert not await semantic.ensure_available()
    finally:
        await poor.dispose()
        execute_on_server(f'DROP DATABASE "{name}" WITH (FORCE)')
        execute_on_server("DROP ROLE gateway_poor")
    assert [entry["event"] for entry in logs] == ["semantic_cache.unavailable"]
