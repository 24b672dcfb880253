"""One gateway at a time uses a data directory, and its secrets are private."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.embedded.data_dir import DataDir, DataDirInUse
from gateway.embedded.errors import EngineError


def test_second_gateway_on_the_same_directory_gets_the_pid_of_the_first(tmp_path: Path) -> None:
    first, second = DataDir(tmp_path), DataDir(tmp_path)
    first.acquire()
    with pytest.raises(DataDirInUse) as refused:
        second.acquire()
    assert f"pid {os.getpid()}" in str(refused.value)
    assert "--data-dir" in str(refused.value)
    first.close()
    second.acquire()
    second.close()


def test_lock_file_of_a_killed_gateway_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from gateway.embedded.data_dir import DataDir;"
        "DataDir(Path(sys.argv[1])).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert (tmp_path / "lock").read_text().strip().isdigit()
    directory = DataDir(tmp_path)
    directory.acquire()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    directory.close()


def test_lock_of_a_killed_gateway_is_awaited_while_its_engines_stop(tmp_path: Path) -> None:
    code = (
        "import os, signal, subprocess, sys; from pathlib import Path;"
        "from gateway.embedded.data_dir import DataDir;"
        "d = DataDir(Path(sys.argv[1])); d.acquire();"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(0.5)'],"
        " pass_fds=(d.lock_descriptor,)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    directory = DataDir(tmp_path)
    directory.acquire()
    directory.close()


def test_unwritable_directory_raises_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"is not writable .*--data-dir"):
        DataDir(tmp_path / "file" / "data").acquire()


def test_secret_is_generated_once_and_private(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    secret = directory.secret("jwt_secret")
    assert len(secret.encode()) >= 32
    assert directory.secret("jwt_secret") == secret
    assert stat.S_IMODE((tmp_path / "jwt_secret").stat().st_mode) == 0o600
    assert directory.secret("another") != secret
    directory.close()


def test_published_addresses_are_readable_until_cleared(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    assert directory.read_addresses() == {}
    directory.create()
    directory.publish_addresses({"redis_url": "unix:///x"})
    assert DataDir(tmp_path).read_addresses() == {"redis_url": "unix:///x"}
    assert stat.S_IMODE((tmp_path / "engines.json").stat().st_mode) == 0o600
    directory.clear_addresses()
    assert directory.read_addresses() == {}
