"""The documentation: its links lead somewhere, and the code and tests that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

PAGES = [
    *(PROJECT / name for name in ("README.md", "README.ko.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((PROJECT / "docs").rglob("*.md")),
    PROJECT / "deploy" / "kubernetes" / "README.md",
    PROJECT / "examples" / "product_detail" / "README.md",
]
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)")
_FILE = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|lua|tsx?|npz))`")
# The files that a reader of these pages creates, and placeholders.
_NEW_FILES = re.compile(r"NAME\.py$|word_count\.py$|/echo/|private_key\.py$|VENDOR")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def name(page: Path) -> str:
    return str(page.relative_to(PROJECT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / link).resolve() if link else page
        assert target.exists(), link
        assert not anchor or target.suffix != ".md" or anchor in anchors(target), f"{link}#{anchor}"


@pytest.fixture(scope="module")
def files() -> list[str]:
    """The paths of all source files, each with a leading slash."""
    folders = ("gateway", "tests", "bench", "scripts", "alembic", "examples", "web/src")
    return [
        f"/{path.relative_to(PROJECT)}"
        for folder in folders
        for path in (PROJECT / folder).rglob("*")
        if path.suffix in (".py", ".lua", ".ts", ".tsx", ".npz")
    ]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_named_source_file_exists(page: Path, files: list[str]) -> None:
    named = set(_FILE.findall(page.read_text(encoding="utf-8")))
    missing = [file for file in named if not any(path.endswith(f"/{file}") for path in files)]
    assert [file for file in sorted(missing) if not _NEW_FILES.search(file)] == []
