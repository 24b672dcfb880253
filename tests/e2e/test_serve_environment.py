"""`gateway serve` configured by environment variables alone."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.support.gateway_process import GatewayProcess, run_gateway
from tests.support.upstreams.openai_server import OpenAIUpstream

pytestmark = [pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

KEY = "first-service-key-of-an-operator"
ENVIRONMENT = {
    "PROVIDER_CONFIG": "",
    "GATEWAY_API_KEYS": f"{KEY}, second-service-key-of-an-operator",
    "GATEWAY_DEFAULT_UPSTREAM": "mock",
    "GATEWAY_FALLBACKS": "llama=gpt-4o-mini,mock;bad=mock",
    "GATEWAY_RATE_LIMIT_PER_MINUTE": "5000",
    "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "3",
    "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS": "40",
    "GATEWAY_REQUEST_TIMEOUT_SECONDS": "20",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def llama() -> AsyncIterator[OpenAIUpstream]:
    async with OpenAIUpstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(
    llama: OpenAIUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("environment")
    base = llama.url.removesuffix("/v1")
    named = f"llama={base};mock=mock://local;gpt=litellm://gpt-4o-mini;bad=mock://fail;worse=mock://fail"
    given = {**ENVIRONMENT, "GATEWAY_UPSTREAMS": named}
    with GatewayProcess("--data-dir", str(folder / "data"), cwd=folder, **given) as served:
        await asyncio.to_thread(served.wait_for_banner)
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=served.address, headers=headers, timeout=30) as client:
            yield client
        doctor = await asyncio.to_thread(
            run_gateway, "doctor", "--data-dir", str(folder / "data"), cwd=folder, **given
        )
        assert "environment: 5 models" in doctor.stdout, doctor.stdout
        assert await asyncio.to_thread(served.stop, signal.SIGTERM) == 0
        assert KEY not in served.output + served.errors


async def ask(http: httpx.AsyncClient, model: str, **headers: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello."}]}
    return await http.post("/v1/chat/completions", json=body, headers=headers)


async def test_the_upstreams_are_the_models(http: httpx.AsyncClient) -> None:
    names = [model["id"] for model in (await http.get("/v1/models")).json()["data"]]
    assert {"auto", "llama", "mock", "bad", "worse"} <= set(names)
    assert "gpt" not in names  # it has no key


async def test_an_upstream_answers_by_its_name(http: httpx.AsyncClient, llama: OpenAIUpstream) -> None:
    answer = await ask(http, "llama")
    assert (answer.status_code, answer.json()["model"]) == (200, "llama")
    assert answer.json()["choices"][0]["message"]["content"] == "Hello, world!"
    assert llama.calls[-1].path == "/v1/chat/completions"
    assert llama.calls[-1].body["model"] == "llama"
    assert "x-fallback-model" not in answer.headers
    assert answer.headers["x-ratelimit-limit-requests"] == "5000"


async def test_the_default_upstream_is_auto(http: httpx.AsyncClient) -> None:
    assert (await ask(http, "auto")).json()["model"] == "mock"


async def test_a_streamed_answer_ends_with_done(http: httpx.AsyncClient) -> None:
    body = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": "Hello."}]}
    answer = await http.post("/v1/chat/completions", json=body)
    frames = answer.text.strip().split("\n\n")
    assert frames[-1] == "data: [DONE]"
    assert json.loads(frames[0].removeprefix("data: "))["model"] == "mock"


async def test_a_failing_upstream_falls_back_and_the_header_names_the_fallback(
    http: httpx.AsyncClient,
) -> None:
    answer = await ask(http, "bad")
    assert (answer.status_code, answer.json()["model"]) == (200, "mock")
    assert answer.headers["x-fallback-model"] == "mock"


async def test_an_unknown_name_is_404(http: httpx.AsyncClient) -> None:
    answer = await ask(http, "nobody")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_all_failed_is_502_and_then_the_circuit_is_open(http: httpx.AsyncClient) -> None:
    first = await ask(http, "worse")
    assert (first.status_code, first.json()["error"]["code"]) == (502, "upstream_failed")
    for _ in range(3):
        last = await ask(http, "worse")
    assert (last.status_code, last.json()["error"]["code"]) == (503, "circuit_open")
    assert 0 < int(last.headers["retry-after"]) <= 40
    breakers = (await http.get("/v1/circuit-breakers")).json()["data"]
    states = {breaker["model"]: breaker["state"] for breaker in breakers}
    assert (states["worse"], states["mock"]) == ("open", "closed")


async def test_only_the_configured_keys_are_accepted(http: httpx.AsyncClient) -> None:
    second = await ask(http, "mock", authorization="Bearer second-service-key-of-an-operator")
    assert second.status_code == 200
    for wrong in ("another-key", f"{KEY}x", KEY[:-1]):
        refused = await ask(http, "mock", authorization=f"Bearer {wrong}")
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")


async def test_a_missing_role_or_image_model_is_a_named_error(http: httpx.AsyncClient) -> None:
    role = await http.post("/api/v1/llm/generate", json={"role": "brand", "payload": {}})
    assert (role.status_code, role.json()["error"]["param"]) == (404, "role")
    picture = await http.post("/v1/images/generations", json={"prompt": "a cat"})
    assert (picture.status_code, picture.json()["error"]["param"]) == (400, "model")


# The last one: it ends the upstream.
async def test_an_unreachable_upstream_falls_back(http: httpx.AsyncClient, llama: OpenAIUpstream) -> None:
    await llama.stop()
    answer = await ask(http, "llama")
    assert (answer.status_code, answer.json()["model"]) == (200, "mock")
    assert answer.headers["x-fallback-model"] == "mock"
