"""The code tool against public lists of escapes and denials: none gets out, and a chat beside them goes on.

They are gathered from HackTricks ("Bypass Python sandboxes"), the pyjail collections of CTF players, Ned
Batchelder's "Eval really is dangerous", PyCon 2014's "Building and breaking a Python sandbox", pysandbox, the
CVEs of RestrictedPython and Jinja, simpleeval, smolagents, OWASP's ReDoS and CPython's crashers;
`tests/support/escape_attempts.py` says which is from where.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.domain.config.catalog import Catalog
from gateway.domain.config.code_tool import CodeConfig
from gateway.domain.config.tools import ToolsConfig
from gateway.domain.events import TextDelta
from gateway.domain.messages import ToolCall
from gateway.tools.code.isolation import detect_isolation
from gateway.tools.registry import ToolRegistry
from gateway.tools.result import MAX_CONTENT_BYTES, ToolResult
from tests.support import agent as agents
from tests.support.escape_attempts import DENIED, EXHAUSTION, LIMITED

VARIABLE = "GATEWAY_CANARY"


@dataclass
class Canaries:
    """Three secrets that an attempt looks for, and a count of connections."""

    file: Path
    port: int
    token: str
    connections: int = 0

    def aim(self, attempt: str) -> str:
        return attempt.format(file=self.file, port=self.port, variable=VARIABLE)

    def check(self, outcome: ToolResult) -> None:
        """Whether nothing was accessed, and no secret is in the result for the model."""
        assert self.token not in outcome.content
        assert "root:" not in outcome.content
        assert "uid=" not in outcome.content
        assert self.file.read_text() == self.token
        assert [path.name for path in self.file.parent.iterdir()] == [self.file.name]
        assert self.connections == 0


@pytest.fixture
async def canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Canaries]:
    token = secrets.token_hex(16)
    file = tmp_path / "secret.txt"
    file.write_text(token)
    monkeypatch.setenv(VARIABLE, token)

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        found = Canaries(file, server.sockets[0].getsockname()[1], token)
        yield found


def registry(seconds: float = 0.5, queue_seconds: float = 30) -> ToolRegistry:
    code = CodeConfig(seconds=seconds, queue_seconds=queue_seconds)
    return ToolRegistry(ToolsConfig(enabled=("code",), code=code))


async def run(tools: ToolRegistry, code: str) -> ToolResult:
    return await tools.run(ToolCall("call_1", "code", json.dumps({"code": code})))


@asynccontextmanager
async def someone_beside() -> AsyncIterator[Callable[[], int]]:
    """Run another coroutine on the same loop; yields how often it ran."""
    turns = 0

    async def go_on() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0 if turns < 100 else 0.01)
            turns += 1

    task = asyncio.create_task(go_on())
    try:
        yield lambda: turns
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("name", [*DENIED, *LIMITED])
async def test_no_attempt_escapes_or_outlives_its_limits(name: str, canaries: Canaries) -> None:
    tools = registry()
    try:
        async with someone_beside() as turns:
            outcome = await run(tools, canaries.aim({**DENIED, **LIMITED}[name]))
            assert turns() > 0
    finally:
        await tools.aclose()

    canaries.check(outcome)
    assert len(outcome.content.encode()) <= MAX_CONTENT_BYTES
    # Never `timeout`, which is the backstop around every tool, and never `unavailable`, a sandbox that broke.
    assert outcome.error in ("code_error",) if name in DENIED else (None, "code_error")


def test_there_are_far_more_than_fifty_attempts_of_each_kind() -> None:
    assert len(DENIED) >= 50
    assert len(EXHAUSTION) >= 50
    assert not set(DENIED) & set(LIMITED)


async def test_the_canaries_detect_real_access(canaries: Canaries) -> None:
    """The attempts fail because they are stopped, not because there is nothing to find."""
    namespace: dict[str, object] = {}
    for name in ("open_read", "os_getenv"):
        attempt = canaries.aim(DENIED[name])
        exec("\n".join([*attempt.splitlines()[:-1], f"found = {attempt.splitlines()[-1]}"]), namespace)
        assert namespace["found"] == canaries.token
    reader, writer = await asyncio.open_connection("127.0.0.1", canaries.port)
    assert await reader.read() == b""
    writer.close()
    assert canaries.connections == 1


async def test_a_chat_continues_during_a_flood_of_hostile_code(canaries: Canaries) -> None:
    hostile = [canaries.aim(attempt) for attempt in EXHAUSTION.values()][:38] + ["while True:\n    pass"] * 12
    config = Catalog.model_validate(
        {
            "providers": {"mock": {"type": "mock"}},
            "models": {"talk": {"provider": "mock", "model": "mock", "context_window": 4096}},
            "tools": {"enabled": ["code"], "code": {"seconds": 0.25, "queue_seconds": 30}},
        }
    )
    async with agents.running_agent(config) as agent:
        tools = agent.resources.tools
        flood = [asyncio.create_task(run(tools, code)) for code in hostile]
        answered = 0
        while not all(task.done() for task in flood):
            events = await agents.run_turn(agent, agents.make_turn(f"Question {answered}", model="talk"))
            assert any(isinstance(event, TextDelta) for event in events)
            answered += 1
        outcomes = await asyncio.gather(*flood)

    assert len(outcomes) == 50
    assert answered >= 3
    for outcome in outcomes:
        canaries.check(outcome)
        assert outcome.error in (None, "code_error", "busy")


async def test_a_flood_delays_others_no_longer_than_the_queue_timeout() -> None:
    tools = registry(seconds=1, queue_seconds=0.1)
    try:
        flood = [asyncio.create_task(run(tools, "while True:\n    pass")) for _ in range(50)]
        outcomes = await asyncio.gather(*flood)
        assert sorted({str(outcome.error) for outcome in outcomes}) == ["busy", "code_error"]
        assert sum(outcome.error == "busy" for outcome in outcomes) >= 40
        assert (await run(tools, "6 * 7")).content == "Result:\n42"
    finally:
        await tools.aclose()


def test_isolation_is_available_here() -> None:
    assert detect_isolation().name in ("bwrap", "process")
