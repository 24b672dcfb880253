"""Which tools a model is offered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.agent.state import initial_state
from gateway.agent.tool_use.selection import definition_tokens, select_tools
from gateway.domain.config.models import ModelConfig
from gateway.domain.config.tools import ToolsConfig
from gateway.domain.intent import NOT_CLASSIFIED, Intent
from gateway.tools.registry import ToolRegistry
from tests.support.agent import make_turn

ALL = ("calculator", "current_time")


def offered(
    requested: tuple[str, ...] | None, *, intent: Intent = NOT_CLASSIFIED, window: int = 8192
) -> list[str]:
    tools = ToolRegistry(ToolsConfig(enabled=ALL))
    state = initial_state(make_turn(gateway_tools=requested), (), None)
    state["intent"] = intent
    return [
        spec.name
        for spec in select_tools(tools, state, ModelConfig(provider="p", model="m", context_window=window))
    ]


def test_a_list_selects_exactly_these_tools() -> None:
    assert offered(("current_time",)) == ["current_time"]
    assert offered(()) == []


def test_auto_selects_all_tools_in_configuration_order() -> None:
    assert offered(None) == list(ALL)


@pytest.mark.parametrize(("flag", "first"), [("needs_tools", "calculator"), ("needs_fresh", "current_time")])
def test_tools_that_the_intent_suggests_come_first(flag: str, first: str) -> None:
    assert offered(None, intent=replace(NOT_CLASSIFIED, **{flag: True}))[0] == first


def test_the_schemas_leave_a_small_model_three_quarters_of_its_window() -> None:
    sizes = {s.name: definition_tokens(s) for s in ToolRegistry(ToolsConfig(enabled=ALL)).specs()}
    window = 4 * (max(sizes.values()) + min(sizes.values()) - 1)
    fresh = replace(NOT_CLASSIFIED, needs_fresh=True)
    assert offered(None, window=window) == ["calculator"]
    assert offered(None, window=window, intent=fresh) == ["current_time"]
    assert offered(ALL, window=window) == list(ALL)
