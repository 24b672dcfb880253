"""Create `.venv` and install the hash-locked requirements, unless it is up to date.

`make` runs it with any Python 3.11 to 3.14; it uses only the standard library. `--dev` adds the requirements
of tests and checks.
"""

# ruff: noqa: S603, T201  this script runs pip and prints its progress
from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed.json"
LOCKS = {False: PROJECT / "requirements.txt", True: PROJECT / "requirements-dev.txt"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true")
    dev = parser.parse_args().dev
    if not (3, 11) <= sys.version_info[:2] < (3, 15):
        sys.exit(f"Python 3.11 to 3.14 is required; {sys.executable} is {sys.version.split()[0]}.")
    state = fingerprint()
    done = read_stamp()
    if done.get("state") == state and (done.get("dev") or not dev) and runs(PYTHON):
        return
    STAMP.unlink(missing_ok=True)
    create_environment()
    install(dev or bool(done.get("dev")), state)


def fingerprint() -> str:
    """Hash the lock files, the project metadata, the Python version and the checkout's path."""
    content = hashlib.sha256(f"{sys.version_info[:2]} {PROJECT}".encode())
    for path in (*LOCKS.values(), PROJECT / "pyproject.toml"):
        content.update(path.read_bytes())
    return content.hexdigest()


def read_stamp() -> dict[str, object]:
    try:
        stamp = json.loads(STAMP.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def runs(python: Path) -> bool:
    """Check that the interpreter starts; it does not if the environment was moved or its Python removed."""
    try:
        return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def create_environment() -> None:
    """Create a virtual environment for this Python; replace one of another version."""
    if runs(PYTHON):
        code = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
        found = subprocess.run(
            [PYTHON, "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()
        if found == f"{sys.version_info[0]}.{sys.version_info[1]}":
            return
    if VENV.exists():
        shutil.rmtree(VENV)
    print(f"Creating .venv with Python {sys.version.split()[0]} ...", flush=True)
    if subprocess.run([sys.executable, "-m", "venv", VENV], check=False).returncode != 0:
        sys.exit(
            f"{sys.executable} could not create a virtual environment. On Debian and Ubuntu the package "
            "python3-venv is missing; on other systems set PYTHON to a complete Python 3.11 to 3.14."
        )


def install(dev: bool, state: str) -> None:
    """Install the locked requirements, then the project; write the stamp last."""
    lock = LOCKS[dev]
    print(f"Installing {lock.name} into .venv; the first time this takes a minute or two ...", flush=True)
    pip("install", "--no-deps", "--require-hashes", "-r", str(lock))
    pip("install", "--no-deps", "--no-build-isolation", "-e", str(PROJECT))
    STAMP.write_text(json.dumps({"state": state, "dev": dev}))


def pip(*arguments: str) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    # Show pip's progress on a terminal: the first installation takes a minute or two.
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    done = subprocess.run(
        [PYTHON, "-m", "pip", *arguments, *quiet, "--no-input"], check=False, env=environment, cwd=PROJECT
    )
    if done.returncode != 0:
        sys.exit(
            "pip could not install the requirements; see its output above. After a failure of the network or "
            "the package index run the same command again: installed packages are not downloaded again."
        )


if __name__ == "__main__":
    main()
