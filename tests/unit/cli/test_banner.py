"""The banner shows how the program is called and what to open."""

from __future__ import annotations

import shutil
import sys

import pytest

from gateway.cli.banner import banner
from gateway.console.site import ConsoleSite


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConsoleSite, "load", classmethod(lambda cls, folder=None: object()))


@pytest.mark.parametrize(
    ("called", "on_path", "shown"),
    [
        (".venv/bin/gateway", None, ".venv/bin/gateway admin create"),
        ("/opt/venv/bin/gateway", "/opt/venv/bin/gateway", "\ngateway admin create"),
        ("/usr/lib/python3/site-packages/gateway/__main__.py", None, "\ngateway admin create"),
    ],
)
@pytest.mark.usefixtures("console")
def test_commands_are_shown_as_the_shell_finds_them(
    monkeypatch: pytest.MonkeyPatch, called: str, on_path: str | None, shown: str
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "serve"])
    monkeypatch.setattr(shutil, "which", lambda name: on_path)
    text = banner("http://127.0.0.1:8000", None, local_model=None)
    assert shown in text
    assert "admin password --email" in text
    assert "Open it in a browser" in text


def test_banner_without_console_does_not_mention_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConsoleSite, "load", classmethod(lambda cls, folder=None: None))
    text = banner("http://127.0.0.1:8000", None, local_model=None)
    assert "Open it in a browser" not in text
    assert "make console" in text
