"""Of two gateways started for one address, one serves and the other reports it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import httpx
import pytest

from tests.support.gateway_process import GatewayProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_banners_key_works_at_the_banners_address(tmp_path: Path, workers: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    arguments = ("--port", port, "--workers", workers)
    with (
        GatewayProcess(*arguments, cwd=folders[0], DATA_DIR=str(folders[0]), GENERATOR_MODE="mock") as one,
        GatewayProcess(*arguments, cwd=folders[1], DATA_DIR=str(folders[1]), GENERATOR_MODE="mock") as other,
    ):
        refused = [served for served in (one, other) if not _came_up(served)]
        assert len(refused) == 1
        [up] = {one, other} - set(refused)
        assert refused[0].wait(120) == 1
        assert "Cannot listen on" in refused[0].errors
        key = re.search(r"gw_\w+", up.output)
        assert key is not None
        answer = httpx.get(
            f"{up.address}/v1/models", headers={"authorization": f"Bearer {key[0]}"}, timeout=60
        )
        assert answer.status_code == 200


def _came_up(served: GatewayProcess) -> bool:
    try:
        served.wait_for_banner(200)
    except AssertionError:
        return False
    return True
