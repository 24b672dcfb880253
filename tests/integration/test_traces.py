"""One connected trace per turn, with a tool and a fallback, exported by OTLP."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.paths import PROJECT
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, ScriptedToolCall
from tests.support.upstreams.otlp_server import OtlpCollector, SentSpan

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PROMPT = "an umbrella for the marmalade festival"
ANSWER = "fortytwo and a zeppelin"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpCollector]:
    for name in os.environ:
        if name.startswith(("OTEL_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with OtlpCollector() as collector:
        yield collector


@asynccontextmanager
async def traced(
    database_url: str, redis_url: str, directory: Path, up: OpenAIUpstream
) -> AsyncIterator[Gateway]:
    config: dict[str, Any] = {
        "providers": {"up": {"type": "openai", "base_url": up.url, "api_key": "sk-vendor-secret-0123456789"}},
        "models": {
            name: {"provider": "up", "model": f"vendor-{name}", "capabilities": ["tools"]}
            for name in ("first", "second")
        },
        "fallbacks": {"first": ["second"]},
        "retry": {"attempts": 1},
        "tools": {"enabled": ["calculator"]},
        "guardrails": {"people": {"injection": "off"}},
    }
    async with running_gateway(database_url, redis_url, directory, config) as gateway:
        yield gateway


def with_a_tool_and_a_fallback(up: OpenAIUpstream) -> None:
    call = ScriptedToolCall("calculator", ('{"expression": "6*7"}',))
    up.script(
        Refusal(500),
        Reply(text=(), tools=(call,), finish="tool_calls"),
        Reply(text=("fortytwo ", "and a zeppelin")),
    )


async def stream(gateway: Gateway, **headers: str) -> httpx.Response:
    person = await gateway.sign_up()
    body = {"message": PROMPT, "model": "first"}
    answer = await gateway.http.post("/api/chat/stream", json=body, headers={**person.headers, **headers})
    assert "event: done" in answer.text, answer.text
    return answer


async def of_the_turn(collector: OtlpCollector, ready: Callable[[list[SentSpan]], bool]) -> list[SentSpan]:
    spans = await asyncio.to_thread(
        collector.wait_for, lambda all_: ready([s for s in all_ if s.trace_id == TRACE])
    )
    return [span for span in spans if span.trace_id == TRACE]


def ended(spans: list[SentSpan]) -> bool:
    return any(span.kind == "server" for span in spans)


def answered(spans: list[SentSpan]) -> bool:
    return any(span.name.startswith("invoke_agent") for span in spans)


def attributes(spans: list[SentSpan], name: str) -> list[dict[str, Any]]:
    return [span.attributes for span in spans if span.name == name]


async def test_a_streamed_turn_with_a_tool_and_a_fallback_is_one_connected_trace(
    clean_database: str,
    clean_redis: str,
    tmp_path: Path,
    collector: OtlpCollector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    async with (
        OpenAIUpstream() as up,
        traced(clean_database, clean_redis, tmp_path, up) as gateway,
    ):
        with_a_tool_and_a_fallback(up)
        answer = await stream(gateway, traceparent=f"00-{TRACE}-{PARENT}-01")
        spans = await of_the_turn(collector, ended)
        asked = [call.headers["traceparent"] for call in up.calls]

    assert answer.headers["x-trace-id"] == TRACE
    by_id = {span.span_id: span for span in spans}
    [server] = [span for span in spans if span.kind == "server"]
    assert (server.name, server.parent, server.service) == ("POST /api/chat/stream", PARENT, "llm-gateway")
    assert answer.headers["traceparent"] == f"00-{TRACE}-{server.span_id}-01"
    for span in spans:  # each hangs on another, up to the request
        assert span is server or span.parent in by_id, span
    names = [span.name for span in spans]
    assert names.count("invoke_agent llm-gateway") == 1
    assert names.count("node llm") == 3
    assert {"node route", "node retry", "node tools"} <= set(names)

    [failed] = attributes(spans, "chat vendor-first")
    assert (failed["error.type"], failed["gateway.model"]) == ("upstream_failed", "first")
    first, second = attributes(spans, "chat vendor-second")
    assert first["gen_ai.response.finish_reasons"] == ["tool_calls"]
    for answered in (first, second):
        assert answered["gen_ai.response.id"] == "chatcmpl-1"
        assert answered["gen_ai.response.model"] == "vendor-second"
    assert second["gen_ai.operation.name"] == "chat"
    assert second["gen_ai.provider.name"] == "openai"
    assert second["gen_ai.usage.output_tokens"] > 0
    assert second["gen_ai.response.time_to_first_chunk"] > 0
    assert second["server.address"] == "127.0.0.1"
    [tool] = attributes(spans, "execute_tool calculator")
    assert (tool["gen_ai.tool.name"], tool["gen_ai.tool.call.id"]) == ("calculator", "call_1")
    systems = {span.attributes.get("db.system.name") for span in spans}
    assert {"postgresql", "redis"} <= systems
    [turn] = [span for span in spans if span.name.startswith("invoke_agent")]
    assert turn.attributes["gateway.fallback_from"] == "first"
    writing = [
        s for s in spans if s.parent == turn.span_id and s.attributes.get("db.system.name") == "postgresql"
    ]
    assert writing, "what came of the turn is written inside of it"

    # The upstream got the trace context of its call.
    calls = [span for span in spans if span.name.startswith("chat ")]
    assert asked == [f"00-{TRACE}-{span.span_id}-01" for span in sorted(calls, key=_begun(spans))]
    for said in (PROMPT, "zeppelin", "6*7", "sk-vendor-secret", "correct horse"):
        assert said.encode() not in collector.raw


def _begun(spans: list[SentSpan]) -> Callable[[SentSpan], int]:
    """In the order of their nodes: spans are exported in the order in which they end."""
    return lambda span: spans.index(span)


async def test_a_turn_is_traced_to_its_end_after_a_disconnect(
    clean_database: str,
    clean_redis: str,
    tmp_path: Path,
    collector: OtlpCollector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
    gate = asyncio.Event()
    async with (
        OpenAIUpstream() as up,
        traced(clean_database, clean_redis, tmp_path, up) as gateway,
    ):
        up.script(Reply(text=("one ", "two"), gate=gate))
        person = await gateway.sign_up()
        headers = {**person.headers, "traceparent": f"00-{TRACE}-{PARENT}-01"}
        body = {"message": PROMPT, "model": "second"}
        async with gateway.http.stream("POST", "/api/chat/stream", json=body, headers=headers) as answer:
            await anext(answer.aiter_bytes())
        await of_the_turn(collector, ended)  # the request has ended, its turn has not
        gate.set()
        spans = await of_the_turn(
            collector, lambda all_: any(s.name.startswith("invoke_agent") for s in all_)
        )
    [turn] = [span for span in spans if span.name.startswith("invoke_agent")]
    assert turn.attributes["gateway.status"] == "complete"
    assert attributes(spans, "chat vendor-second")
    assert all(span.trace_id == TRACE for span in spans)


async def test_prompts_are_traced_only_if_configured(
    clean_database: str,
    clean_redis: str,
    tmp_path: Path,
    collector: OtlpCollector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-gateway")
    async with (
        OpenAIUpstream() as up,
        traced(clean_database, clean_redis, tmp_path, up) as gateway,
    ):
        with_a_tool_and_a_fallback(up)
        await stream(gateway, traceparent=f"00-{TRACE}-{PARENT}-01")
        spans = await of_the_turn(collector, ended)
    assert {span.service for span in spans} == {"our-gateway"}
    last = attributes(spans, "chat vendor-second")[-1]
    asked = json.loads(last["gen_ai.input.messages"])
    assert {"role": "user", "parts": [{"type": "text", "content": PROMPT}]} in asked
    assert json.loads(last["gen_ai.output.messages"])[0]["parts"][0]["content"] == ANSWER
    [tool] = attributes(spans, "execute_tool calculator")
    assert "6*7" in tool["gen_ai.tool.call.arguments"]
    assert "42" in tool["gen_ai.tool.call.result"]


async def test_langsmith_gets_one_tree_without_prompts_and_langchain_sends_nothing_itself(
    clean_database: str,
    clean_redis: str,
    tmp_path: Path,
    collector: OtlpCollector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", collector.url)
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2-key-of-the-project")
    monkeypatch.setenv("LANGSMITH_PROJECT", "gateway")
    async with (
        OpenAIUpstream() as up,
        traced(clean_database, clean_redis, tmp_path, up) as gateway,
    ):
        with_a_tool_and_a_fallback(up)
        await stream(gateway, traceparent=f"00-{TRACE}-{PARENT}-01")
        spans = await of_the_turn(collector, ended)
    assert {path for path, _ in collector.posts} == {"/otel/v1/traces"}
    assert {(h["x-api-key"], h["langsmith-project"]) for _, h in collector.posts} == {
        ("lsv2-key-of-the-project", "gateway")
    }
    kinds = {span.attributes.get("langsmith.span.kind") for span in spans}
    assert {"chain", "llm", "tool"} <= kinds
    assert PROMPT.encode() not in collector.raw


async def test_an_unsampled_trace_is_propagated_but_not_exported(
    clean_database: str,
    clean_redis: str,
    tmp_path: Path,
    collector: OtlpCollector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    async with (
        OpenAIUpstream() as up,
        traced(clean_database, clean_redis, tmp_path, up) as gateway,
    ):
        up.script(Reply(text=("fine",)))
        answer = await stream(gateway, traceparent=f"00-{TRACE}-{PARENT}-00")
        assert answer.headers["x-trace-id"] == TRACE
        assert up.calls[-1].headers["traceparent"].startswith(f"00-{TRACE}-")
        assert up.calls[-1].headers["traceparent"].endswith("-00")
    assert TRACE not in {span.trace_id for span in collector.spans}  # all were flushed at the end


async def test_without_a_tracer_only_a_clients_trace_is_propagated(
    clean_database: str, clean_redis: str, tmp_path: Path, collector: OtlpCollector
) -> None:
    async with (
        OpenAIUpstream() as up,
        traced(clean_database, clean_redis, tmp_path, up) as gateway,
    ):
        up.script(Reply(text=("fine",)))
        await stream(gateway, traceparent=f"00-{TRACE}-{PARENT}-01")
        assert up.calls[-1].headers["traceparent"].startswith(f"00-{TRACE}-")
        await stream(gateway)
        assert "traceparent" not in up.calls[-1].headers
    assert not collector.posts


@pytest.mark.timeout(120)  # an interpreter that imports everything
def test_the_opentelemetry_sdk_is_not_loaded_without_its_variables(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from gateway.main import create_app\n"
        "sdk = ('opentelemetry.sdk.', 'opentelemetry.exporter', 'google.protobuf')\n"
        "create_app()\n"
        "without = [name for name in sys.modules if name.startswith(sdk)]\n"
        "os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'] = 'http://127.0.0.1:1'\n"
        "create_app()\n"
        "print(without, any(name.startswith(sdk) for name in sys.modules))\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "LANGSMITH_", "LANGCHAIN_"))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**clean, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "[] True"
