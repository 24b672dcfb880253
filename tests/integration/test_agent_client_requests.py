"""Recorded requests of Codex and the AI SDK, replayed to a strict upstream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.gateway import Gateway
from tests.support.paths import RECORDINGS
from tests.support.upstreams.openai_server import Reply, ScriptedToolCall
from tests.support.upstreams.strict_openai_server import StrictOpenAIUpstream

PATCH = "*** Begin Patch\n*** Add File: note.txt\n+written by apply_patch\n*** End Patch\n"


@pytest.fixture
async def upstream() -> AsyncIterator[StrictOpenAIUpstream]:
    async with StrictOpenAIUpstream() as server:
        yield server


@pytest.fixture
def gateway_config(upstream: StrictOpenAIUpstream) -> dict[str, Any]:
    model = {"provider": "openai", "capabilities": ["tools", "json", "vision"], "context_window": 400_000}
    return {
        "providers": {"openai": {"type": "openai", "base_url": upstream.url}},
        "models": {name: {**model, "model": name} for name in ("gpt-5.5", "gpt-5.1")},
    }


def recorded(client: str, series: str) -> list[dict[str, Any]]:
    exchanges: list[dict[str, Any]] = json.loads((RECORDINGS / client).read_text())[series]
    return exchanges


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]


async def replayed(gateway: Gateway, exchanges: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The output of each response, the recorded ids in later bodies replaced by those of this run."""
    key = await gateway.create_api_key(await gateway.sign_up())
    ids: dict[str, str] = {}
    outputs: list[list[dict[str, Any]]] = []
    for exchange in exchanges:
        body = json.dumps(exchange["request"])
        for before, now in ids.items():
            body = body.replace(before, now)
        answer = await gateway.http.post(
            "/v1/responses",
            content=body,
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        assert answer.status_code == 200, answer.text
        if exchange["request"].get("stream"):
            output = events_of(answer.text)[-1]["response"]["output"]
        else:
            output = answer.json()["output"]
        outputs.append(output)
        assert len(output) == len(exchange["output_ids"])
        ids |= dict(zip(exchange["output_ids"], (item["id"] for item in output), strict=True))
    return outputs


def roles(upstream: StrictOpenAIUpstream, at: int) -> list[str]:
    return [message["role"] for message in upstream.calls[at].body["messages"]]


async def test_codex_patches_a_file_with_its_custom_tool(
    gateway: Gateway, upstream: StrictOpenAIUpstream
) -> None:
    shell = ScriptedToolCall("exec_command", ('{"cmd":"echo hi > hi.txt;', ' cat hi.txt"}'), "call_a")
    patch = ScriptedToolCall("apply_patch", (json.dumps({"input": PATCH}),), "call_b")
    upstream.script(
        Reply(text=(), tools=(shell,), finish="tool_calls"),
        Reply(text=("I wrote hi.txt.",)),
        Reply(text=(), tools=(patch,), finish="tool_calls"),
        Reply(text=("Patched note.txt.",)),
    )
    outputs = await replayed(gateway, recorded("codex-0.171.0.json", "custom_tools"))
    assert upstream.refused == []
    assert [item["type"] for output in outputs for item in output] == [
        "function_call",
        "message",
        "custom_tool_call",
        "message",
    ]
    call = outputs[2][0]
    assert (call["name"], call["call_id"], call["input"]) == ("apply_patch", "call_b", PATCH)
    first, last = upstream.calls[0].body, upstream.calls[3].body
    # One system message, and nothing of Codex's own bookkeeping.
    assert roles(upstream, 0) == ["system", "user", "user"]
    assert {"client_metadata", "include", "store"}.isdisjoint(first)
    assert first["prompt_cache_key"] == "01a22e35-a7f0-78b1-aafe-d942937c75b4"
    assert (first["reasoning_effort"], first["verbosity"]) == ("medium", "low")
    names = [tool["function"]["name"] for tool in first["tools"]]
    assert names[:2] == ["exec_command", "write_stdin"]
    assert "apply_patch" in names
    assert not {"web_search", "tool_search"} & set(names)
    assert "start: begin_patch" in json.dumps(first["tools"][names.index("apply_patch")])
    assert roles(upstream, 3)[-3:] == ["user", "assistant", "tool"]
    again = last["messages"][-2]["tool_calls"][0]
    assert (again["id"], json.loads(again["function"]["arguments"])) == ("call_b", {"input": PATCH})


async def test_codex_namespaces_are_flattened_upstream_and_restored_in_calls(
    gateway: Gateway, upstream: StrictOpenAIUpstream
) -> None:
    first = recorded("codex-0.171.0.json", "namespaces")[:1]
    upstream.script(
        Reply(
            text=(),
            tools=(ScriptedToolCall("spawn_agent", ('{"message":"Look"}',), "call_a"),),
            finish="tool_calls",
        )
    )
    [[call]] = await replayed(gateway, first)
    names = [tool["function"]["name"] for tool in upstream.calls[0].body["tools"]]
    assert "spawn_agent" in names
    assert (call["type"], call["name"], call["namespace"]) == (
        "function_call",
        "spawn_agent",
        "multi_agent_v1",
    )
    assert upstream.refused == []


async def test_codex_runs_two_turns_without_custom_tools(
    gateway: Gateway, upstream: StrictOpenAIUpstream
) -> None:
    def shell(id_: str) -> ScriptedToolCall:
        return ScriptedToolCall("exec_command", ('{"cmd":"echo hi"}',), id_)

    upstream.script(
        Reply(text=(), tools=(shell("call_a"),), finish="tool_calls"),
        Reply(text=("Once.",)),
        Reply(text=(), tools=(shell("call_b"),), finish="tool_calls"),
        Reply(text=("Twice.",)),
    )
    outputs = await replayed(gateway, recorded("codex-0.171.0.json", "namespaces"))
    assert upstream.refused == []
    assert outputs[-1][0]["content"][0]["text"] == "Twice."
    assert roles(upstream, 3) == [
        *("system", "user", "user", "assistant", "tool", "assistant", "user", "assistant", "tool"),
    ]


@pytest.mark.parametrize("series", ["whole", "streamed"])
async def test_the_ai_sdk_refers_to_earlier_items(
    gateway: Gateway, upstream: StrictOpenAIUpstream, series: str
) -> None:
    def weather(city: str, id_: str) -> ScriptedToolCall:
        return ScriptedToolCall("weather", (json.dumps({"city": city}),), id_)

    upstream.script(
        Reply(("Let me look.",), ("Hm.",), (weather("Seoul", "call_a"),), "tool_calls"),
        Reply(("12 degrees.",), ("Ok.",)),
        Reply(("And Busan?",), tools=(weather("Busan", "call_b"),), finish="tool_calls"),
        Reply(("15 degrees.",)),
    )
    exchanges = recorded("ai-sdk-7.0.173.json", series)
    kinds = [item.get("type") for item in exchanges[1]["request"]["input"]]
    assert kinds.count("item_reference") >= 2  # of the thoughts and of the text
    outputs = await replayed(gateway, exchanges)
    assert outputs[-1][0]["content"][0]["text"] == "15 degrees."
    assert upstream.refused == []
    messages = upstream.calls[3].body["messages"]
    assert [(m["role"], m["content"]) for m in messages if m["role"] != "tool"] == [
        ("user", "How warm is Seoul?"),
        ("assistant", "Let me look."),
        ("assistant", "12 degrees."),
        ("user", "And Busan?"),
        ("assistant", "And Busan?"),
    ]
    assert [m["tool_call_id"] for m in messages if m["role"] == "tool"] == ["call_a", "call_b"]
