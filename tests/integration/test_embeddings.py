"""Embeddings: every provider, both encodings, costs and errors."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import openai
import pytest

from tests.support.database import fetch_rows
from tests.support.gateway import Account, Gateway
from tests.support.ledger_audit import wait_settled
from tests.support.upstreams.http_server import Raw, Refusal, Reply, Silence
from tests.support.upstreams.ollama_server import OllamaUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream, vector_of

PATH = "/v1/embeddings"
ABLE: dict[str, Any] = {"capabilities": ["embeddings"]}


@pytest.fixture
async def ollama() -> AsyncIterator[OllamaUpstream]:
    async with OllamaUpstream() as server:
        yield server


@pytest.fixture
def gateway_config(clean_redis: str, upstream: OpenAIUpstream, ollama: OllamaUpstream) -> dict[str, Any]:
    return {
        "providers": {
            "up": {"type": "openai", "base_url": upstream.url},
            "unset": {"type": "openai", "api_key": ""},
            "ollama": {"type": "ollama", "base_url": ollama.url},
            "local": {"type": "local"},
            "mock": {"type": "mock"},
        },
        "models": {
            "small": {"provider": "up", "model": "v-small", "price": {"input": 100, "output": 0}, **ABLE},
            "nomic": {"provider": "ollama", "model": "nomic-embed-text", **ABLE},
            "wordllama": {"provider": "local", "model": "wordllama", **ABLE},
            "random": {"provider": "mock", "model": "mock", **ABLE},
            "bad": {"provider": "mock", "model": "fail", **ABLE},
            "cloud": {"provider": "unset", "model": "v-cloud", **ABLE},
            "chat": {"provider": "mock", "model": "mock"},
        },
        "aliases": {"vectors": ["bad", "wordllama"]},
        "fallbacks": {"small": ["random"], "chat": ["random"]},
        "routing": {"light": "chat", "heavy": "chat"},
        "timeouts": {"live": 2},
        "circuit_breaker": {"failures": 2, "reset_seconds": 60},
        "tiers": {"free": {"tokens_per_day": 10_000}},
    }


@pytest.fixture
async def client(gateway: Gateway, person: Account) -> AsyncIterator[openai.AsyncOpenAI]:
    key = await gateway.create_api_key(person)
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as made:
        yield made


async def ask(client: openai.AsyncOpenAI, body: dict[str, Any]) -> httpx.Response:
    """Send a request without the client's own validation and decoding."""
    headers = {"authorization": f"Bearer {client.api_key}"}
    async with httpx.AsyncClient() as http:
        return await http.post(f"{client.base_url}embeddings", json=body, headers=headers, timeout=30)


async def ledger(gateway: Gateway, person: Account) -> list[dict[str, Any]]:
    return await fetch_rows(
        gateway.container.engine,
        "SELECT kind, model, prompt_tokens, cost_usd, outcome FROM usage_records"
        " WHERE user_id = :u ORDER BY id",
        u=UUID(person.id),
    )


@pytest.mark.parametrize(
    ("model", "length"), [("small", 4), ("nomic", 3), ("wordllama", 256), ("random", 384)]
)
async def test_every_provider_returns_a_vector_per_text_in_order(
    client: openai.AsyncOpenAI, model: str, length: int
) -> None:
    both = await client.embeddings.create(model=model, input=["one text", "another"])
    assert [item.index for item in both.data] == [0, 1]
    assert {len(item.embedding) for item in both.data} == {length}
    alone = await client.embeddings.create(model=model, input="another")
    assert alone.data[0].embedding == both.data[1].embedding
    assert alone.data[0].embedding != both.data[0].embedding
    assert both.model == model
    assert both.usage.total_tokens == both.usage.prompt_tokens > 0


