"""Selects the gateway's tools that a model is offered."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gateway.agent.state import AgentState
from gateway.domain.config.models import ModelConfig
from gateway.domain.intent import Intent
from gateway.domain.money import estimate_tokens
from gateway.domain.requests import ToolSpec
from gateway.tools.registry import ToolRegistry

# The share of a model's window (1/n) that `tools: auto` may take.
_WINDOW_SHARE = 4
# Tools that intent flags suggest; others follow in configuration order.
_SUGGESTED_TOOLS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("needs_fresh", ("web_search", "fetch", "current_time")),
    ("needs_code", ("code",)),
    ("needs_tools", ("calculator", "code")),
)


def select_tools(registry: ToolRegistry, state: AgentState, model: ModelConfig) -> tuple[ToolSpec, ...]:
    """The tools a request lists; for `auto` the enabled ones that fit.

    Those that the intent suggests come first.
    """
    turn = state["turn"]
    if turn.gateway_tools == ():
        return ()
    if turn.gateway_tools is not None:
        return registry.specs(turn.gateway_tools)
    return fit_tools_to_window(_order_by_intent(registry.specs(), state["intent"]), model.context_window)


def fit_tools_to_window(specs: Sequence[ToolSpec], window: int) -> tuple[ToolSpec, ...]:
    """The first specs that together fit into a quarter of the window."""
    remaining = window // _WINDOW_SHARE
    chosen: list[ToolSpec] = []
    for spec in specs:
        size = definition_tokens(spec)
        if size <= remaining:
            remaining -= size
            chosen.append(spec)
    return tuple(chosen)


def _order_by_intent(specs: Sequence[ToolSpec], intent: Intent) -> list[ToolSpec]:
    first = [name for flag, names in _SUGGESTED_TOOLS if getattr(intent, flag) for name in names]
    rank = {name: at for at, name in reversed(list(enumerate(first)))}
    return sorted(specs, key=lambda spec: rank.get(spec.name, len(first)))


def definition_tokens(spec: ToolSpec) -> int:
    """Estimate the tokens of a tool definition."""
    return estimate_tokens(spec.name + spec.description + json.dumps(spec.parameters))
