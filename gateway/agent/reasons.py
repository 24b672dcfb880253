"""Why a question goes to a model, in sentences for people."""

from __future__ import annotations

from gateway.domain.catalog import RoutingRule
from gateway.domain.intent import Intent

_KINDS = {
    "": "A question",
    "question": "A question",
    "chat": "A bit of conversation",
    "code": "A question about code",
    "math": "A question about mathematics",
    "search": "A question about current facts",
    "creative": "A creative request",
    "transform": "A request to work on a text",
    "unsafe": "A request that may be unsafe",
}


def difficulty_reason(intent: Intent, threshold: float, model: str) -> str:
    """Why the light or the heavy model, with how hard the question looks and where the line is."""
    kind = _KINDS.get(intent.label) or f"A question of the kind “{intent.label}”"
    hard = intent.complexity >= threshold
    shown, line = f"{intent.complexity:.2f}", f"{threshold:.2f}"
    if shown == line and intent.complexity != threshold:
        shown, line = f"{intent.complexity:.4f}", f"{threshold:.4f}"
    where = f"over the line at {line}" if hard else f"under the line at {line}"
    if shown == line:
        where = "just at the line"
    return f"{kind} that looks {'hard' if hard else 'easy'} ({shown}, {where}), so {model}."


def rule_reason(rule: RoutingRule, intent: Intent) -> str:
    """Why a rule's model: what of the turn the rule is about."""
    about = [word for word, given in (("role", rule.role), ("task", rule.task)) if given]
    if rule.intent:
        about.append(f"kind of question (“{intent.label}”)")
    if not about:
        return f"A rule names {rule.model} for everything."
    return f"A rule for this {' and '.join(about)} names {rule.model}."
