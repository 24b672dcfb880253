"""The graph's state: data that serialises, nothing live."""

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
    """The model chosen for the next call; `alias` is the name the caller asked for."""

    model: str
    provider: str
    alias: str
    reason: str


@dataclass(frozen=True, slots=True)
class ToolUsage:
    """What a turn's tools have taken: time (parallel calls count once), bytes, how often each call came."""

    seconds: float = 0.0
    result_bytes: int = 0
    call_counts: Mapping[tuple[str, str], int] = field(default_factory=dict)


NO_TOOL_USAGE = ToolUsage()


def add_durations(left: dict[str, float], right: dict[str, float]) -> dict[str, float]:
    """Milliseconds by node; a node that ran twice adds up."""
    total = dict(left)
    for name, ms in right.items():
        total[name] = total.get(name, 0.0) + ms
    return total


class AgentState(TypedDict, total=False):
    """What the nodes read and return parts of.

    turn: the request, never changed. allowed_models: what the caller's key may use (None: all).
    messages: what the model is shown; grows with tool rounds. candidates: models to try, best first.
    text, reasoning, logprobs: what was said so far. said, tool_calls: what the last model call alone said
    and asked for; vendor: what its vendor wants back with that. refused: whether that was
    the model's refusal to answer.
    breakers: upstreams that were not asked, or only probed, because of earlier failures.
    failure: why the last model call failed; failures: those since the last good one, oldest first; spoke:
    whether the caller has seen a word of this turn.
    blocked: the reason a guardrail gave for withholding the answer; blocked_at: what that was found in.
    regenerated: how often a model was asked again because a guardrail withheld what it said.
    room: what messages may take since an upstream found too long what should have fitted; shrunk: how often
    that was so.
    """

    turn: Turn
    allowed_models: frozenset[str] | None
    messages: tuple[Message, ...]
    intent: Intent
    candidates: tuple[str, ...]
    first_choice: str
    route: Route
    breakers: Mapping[str, BreakerState]
    text: str
    said: str
    reasoning: str
    logprobs: tuple[dict[str, Any], ...]
    refused: bool
    tool_calls: tuple[ToolCall, ...]
    vendor: VendorData | None
    finish_reason: FinishReason | None
    failure: GatewayError | None
    failures: tuple[GatewayError, ...]
    spoke: bool
    rounds: int
    tool_use: ToolUsage
    tool_log: tuple[dict[str, Any], ...]
    blocked: str | None
    blocked_at: Literal["input", "tool", "output"]
    regenerated: int
    room: int | None
    shrunk: int
    nodes_ms: dict[str, float]


def initial_state(
    turn: Turn,
    messages: tuple[Message, ...],
    allowed_models: frozenset[str] | None,
) -> AgentState:
    """The state a turn starts with; `messages` holds history, question and system prompt."""
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
        spoke=False,
        rounds=0,
        tool_use=NO_TOOL_USAGE,
        tool_log=(),
        blocked=None,
        blocked_at="input",
        regenerated=0,
        room=None,
        shrunk=0,
        nodes_ms={},
    )
