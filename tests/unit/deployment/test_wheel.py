"""The wheel contains everything that `gateway serve` needs in an empty directory."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import PROJECT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_every_bundled_file_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("alembic", "prompts", "workflows"):
        for path in (PROJECT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"gateway/shipped/{path.relative_to(PROJECT)}" in names
    assert {"gateway/shipped/alembic.ini", "gateway/shipped/provider_config.yaml"} <= names


def test_an_installed_wheel_finds_its_files(wheel: Path, tmp_path: Path) -> None:
    installed, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    zipfile.ZipFile(wheel).extractall(installed)
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "import gateway; from gateway.core.bundled_files import bundled_files_dir\n"
        "from gateway.cli import migrations\n"
        "from gateway.services.operations.config_file import load_catalog\n"
        "print(bundled_files_dir()); print(migrations.latest_revision(migrations.alembic_config('postgresql://x@y/z')))\n"
        "print(len(load_catalog(bundled_files_dir() / 'provider_config.yaml').models))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=empty, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    folder, newest, models = done.stdout.split()
    assert folder == str(installed / "gateway" / "shipped")
    assert newest == max(path.name[:4] for path in (PROJECT / "alembic" / "versions").glob("[0-9]*.py"))
    assert int(models) > 5
