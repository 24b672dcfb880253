"""The `guardrails` section: defaults, stricter modes and unknown names."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from gateway.domain.config.guardrails import GuardMode, GuardModes, Guardrails
from gateway.domain.config.loader import ConfigError, parse_catalog

MODES: tuple[GuardMode, ...] = get_args(GuardMode)


def test_default_modes_for_users_and_api_keys() -> None:
    guards = Guardrails()
    assert (guards.people.leak, guards.people.tool_results) == ("block", "block")
    # What reads the question only leaves a note: it mistakes too many harmless questions for attacks.
    assert (guards.people.injection, guards.people.unsafe, guards.people.personal_data) == ("flag",) * 3
    assert guards.api_keys == GuardModes(tool_results="flag")


@pytest.mark.parametrize(("set_", "requested"), list(product(MODES, MODES)))
def test_the_stricter_mode_applies(set_: GuardMode, requested: GuardMode) -> None:
    found = GuardModes(leak=set_, unsafe="flag").at_least({"leak": requested})
    assert found.leak == max(set_, requested, key=MODES.index)
    assert found.unsafe == "flag"


def test_without_overrides_the_modes_are_unchanged() -> None:
    guards = GuardModes(leak="block")
    assert guards.at_least({}) is guards
    assert guards.at_least({"leak": "off"}) is guards


@pytest.mark.parametrize(
    ("section", "mistake"),
    [
        ("{moderation: {model: nobody}}", "nobody"),
        ("{people: {telepathy: block}}", "telepathy"),
        ("{people: {leak: perhaps}}", "leak"),
        ("{regenerate: 2}", "regenerate"),
    ],
)
def test_an_invalid_section_is_reported(section: str, mistake: str) -> None:
    with pytest.raises(ConfigError, match=mistake):
        parse_catalog(f"guardrails: {section}\n", {}, source="conf.yaml")
