"""No library sends telemetry to its vendor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import PROJECT

DOCKERFILE = PROJECT / "gateway" / "Dockerfile"

_PROGRAM = """
from gateway.guardrails.reading.encoder import shared_encoder
encoder = shared_encoder()
print(len([encoder.read(window) for window in encoder.windows("Hello, how are you today?")]))
"""


def test_guard_model_writes_no_device_id_to_the_home_directory(tmp_path: Path) -> None:
    # The libraries are imported in a fresh process, as in a worker, with the variable not yet set.
    given = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        given[name] = str(tmp_path)

    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=given, capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "1"
    assert [str(path) for path in tmp_path.rglob("*") if path.is_file()] == []


def test_variable_that_enables_telemetry_is_overridden() -> None:
    program = "import os, gateway; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    given = {**os.environ, "ORT_DISABLE_TELEMETRY": "0"}

    done = subprocess.run(
        [sys.executable, "-c", program], env=given, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "1"


def test_image_disables_telemetry_for_every_process() -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in DOCKERFILE.read_text().rpartition("FROM ")[2]
