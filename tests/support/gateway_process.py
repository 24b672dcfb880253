"""`gateway serve` and the other commands as processes of their own."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

GATEWAY = Path(sys.executable).with_name("gateway")
# Settings of the developer's shell must not reach the tested gateway.
_GATEWAY_VARIABLES = re.compile(
    r"^(DATABASE_URL|REDIS_URL|JWT_SECRET|ENVIRONMENT|PROVIDER_CONFIG|GENERATOR_MODE|LOCAL_MODEL_URL|DATA_DIR"
    r"|HOST|PORT|ADMIN_.*|OLLAMA_URL|COMFYUI_URL|GATEWAY_.*|MODEL_.*|LOG_.*|OTEL_.*|LANGSMITH_.*|LANGCHAIN_.*|(OPENAI|ANTHROPIC|GOOGLE|GEMINI)_.*|STOP_WITH_PARENT)$"
)
UNREACHABLE_URL = "http://127.0.0.1:1"


def gateway_environment(given: dict[str, str]) -> dict[str, str]:
    """This process's environment without gateway settings, plus those given."""
    kept = {name: value for name, value in os.environ.items() if not _GATEWAY_VARIABLES.match(name)}
    return {**kept, "OLLAMA_URL": UNREACHABLE_URL, **given}


def run_gateway(*arguments: str, cwd: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """Run a `gateway` command until it exits."""
    return subprocess.run(
        [GATEWAY, *arguments],
        cwd=cwd,
        env=gateway_environment(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class GatewayProcess:
    """`gateway serve` on a free port; leaving the context kills it."""

    def __init__(self, *arguments: str, cwd: Path, prefix: Sequence[str] = (), **given: str) -> None:
        """`prefix` wraps the program, such as `strace -D`; `given` are environment variables."""
        self._process = subprocess.Popen(
            [*prefix, GATEWAY, "serve", "--port", "0", *arguments],
            cwd=cwd,
            env=gateway_environment(given),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.address = ""
        # A list, because appending to a string copies it.
        self._output_lines: list[str] = []
        self._error_lines: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def output(self) -> str:
        return "".join(self._output_lines)

    @property
    def errors(self) -> str:
        return "".join(self._error_lines)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for_banner(self, seconds: float = 90) -> str:
        """Wait for the banner and return it; fails with the output if there is none."""
        said = ""
        while said.count("─" * 20 + "\n") < 2:
            try:
                line = self._lines.get(timeout=seconds)
            except queue.Empty:
                raise AssertionError(f"no banner in {seconds} s: {self.output}\n{self.errors}") from None
            if line is None:
                raise AssertionError(f"it ended without a banner: {self.output}\n{self.errors}")
            if said or line.startswith("─"):
                said += line
        found = re.search(r"is ready at (http://\S+)", said)
        assert found is not None, said
        self.address = found[1]
        return said

    def stop(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, return the exit code."""
        self._process.send_signal(number)
        return self.wait(60)

    def wait(self, seconds: float) -> int:
        """Wait for the exit and the end of the output; return the exit code."""
        code = self._process.wait(seconds)
        for reader in self._readers:
            reader.join(20)
        return code

    def __enter__(self) -> GatewayProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.stop(signal.SIGKILL)

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._output_lines.append(line)
            if not self.address:
                self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._error_lines.append(line)
