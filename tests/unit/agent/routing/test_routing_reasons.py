"""Routing decisions are explained in sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.agent.routing.routing_reasons import difficulty_reason, rule_reason
from gateway.domain.config.routing import RoutingRule
from gateway.domain.intent import INTENTS, NOT_CLASSIFIED


def test_the_reason_names_intent_complexity_and_model() -> None:
    hard = replace(NOT_CLASSIFIED, label="code", complexity=0.71)
    easy = replace(NOT_CLASSIFIED, label="chat", complexity=0.02)
    own = replace(NOT_CLASSIFIED, label="refund", complexity=0.3)

    assert difficulty_reason(hard, 0.5, "big") == (
        "A question about code that looks hard (0.71, above the threshold of 0.50), so big."
    )
    assert difficulty_reason(easy, 0.5, "small") == (
        "A small-talk message that looks easy (0.02, below the threshold of 0.50), so small."
    )
    assert difficulty_reason(own, 0.5, "small").startswith("A question of the kind “refund” that looks easy")


@pytest.mark.parametrize("label", [*INTENTS, ""])
def test_every_intent_has_its_own_sentence(label: str) -> None:
    reason = difficulty_reason(replace(NOT_CLASSIFIED, label=label, complexity=0.5), 0.5, "m")
    assert reason.endswith("that looks hard (0.50, at the threshold), so m.")
    assert reason.startswith("A ")


def test_a_score_that_rounds_to_the_threshold_is_shown_in_full() -> None:
    near = replace(NOT_CLASSIFIED, label="question", complexity=0.4999)
    assert "(0.4999, below the threshold of 0.5000)" in difficulty_reason(near, 0.5, "m")


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"role": ("x",)}, "A rule for this role names m."),
        ({"role": ("x",), "task": ("y",)}, "A rule for this role and task names m."),
        ({"intent": ("math",)}, "A rule for this kind of question (“math”) names m."),
        ({}, "A rule names m for everything."),
    ],
)
def test_the_reason_of_a_rule_names_its_conditions(rule: dict[str, tuple[str, ...]], reason: str) -> None:
    assert rule_reason(RoutingRule(model="m", **rule), replace(NOT_CLASSIFIED, label="math")) == reason
