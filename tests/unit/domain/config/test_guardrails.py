"""The `guardrails` section: its defaults, the stricter of two sets, and names that lead nowhere."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from gateway.domain.config.guardrails import GuardMode, GuardModes, Guardrails
from gateway.domain.config.loader import ConfigError, parse_catalog

MODES: tuple[GuardMode, ...] = get_args(GuardMode)


def test_people_are_guarded_and_services_are_left_alone_by_default() -> None:
    guards = Guardrails()
    assert (guards.people.leak, guards.people.tool_results) == ("block", "block")
    # What reads the question only leaves a note: it mistakes too many harmless questions for attacks.
    assert (guards.people.injection, guards.people.unsafe, guards.people.personal_data) == ("flag",) * 3
    assert guards.api_keys == GuardModes(tool_results="flag")


@pytest.mark.parametrize(("set_", "wished"), list(product(MODES, MODES)))
def test_of_two_modes_the_stricter_holds(set_: GuardMode, wished: GuardMode) -> None:
    found = GuardModes(leak=set_, unsafe="flag").at_least({"leak": wished})
    assert found.leak == max(set_, wished, key=MODES.index)
    assert found.unsafe == "flag"


def test_without_a_wish_the_set_is_the_very_same() -> None:
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
def test_a_mistake_in_the_section_is_named(section: str, mistake: str) -> None:
    with pytest.raises(ConfigError, match=mistake):
        parse_catalog(f"guardrails: {section}\n", {}, source="conf.yaml")
