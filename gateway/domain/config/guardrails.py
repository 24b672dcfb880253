"""Which guard looks at whose turns, and what follows from its verdict."""

from __future__ import annotations

from typing import Literal

from gateway.domain.config.base import ConfigModel

GuardMode = Literal["off", "flag", "block"]


class GuardSet(ConfigModel):
    """`injection` looks at the question for attacks on the model, `unsafe` at what it asks for."""

    injection: GuardMode = "off"
    unsafe: GuardMode = "off"


class Guardrails(ConfigModel):
    people: GuardSet = GuardSet(injection="block", unsafe="flag")
    api_keys: GuardSet = GuardSet(injection="off")
