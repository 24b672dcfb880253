"""`make run` checks its port before it installs anything."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

SCRIPT = PROJECT / "scripts" / "port_is_free.py"


def check_port(cwd: Path, host: str = "", port: str = "", **given: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("HOST", "PORT")}
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), host, port],
        cwd=cwd,
        env=environment | given,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("where", ["argument", "environment", "file"])
def test_a_used_port_ends_with_an_error_message(tmp_path: Path, where: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        (tmp_path / ".env").write_text(f"PORT={port} # mine\n" if where == "file" else "")
        given = {"PORT": port} if where == "environment" else {}
        done = check_port(tmp_path, port=port if where == "argument" else "", **given)
    assert done.returncode == 1
    assert f"127.0.0.1 port {port}: address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_free_port_passes_and_an_invalid_one_is_reported(tmp_path: Path) -> None:
    assert check_port(tmp_path, port="0").returncode == 0
    assert "PORT=http is not a port" in check_port(tmp_path, port="http").stderr


def test_make_checks_the_port_before_it_installs() -> None:
    makefile = (SCRIPT.parents[1] / "Makefile").read_text()
    assert "\nrun: port-is-free install " in makefile
