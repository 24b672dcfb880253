"""OpenAI's parameters that no `ChatRequest` has: passed on to who speaks OpenAI, refused by others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.exceptions import UnsupportedParameter

# Each with the values that ask for nothing.
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "logit_bias": ({},),
    "prediction": (),
    "reasoning_effort": ("none",),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
}


def refuse_parameters(**parameters: object) -> None:
    """Refuse parameters that a vendor does not have: each that is set is named.

    Raises:
        UnsupportedParameter: for the first that is neither None, False nor empty.
    """
    for name, value in parameters.items():
        if value is not None and value is not False and value != ():
            raise UnsupportedParameter(param=name)


def refuse_extras(extra: Mapping[str, Any]) -> None:
    """For providers of another wire format.

    Raises:
        UnsupportedParameter: the first of them that asks for something; `param` names it.
    """
    for name, harmless in _HARMLESS.items():
        value = extra.get(name)
        if value is not None and value not in harmless:
            raise UnsupportedParameter(param=name)
