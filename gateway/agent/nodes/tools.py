"""Run the requested tools concurrently and append their results."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.guards.tool_results import guard_tool_result
from gateway.agent.state import AgentState
from gateway.agent.tool_use.limits import ToolRound, remaining_calls, sanitize_calls, time_limit_result
from gateway.agent.tracing import end_tool_span, tool_span
from gateway.domain.events import ToolFinished, ToolStarted
from gateway.domain.messages import Message, ToolCall
from gateway.domain.money import format_usd
from gateway.tools.result import ToolResult, envelope


async def tools(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Run a round of tool calls; every call gets a result.

    Providers reject a history in which a tool call has no result, so calls that are not run get one too.
    Results stay in the state, so a later retry does not run a tool again.
    """
    context = runtime.context
    calls = sanitize_calls(state["tool_calls"])
    tool_round = ToolRound(context.resources.catalog.tools, state["tool_usage"], remaining_calls(state))
    started = perf_counter()
    allowed = state["turn"].gateway_tools
    for call in calls:
        context.run.emit(ToolStarted(call))
    outcomes = await asyncio.gather(
        *(
            _run_guarded(context, call, tool_round, tool_round.refusal(index, call), allowed)
            for index, call in enumerate(calls)
        )
    )
    call_message = Message(
        role="assistant", content=state["last_text"], tool_calls=calls, vendor=state["vendor"]
    )
    return AgentState(
        messages=(*state["messages"], call_message, *map(_tool_message, calls, outcomes)),
        tool_calls=(),
        tool_rounds=state["tool_rounds"] + 1,
        # Tool calls are not output: without text, another model may still take over.
        has_output=bool(state["text"] or state["reasoning"]),
        tool_usage=tool_round.usage_after(perf_counter() - started),
        tool_runs=(*state["tool_runs"], *map(_receipt_entry, calls, outcomes)),
    )


async def _run_guarded(
    context: AgentContext,
    call: ToolCall,
    tool_round: ToolRound,
    refusal: ToolResult | None,
    allowed: tuple[str, ...] | None,
) -> ToolResult:
    """Run one call and emit its result, independently of the others."""
    if refusal is not None:
        result = refusal
    else:
        result = await _run(context, call, tool_round, allowed)
        if result.untrusted:
            result = await guard_tool_result(context, call, result)
        result = tool_round.truncate(result)
    context.run.emit(
        ToolFinished(call.id, call.name, result.ok, result.content, result.duration_ms, result.cost_usd)
    )
    return result


async def _run(
    context: AgentContext, call: ToolCall, tool_round: ToolRound, allowed: tuple[str, ...] | None
) -> ToolResult:
    started = perf_counter()
    with tool_span(call, context.resources.tools.names) as run_span:
        try:
            async with asyncio.timeout(tool_round.remaining_seconds):
                result = await context.resources.tools.run(call, allowed, context.run.services)
        except TimeoutError:
            result = time_limit_result(tool_round.config, (perf_counter() - started) * 1000)
        end_tool_span(run_span, result)
    return result


def _tool_message(call: ToolCall, result: ToolResult) -> Message:
    content = envelope(call.name, result.content) if result.untrusted else result.content
    return Message(role="tool", content=content, tool_call_id=call.id, name=call.name)


def _receipt_entry(call: ToolCall, result: ToolResult) -> dict[str, Any]:
    """The entry of the call in the receipt."""
    entry: dict[str, Any] = {
        "id": call.id,
        "name": call.name,
        "ok": result.ok,
        "ms": round(result.duration_ms, 3),
    }
    if result.cost_usd:
        entry["cost_usd"] = format_usd(result.cost_usd)
    if result.error is not None:
        entry["error"] = result.error
    if result.truncated:
        entry["cut"] = True
    return entry
