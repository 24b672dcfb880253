"""SIGHUP and `/api/admin/reload` reach every worker; a closed terminal ends it."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.gateway_process import GATEWAY, GatewayProcess, gateway_environment

pytestmark = pytest.mark.timeout(400)
PASSWORD = "correct horse battery staple"


def config(*models: str) -> str:
    document = {
        "providers": {"mock": {"type": "mock"}},
        "models": {name: {"provider": "mock", "model": "mock"} for name in models},
        "tiers": {"all": {"requests_per_minute": None}},
    }
    return yaml.safe_dump(document)


class Asked:
    """A gateway, asked over a new connection each time, so that each worker gets its turn."""

    def __init__(self, address: str, banner: str) -> None:
        self.address = address
        found = re.search(r"^API key: (\S+)$", banner, re.MULTILINE)
        assert found is not None, banner
        self.key = {"x-api-key": found[1]}

    async def models(self) -> set[str]:
        async with httpx.AsyncClient(base_url=self.address, headers=self.key, timeout=30) as http:
            return {model["id"] for model in (await http.get("/v1/models")).json()["data"]}

    async def until_all_serve(self, model: str) -> None:
        """Until twenty answers in a row list the model: both workers answer about every other."""
        async with asyncio.timeout(150):
            in_a_row = 0
            while in_a_row < 20:
                in_a_row = in_a_row + 1 if model in await self.models() else 0

    async def reload(self) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self.address, timeout=30) as http:
            body = {"email": "admin@gateway.localhost", "password": PASSWORD}
            token = (await http.post("/api/auth/login", json=body)).json()["access_token"]
            answer = await http.post("/api/admin/reload", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        received: dict[str, Any] = answer.json()
        return received


async def test_sighup_and_the_admin_route_reload_every_worker_without_valkey(
    clean_database: str, tmp_path: Path
) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text(config("first"))
    given = {
        "DATABASE_URL": clean_database,
        # Nobody listens there: only the parent can tell the workers. With Valkey: `test_reload`.
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PROVIDER_CONFIG": str(path),
        "ADMIN_PASSWORD": PASSWORD,
    }
    with GatewayProcess(
        "--workers", "2", "--data-dir", str(tmp_path / "data"), cwd=tmp_path, **given
    ) as served:
        gateway = Asked("", await asyncio.to_thread(served.wait_for_banner))
        gateway.address = served.address
        assert "first" in await gateway.models()

        path.write_text(config("second"))
        os.kill(served.pid, signal.SIGHUP)
        await gateway.until_all_serve("second")

        path.write_text("providers: {a: {type: mock}}\nmodells: {}\n")
        os.kill(served.pid, signal.SIGHUP)
        async with asyncio.timeout(150):
            while served.output.count("config.rejected") < 2:  # noqa: ASYNC110 - lines come from a thread
                await asyncio.sleep(0.05)
        assert re.search(r'providers\.yaml:2.*"config.rejected"', served.output)
        await gateway.until_all_serve("second")

        path.write_text(config("third"))
        assert (await gateway.reload())["told"] == "parent"
        await gateway.until_all_serve("third")
        assert served.stop(signal.SIGTERM) == 0
    assert "Traceback" not in served.output + served.errors


@contextmanager
def in_a_terminal(*command: str, cwd: Path, **given: str) -> Iterator[tuple[int, int]]:
    """(process id, the terminal's other end) of a command that leads a session on a terminal of its own."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(command[0], list(command), gateway_environment(given))
    try:
        yield pid, terminal
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_closed_terminal_stops_the_gateway(
    clean_database: str, clean_redis: str, tmp_path: Path, workers: str
) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text(config("first"))
    given = {"DATABASE_URL": clean_database, "REDIS_URL": clean_redis, "PROVIDER_CONFIG": str(path)}
    # A shell between: its end is what takes the terminal from the gateway.
    serve = f"{GATEWAY} serve --port 0 --workers {workers} --data-dir data & echo pid=$!; wait"
    with in_a_terminal("/bin/sh", "-c", serve, cwd=tmp_path, **given) as (_, terminal):
        said = b""
        while b"is ready at" not in said:
            said += os.read(terminal, 4096)
        pid = int(re.findall(rb"pid=(\d+)", said)[0])
        os.kill(pid, signal.SIGHUP)  # with its terminal there: it reads the configuration and lives
        # One line is enough: a worker that still starts reads the configuration anyway.
        while b"config.reloaded" not in said:
            said += os.read(terminal, 4096)
        os.close(terminal)
        subprocess.run(["tail", f"--pid={pid}", "-f", "/dev/null"], timeout=30, check=True)
