"""Adapts a request body to the restrictions of Anthropic's extended thinking."""

from __future__ import annotations

from typing import Any

# The smallest budget that the vendor accepts.
_MIN_BUDGET = 1024
_MIN_TOP_P = 0.95
_FORCED_TOOL_CHOICES = frozenset({"any", "tool"})
_THINKING_BLOCKS = frozenset({"thinking", "redacted_thinking"})


def set_thinking_budget(body: dict[str, Any], budget: int | None) -> None:
    """Replace the configured `thinking` by the request's token budget.

    The budget 0 disables it, None keeps it.
    """
    if budget == 0:
        body.pop("thinking", None)
    elif budget is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": max(budget, _MIN_BUDGET)}


def adapt_to_thinking(body: dict[str, Any]) -> None:
    """Change the other fields of a body with `thinking` to values that the vendor accepts with it.

    `temperature`, `top_k` and a low `top_p` are removed. If the token limit does not exceed the budget, the
    budget becomes half of the limit. `thinking` itself is removed where the vendor rejects it: the limit is
    too small, a tool call is forced, or the tool calls of the current turn have no thinking blocks (they come
    from another vendor, or the client dropped them).
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
    """Whether tool calls of the current turn are not preceded by the model's thinking blocks."""
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
