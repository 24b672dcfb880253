"""OpenAI's parameters that no `ChatRequest` has: passed on to who speaks OpenAI, refused by others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.requests import ChatRequest

# Each with the values that ask for nothing.
_NEUTRAL_VALUES: dict[str, tuple[Any, ...]] = {
    "logit_bias": ({},),
    "prediction": (),
    "reasoning_effort": ("none",),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
}


def reject_parameters(**parameters: object) -> None:
    """Refuse parameters that a vendor does not have: each that is set is named.

    Raises:
        UnsupportedParameter: for the first that is neither None, False nor empty.
    """
    for name, value in parameters.items():
        if value is not None and value is not False and value != ():
            raise UnsupportedParameter(param=name)


def reject_openai_params(extra: Mapping[str, Any], *, supports_thinking: bool = False) -> None:
    """For providers of another wire format.

    Args:
        thinks: the provider has a place for `reasoning_effort` (`thinking_budget`).

    Raises:
        UnsupportedParameter: the first of them that asks for something; `param` names it.
    """
    for name, neutral in _NEUTRAL_VALUES.items():
        value = None if supports_thinking and name == "reasoning_effort" else extra.get(name)
        if value is not None and value not in neutral:
            raise UnsupportedParameter(param=name)


def thinking_budget(request: ChatRequest) -> int | None:
    """Tokens that the model may think for by the caller's `reasoning_effort`; None where there is none.

    Raises:
        UnsupportedParameter: the configuration has no budget of this model for it.
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
            f"This model takes these values of reasoning_effort: {', '.join(budgets)}.",
            param="reasoning_effort",
        )
    return budgets[effort]
