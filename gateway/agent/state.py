"""State of the graph: serialisable data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from gateway.core.exceptions import GatewayError
from gateway.domain.circuit_breaker import BreakerState
from gateway.domain.events import FinishReason
from gateway.domain.intent import NOT_CLASSIFIED, Intent
from gateway.domain.messages import Message, ToolCall, VendorData
from gateway.domain.requests import Turn


@dataclass(frozen=True, slots=True)
class Route:
    """The selected model; `alias` is the requested name."""

    model: str
    provider: str
    alias: str
    reason: str


@dataclass(frozen=True, slots=True)
class ToolUsage:
    """Resources used by a turn's tools.

    Seconds (parallel calls count once), bytes of results, and the number of each repeated call.
    """

    seconds: float = 0.0
    result_bytes: int = 0
    call_counts: Mapping[tuple[str, str], int] = field(default_factory=dict)


NO_TOOL_USAGE = ToolUsage()


def add_durations(left: dict[str, float], right: dict[str, float]) -> dict[str, float]:
    """Add up milliseconds by node."""
    total = dict(left)
    for name, ms in right.items():
        total[name] = total.get(name, 0.0) + ms
    return total


class AgentState(TypedDict, total=False):
    """What nodes read and return parts of.

    turn: the request, never changed. allowed_models: what the API key may use (None: all).
    messages: the model's input; grows with tool rounds. candidates: models still to try, best first.
    preferred_model: the first choice of the routing.
    text, reasoning, logprobs: output so far. last_text, tool_calls, vendor: output of the last model call
    only; vendor holds opaque fields that the vendor requires in the next request. refused: the model refused
    to answer.
    breakers: breakers that prevented or probed a call.
    failure: of the last model call. failures: since the last successful call, oldest first.
    has_output: whether the client has received output of this turn.
    block_reason: why a guardrail blocked the turn. blocked_stage: what was blocked.
    regeneration_count: retries after a blocked answer.
    token_limit: reduced limit for messages after an upstream rejected the prompt. shrink_count: how often.
    """

    turn: Turn
    allowed_models: frozenset[str] | None
    messages: tuple[Message, ...]
    intent: Intent
    candidates: tuple[str, ...]
    preferred_model: str
    route: Route
    breakers: Mapping[str, BreakerState]
    text: str
    last_text: str
    reasoning: str
    logprobs: tuple[dict[str, Any], ...]
    refused: bool
    tool_calls: tuple[ToolCall, ...]
    vendor: VendorData | None
    finish_reason: FinishReason | None
    failure: GatewayError | None
    failures: tuple[GatewayError, ...]
    has_output: bool
    tool_rounds: int
    tool_usage: ToolUsage
    tool_runs: tuple[dict[str, Any], ...]
    block_reason: str | None
    blocked_stage: Literal["input", "tool", "output"]
    regeneration_count: int
    token_limit: int | None
    shrink_count: int
    nodes_ms: dict[str, float]


def initial_state(
    turn: Turn,
    messages: tuple[Message, ...],
    allowed_models: frozenset[str] | None,
) -> AgentState:
    """The initial state; `messages` holds system prompt, history and question."""
    return AgentState(
        turn=turn,
        intent=NOT_CLASSIFIED,
        allowed_models=allowed_models,
        messages=messages,
        candidates=(),
        breakers={},
        text="",
        reasoning="",
        logprobs=(),
        refused=False,
        tool_calls=(),
        vendor=None,
        finish_reason=None,
        failure=None,
        failures=(),
        has_output=False,
        tool_rounds=0,
        tool_usage=NO_TOOL_USAGE,
        tool_runs=(),
        block_reason=None,
        blocked_stage="input",
        regeneration_count=0,
        token_limit=None,
        shrink_count=0,
        nodes_ms={},
    )
