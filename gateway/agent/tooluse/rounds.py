"""What the tools of one turn may take together, and the calls as they may be kept; no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace

from gateway.agent.state import AgentState, ToolUse
from gateway.core.exceptions import UpstreamError
from gateway.domain.config.tools import ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.tools.outcome import ToolOutcome, refused

# A model that asks for more at once is answered, but only these are run.
MAX_PARALLEL_CALLS = 16
MAX_SAME_CALLS = 3
_LONGEST_NAME = 128
_LONGEST_ID = 256
_LEFT_OUT = "[left out: the tools of this turn have returned as much as they may; answer with what there is]"
_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LONE_SURROGATE = re.compile(r"[\x00\ud800-\udfff]")


def storable(calls: Iterable[ToolCall]) -> tuple[ToolCall, ...]:
    """The calls with names, ids and arguments that every store and vendor takes, each id once."""
    kept: list[ToolCall] = []
    seen: set[str] = set()
    for at, call in enumerate(calls):
        call_id = _UNSTORABLE.sub("", call.id)[:_LONGEST_ID]
        if not call_id or call_id in seen:
            call_id = f"{call_id or 'call'}_{at}"
        seen.add(call_id)
        name = _UNSTORABLE.sub("\ufffd", call.name)[:_LONGEST_NAME]
        kept.append(
            replace(call, id=call_id, name=name, arguments=_LONE_SURROGATE.sub("\ufffd", call.arguments))
        )
    return tuple(kept)


def key_of(call: ToolCall) -> tuple[str, str]:
    """What makes two calls the same: the name, and the arguments however they were spelled."""
    try:
        return call.name, json.dumps(json.loads(call.arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return call.name, call.arguments


class Round:
    """One round of calls against what the turn has left; `use` tells what is used after it."""

    def __init__(self, config: ToolsConfig, use: ToolUse, calls_left: int | None = None) -> None:
        self.config = config
        self._calls_left = calls_left
        self.seconds_left = config.turn_seconds - use.seconds
        self._before = use
        self._bytes_left = config.turn_bytes - use.result_bytes
        self._asked = dict(use.asked)

    def refusal(self, at: int, call: ToolCall) -> ToolOutcome | None:
        """Why the call at this place is not run, or None."""
        if at >= MAX_PARALLEL_CALLS:
            return refused(
                f"Not run: at most {MAX_PARALLEL_CALLS} tools may be called at once. "
                "Ask again for what is still needed.",
                "too_many",
            )
        if self._calls_left is not None and at >= self._calls_left:
            return refused(
                "Not run: the caller's limit of tool calls (max_tool_calls) is reached. "
                "Answer with what there is.",
                "too_many",
            )
        if self.seconds_left <= 0:
            return out_of_time(self.config)
        key = key_of(call)
        self._asked[key] = self._asked.get(key, 0) + 1
        if self._asked[key] > MAX_SAME_CALLS:
            return refused(
                f"Not run: this same call was made {MAX_SAME_CALLS} times in this turn already; "
                "its results are above. Use them, or ask for something else.",
                "repeated",
            )
        return None

    def within(self, outcome: ToolOutcome) -> ToolOutcome:
        """The outcome with what of it the turn has room for; what has none says so in one line."""
        room = max(self._bytes_left, 0)
        raw = outcome.content.encode()
        self._bytes_left -= len(raw)
        if len(raw) <= room:
            return outcome
        kept = raw[:room].decode("utf-8", "ignore")
        return replace(outcome, content=f"{kept}\n{_LEFT_OUT}" if kept else _LEFT_OUT, cut=True)

    def use(self, seconds: float) -> ToolUse:
        """What the turn has used, after this round took `seconds`."""
        return ToolUse(self._before.seconds + seconds, self.config.turn_bytes - self._bytes_left, self._asked)


def calls_left(state: AgentState) -> int | None:
    """How many more calls of the gateway's tools the caller allows; None without a limit of its own."""
    limit = state["turn"].max_tool_calls
    return None if limit is None else max(0, limit - len(state["tool_log"]))


def within_rounds(update: AgentState, state: AgentState, max_rounds: int) -> AgentState:
    """The update of a model call, without calls of tools that the turn has no round for.

    None was offered any more, and it asked all the same. Text that was said stands, cut (`length`); without
    any the model has failed, and the next one may answer from what the tools said.
    """
    calls = update["tool_calls"] and not state["turn"].client_tools
    if not calls or state["rounds"] < max_rounds:
        return update
    if update["text"]:
        return {**update, "tool_calls": (), "finish_reason": "length"}
    failure = UpstreamError(
        f"The model asked for tools beyond this turn's {max_rounds} rounds and gave no answer."
    )
    return {**update, "tool_calls": (), "failure": failure}


def out_of_time(config: ToolsConfig, ms: float = 0.0) -> ToolOutcome:
    """The outcome of a call for which the turn has no time, or after `ms` no more."""
    outcome = refused(
        f"The tools of one turn have {config.turn_seconds:g} seconds together, and they are used up; "
        "answer with what there is.",
        "turn_time",
    )
    return replace(outcome, ms=ms)
