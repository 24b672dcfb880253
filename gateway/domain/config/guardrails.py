"""Which guard looks at whose turns, and what follows from its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field

from gateway.domain.config.base import ConfigModel

GuardMode = Literal["off", "flag", "block"]
GuardKind = Literal["injection", "unsafe", "tool_results", "leak", "personal_data"]
_STRICTNESS: tuple[GuardMode, ...] = get_args(GuardMode)


class GuardModes(ConfigModel):
    """`flag` leaves a note in the receipt, `block` withholds what was found.

    `injection` looks at the question for attacks on the model, `unsafe` at what it asks for, `tool_results`
    for attacks in what tools bring from outside, `leak` at the answer for secrets and the system prompt,
    `personal_data` at the answer for data of people whom the asker has not named.
    """

    injection: GuardMode = "off"
    unsafe: GuardMode = "off"
    tool_results: GuardMode = "off"
    leak: GuardMode = "off"
    personal_data: GuardMode = "off"

    def at_least(self, requested: Mapping[GuardKind, GuardMode]) -> GuardModes:
        """The stricter of what is set and what is wished for: a caller asks for more, never for less."""
        stricter: dict[str, GuardMode] = {
            kind: mode
            for kind, mode in requested.items()
            if _STRICTNESS.index(mode) > _STRICTNESS.index(getattr(self, kind))
        }
        return self.model_copy(update=stricter) if stricter else self

    def active_input_guards(self) -> tuple[str, ...]:
        """Which guards of the question are on."""
        if self.injection != "off":
            return ("injection", "unsafe") if self.unsafe != "off" else ("injection",)
        return ("unsafe",) if self.unsafe != "off" else ()


class Moderation(ConfigModel):
    """A model that is asked about a question beside the local `unsafe` guard; it costs a call a turn.

    `on_error` decides about questions on which it gives no verdict, because it fails, refuses, is too slow or
    cannot be read: `allow` lets them pass (fail open), `block` treats them like questions that it objects to
    (fail closed). The receipt has the reason either way.
    """

    model: str
    on_error: Literal["allow", "block"] = "allow"
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5


class Guardrails(ConfigModel):
    """`regenerate` is how often a model may try again after an answer that leaked; 0 refuses at once."""

    people: GuardModes = GuardModes(
        injection="flag", unsafe="flag", tool_results="block", leak="block", personal_data="flag"
    )
    api_keys: GuardModes = GuardModes(tool_results="flag")
    regenerate: Annotated[int, Field(ge=0, le=1)] = 1
    moderation: Moderation | None = None
