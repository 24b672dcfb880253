"""Start the measured servers by their public commands: static upstream, LiteLLM proxy, gateway."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.children import Child
from bench.machine import Cores

ROOT = Path(__file__).parent.parent
# The only variables of the caller's environment that a measured server receives.
_PASSED_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER")
_LITELLM_KEY = "sk-bench"  # the proxy's master key, chosen here

# The entry point `gateway` of this interpreter, even if the project is not installed.
GATEWAY = (sys.executable, "-c", "from gateway.cli import app; app()")

_LITELLM_CONFIG = """\
model_list:
  - model_name: static
    litellm_params: {{model: openai/static, api_base: "http://127.0.0.1:{port}/v1", api_key: none}}
  - model_name: slow
    litellm_params: {{model: openai/slow, api_base: "http://127.0.0.1:{port}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false}}
"""

_GATEWAY_CONFIG = """\
providers:
  static: {{type: openai, base_url: "http://127.0.0.1:{port}/v1", api_key: none}}
models:
  static: {{provider: static, model: static, context_window: 131072, price: {{input: 0.15, output: 0.6}}}}
  slow: {{provider: static, model: slow, context_window: 131072, price: {{input: 0.15, output: 0.6}}}}
routing: {{light: static, heavy: static}}
guardrails: {{people: {{injection: {guard}}}, api_keys: {{injection: {guard}}}}}
tiers:
  free: {limits}
  pro: {limits}
  enterprise: {limits}
"""
# Too high to be reached, but set, so that every request is counted and reserved.
_LIMITS = "{requests_per_minute: 100000000, tokens_per_day: 1000000000000, usd_per_month: 1000000}"


@dataclass(frozen=True, slots=True)
class Target:
    """A measured server; `pid` is the process whose CPU time and memory are read."""

    name: str
    port: int
    key: str
    pid: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def upstream(stack: ExitStack, cores: Cores, work: Path) -> Target:
    """Start the static upstream on the helper cores."""
    child = Child(
        "The static upstream",
        [sys.executable, "-m", "bench.upstream", "0"],
        cores.helpers,
        work / "upstream.log",
        _environment(PYTHONPATH=str(ROOT)),
    )
    stack.enter_context(child)
    return Target("upstream", int(child.wait_for_line("ready", 15)), "none", child.pid)


def litellm(stack: ExitStack, cores: Cores, work: Path, upstream_port: int, environment: Path) -> Target:
    """Start the proxy with a plain configuration: a master key, no database, one worker, warnings only."""
    config = work / "litellm.yaml"
    config.write_text(_LITELLM_CONFIG.format(port=upstream_port, key=_LITELLM_KEY))
    port = free_port()
    command = [str(environment / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    env = _environment(
        LITELLM_LOG="WARNING",
        LITELLM_MODE="PRODUCTION",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_TELEMETRY="False",
    )
    child = Child("LiteLLM", [*command, "--port", str(port)], cores.server, work / "litellm.log", env)
    stack.enter_context(child)
    _wait_for_port(child, port, 120)
    return Target("litellm", port, _LITELLM_KEY, child.pid)


# Seven parameters: the first four are those of the other targets, `launcher` replaces the command for
# profiling.
def gateway(
    stack: ExitStack,
    cores: Cores,
    work: Path,
    upstream_port: int,
    engines: Mapping[str, str],
    guarded: bool,
    launcher: Sequence[str] = GATEWAY,
) -> Target:
    """Start `gateway serve` with one worker; `engines` has DATABASE_URL and REDIS_URL."""
    name = "guarded" if guarded else "gateway"
    config = work / f"{name}.yaml"
    guard = "block" if guarded else '"off"'
    config.write_text(_GATEWAY_CONFIG.format(port=upstream_port, guard=guard, limits=_LIMITS))
    port = free_port()
    env = _environment(PYTHONPATH=str(ROOT), PROVIDER_CONFIG=str(config), LOG_LEVEL="WARNING", **engines)
    command = [*launcher, "serve", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--data-dir", str(work / f"{name}-data")]
    child = Child("The gateway", command, cores.server, work / f"{name}.log", env)
    stack.enter_context(child)
    key = child.wait_for_line("API key:", 60)
    _wait_for_port(child, port, 60)
    return Target(name, port, key, child.pid)


def _environment(**extra: str) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    return passed | {"PYTHONUNBUFFERED": "1"} | extra


def _wait_for_port(child: Child, port: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        child.require_alive()
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"{child.name} did not open its port within {seconds:.0f} s:\n{child.output()[-2000:]}")
