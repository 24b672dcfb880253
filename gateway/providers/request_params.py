"""Rejects request parameters that a vendor without OpenAI's API does not support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.requests import ChatRequest

# OpenAI's parameters outside `ChatRequest`, each with the values that have no effect.
_NEUTRAL_VALUES: dict[str, tuple[Any, ...]] = {
    "logit_bias": ({},),
    "prediction": (),
    "reasoning_effort": ("none",),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
}


def reject_parameters(**parameters: object) -> None:
    """Reject parameters that a vendor does not support.

    Raises:
        UnsupportedParameter: for the first one that is not None, False or empty.
    """
    for name, value in parameters.items():
        if value is not None and value is not False and value != ():
            raise UnsupportedParameter(param=name)


def reject_openai_params(extra: Mapping[str, Any], *, supports_thinking: bool = False) -> None:
    """Reject OpenAI's extra parameters, for providers with another API.

    Args:
        supports_thinking: the provider maps `reasoning_effort` (`thinking_budget`).

    Raises:
        UnsupportedParameter: for the first one that would have an effect.
    """
    for name, neutral in _NEUTRAL_VALUES.items():
        value = None if supports_thinking and name == "reasoning_effort" else extra.get(name)
        if value is not None and value not in neutral:
            raise UnsupportedParameter(param=name)


def thinking_budget(request: ChatRequest) -> int | None:
    """Return the thinking budget in tokens for the request's `reasoning_effort`.

    Returns None if it has none.

    Raises:
        UnsupportedParameter: the model has no configured budget for this effort.
    """
    effort = request.extra.get("reasoning_effort")
    if effort is None:
        return None
    if not request.thinking_budgets:
        reject_openai_params({"reasoning_effort": effort})
        return None
    budgets = {"none": 0, **request.thinking_budgets}
    if not isinstance(effort, str) or effort not in budgets:
        raise UnsupportedParameter(
            f"This model accepts these values of reasoning_effort: {', '.join(budgets)}.",
            param="reasoning_effort",
        )
    return budgets[effort]