@pytest.mark.parametrize("model", ["small", "nomic", "wordllama", "random"])
async def test_base64_is_float32_of_the_numbers(client: openai.AsyncOpenAI, model: str) -> None:
    texts = ["Grüße, 안녕하세요", "x"]
    numbers = (await ask(client, {"model": model, "input": texts, "encoding_format": "float"})).json()
    encoded = (await ask(client, {"model": model, "input": texts, "encoding_format": "base64"})).json()
    for plain, packed in zip(numbers["data"], encoded["data"], strict=True):
        decoded = np.frombuffer(base64.b64decode(packed["embedding"]), dtype="<f4")
        assert np.array_equal(decoded, np.array(plain["embedding"], dtype=np.float32))
    assert {key: encoded[key] for key in ("object", "model", "usage")} == {
        key: numbers[key] for key in ("object", "model", "usage")
    }


async def test_base64_and_dimensions_are_requested_from_the_vendor(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    made = await client.embeddings.create(model="small", input=["ab", "abc"], dimensions=7, user="somebody")
    assert [len(item.embedding) for item in made.data] == [7, 7]
    assert made.data[1].embedding == pytest.approx(vector_of("abc", 7), rel=1e-6)
    assert upstream.calls[0].path == "/v1/embeddings"
    assert upstream.calls[0].body == {
        "model": "v-small",
        "input": ["ab", "abc"],
        "encoding_format": "base64",
        "dimensions": 7,
    }


async def test_token_lists_and_unknown_fields_are_forwarded_to_openais_api(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    more = {"input_type": "query", "api_base": "http://attacker.example", "metadata": {"a": "b"}}
    for given in ([[5, 6], [7]], [5, 6, 7]):
        answer = await ask(client, {"model": "small", "input": given, **more})
        assert answer.status_code == 200, answer.text
    assert [call.body for call in upstream.calls] == [
        {"model": "v-small", "input": [[5, 6], [7]], "input_type": "query"},
        {"model": "v-small", "input": [[5, 6, 7]], "input_type": "query"},
    ]


@pytest.mark.parametrize("model", ["wordllama", "nomic", "random"])
async def test_token_lists_are_rejected_by_providers_that_need_text(
    client: openai.AsyncOpenAI, model: str
) -> None:
    answer = await ask(client, {"model": model, "input": [[1, 2], [3]]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", "input")
    assert "check_embedding_ctx_length=False" in error["message"]


@pytest.mark.parametrize(("model", "dimensions"), [("wordllama", 64), ("nomic", 2), ("random", 12)])
async def test_a_shortened_vector_has_length_one(
    client: openai.AsyncOpenAI, ollama: OllamaUpstream, model: str, dimensions: int
) -> None:
    made = await client.embeddings.create(model=model, input="shorter", dimensions=dimensions)
    vector = np.array(made.data[0].embedding)
    assert vector.shape == (dimensions,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    if model == "nomic":
        assert ollama.calls[0].body == {
            "model": "nomic-embed-text",
            "input": ["shorter"],
            "truncate": False,
            "dimensions": 2,
        }


async def test_similar_texts_have_similar_local_vectors(client: openai.AsyncOpenAI) -> None:
    texts = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose in March."]
    made = await client.embeddings.create(model="wordllama", input=texts)
    cat, kitten, rates = (np.array(item.embedding) for item in made.data)
    assert cat @ kitten > cat @ rates + 0.2


async def test_the_largest_batch_works_and_one_more_is_rejected(client: openai.AsyncOpenAI) -> None:
    made = await client.embeddings.create(model="wordllama", input=["x"] * 2048)
    assert len(made.data) == 2048
    answer = await ask(client, {"model": "wordllama", "input": ["x"] * 2049})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "input")


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"input": []}, 422, "validation_failed", "input"),
        ({"input": ""}, 422, "validation_failed", "input.0"),
        ({"input": ["a", ""]}, 422, "validation_failed", "input.1"),
        ({"input": ["a", None]}, 422, "validation_failed", "input.1"),
        ({"input": ["a", True]}, 422, "validation_failed", "input.1"),
        ({"input": ["a", {}]}, 422, "validation_failed", "input.1"),
        ({"input": 3}, 422, "validation_failed", "input"),
        ({"input": [1, 2, 3]}, 400, "unsupported_parameter", "input"),
        ({"input": [[1], "a"]}, 422, "validation_failed", "input.1"),
        ({"input": ["a", [1]]}, 422, "validation_failed", "input.1"),
        ({"input": [[]]}, 422, "validation_failed", "input.0"),
        ({"input": [[-1]]}, 422, "validation_failed", "input.0"),
        ({"input": [[1.5]]}, 422, "validation_failed", "input.0"),
        ({"input": [[1, 2], [3]]}, 400, "unsupported_parameter", "input"),
        ({"encoding_format": "hex"}, 422, "validation_failed", "encoding_format"),
        ({"dimensions": 0}, 422, "validation_failed", "dimensions"),
        ({"dimensions": "4"}, 422, "validation_failed", "dimensions"),
        ({"dimensions": 257}, 400, "unsupported_parameter", "dimensions"),
        ({"model": "random", "dimensions": 5000}, 400, "unsupported_parameter", "dimensions"),
        ({"model": "nobody"}, 404, "model_not_found", "model"),
        ({"model": "auto"}, 404, "model_not_found", "model"),
        ({"model": "chat"}, 400, "unsupported_parameter", "model"),
        ({"model": ""}, 422, "validation_failed", "model"),
        ({"model": "cloud"}, 502, "upstream_failed", None),
    ],
)
async def test_unsupported_requests_are_named_and_cost_nothing(
    gateway: Gateway,
    person: Account,
    client: openai.AsyncOpenAI,
    body: dict[str, Any],
    status: int,
    code: str,
    param: str | None,
) -> None:
    answer = await ask(client, {"model": "wordllama", "input": "text", **body})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert (error["param"] or "").startswith(param or "")
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == 0


