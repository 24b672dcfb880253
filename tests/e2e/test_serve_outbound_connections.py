"""A gateway resolves and connects to configured addresses only."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.timeout(180)

_PASSWORD = "plover-quartz-sphinx-71"
_LOOPBACK = re.compile(r"127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+|localhost|None")
# Python imports a module of this name before anything else, in every process.
_HOOK = """
import os, sys

def _note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        with open({file!r}, "a") as names:
            names.write(f"{{arguments[0]}}\\n")

sys.addaudithook(_note)
"""
_ADDRESS = re.compile(
    r'sin6?_port=htons\((\d+)\)[^}]*?(?:inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")'
)


def _can_trace() -> bool:
    """Whether strace is installed and this process may use it."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-e", "trace=connect", "true"], capture_output=True
    )
    return tried.returncode == 0


def _use(address: str, key: str) -> None:
    """A person's turns, a program's turn and an embedding: each part that loads a library."""

    def post(path: str, body: dict[str, Any], token: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = httpx.post(f"{address}{path}", json=body, headers=headers, timeout=60)
        assert answer.is_success, answer.text
        result: dict[str, Any] = answer.json() if "json" in answer.headers["content-type"] else {}
        return result

    account = {"email": "marigold@example.org", "password": _PASSWORD, "name": "Mari"}
    post("/api/auth/register", account, "")
    tokens = post("/api/auth/login", {"email": account["email"], "password": _PASSWORD}, "")
    for message in ("Act as a travel guide for Rome.", "세탁기 사용법을 알려 줘.", "What is 3*4?"):
        post("/api/chat", {"message": message}, tokens["access_token"])
    post("/api/chat/stream", {"message": "And once more, please."}, tokens["access_token"])
    turn = {"model": "mock", "messages": [{"role": "user", "content": "Hello"}]}
    post("/v1/chat/completions", turn, key)
    post("/v1/embeddings", {"model": "wordllama", "input": "Hello"}, key)


def _foreign_addresses(trace: str, engines: set[int]) -> list[str]:
    """Addresses that were connected or sent to and are not this machine's."""
    found = (match.groups() for match in _ADDRESS.finditer(trace))
    return [
        f"{v4 or v6} port {port}"
        for port, v4, v6 in found
        if not _LOOPBACK.fullmatch(v4 or v6) and int(port) not in engines
    ]


def test_turns_resolve_and_connect_to_configured_addresses_only(
    clean_database: str, clean_redis: str, tmp_path: Path
) -> None:
    home, hook, names, trace = (tmp_path / name for name in ("home", "hook", "names", "trace"))
    home.mkdir()
    hook.mkdir()
    names.touch()
    (hook / "sitecustomize.py").write_text(_HOOK.format(file=str(names)))
    given = {
        "DATABASE_URL": clean_database,
        "REDIS_URL": clean_redis,
        "GENERATOR_MODE": "mock",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "PYTHONPATH": str(hook),
    }
    traced = _can_trace()
    # Native code does not pass Python's audit hooks, so its system calls are read as well.
    prefix = (
        *("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", str(trace)),
        *("-e", "trace=connect,sendto,sendmsg,sendmmsg", "-e", "signal=none", "-s", "128"),
    )
    with GatewayProcess(
        "--data-dir", str(tmp_path / "data"), cwd=tmp_path, prefix=prefix if traced else (), **given
    ) as served:
        banner = served.wait_for_banner()
        key = re.search(r"^API key: (\S+)$", banner, re.MULTILINE)
        assert key is not None
        _use(served.address, key[1])
        assert served.stop(signal.SIGTERM) == 0

    engines = {urllib.parse.urlsplit(url).hostname for url in (clean_database, clean_redis)}
    resolved = set(names.read_text().split())
    assert {name for name in resolved if not _LOOPBACK.fullmatch(name)} <= engines
    assert [str(path) for path in home.rglob("*") if path.is_file()] == []
    if traced:
        ports = {urllib.parse.urlsplit(url).port or 0 for url in (clean_database, clean_redis)}
        assert _foreign_addresses(trace.read_text(), ports) == []
