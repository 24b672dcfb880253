"""Tools of MCP servers over stdio and HTTP: discovery, calls and failures."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.config.tools import ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.tools.mcp import session
from gateway.tools.mcp.server import MAX_NAME_CHARACTERS, tool_name
from gateway.tools.registry import ToolConfigurationError, ToolRegistry
from gateway.tools.result import ToolResult
from tests.support.upstreams import mcp_stdio
from tests.support.upstreams.mcp_http import McpHttpServer

STDIO = [mcp_stdio.__file__]


def settings(**server: Any) -> ToolsConfig:
    config = server or {"command": sys.executable, "args": STDIO}
    return ToolsConfig.model_validate({"enabled": ["calculator", "files"], "mcp": {"files": config}})


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - another process's doing has no event here
            await asyncio.sleep(0.01)


@asynccontextmanager
async def registry(config: ToolsConfig, *, found: bool = True) -> AsyncIterator[ToolRegistry]:
    tools = ToolRegistry(config)
    tools.open()
    try:
        if found:
            await eventually(lambda: len(tools.names) > 1)
        yield tools
    finally:
        await tools.aclose()


async def ask(tools: ToolRegistry, name: str, **arguments: Any) -> ToolResult:
    return await asyncio.wait_for(tools.run(ToolCall("1", name, json.dumps(arguments))), 30)


def alive(pid: int) -> bool:
    """Whether a process runs and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children() -> set[int]:
    tasks = Path(f"/proc/{os.getpid()}/task")
    found = (int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split())
    return {pid for pid in found if alive(pid)}


async def test_tools_of_a_server_are_named_after_it_and_run() -> None:
    async with registry(settings()) as tools:
        specs = {spec.name: spec for spec in tools.specs()}
        outcome = await ask(tools, "files__echo", text="hello")

    assert specs["files__echo"].description == "Test tool echo."
    assert specs["files__echo"].parameters["properties"] == {"text": {"type": "string"}}
    assert "files__closing_tag_of_an_envelope" in specs
    assert "files__huge_schema" not in specs
    assert "files__no_object" not in specs
    assert (outcome.ok, outcome.content, outcome.untrusted) == (True, "hello", True)


async def test_a_request_may_name_the_server_or_one_of_its_tools() -> None:
    async with registry(settings()) as tools:
        assert "files__echo" in {spec.name for spec in tools.specs(["files"])}
        assert [spec.name for spec in tools.specs(["files__echo"])] == ["files__echo"]
        assert [spec.name for spec in tools.specs(["calculator"])] == ["calculator"]
        assert tools.find_unknown(["files", "files__echo", "calculator", "telepathy", "other__x"]) == [
            "telepathy",
            "other__x",
        ]
        refused = await tools.run(ToolCall("1", "files__echo", '{"text": "x"}'), ["calculator"])
    assert (refused.ok, refused.error) == (False, "unknown_tool")
    assert "files__" not in refused.content


async def test_the_configuration_may_enable_single_tools_or_a_list() -> None:
    listed = {"command": sys.executable, "args": STDIO, "tools": ["echo", "fails"]}
    async with registry(settings(**listed)) as tools:
        assert tools.names == ("calculator", "files__echo", "files__fails")
    single = ToolsConfig.model_validate(
        {"enabled": ["files__fails"], "mcp": {"files": {"command": sys.executable, "args": STDIO}}}
    )
    tools = ToolRegistry(single)
    tools.open()
    try:
        await eventually(lambda: tools.names == ("files__fails",))
    finally:
        await tools.aclose()


async def test_a_server_gets_path_and_configured_variables_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JWT_SECRET", "not for children")
    config = settings(command=sys.executable, args=STDIO, env={"TOKEN": "t"})
    async with registry(config) as tools:
        outcome = await ask(tools, "files__environment")
    # Python itself sets LC_CTYPE if there is no locale.
    assert set(json.loads(outcome.content)) - {"LC_CTYPE"} == {"PATH", "TOKEN"}


async def test_content_that_is_not_text_is_replaced_by_a_note() -> None:
    async with registry(settings()) as tools:
        image = await ask(tools, "files__picture")
        binary = await ask(tools, "files__binary")
    assert image.content == (
        "Before.\n[image (image/png), left out]\n[link to the resource report, left out]"
    )
    assert binary.content == "[binary data, left out]"


async def test_a_tool_that_reports_an_error_is_quoted_as_untrusted() -> None:
    async with registry(settings()) as tools:
        outcome = await ask(tools, "files__fails")
    assert (outcome.ok, outcome.content, outcome.untrusted) == (False, "The disk is full.", True)


async def test_stray_lines_on_stdout_are_ignored() -> None:
    async with registry(settings()) as tools:
        assert (await ask(tools, "files__stray_lines")).content == "still here"
        assert (await ask(tools, "files__echo", text="again")).content == "again"


async def test_a_hanging_call_times_out_and_the_server_stays_usable() -> None:
    config = settings(command=sys.executable, args=STDIO, timeout_seconds=0.3)
    async with registry(config) as tools:
        hung = await ask(tools, "files__hangs")
        # The test server continues reading during a hanging call, so it is not restarted.
        again = await ask(tools, "files__echo", text="again")
    assert (hung.ok, hung.error) == (False, "timeout")
    assert again.content == "again"


@pytest.mark.parametrize("name", ["files__dies", "files__endless_line", "files__chatters"])
async def test_a_server_that_dies_or_floods_fails_one_call_and_is_restarted(name: str) -> None:
    async with registry(settings()) as tools:
        lost = await ask(tools, name)
        found: list[ToolResult] = []
        async with asyncio.timeout(30):
            while not (found and found[-1].ok):
                await asyncio.sleep(0.05)
                found.append(await ask(tools, "files__echo", text="back"))
    assert (lost.ok, lost.error) == (False, "unreachable")
    assert found[-1].content == "back"