@pytest.mark.parametrize("vendor", ["openai", "ollama"])
async def test_a_text_that_is_too_long_is_the_callers_error(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream, ollama: OllamaUpstream, vendor: str
) -> None:
    upstream.script(Refusal(400, "context_length_exceeded"))
    ollama.script(Refusal(400, body=b'{"error": "the input length exceeds the context length"}'))
    with pytest.raises(openai.BadRequestError) as refused:
        await client.embeddings.create(model="small" if vendor == "openai" else "nomic", input="long")
    assert refused.value.code == "context_length_exceeded"


@pytest.mark.parametrize("model", ["wordllama", "random", "small"])
@pytest.mark.parametrize("length", [200_000, 9_000_000])
async def test_a_text_far_beyond_the_window_is_rejected_without_a_model_call(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream, model: str, length: int
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.embeddings.create(model=model, input=["short", "a" * length])
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "input")
    assert upstream.calls == []


async def test_the_local_model_counts_the_tokens_of_each_text(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.embeddings.create(model="wordllama", input="word, " * 4500)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "input")


async def test_vectors_are_in_the_ledger_and_in_the_headers(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(usage=(50, 0)))
    raw = await client.embeddings.with_raw_response.create(model="small", input="text")
    assert raw.parse().usage.prompt_tokens == 50
    assert raw.headers["x-gateway-model"] == "small"
    assert raw.headers["x-gateway-provider"] == "up"
    assert raw.headers["x-gateway-cost-usd"] == "0.005000"
    assert float(raw.headers["x-gateway-overhead-ms"]) >= 0
    assert "x-fallback-model" not in raw.headers
    assert await ledger(gateway, person) == [
        {
            "kind": "embedding",
            "model": "small",
            "prompt_tokens": 50,
            "cost_usd": Decimal("0.005"),
            "outcome": "ok",
        }
    ]
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == 50


