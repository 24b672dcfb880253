"""The code tool from a model's view: results, errors, limits, queue and shutdown."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.domain.config.code_tool import CodeConfig
from gateway.domain.config.tools import ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.tools.code import sandbox
from gateway.tools.code.isolation import Isolation
from gateway.tools.code.tool import CodeTool
from gateway.tools.registry import ToolRegistry
from gateway.tools.result import MAX_CONTENT_BYTES, ToolResult

FOREVER = "while True:\n    pass"


def registry(**config: Any) -> ToolRegistry:
    return ToolRegistry(ToolsConfig(enabled=("code",), code=CodeConfig(**config)))


async def run(tools: ToolRegistry, code: str) -> ToolResult:
    return await tools.run(ToolCall("call_1", "code", json.dumps({"code": code})))


@pytest.fixture
async def tools() -> AsyncIterator[ToolRegistry]:
    made = registry()
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("6 * 7", "Result:\n42"),
        ("print('a', 'b')\nprint('c')", "Output:\na b\nc"),
        ("print('a')\nsum(range(5))", "Output:\na\n\nResult:\n10"),
        ("x = 1", "The program finished, printed nothing, and its last line has no value."),
        ("import math\nmath.comb(52, 5)", "Result:\n2598960"),
        ("'한국어 ✓'", "Result:\n한국어 ✓"),
        ("import sys\nprint('w', file=sys.stderr)", "Output:\nw"),
        ("def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\nf(15)", "Result:\n610"),
        ("import json\njson.loads('[1, {\"a\": 2}]')[1]['a']", "Result:\n2"),
        ("[x for x in 'abc' if x != 'b']", "Result:\n['a', 'c']"),
        ("import asyncio\nasync def f():\n    return 5\nawait f()", "Result:\n5"),
    ],
)
async def test_a_program_returns_its_output(tools: ToolRegistry, code: str, content: str) -> None:
    outcome = await run(tools, code)

    assert outcome.ok
    assert outcome.content == content


async def test_each_module_of_the_description_is_importable(tools: ToolRegistry) -> None:
    promised = CodeTool.description.partition("Importable: ")[2].rstrip(".").split(", ")

    outcome = await run(tools, "\n".join(f"import {module}" for module in promised))

    assert len(promised) > 20
    assert outcome.ok


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\n1 / 0", "line 2"),
        ("x = 1\n1 / 0", "ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
        ("x = 1\nundefined", "NameError: name 'undefined' is not defined"),
        ("x = 1\nundefined()", "NameError: name 'undefined' is not defined here (line 2)"),
        ("import numpy", "No module named 'numpy'"),
        ("class A(Exception): pass", "does not yet support class inheritance"),
        ("print('before')\nraise ValueError('after')", "Output:\nbefore"),
    ],
)
async def test_an_error_has_the_traceback(tools: ToolRegistry, code: str, words: str) -> None:
    outcome = await run(tools, code)

    assert not outcome.ok
    assert outcome.error == "code_error"
    assert words in outcome.content
    assert "/proc" not in outcome.content


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"code": ""}', "code"),
        ('{"code": "1", "timeout": 900}', "timeout"),
        ('{"code": "\\ud800"}', "unicode"),
        (json.dumps({"code": "x" * 40_000}), "code"),
        ('{"code": 5}', "code"),
        ("{}", "code"),
    ],
)
async def test_invalid_arguments_are_reported(tools: ToolRegistry, arguments: str, words: str) -> None:
    outcome = await tools.run(ToolCall("call_1", "code", arguments))

    assert not outcome.ok
    assert "The arguments do not fit code" in outcome.content
    assert words in outcome.content


@pytest.mark.parametrize(
    "code",
    [
        "while True: print('x' * 1000)",
        "print('é' * 30_000)",
        "'x' * 1_000_000",
        "raise ValueError('y' * 1_000_000)",
        "print('\\x00\\x01\\x1b[2J' * 5000)",
    ],
)
async def test_output_is_bounded_text(tools: ToolRegistry, code: str) -> None:
    content = (await run(tools, code)).content

    assert len(content.encode()) <= MAX_CONTENT_BYTES
    assert "\x00" not in content
    assert "\x1b" not in content


async def test_a_timeout_is_reported_with_the_previous_output() -> None:
    tools = registry(seconds=0.5)
    try:
        outcome = await run(tools, f"print('begun', flush=True)\n{FOREVER}")
    finally:
        await tools.aclose()

    assert not outcome.ok
    assert "begun" in outcome.content
    assert "Error:" in outcome.content


async def test_runs_share_no_state(tools: ToolRegistry) -> None:
    assert (await run(tools, "secret = 'kept'")).ok
    assert "is not defined" in (await run(tools, "secret")).content


async def test_a_run_that_waits_too_long_is_busy() -> None:
    tools = registry(processes=1, seconds=1, queue_seconds=0.05)
    try:
        outcomes = await asyncio.gather(*(run(tools, FOREVER if n == 0 else "1") for n in range(4)))
    finally:
        await tools.aclose()

    assert [outcome.error for outcome in outcomes] == ["code_error", "busy", "busy", "busy"]


async def test_a_cancelled_run_releases_its_permit(monkeypatch: pytest.MonkeyPatch) -> None:
    started = asyncio.Event()
    announce_start(started, monkeypatch)
    tools = registry(processes=1, seconds=20, queue_seconds=30)
    try:
        task = asyncio.create_task(run(tools, FOREVER))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await run(tools, "1 + 1")).content == "Result:\n2"
    finally:
        await tools.aclose()


async def test_closing_ends_running_and_waiting_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    started = asyncio.Event()
    announce_start(started, monkeypatch)
    tools = registry(processes=1, seconds=20, queue_seconds=30)
    tasks = [asyncio.create_task(run(tools, FOREVER)) for _ in range(3)]
    await started.wait()

    await tools.aclose()

    assert {outcome.error for outcome in await asyncio.gather(*tasks)} == {"unavailable"}
    assert (await run(tools, "1")).error == "unavailable"


async def test_a_machine_without_isolation_returns_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "detect_isolation", lambda: Isolation("none", "nothing here"))
    tools = registry()
    try:
        assert (await run(tools, "1")).error == "unavailable"
        monkeypatch.setattr(
            sandbox, "detect_isolation", lambda: Isolation("process", "", interpreter="/nowhere")
        )
        assert (await run(tools, "1")).error == "unavailable"
        monkeypatch.setattr(
            sandbox, "detect_isolation", lambda: Isolation("process", "", command_prefix=("/nowhere",))
        )
        assert (await run(tools, "1")).error == "unavailable"
    finally:
        await tools.aclose()


async def test_with_require_bwrap_nothing_runs_without_bwrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "detect_isolation", lambda: Isolation("process", ""))
    tools = registry(require_bwrap=True)
    try:
        assert (await run(tools, "1")).error == "unavailable"
    finally:
        await tools.aclose()


async def test_runs_leave_no_file_descriptor_and_no_process(tools: ToolRegistry) -> None:
    await run(tools, "1")  # warm up threads and other one-time resources
    before = len(os.listdir("/proc/self/fd"))

    await asyncio.gather(*(run(tools, "1") for _ in range(10)))

    assert len(os.listdir("/proc/self/fd")) == before


def announce_start(started: asyncio.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the event when a program has started, which is when its priority is lowered."""
    loop = asyncio.get_running_loop()
    setpriority = os.setpriority

    def announcing(*arguments: int) -> None:
        loop.call_soon_threadsafe(started.set)
        setpriority(*arguments)

    monkeypatch.setattr(os, "setpriority", announcing)
