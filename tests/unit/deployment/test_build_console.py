"""Files that the console's build leaves and removes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.support.scripts import load_script


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_script("build_console")
    monkeypatch.setattr(module, "WEB", tmp_path / "web")
    monkeypatch.setattr(module, "TOOLS", tmp_path / ".venv-web")
    for folder in (tmp_path / "web" / "node_modules", tmp_path / "web" / "src", tmp_path / ".venv-web"):
        folder.mkdir(parents=True)
    return module


def left(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir()}


def test_dependencies_of_the_build_are_removed(build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "web" / "node_modules" / ".installed").write_text("1a2b")
    build.tidy()
    assert left(tmp_path) == {"web", "web/src"}
    build.tidy()  # removing twice is no error


def test_a_half_installed_node_is_removed(build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "web" / "node_modules").rmdir()
    build.tidy()
    assert left(tmp_path) == {"web", "web/src"}


def test_an_installation_by_a_developer_is_not_removed(build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "web" / "node_modules" / ".installed").write_text("1a2b dev")
    build.tidy()
    assert left(tmp_path) == {"web", "web/src", "web/node_modules", ".venv-web"}
