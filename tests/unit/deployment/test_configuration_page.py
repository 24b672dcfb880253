"""docs/CONFIGURATION.md has every setting and every key, as they are now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from gateway.core.settings import Settings
from gateway.domain.catalog import Catalog

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("configuration", ROOT / "scripts" / "configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(script: ModuleType) -> None:
    kept = (ROOT / "docs" / "CONFIGURATION.md").read_text(encoding="utf-8")
    assert kept == script.page(), "run `python scripts/configuration.py`"


def test_every_setting_and_every_section_is_on_it(script: ModuleType) -> None:
    page = script.page()
    assert [name for name in Settings.model_fields if f"| `{name.upper()}` |" not in page] == []
    assert [name for name in Catalog.model_fields if f"### `{name}`\n" not in page] == []
    assert "| `guardrails.people.injection` | `off` \\| `flag` \\| `block` | `block` |" in page
