"""The benchmark's command line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from bench import compare, machine, profiling, report
from bench.plan import Plan

_RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """Measure, print and write the tables; return 1 if any answer was wrong."""
    arguments = _parser().parse_args()
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("The benchmarks pin processes to cores and read /proc: they require Linux.")
    signal.signal(signal.SIGTERM, _end)
    if arguments.command == "profile":
        return profiling.main(_request(arguments))
    plan = _plan(arguments)
    cores = machine.Cores.choose()
    load = os.getloadavg()[0]
    started = time.monotonic()
    results, version = compare.run(plan, cores)
    described = machine.describe() | {
        "LiteLLM": version or "not measured",
        "Load before the run": f"{load:.2f} (one minute's average)",
        "Duration of the run": f"{time.monotonic() - started:.0f} s",
    }
    page = report.render(results, plan, cores, described, _command(arguments))
    print("\n" + page)
    if arguments.output is not None or not (arguments.quick or arguments.without_litellm):
        (arguments.output or _RESULTS).write_text(page)
    return 1 if any(results.failures(cell) for cell in results.samples) else 0


def _command(arguments: argparse.Namespace) -> str:
    """Return the command that reproduces the page, without paths of this machine."""
    given = [
        f"--{name}" for name in ("quick", "without-litellm", "without-gateway") if _option(arguments, name)
    ]
    given += [
        f"--{name} {_option(arguments, name):g}" for name in ("seconds", "rounds") if _option(arguments, name)
    ]
    return f"python -m bench {' '.join(given)}" if given else "make bench"


def _option(arguments: argparse.Namespace, option: str) -> float:
    value: float | None = getattr(arguments, option.replace("-", "_"))
    return value or 0


def _end(number: int, frame: FrameType | None) -> None:
    # An exception, unlike the default action, runs every `finally`, so that no child process remains.
    raise SystemExit(128 + number)


def _request(arguments: argparse.Namespace) -> profiling.Request:
    return profiling.Request(
        shape=arguments.shape,
        seconds=arguments.profile_seconds,
        connections=arguments.connections,
        guarded=arguments.guarded,
        calls=arguments.calls,
        keep=arguments.output,
    )


def _plan(arguments: argparse.Namespace) -> Plan:
    quick = arguments.quick
    return Plan(
        seconds=arguments.seconds or (1.0 if quick else 4.0),
        rounds=arguments.rounds or (1 if quick else 3),
        slow_streams=20 if quick else 200,
        with_litellm=not arguments.without_litellm,
        with_gateway=not arguments.without_gateway,
        litellm_environment=arguments.litellm_environment,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one short round, fewer slow streams, write nothing"
    )
    parser.add_argument("--seconds", type=float, help="length of a cell (default 4)")
    parser.add_argument("--rounds", type=int, help="number of rounds; the median is reported (default 3)")
    parser.add_argument(
        "--without-litellm", action="store_true", help="measure only the gateway, write nothing"
    )
    parser.add_argument(
        "--without-gateway", action="store_true", help="measure only LiteLLM and the upstream"
    )
    parser.add_argument(
        "--litellm-environment", type=Path, help="an existing environment with litellm[proxy]"
    )
    parser.add_argument(
        "--output", type=Path, help="where to write the page (default bench/RESULTS.md), or the profile"
    )
    commands = parser.add_subparsers(dest="command")
    profiled = commands.add_parser("profile", help="show the CPU time of a request by function")
    profiled.add_argument("shape", choices=("json", "stream", "turn", "slow"), nargs="?", default="json")
    profiled.add_argument("--for", dest="profile_seconds", type=float, default=10.0, metavar="SECONDS")
    profiled.add_argument("--connections", type=int, default=8)
    profiled.add_argument("--guarded", action="store_true", help="guardrails on")
    profiled.add_argument("--calls", action="store_true", help="count calls with cProfile, not samples")
    return parser


if __name__ == "__main__":
    sys.exit(main())
