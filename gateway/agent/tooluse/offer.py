"""Which of the gateway's tools a model is offered: those the request names, or those that suit and fit."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gateway.agent.state import AgentState
from gateway.domain.catalog import ModelConfig
from gateway.domain.chat import ToolSpec
from gateway.domain.intent import Intent
from gateway.domain.usage import estimate_tokens
from gateway.tools.registry import ToolRegistry

# Of a model's window, what the schemas of `tools: auto` may take.
_SHARE = 4
# What the intent's flags suggest, by name; the others follow in the order of the configuration.
_SUGGESTED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("needs_fresh", ("web_search", "fetch", "current_time")),
    ("needs_code", ("code",)),
    ("needs_tools", ("calculator", "code")),
)


def offer(registry: ToolRegistry, state: AgentState, model: ModelConfig) -> tuple[ToolSpec, ...]:
    """A request's list means exactly these; `auto` the enabled ones, the likeliest first.

    Of `auto`, what does not fit a quarter of the model's window is left out.
    """
    turn = state["turn"]
    if turn.gateway_tools == ():
        return ()
    if turn.gateway_tools is not None:
        return registry.specs(turn.gateway_tools)
    return most_of_auto(_by_need(registry.specs(), state["intent"]), model.context_window)


def most_of_auto(specs: Sequence[ToolSpec], window: int) -> tuple[ToolSpec, ...]:
    """Those of `specs`, the first ones first, that fit a quarter of the window."""
    room = window // _SHARE
    chosen: list[ToolSpec] = []
    for spec in specs:
        size = schema_tokens(spec)
        if size <= room:
            room -= size
            chosen.append(spec)
    return tuple(chosen)


def _by_need(specs: Sequence[ToolSpec], intent: Intent) -> list[ToolSpec]:
    first = [name for flag, names in _SUGGESTED if getattr(intent, flag) for name in names]
    rank = {name: at for at, name in reversed(list(enumerate(first)))}
    return sorted(specs, key=lambda spec: rank.get(spec.name, len(first)))


def schema_tokens(spec: ToolSpec) -> int:
    """Estimate of what telling a model of a tool takes of its window."""
    return estimate_tokens(spec.name + spec.description + json.dumps(spec.parameters))
