"""Explanations of routing decisions, shown in receipts."""

from __future__ import annotations

from gateway.domain.config.routing import RoutingRule
from gateway.domain.intent import Intent

_REQUEST_KINDS = {
    "": "A question",
    "question": "A question",
    "chat": "A small-talk message",
    "code": "A question about code",
    "math": "A question about mathematics",
    "search": "A question about current facts",
    "creative": "A creative request",
    "transform": "A request to work on a text",
    "unsafe": "A request that may be unsafe",
}


def difficulty_reason(intent: Intent, threshold: float, model: str) -> str:
    """Why the light or the heavy model was chosen, with complexity and threshold."""
    kind = _REQUEST_KINDS.get(intent.label) or f"A question of the kind “{intent.label}”"
    hard = intent.complexity >= threshold
    score, limit = f"{intent.complexity:.2f}", f"{threshold:.2f}"
    if score == limit and intent.complexity != threshold:
        score, limit = f"{intent.complexity:.4f}", f"{threshold:.4f}"
    comparison = f"above the threshold of {limit}" if hard else f"below the threshold of {limit}"
    if score == limit:
        comparison = "at the threshold"
    return f"{kind} that looks {'hard' if hard else 'easy'} ({score}, {comparison}), so {model}."


def rule_reason(rule: RoutingRule, intent: Intent) -> str:
    """Why a routing rule matched."""
    matched = [field for field, given in (("role", rule.role), ("task", rule.task)) if given]
    if rule.intent:
        matched.append(f"kind of question (“{intent.label}”)")
    if not matched:
        return f"A rule names {rule.model} for everything."
    return f"A rule for this {' and '.join(matched)} names {rule.model}."
