"""Run the tools a model asked for, all at once, and show it what they said."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.state import AgentState
from gateway.domain.events import ToolFinished, ToolStarted
from gateway.domain.messages import Message, ToolCall

# A model that asks for more at once is answered, but only these are run.
_MAX_PARALLEL_CALLS = 16
_TOO_MANY = "Not run: at most {limit} tools may be called at once. Ask again for what is still needed."


async def tools(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Every call gets an answer, also one that was not run: no provider accepts a history with a gap."""
    calls = state["tool_calls"]
    entries = await asyncio.gather(
        *(_run(call, runtime, refused=at >= _MAX_PARALLEL_CALLS) for at, call in enumerate(calls))
    )
    asked = Message(role="assistant", content=state["said"], tool_calls=calls)
    answers = tuple(
        Message(role="tool", content=entry["content"], tool_call_id=call.id, name=call.name)
        for call, entry in zip(calls, entries, strict=True)
    )
    log = tuple({k: v for k, v in entry.items() if k != "content"} for entry in entries)
    return AgentState(
        messages=(*state["messages"], asked, *answers),
        tool_calls=(),
        rounds=state["rounds"] + 1,
        tool_log=(*state["tool_log"], *log),
    )


async def _run(call: ToolCall, runtime: Runtime[AgentContext], *, refused: bool) -> dict[str, Any]:
    runtime.context.emit(ToolStarted(call))
    if refused:
        ok, content, ms = False, _TOO_MANY.format(limit=_MAX_PARALLEL_CALLS), 0.0
    else:
        outcome = await runtime.context.parts.tools.run(call)
        ok, content, ms = outcome.ok, outcome.content, outcome.ms
    runtime.context.emit(ToolFinished(call.id, call.name, ok, content, ms))
    return {"id": call.id, "name": call.name, "ok": ok, "ms": round(ms, 3), "content": content}
