"""docs/CONFIGURATION.md lists every current setting and key."""

from __future__ import annotations

from types import ModuleType

import pytest

from gateway.core.settings import Settings
from gateway.domain.config.catalog import Catalog
from tests.support.paths import PROJECT
from tests.support.scripts import load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("configuration")


def test_the_page_is_up_to_date(script: ModuleType) -> None:
    stored = (PROJECT / "docs" / "CONFIGURATION.md").read_text(encoding="utf-8")
    assert stored == script.page(), "run `python scripts/configuration.py`"


def test_every_setting_and_every_section_is_on_it(script: ModuleType) -> None:
    page = script.page()
    assert [name for name in Settings.model_fields if f"| `{name.upper()}` |" not in page] == []
    assert [name for name in Catalog.model_fields if f"### `{name}`\n" not in page] == []
    assert "| `guardrails.people.injection` | `off` \\| `flag` \\| `block` | `flag` |" in page


def test_every_variable_has_its_own_description(script: ModuleType) -> None:
    rows = [row for _, found in script.sections() for row in found]
    assert [name for name, _, meaning in rows if not meaning or meaning.startswith("Example")] == []
    assert not [meaning for _, _, meaning in rows if "as above" in meaning]
    assert not [default for _, default, _ in rows if default.startswith("e.g.")]
