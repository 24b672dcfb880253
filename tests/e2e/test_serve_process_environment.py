"""A process hides its environment from other processes of the same user."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc to read"),
]


def test_another_process_of_the_same_user_cannot_read_the_environment() -> None:
    """As root everything may be read; so the flag itself is read, by the process that it is of."""
    program = (
        "import ctypes, os; from gateway.core.security import process_environment;"
        "process_environment.hide_environment();"
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