async def test_missing_token_counts_are_estimated(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.script(Reply(usage=None))
    made = await client.embeddings.create(model="small", input="four words of text")
    assert made.usage.prompt_tokens > 0
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == made.usage.prompt_tokens


async def test_budgets_apply_to_embeddings(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.RateLimitError) as refused:
        await client.embeddings.create(model="wordllama", input=["many words " * 500] * 20)
    assert refused.value.code == "quota_exceeded"
    assert await ledger(gateway, person) == []
    assert (await wait_settled(gateway.container.engine, person.id)).tokens_used == 0


async def test_a_fallback_answers_and_is_named(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    raw = await client.embeddings.with_raw_response.create(model="vectors", input="text")
    assert raw.headers["x-fallback-model"] == "wordllama" == raw.parse().model
    upstream.script(Refusal(500))
    raw = await client.embeddings.with_raw_response.create(model="small", input="text")
    assert raw.headers["x-fallback-model"] == "random"
    assert [row["outcome"] for row in await ledger(gateway, person)] == ["upstream_failed", "ok"] * 2


async def test_a_fallbacks_rejection_does_not_hide_the_failure(
    client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.script(Refusal(500))
    answer = await ask(client, {"model": "small", "input": "text", "dimensions": 5000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")


async def test_a_failing_upstream_opens_its_circuit_breaker(client: openai.AsyncOpenAI) -> None:
    codes = [(await ask(client, {"model": "bad", "input": "text"})).status_code for _ in range(3)]
    assert codes == [502, 502, 503]


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (Raw([b'{"data": []}'], "application/json"), "upstream_failed"),
        (Raw([b'{"data": [{"index": 0, "embedding": []}]}'], "application/json"), "upstream_failed"),
        (Raw([b'{"data": [{"index": 0, "embedding": "AAA"}]}'], "application/json"), "upstream_failed"),
        (Raw([b'{"data": [{"index": 0, "embedding": "AADAfw=="}]}'], "application/json"), "upstream_failed"),
        (Raw([b'{"data": [{"index": 0, "embedding": [1e999]}]}'], "application/json"), "upstream_failed"),
        (Raw([b"<html>"], "text/html"), "upstream_failed"),
        (Reply(fault="cut"), "upstream_failed"),
        (Reply(fault="reset"), "upstream_failed"),
        (Refusal(401), "upstream_failed"),
        (Silence(), "upstream_timeout"),
    ],
)
async def test_a_malformed_answer_is_an_error(
    gateway: Gateway,
    person: Account,
    client: openai.AsyncOpenAI,
    upstream: OpenAIUpstream,
    step: Any,
    code: str,
) -> None:
    upstream.script(step)
    key = await gateway.create_api_key(person, models=["small"])  # so there is no fallback
    answer = await gateway.http.post(
        PATH, json={"model": "small", "input": "text"}, headers={"x-api-key": key}
    )
    assert (answer.json()["error"]["code"], answer.json()["error"]["type"]) == (code, "upstream_error")
    assert "secret" not in answer.text
    assert (await wait_settled(gateway.container.engine, person.id)).usd_used == 0


async def test_a_key_needs_the_scope_and_the_model(gateway: Gateway, person: Account) -> None:
    body = {"model": "wordllama", "input": "text"}
    for fields, code in (
        ({"scopes": ["chat"]}, "scope_missing"),
        ({"models": ["random"]}, "model_not_allowed"),
    ):
        headers = {"x-api-key": await gateway.create_api_key(person, **fields)}
        refused = await gateway.http.post(PATH, json=body, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, code)
    assert (await gateway.http.post(PATH, json=body, headers=person.headers)).status_code == 403


async def test_a_client_disconnect_cancels_the_call(
    gateway: Gateway, person: Account, client: openai.AsyncOpenAI, upstream: OpenAIUpstream
) -> None:
    upstream.script(Silence())
    asking = asyncio.create_task(client.embeddings.create(model="small", input="text"))
    await asyncio.wait_for(upstream.wait_for_calls(1), 30)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(upstream.calls[0].disconnected.wait(), 30)
    await wait_settled(gateway.container.engine, person.id)
    assert [row["outcome"] for row in await ledger(gateway, person)] == ["cancelled"]
