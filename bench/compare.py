"""The comparison: the same load on the LiteLLM proxy and the gateway, alternating, then 200 slow streams."""

from __future__ import annotations

import gc
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import uvloop

from bench import litellm_env
from bench import targets as servers
from bench.machine import Cores
from bench.measure import Cell, Results, sample
from bench.plan import Plan
from bench.targets import Target
from gateway.embedded.postgres import PostgresServer
from gateway.embedded.valkey import ValkeyServer

# Request shapes and connections; the upstream and LiteLLM have no conversations.
ROWS: tuple[tuple[str, int], ...] = (
    ("json", 1),
    ("json", 16),
    ("stream", 1),
    ("stream", 16),
    ("turn", 1),
    ("turn", 16),
)
WITH_TURNS = ("gateway", "guarded")


def run(plan: Plan, cores: Cores) -> tuple[Results, str]:
    """Return all figures and LiteLLM's version (empty without it); no child process remains."""
    environment = litellm_env.ensure_environment(plan.litellm_environment) if plan.with_litellm else None
    os.sched_setaffinity(0, cores.helpers)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        upstream = servers.upstream(stack, cores, work)
        targets = [Target("upstream", upstream.port, upstream.key, upstream.pid)]
        if environment is not None:
            print("Starting the LiteLLM proxy …", flush=True)
            targets.append(servers.litellm(stack, cores, work, upstream.port, environment))
        if plan.with_gateway:
            targets += _gateways(stack, cores, work, upstream.port)
        results = uvloop.run(_measure(plan, cores, upstream, targets))
    version = litellm_env.installed_version(environment) if environment is not None else ""
    return results, version


def engines(stack: ExitStack, directory: Path) -> dict[str, str]:
    """Start a PostgreSQL and a Valkey and return their URLs by the names of the settings."""
    postgres, valkey = PostgresServer(directory / "postgres"), ValkeyServer(directory / "valkey")
    for engine in (postgres, valkey):
        stack.callback(engine.stop)
        engine.start()
    return {"DATABASE_URL": postgres.url(), "REDIS_URL": valkey.url()}


def _gateways(stack: ExitStack, cores: Cores, work: Path, upstream_port: int) -> list[Target]:
    """Start two gateways, with guardrails off and on, each with its engines on the helper cores."""
    started = []
    for guarded in (False, True):
        print(f"Starting the gateway, guardrails {'on' if guarded else 'off'} …", flush=True)
        urls = engines(stack, work / ("engines-guarded" if guarded else "engines"))
        started.append(servers.gateway(stack, cores, work, upstream_port, urls, guarded))
    return started


async def _measure(plan: Plan, cores: Cores, upstream: Target, targets: list[Target]) -> Results:
    results = Results()
    for target in targets:
        for shape in ("json", "stream", "turn"):
            if shape != "turn" or target.name in WITH_TURNS:
                await sample(target, upstream, Cell(target.name, shape, 4), plan.warm_up, cores)
    for number in range(plan.rounds):
        for shape, connections in ROWS:
            for target in targets:
                if shape == "turn" and target.name not in WITH_TURNS:
                    continue
                cell = Cell(target.name, shape, connections)
                gc.collect()
                taken = await sample(target, upstream, cell, plan.seconds, cores)
                results.add(cell, taken)
                _print_progress(f"round {number + 1}/{plan.rounds}", cell, taken.rate, taken.first_failure)
    for target in targets:
        cell = Cell(target.name, "slow", plan.slow_streams)
        taken = await sample(target, upstream, cell, 0.0, cores, at_once=True)
        results.add(cell, taken)
        _print_progress(f"worst gap {taken.worst_gap * 1000:.0f} ms", cell, taken.rate, taken.first_failure)
    return results


def _print_progress(stage: str, cell: Cell, rate: float, failure: str) -> None:
    note = f"   FAILED: {failure}" if failure else ""
    print(f"{stage}: {cell.target:9} {cell.shape:6} ×{cell.connections:<3} {rate:9.1f} /s{note}", flush=True)
