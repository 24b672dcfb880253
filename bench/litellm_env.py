"""The virtual environment of the LiteLLM proxy, created once from the hash-locked requirements."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

CACHE = Path(__file__).parent / ".cache"
_LOCK = Path(__file__).parent / "requirements-litellm.txt"


def ensure_environment(path: Path | None) -> Path:
    """Return the given environment or the cached one, which is installed if missing or outdated."""
    if path is not None:
        if not (path / "bin" / "litellm").exists():
            raise SystemExit(f"{path} has no bin/litellm. Use a virtual environment with litellm[proxy].")
        return path
    target = CACHE / "litellm"
    stamp = target / "installed"
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return target
    print("Installing the LiteLLM proxy into bench/.cache/litellm (first use only) …", flush=True)
    venv.create(target, clear=True, with_pip=True)
    install = [
        str(target / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    done = subprocess.run([*install, "--no-deps", "--require-hashes", "-r", str(_LOCK)], check=False)
    if done.returncode != 0:
        python = ".".join(map(str, sys.version_info[:2]))
        raise SystemExit(
            f"The LiteLLM proxy could not be installed for Python {python}; see pip's output above. "
            "`python -m bench --without-litellm` measures only the gateway."
        )
    stamp.write_text(digest)
    return target


def installed_version(environment: Path) -> str:
    """Return LiteLLM's version in this environment."""
    for found in environment.glob("lib/python*/site-packages/litellm-*.dist-info"):
        return found.name.removeprefix("litellm-").removesuffix(".dist-info")
    return "unknown"
