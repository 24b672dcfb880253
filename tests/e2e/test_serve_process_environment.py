"""No process of a gateway shows the secrets that it was given by its environment."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.processes import descendants

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc to read"),
]

SECRETS = {"JWT_SECRET": "plover-quartz-sphinx-" + "7" * 40, "OPENAI_API_KEY": "sk-proj-heliotrope-cormorant"}


def test_the_environment_of_every_process_is_without_secrets(tmp_path: Path) -> None:
    with GatewayProcess(
        "--workers", "2", "--data-dir", str(tmp_path / "data"), cwd=tmp_path, GENERATOR_MODE="mock", **SECRETS
    ) as served:
        banner = served.wait_for_banner()
        key = re.search(r"^API key: (\S+)$", banner, re.MULTILINE)
        assert key is not None
        # The secrets are still known where they belong: tokens are signed and turns are answered.
        body = {"model": "mock", "messages": [{"role": "user", "content": "Hello"}]}
        request = urllib.request.Request(
            f"{served.address}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {key[1]}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200
        family = {served.pid, *(pid for pid, _ in descendants(served.pid))}
        assert len(family) > 6
        shown = {pid: environment_of(pid) for pid in family}
        assert served.stop(signal.SIGTERM) == 0
    assert [pid for pid, text in shown.items() for secret in SECRETS.values() if secret in text] == []


def environment_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_another_process_of_the_same_user_may_not_look_into_it() -> None:
    """As root everything may be read; so the flag itself is read, by the process that it is of."""
    program = (
        "import ctypes, os; from gateway.core import own_environment; own_environment.hide();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), os.environ['SECRET_THING'],"
        "      'hidden-value' in open('/proc/self/environ').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"SECRET_THING": "hidden-value", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0", "hidden-value", "False"]
