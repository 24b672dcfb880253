"""The isolation itself: what native code in place of the interpreter could do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.domain.config.code_tool import CodeConfig
from gateway.tools.code import isolation
from gateway.tools.code.isolation import (
    Isolation,
    candidate_isolations,
    detect_isolation,
    find_interpreter,
    is_working,
)
from gateway.tools.code.limits import MAX_STREAM_BYTES, RunLimits
from gateway.tools.code.process import ProcessResult, SandboxProcess

LIMITS = RunLimits(seconds=0.5, memory_bytes=64 << 20)


@pytest.fixture(params=["bwrap", "process"])
def layer(request: pytest.FixtureRequest) -> Isolation:
    """Each isolation that works on this machine."""
    interpreter = find_interpreter()
    assert interpreter is not None
    for candidate in candidate_isolations(interpreter):
        if candidate.name == request.param and is_working(candidate):
            return candidate
    pytest.skip(f"no {request.param} on this machine")


def shell(layer: Isolation, script: str, wall_seconds: float = 10) -> ProcessResult:
    """Run a shell in place of the interpreter, with all limits of the isolation."""

    def command(fd: int) -> list[str]:
        words = layer.command(LIMITS, fd)
        return [*words[: words.index(layer.interpreter, words.index("sh"))], "/bin/sh", "-c", script]

    return SandboxProcess(command, wall_seconds, b"").run_to_end()


def test_native_code_finds_no_environment(layer: Isolation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_CANARY", "canary")

    seen = shell(layer, "export -p; set")

    assert b"canary" not in seen.stdout
    assert b"PATH=" in seen.stdout  # the shell's own default
    assert b"/root" not in seen.stdout


def test_native_code_can_write_no_byte_and_start_no_process(layer: Isolation, tmp_path: Path) -> None:
    if os.geteuid() == 0 and "--reuid" not in layer.command_prefix:
        pytest.skip("the kernel counts no processes of root, and there is no setpriv here")
    assert b"forked" not in shell(layer, "(echo forked)").stdout
    target = tmp_path / "written"
    assert shell(layer, f"echo x > {target}").returncode != 0
    assert not target.exists() or target.stat().st_size == 0


def test_native_code_in_bwrap_sees_nothing_of_the_machine(layer: Isolation) -> None:
    if layer.name != "bwrap":
        pytest.skip("a plain process sees the machine's files, even as nobody")

    seen = (
        shell(layer, "echo /*; echo /proc/*; echo $$; read line < /etc/passwd").stdout.decode().splitlines()
    )

    assert set(seen[0].split()) <= {"/bin", "/code.py", "/lib", "/lib64", "/usr", "/monty"}
    assert seen[1] == "/proc/*"
    assert int(seen[2]) < 10


def test_native_code_has_only_its_streams_and_limits_that_it_cannot_raise(layer: Isolation) -> None:
    with socket.socket() as ours:
        ours.set_inheritable(True)
        seen = shell(layer, f"echo x >&{ours.fileno()}")
        assert seen.returncode != 0

    limits = shell(
        layer, "ulimit -t; ulimit -v; ulimit -f; ulimit -c; ulimit -n; ulimit -t 999"
    ).stdout.split()

    assert limits == [b"2", b"163840", b"0", b"0", b"16"]


@pytest.mark.timeout(120)  # it runs with low priority
def test_cpu_time_is_limited_if_the_interpreter_does_not_limit_it(layer: Isolation) -> None:
    ended = shell(layer, "while :; do :; done", wall_seconds=110)

    assert ended.end_reason == "exited"
    assert abs(ended.returncode) in (
        signal.SIGKILL,
        128 + signal.SIGKILL,
        signal.SIGXCPU,
        128 + signal.SIGXCPU,
    )


def test_a_sleeping_program_is_killed_by_wall_time(layer: Isolation) -> None:
    ended = shell(layer, "kill -STOP $$", wall_seconds=0.2)

    assert ended.end_reason == "time"
    assert ended.returncode < 0


def test_a_program_that_closes_its_streams_and_continues_is_killed(layer: Isolation) -> None:
    ended = shell(layer, "exec >&- 2>&-; while :; do :; done", wall_seconds=0.5)

    assert ended.end_reason == "time"


def test_a_flooding_program_is_killed_with_truncated_output(layer: Isolation) -> None:
    ended = shell(layer, "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done")

    assert ended.end_reason == "output"
    assert len(ended.stdout) == MAX_STREAM_BYTES


def test_a_run_cancelled_before_its_start_ends_at_once(layer: Isolation) -> None:
    run = SandboxProcess(lambda fd: layer.command(LIMITS, fd), 10, b"while True: pass")
    run.cancel()

    assert run.run_to_end().end_reason == "cancelled"
    run.cancel()  # over: nothing happens


def test_no_run_survives_a_killed_gateway(tmp_path: Path) -> None:
    if not any(
        "pdeathsig" in word or "die-with-parent" in word for word in detect_isolation().command_prefix
    ):
        pytest.skip("neither bwrap nor setpriv on this machine; runs end by their own limits there")
    program = (
        "import os\n"
        "from gateway.tools.code.isolation import detect_isolation\n"
        "from gateway.tools.code.limits import RunLimits\n"
        "from gateway.tools.code.process import SandboxProcess\n"
        "isolation = detect_isolation()\n"
        "class Announced(SandboxProcess):\n"
        "    def _collect_output(self, process, streams):\n"
        "        os.read(process.stdout.fileno(), 1)\n"  # the code runs: all isolation is active
        "        print(process.pid, flush=True)\n"
        "        return super()._collect_output(process, streams)\n"
        "limits = RunLimits(seconds=300, memory_bytes=64 << 20)\n"
        "CODE = b'print(1, flush=True)\\nwhile True: pass'\n"
        "Announced(lambda fd: isolation.command(limits, fd), 300, CODE).run_to_end()\n"
    )
    gateway = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert gateway.stdout is not None
    pid = int(gateway.stdout.readline())
    assert is_running(pid)

    gateway.kill()
    gateway.wait()
    gateway.stdout.close()

    deadline = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    """Whether a process with this id exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def test_bwrap_is_used_only_if_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation.shutil, "which", lambda name: f"/usr/bin/{name}")
    named = [candidate.name for candidate in candidate_isolations("/usr/bin/monty")]
    assert set(named) == {"bwrap", "process"}
    assert named == sorted(named)

    monkeypatch.setattr(isolation, "is_working", lambda layer: layer.name == "process")
    found = detect_isolation.__wrapped__()
    assert found.name == "process"
    assert "user namespaces" in found.description

    monkeypatch.setattr(isolation, "is_working", lambda layer: False)
    assert detect_isolation.__wrapped__().name == "none"
    monkeypatch.setattr(isolation, "find_interpreter", lambda: None)
    assert "pydantic-monty" in detect_isolation.__wrapped__().description


def test_isolation_whose_limits_cannot_be_set_does_not_work() -> None:
    real = detect_isolation()

    assert is_working(real)
    assert not is_working(Isolation(real.name, "", ("/nowhere/bwrap",), real.interpreter))
    assert not is_working(Isolation("process", "", interpreter="/bin/true"))


def test_every_limit_of_the_interpreter_is_given() -> None:
    interpreter = find_interpreter()
    assert interpreter is not None
    help_text = subprocess.run([interpreter, "--help"], capture_output=True, text=True, check=True).stdout
    known = {word for word in help_text.split() if word.startswith(("--max-", "--gc-"))}

    given = {option.partition("=")[0] for option in RunLimits.from_config(CodeConfig()).interpreter_options()}

    assert known >= given
    assert {option for option in known if option.rstrip(".,`)") == option} == given