async def test_an_unresponsive_server_delays_nothing_and_offers_no_tools() -> None:
    config = settings(command=sys.executable, args=[*STDIO, "--mute"])
    async with registry(config, found=False) as tools:
        assert tools.names == ("calculator",)
        outcome = await ask(tools, "files__echo", text="x")
        assert (await ask(tools, "calculator", expression="2+2")).content == "4"
    assert (outcome.ok, outcome.error) == (False, "unknown_tool")


async def test_a_missing_command_only_has_no_tools() -> None:
    async with registry(settings(command="no-such-command-anywhere"), found=False) as tools:
        assert (await ask(tools, "calculator", expression="2+2")).content == "4"
        assert tools.names == ("calculator",)


@pytest.mark.parametrize("flags", [[], ["--deaf"]])
async def test_no_server_process_remains_when_the_gateway_closes(flags: list[str]) -> None:
    before = children()
    async with registry(settings(command=sys.executable, args=[*STDIO, *flags])) as tools:
        grandchild = int((await ask(tools, "files__spawns")).content)
        assert alive(grandchild)
        assert len(children() - before) == 1
    await eventually(lambda: not alive(grandchild))
    assert children() <= before


GATEWAY = """
import asyncio, sys
from gateway.domain.config.tools import ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.tools.registry import ToolRegistry

async def main():
    server = {"command": sys.executable, "args": [sys.argv[1], "--deaf"]}
    tools = ToolRegistry(ToolsConfig.model_validate({"enabled": ["files"], "mcp": {"files": server}}))
    tools.open()
    while not tools.names:
        await asyncio.sleep(0.01)
    print((await tools.run(ToolCall("1", "files__spawns", "{}"))).content, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_no_server_process_remains_when_the_gateway_is_killed() -> None:
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GATEWAY, *STDIO, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert gateway.stdout is not None
        line = b""
        async with asyncio.timeout(60):
            while not line.strip().isdigit():  # log lines are on stdout too
                line = await gateway.stdout.readline()
        grandchild = int(line)
        server = parent_of(grandchild)
    finally:
        gateway.send_signal(signal.SIGKILL)
        await gateway.wait()
    await eventually(lambda: not alive(server) and not alive(grandchild))


async def test_an_http_server_gets_its_headers_and_is_reconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "PING_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(session, "MIN_RETRY_SECONDS", 0.01)
    async with McpHttpServer() as server:
        config = settings(url=server.url, headers={"Authorization": "Bearer t"})
        async with registry(config) as tools:
            first = await ask(tools, "files__echo", text="one")
            server.stop()
            away = await ask(tools, "files__echo", text="two")
            names = tools.names
            await server.start()
            async with asyncio.timeout(30):
                while not (back := await ask(tools, "files__echo", text="three")).ok:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
    assert {headers.get("authorization") for headers, _ in server.requests} == {"Bearer t"}
    assert (first.content, back.content) == ("one", "three")
    assert (away.ok, away.error) == (False, "unreachable")
    assert "files__echo" in names
    calls = [body for _, body in server.requests if body["method"] == "tools/call"]
    assert [body["params"]["arguments"]["text"] for body in calls] == ["one", "three"]


async def test_an_endless_http_response_is_aborted() -> None:
    async with McpHttpServer() as server, registry(settings(url=server.url)) as tools:
        server.floods = True
        outcome = await ask(tools, "files__echo", text="x")
    assert (outcome.ok, outcome.error) == (False, "unreachable")


async def test_a_hanging_http_server_does_not_block_closing() -> None:
    async with McpHttpServer() as server, registry(settings(url=server.url, timeout_seconds=0.2)) as tools:
        outcome = await ask(tools, "files__hangs")
    assert outcome.error == "timeout"


def test_tool_names_are_valid_for_every_vendor_and_unique() -> None:
    taken: dict[str, object] = {}
    for tool in ("a.b", "a b", "a_b", "x" * 100, "x" * 101, "한국어"):
        taken[tool_name("files", tool, taken=taken)] = tool
    assert len(taken) == 6
    assert all(len(name) <= MAX_NAME_CHARACTERS for name in taken)
    assert all(name.replace("_", "").replace("-", "").isalnum() and name.isascii() for name in taken)


def test_a_server_may_not_have_the_name_of_a_tool() -> None:
    config = {"enabled": ["calculator"], "mcp": {"calculator": {"command": "x"}}}
    with pytest.raises(ToolConfigurationError, match="built-in tool"):
        ToolRegistry(ToolsConfig.model_validate(config))


@pytest.mark.parametrize(
    "server",
    [
        {},
        {"command": "x", "url": "http://localhost/mcp"},
        {"url": "ftp://localhost"},
        {"url": "http://localhost/mcp", "env": {"A": "b"}},
        {"command": "x", "headers": {"A": "b"}},
        {"command": "x", "env": {"A,B": "c"}},
        {"command": "x", "timeout_seconds": 0},
    ],
)
def test_an_invalid_server_configuration_stops_the_start(server: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="mcp"):
        ToolsConfig.model_validate({"mcp": {"files": server}})


@pytest.mark.parametrize("name", ["a__b", "_a", "a_", "1a", "a b", "é", "a" * 33])
def test_a_servers_name_is_part_of_a_functions_name(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        ToolsConfig.model_validate({"mcp": {name: {"command": "x"}}})
