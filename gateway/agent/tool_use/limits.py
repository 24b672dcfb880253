"""Limits on a turn's tool calls, and sanitized tool calls. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace

from gateway.agent.state import AgentState, ToolUsage
from gateway.core.exceptions import UpstreamError
from gateway.domain.config.tools import ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.tools.result import ToolResult, refusal

# Calls beyond this number get an error result.
MAX_PARALLEL_CALLS = 16
MAX_SAME_CALLS = 3
_MAX_NAME_LENGTH = 128
_MAX_ID_LENGTH = 256
_TRUNCATION_NOTICE = (
    "[left out: the tools of this turn have returned as much as they may; answer with what there is]"
)
_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LONE_SURROGATE = re.compile(r"[\x00\ud800-\udfff]")


def sanitize_calls(calls: Iterable[ToolCall]) -> tuple[ToolCall, ...]:
    """Make names, ids and arguments acceptable to storage and vendors; ids are unique."""
    sanitized: list[ToolCall] = []
    seen: set[str] = set()
    for index, call in enumerate(calls):
        call_id = _UNSTORABLE.sub("", call.id)[:_MAX_ID_LENGTH]
        if not call_id or call_id in seen:
            call_id = f"{call_id or 'call'}_{index}"
        seen.add(call_id)
        name = _UNSTORABLE.sub("\ufffd", call.name)[:_MAX_NAME_LENGTH]
        sanitized.append(
            replace(call, id=call_id, name=name, arguments=_LONE_SURROGATE.sub("\ufffd", call.arguments))
        )
    return tuple(sanitized)


def call_key(call: ToolCall) -> tuple[str, str]:
    """Key of equal calls: the name and the normalised arguments."""
    try:
        return call.name, json.dumps(json.loads(call.arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return call.name, call.arguments


class ToolRound:
    """One round of tool calls within the turn's remaining limits."""

    def __init__(self, config: ToolsConfig, usage: ToolUsage, remaining_calls: int | None = None) -> None:
        self.config = config
        self._remaining_calls = remaining_calls
        self.remaining_seconds = config.turn_seconds - usage.seconds
        self._usage_before = usage
        self._remaining_bytes = config.turn_bytes - usage.result_bytes
        self._call_counts = dict(usage.call_counts)

    def refusal(self, index: int, call: ToolCall) -> ToolResult | None:
        """Why the call at this index is not run, or None."""
        if index >= MAX_PARALLEL_CALLS:
            return refusal(
                f"Not run: at most {MAX_PARALLEL_CALLS} tools may be called at once. "
                "Ask again for what is still needed.",
                "too_many",
            )
        if self._remaining_calls is not None and index >= self._remaining_calls:
            return refusal(
                "Not run: the caller's limit of tool calls (max_tool_calls) is reached. "
                "Answer with what there is.",
                "too_many",
            )
        if self.remaining_seconds <= 0:
            return time_limit_result(self.config)
        key = call_key(call)
        self._call_counts[key] = self._call_counts.get(key, 0) + 1
        if self._call_counts[key] > MAX_SAME_CALLS:
            return refusal(
                f"Not run: this same call was made {MAX_SAME_CALLS} times in this turn already; "
                "its results are above. Use them, or ask for something else.",
                "repeated",
            )
        return None

    def truncate(self, result: ToolResult) -> ToolResult:
        """Cut the result to the turn's remaining bytes."""
        limit = max(self._remaining_bytes, 0)
        raw = result.content.encode()
        self._remaining_bytes -= len(raw)
        if len(raw) <= limit:
            return result
        kept = raw[:limit].decode("utf-8", "ignore")
        return replace(
            result, content=f"{kept}\n{_TRUNCATION_NOTICE}" if kept else _TRUNCATION_NOTICE, truncated=True
        )

    def usage_after(self, seconds: float) -> ToolUsage:
        """The usage after this round, which took `seconds`."""
        return ToolUsage(
            self._usage_before.seconds + seconds,
            self.config.turn_bytes - self._remaining_bytes,
            self._call_counts,
        )


def remaining_calls(state: AgentState) -> int | None:
    """Remaining calls of the gateway's tools that the caller allows; None: unlimited."""
    limit = state["turn"].max_tool_calls
    return None if limit is None else max(0, limit - len(state["tool_runs"]))


def enforce_round_limit(update: AgentState, state: AgentState, max_rounds: int) -> AgentState:
    """Drop tool calls after the last round.

    No tools were offered, but the model called some. Existing text is kept with finish reason `length`;
    without text the call has failed, and the next model may answer from the tool results.
    """
    calls = update["tool_calls"] and not state["turn"].client_tools
    if not calls or state["tool_rounds"] < max_rounds:
        return update
    if update["text"]:
        return {**update, "tool_calls": (), "finish_reason": "length"}
    failure = UpstreamError(
        f"The model asked for tools beyond this turn's {max_rounds} rounds and gave no answer."
    )
    return {**update, "tool_calls": (), "failure": failure}


def time_limit_result(config: ToolsConfig, ms: float = 0.0) -> ToolResult:
    """The result of a call without time left, or aborted after `ms`."""
    result = refusal(
        f"The tools of one turn have {config.turn_seconds:g} seconds together, and they are used up; "
        "answer with what there is.",
        "turn_time",
    )
    return replace(result, duration_ms=ms)
