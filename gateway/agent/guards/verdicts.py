"""Records guardrail verdicts in the receipt and raises those that block."""

from __future__ import annotations

from typing import Literal

from gateway.agent.context import AgentContext
from gateway.domain.config.guardrails import GuardMode
from gateway.guardrails.base import Verdict

GuardStage = Literal["input", "tool", "output"]


class GuardrailBlocked(Exception):
    """A verdict blocks the turn at `stage`; `reason` is a human-readable message."""

    def __init__(self, reason: str, stage: GuardStage) -> None:
        self.reason = reason
        self.stage = stage
        super().__init__(reason)


def record_verdict(
    context: AgentContext, verdict: Verdict, stage: GuardStage, mode: GuardMode, tool: str = ""
) -> bool:
    """Add the verdict to the receipt; return whether it blocks.

    Verdicts of one guard that pass share an entry, which adds up their time.
    """
    blocks = verdict.flagged and mode == "block"
    outcome = "block" if blocks else "flag" if verdict.flagged else "pass"
    entry = {
        "guard": verdict.guard,
        "where": stage,
        "verdict": outcome,
        "flagged": verdict.flagged,
        "score": round(verdict.score, 4),
        "reason": verdict.reason,
        "ms": round(verdict.ms, 3),
    }
    if tool:
        entry["tool"] = tool
    elif outcome == "pass":
        for recorded in context.verdicts:
            if (recorded["guard"], recorded["where"], recorded["verdict"]) == (verdict.guard, stage, outcome):
                recorded["ms"] = round(recorded["ms"] + verdict.ms, 3)
                return False
    context.verdicts.append(entry)
    return blocks
