"""Tool rounds with vendors that require their own fields back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from gateway.agent.runner import AgentRunner
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.guardrails import GuardModes
from gateway.domain.events import Answer, MessageFields, TurnCompleted
from gateway.tools import registry
from gateway.tools.base import Tool, ToolArguments
from tests.support.agent import GUARDS_OFF, make_turn, run_turn, running_agent
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.gemini_server import GeminiUpstream
from tests.support.upstreams.http_server import Refusal, Reply, UpstreamServer
from tests.support.upstreams.http_server import ScriptedToolCall as Asked
from tests.support.upstreams.openai_server import SIGNATURE, OpenAIUpstream


class WordArguments(ToolArguments):
    word: str = ""


class Probe(Tool[WordArguments]):
    name = "probe"
    description = "For tests."
    arguments: ClassVar[type[WordArguments]] = WordArguments

    async def run(self, arguments: WordArguments) -> str:
        return f"did {arguments.word}"


@pytest.fixture(autouse=True)
def probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_load_class", {"probe": Probe}.__getitem__)
    monkeypatch.setattr(registry, "TOOLS", {"probe": (__name__, "Probe")})


def thinking_openai() -> OpenAIUpstream:
    up = OpenAIUpstream()
    up.wants_thoughts = up.signs = True
    return up


VENDORS: dict[str, tuple[type[UpstreamServer] | Any, str, dict[str, Any]]] = {
    "openai": (thinking_openai, "deepseek-v4", {}),
    "anthropic": (
        AnthropicUpstream,
        "claude-sonnet-4-5",
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    ),
    "gemini": (GeminiUpstream, "gemini-flash-latest", {"placeholder_signature": False}),
}
BLOCK = GuardModes(leak="block", personal_data="block")


def model(provider: str, name: str) -> dict[str, Any]:
    return {
        "provider": provider,
        "model": name,
        "context_window": 200_000,
        "max_output_tokens": 8000,
        "capabilities": ["tools"],
    }


@asynccontextmanager
async def agent_of(kind: str, up: UpstreamServer, **other: UpstreamServer) -> AsyncIterator[AgentRunner]:
    _, name, options = VENDORS[kind]
    providers: dict[str, Any] = {
        "it": {"type": kind, "base_url": up.url, "api_key": "k", "options": options},
        **{name: {"type": "openai", "base_url": server.url} for name, server in other.items()},
    }
    models = {"it": model("it", name), **{name: model(name, f"vendor-{name}") for name in other}}
    config = Catalog.model_validate(
        {
            "providers": providers,
            "models": models,
            "tools": {"enabled": ["probe"]},
            "retry": {"attempts": 1},
            "fallbacks": {"it": list(other)},
        }
    )
    async with running_agent(config) as agent:
        yield agent


def asks(word: str) -> Reply:
    arguments = json.dumps({"word": word})
    calls = [Asked("probe", (arguments[:4], arguments[4:]), f"toolu_{word}")]
    return Reply(text=("Wait.",), reasoning=("Let me ", f"see {word}."), tools=calls, finish="tool_calls")


async def test_vendor_fields_are_not_sent_when_an_output_guard_blocks() -> None:
    async with AnthropicUpstream() as up, agent_of("anthropic", up) as agent:
        for guard, shown in ((GUARDS_OFF, True), (BLOCK, False)):
            up.script(Reply(reasoning=("Secretly.",)))
            events = await run_turn(agent, make_turn("Hi", model="it"), guard=guard)
            end = events[-1]
            assert isinstance(end, TurnCompleted)
            assert any(isinstance(event, MessageFields) for event in events) is shown
            assert (end.answer.vendor is not None) is shown


async def answered(agent: AgentRunner, guard: GuardModes = GUARDS_OFF, **fields: Any) -> Answer:
    events = await run_turn(agent, make_turn("Do it.", model="it", gateway_tools=None, **fields), guard=guard)
    end = events[-1]
    assert isinstance(end, TurnCompleted), end
    return end.answer


@pytest.mark.parametrize("guard", [GUARDS_OFF, BLOCK], ids=["open", "screened"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", VENDORS)
async def test_two_rounds_of_tools_end_in_an_answer(kind: str, stream: bool, guard: GuardModes) -> None:
    async with VENDORS[kind][0]() as up, agent_of(kind, up) as agent:
        up.script(asks("one"), asks("two"), Reply(text=("Done.",)))
        answer = await answered(agent, guard, stream=stream)
        assert answer.content.endswith("Done.")
        assert len(up.calls) == 3
        if kind == "openai":
            first, second = [m for m in up.calls[2].body["messages"] if m["role"] == "assistant"]
            assert first["reasoning_content"] == "Let me see one."
            assert second["reasoning_content"] == "Let me see two."
            signed = {"google": {"thought_signature": SIGNATURE}}
            assert second["tool_calls"][0]["extra_content"] == signed


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_fallback_of_another_vendor_gets_no_vendor_fields(kind: str) -> None:
    async with VENDORS[kind][0]() as up, OpenAIUpstream() as other, agent_of(kind, up, other=other) as agent:
        if isinstance(up, OpenAIUpstream):
            up.wants_thoughts = False
        # Nothing is said before the fallback: thoughts are signed and not shown.
        calls = [Asked("probe", ('{"word": "one"}',), "toolu_one")]
        up.script(Reply(text=(), reasoning=("",), tools=calls, finish="tool_calls"), Refusal(500))
        answer = await answered(agent, stream=False)
        assert answer.model == "other"
        (call,) = [m for m in other.calls[0].body["messages"] if m["role"] == "assistant"]
        assert call.keys() == {"role", "content", "tool_calls"}
        assert call["tool_calls"][0].keys() == {"id", "type", "function"}
        assert "ignature" not in other.calls[0].raw.decode()
