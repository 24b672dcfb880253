"""Configuration of the guardrails: the mode of each guard for users and for API keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field

from gateway.domain.config.base import ConfigModel

GuardMode = Literal["off", "flag", "block"]
_STRICTNESS: tuple[GuardMode, ...] = get_args(GuardMode)
# Modes of checks that do not read the question. Every other mode belongs to the guard of the same name.
_OTHER_CHECKS = ("tool_results", "leak", "personal_data")


class GuardModes(ConfigModel):
    """`flag` records a verdict in the receipt, `block` also withholds the text.

    `injection` checks the question for prompt injection, `unsafe` for harmful requests, `tool_results` checks
    external tool results for prompt injection, `leak` the answer for secrets and the system prompt,
    `personal_data` the answer for personal data that the user did not provide.

    A guard of the question has one field here and one module: the field `NAME` is the mode of the guard in
    `gateway.guardrails.NAME`.
    """

    injection: GuardMode = "off"
    unsafe: GuardMode = "off"
    tool_results: GuardMode = "off"
    leak: GuardMode = "off"
    personal_data: GuardMode = "off"

    def at_least(self, requested: Mapping[str, GuardMode]) -> GuardModes:
        """Return the stricter of each configured and requested mode."""
        stricter: dict[str, GuardMode] = {
            kind: mode
            for kind, mode in requested.items()
            if _STRICTNESS.index(mode) > _STRICTNESS.index(getattr(self, kind))
        }
        return self.model_copy(update=stricter) if stricter else self

    def active_input_guards(self) -> tuple[str, ...]:
        """Return the names of the guards of the question that are not off."""
        return tuple(name for name in INPUT_GUARDS if getattr(self, name) != "off")

    def mode_of(self, guard: str) -> GuardMode:
        """Return the mode of a guard of the question; the moderation model has the mode of `unsafe`."""
        mode: GuardMode = getattr(self, "unsafe" if guard == "moderation" else guard)
        return mode


INPUT_GUARDS = tuple(name for name in GuardModes.model_fields if name not in _OTHER_CHECKS)


class Moderation(ConfigModel):
    """A moderation model that is called in addition to the guard `unsafe`, once per turn.

    `on_error` applies if the call fails, is refused, is too slow or returns no verdict: `allow` passes the
    question (fail open), `block` rejects it (fail closed). The receipt has the reason in both cases.
    """

    model: str
    on_error: Literal["allow", "block"] = "allow"
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5


class Guardrails(ConfigModel):
    """`regenerate` is the number of new attempts after an answer with a leak; 0 refuses at once."""

    people: GuardModes = GuardModes(
        injection="flag", unsafe="flag", tool_results="block", leak="block", personal_data="flag"
    )
    api_keys: GuardModes = GuardModes(tool_results="flag")
    regenerate: Annotated[int, Field(ge=0, le=1)] = 1
    moderation: Moderation | None = None
