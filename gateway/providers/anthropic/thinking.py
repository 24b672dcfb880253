"""What Anthropic's extended thinking forbids: each call is made such that the vendor takes it."""

from __future__ import annotations

from typing import Any

# The smallest budget that the vendor takes.
_MIN_BUDGET = 1024
_MIN_TOP_P = 0.95
_FORCED_TOOL_CHOICES = frozenset({"any", "tool"})
_THINKING_BLOCKS = frozenset({"thinking", "redacted_thinking"})


def set_thinking_budget(body: dict[str, Any], budget: int | None) -> None:
    """Put the caller's token budget in place of the operator's `thinking`: 0 turns it off, None leaves it."""
    if budget == 0:
        body.pop("thinking", None)
    elif budget is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": max(budget, _MIN_BUDGET)}


def adapt_to_thinking(body: dict[str, Any]) -> None:
    """Fit the body to its `thinking`, which operator or caller asked for; without it nothing changes.

    A caller's `temperature`, `top_p` and `top_k` are left out: the model thinks at its own. A limit of tokens
    that is no larger than the budget halves it. Thinking is left out where it cannot be: the limit is too
    small, a tool call is forced, or the calls that are being answered came without their thoughts (from
    another vendor, or from a client that has dropped them).
    """
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") not in ("enabled", "adaptive"):
        return
    budget = thinking.get("budget_tokens")
    if isinstance(budget, int) and body["max_tokens"] <= budget:
        budget = body["max_tokens"] // 2
        body["thinking"] = {**thinking, "budget_tokens": budget}
    too_small = isinstance(budget, int) and budget < _MIN_BUDGET
    forced = (body.get("tool_choice") or {}).get("type") in _FORCED_TOOL_CHOICES
    if too_small or forced or (thinking["type"] == "enabled" and _thinking_is_missing(body["messages"])):
        del body["thinking"]
        return
    body.pop("temperature", None)
    body.pop("top_k", None)
    if (body.get("top_p") or 1) < _MIN_TOP_P:
        body.pop("top_p", None)


def _thinking_is_missing(messages: list[dict[str, Any]]) -> bool:
    """Whether the turn under way has calls of the model that do not begin with its thoughts."""
    for message in reversed(messages):
        content = message["content"]
        if isinstance(content, str):
            return False
        if message["role"] == "user":
            if not any(block["type"] == "tool_result" for block in content):
                return False
        elif any(block["type"] == "tool_use" for block in content):
            return content[0]["type"] not in _THINKING_BLOCKS
    return False
