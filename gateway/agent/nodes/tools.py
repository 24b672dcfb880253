"""Run the tools a model asked for, all at once, and show it what they said."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.guarding.checks import guarded
from gateway.agent.spans import end_tool_span, tool_span
from gateway.agent.state import AgentState
from gateway.agent.tooluse.rounds import Round, calls_left, out_of_time, storable
from gateway.domain.events import ToolFinished, ToolStarted
from gateway.domain.messages import Message, ToolCall
from gateway.domain.usage import money
from gateway.tools.outcome import ToolOutcome, envelope


async def tools(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Every call gets an answer, also one that was not run: no provider accepts a history with a gap.

    What a tool has done stands in the state from here on, so nothing that is retried later runs it again.
    """
    context = runtime.context
    calls = storable(state["tool_calls"])
    this = Round(context.parts.catalog.tools, state["tool_use"], calls_left(state))
    started = perf_counter()
    allowed = state["turn"].gateway_tools
    for call in calls:
        context.emit(ToolStarted(call))
    outcomes = await asyncio.gather(
        *(_answer(context, call, this, this.refusal(at, call), allowed) for at, call in enumerate(calls))
    )
    asked = Message(role="assistant", content=state["said"], tool_calls=calls, vendor=state["vendor"])
    return AgentState(
        messages=(*state["messages"], asked, *map(_shown, calls, outcomes)),
        tool_calls=(),
        rounds=state["rounds"] + 1,
        # A call is no word of the answer: if no model has said one yet, another may still take over.
        spoke=bool(state["text"] or state["reasoning"]),
        tool_use=this.use(perf_counter() - started),
        tool_log=(*state["tool_log"], *map(_entry, calls, outcomes)),
    )


async def _answer(
    context: AgentContext,
    call: ToolCall,
    this: Round,
    refusal: ToolOutcome | None,
    allowed: tuple[str, ...] | None,
) -> ToolOutcome:
    """What is said to one call; told as it is known, whatever the others still do."""
    if refusal is not None:
        outcome = refusal
    else:
        outcome = await _run(context, call, this, allowed)
        if outcome.untrusted:
            outcome = await guarded(context, call, outcome)
        outcome = this.within(outcome)
    context.emit(ToolFinished(call.id, call.name, outcome.ok, outcome.content, outcome.ms, outcome.cost_usd))
    return outcome


async def _run(
    context: AgentContext, call: ToolCall, this: Round, allowed: tuple[str, ...] | None
) -> ToolOutcome:
    started = perf_counter()
    with tool_span(call, context.parts.tools.names) as it:
        try:
            async with asyncio.timeout(this.seconds_left):
                outcome = await context.parts.tools.run(call, allowed, context.services)
        except TimeoutError:
            outcome = out_of_time(this.config, (perf_counter() - started) * 1000)
        end_tool_span(it, outcome)
    return outcome


def _shown(call: ToolCall, outcome: ToolOutcome) -> Message:
    content = envelope(call.name, outcome.content) if outcome.untrusted else outcome.content
    return Message(role="tool", content=content, tool_call_id=call.id, name=call.name)


def _entry(call: ToolCall, outcome: ToolOutcome) -> dict[str, Any]:
    """The call's line in the receipt."""
    entry: dict[str, Any] = {"id": call.id, "name": call.name, "ok": outcome.ok, "ms": round(outcome.ms, 3)}
    if outcome.cost_usd:
        entry["cost_usd"] = money(outcome.cost_usd)
    if outcome.error is not None:
        entry["error"] = outcome.error
    if outcome.cut:
        entry["cut"] = True
    return entry
