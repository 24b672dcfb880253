"""The input of one run of the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.agent.budget.turn_budget import TurnBudget
from gateway.agent.context_window.memory import Memory
from gateway.domain.config.guardrails import GuardModes
from gateway.domain.events import ChatEvent, ModelCall
from gateway.domain.messages import Message
from gateway.domain.requests import Turn
from gateway.tools.base import TurnServices


@dataclass(frozen=True, slots=True)
class TurnRun:
    """A turn with everything that the agent needs to run it.

    messages: system prompt, history and question, oldest first.
    allowed_models: what the caller's API key may use, also in auxiliary calls; None: all.
    model_calls: each model call is appended as it ends, also when it is cancelled, so that the caller can
    charge for it.
    emit: receives each event as it happens; must not wait. LangGraph's stream writer would pass events
    through a queue and a task, at 0.1 ms a step.
    memory: of a persisted conversation, whose `build_prompt` made `messages`; afterwards it has the notes to
    store. Messages of other turns are never dropped.
    services: what tools may do on the turn's behalf.
    budget: what the turn may spend; None: unlimited.
    """

    turn: Turn
    messages: tuple[Message, ...]
    guards: GuardModes
    allowed_models: frozenset[str] | None
    model_calls: list[ModelCall]
    emit: Callable[[ChatEvent], None]
    memory: Memory | None = None
    services: TurnServices = field(default_factory=TurnServices)
    budget: TurnBudget | None = None
