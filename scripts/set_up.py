"""Creates `.venv` and installs the hash-locked requirements; does nothing where that was done already.

Run by `make` with any Python 3.11 to 3.14: standard library only. `--dev` adds what tests and checks need.
"""

# ruff: noqa: S603, T201  a script that starts pip and tells what it does
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
        sys.exit(f"Python 3.11 to 3.14 is needed; {sys.executable} is {sys.version.split()[0]}.")
    state = fingerprint()
    done = read_stamp()
    if done.get("state") == state and (done.get("dev") or not dev) and runs(PYTHON):
        return
    STAMP.unlink(missing_ok=True)
    create_environment()
    install(dev or bool(done.get("dev")), state)


def fingerprint() -> str:
    """Changes with the locks, the project's own metadata, this Python and the place of the checkout."""
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
    """Whether this interpreter starts: an environment that was moved, or whose Python went, does not."""
    try:
        return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def create_environment() -> None:
    """A virtual environment of this Python; one of another version is replaced."""
    if runs(PYTHON):
        ask = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
        found = subprocess.run([PYTHON, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
        if found == f"{sys.version_info[0]}.{sys.version_info[1]}":
            return
    if VENV.exists():
        shutil.rmtree(VENV)
    print(f"Creating .venv with Python {sys.version.split()[0]} ...", flush=True)
    if subprocess.run([sys.executable, "-m", "venv", VENV], check=False).returncode != 0:
        sys.exit(
            f"{sys.executable} could not create a virtual environment. On Debian and Ubuntu the package "
            "python3-venv is missing; elsewhere set PYTHON to a complete Python 3.11 to 3.14."
        )


def install(dev: bool, state: str) -> None:
    """Install exactly what the lock names, then the project itself; the stamp is written last."""
    lock = LOCKS[dev]
    print(f"Installing {lock.name} into .venv; the first time this takes a minute or two ...", flush=True)
    pip("install", "--no-deps", "--require-hashes", "-r", str(lock))
    pip("install", "--no-deps", "--no-build-isolation", "-e", str(PROJECT))
    STAMP.write_text(json.dumps({"state": state, "dev": dev}))


def pip(*arguments: str) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    # On a terminal its progress is shown: the first time takes a minute or two.
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    done = subprocess.run(
        [PYTHON, "-m", "pip", *arguments, *quiet, "--no-input"], check=False, env=environment, cwd=PROJECT
    )
    if done.returncode != 0:
        sys.exit(
            "pip could not install the requirements; what it said is above. If it was the network or the "
            "package index, run the same command again: what is installed is kept."
        )


if __name__ == "__main__":
    main()
