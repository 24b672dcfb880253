"""Running tools: arguments, timeouts, result sizes and crashes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.config.tools import ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.tools import current_time, registry
from gateway.tools.base import Tool, ToolArguments, ToolError
from gateway.tools.current_time import CurrentTimeArguments, CurrentTimeTool
from gateway.tools.registry import MAX_CONTENT_BYTES, ToolConfigurationError, ToolRegistry


def call(name: str, arguments: object) -> ToolCall:
    return ToolCall("call_1", name, arguments if isinstance(arguments, str) else json.dumps(arguments))


@pytest.fixture
def tools() -> ToolRegistry:
    return ToolRegistry(ToolsConfig(enabled=("calculator", "current_time")))


async def test_a_call_runs_the_tool(tools: ToolRegistry) -> None:
    outcome = await tools.run(call("calculator", {"expression": "17 * 23"}))

    assert outcome.ok
    assert outcome.content == "391"
    assert outcome.duration_ms >= 0


def test_only_enabled_tools_are_offered(tools: ToolRegistry) -> None:
    assert tools.names == ("calculator", "current_time")
    assert [spec.name for spec in tools.specs()] == ["calculator", "current_time"]
    assert [spec.name for spec in tools.specs(["current_time", "fetch"])] == ["current_time"]
    assert tools.specs([]) == ()
    assert ToolRegistry(ToolsConfig(enabled=())).specs() == ()


def test_a_spec_has_the_argument_schema(tools: ToolRegistry) -> None:
    spec = tools.specs(["calculator"])[0]

    assert spec.parameters["type"] == "object"
    assert spec.parameters["required"] == ["expression"]
    assert spec.parameters["additionalProperties"] is False


def test_an_unknown_name_in_the_configuration_is_reported_with_the_available_ones() -> None:
    with pytest.raises(ToolConfigurationError, match=r"'telepathy'.*calculator.*current_time"):
        ToolRegistry(ToolsConfig(enabled=("calculator", "telepathy")))


@pytest.mark.parametrize(
    ("name", "arguments", "hint"),
    [
        ("teleport", {}, "no such tool"),
        ("calculator", "{", "not valid JSON"),
        ("calculator", "[" * 30_000, "not valid JSON"),
        ("calculator", "[1]", "one JSON object"),
        ("calculator", "null", "one JSON object"),
        ("calculator", "", "expression"),
        ("calculator", {"expression": 3}, "valid string"),
        ("calculator", {"expression": "1", "mode": "fast"}, "mode"),
        ("calculator", {"expression": "1" * 2000}, "1000 characters"),
        ("calculator", "x" * 100_000, "longer than"),
        ("calculator", {"expression": "9**9**9"}, "1000 digits"),
        ("current_time", {"timezone": "Mars/Olympus"}, "no such time zone"),
        ("current_time", {"timezone": "../../etc/passwd"}, "no such time zone"),
        ("current_time", {"timezone": "Europe"}, "no such time zone"),
        ("current_time", {"timezone": "\x00"}, "no such time zone"),
    ],
)
async def test_a_models_mistake_becomes_a_message_for_it(
    tools: ToolRegistry, name: str, arguments: object, hint: str
) -> None:
    outcome = await tools.run(call(name, arguments))

    assert not outcome.ok
    assert hint in outcome.content


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_arguments_make_it_raise(arguments: str) -> None:
    outcome = asyncio.run(
        ToolRegistry(ToolsConfig(enabled=("calculator",))).run(ToolCall("1", "calculator", arguments))
    )

    assert isinstance(outcome.content, str)


class EchoArguments(ToolArguments):
    times: int = 1


class Echo(Tool[EchoArguments]):
    name = "echo"
    description = "For tests."
    timeout_seconds = 0.05
    arguments = EchoArguments

    async def run(self, arguments: EchoArguments) -> str:
        if arguments.times < 0:
            raise RuntimeError("secret detail")
        if arguments.times == 0:
            await asyncio.Event().wait()
        return "é" * arguments.times


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> ToolRegistry:
    monkeypatch.setattr(registry, "TOOLS", {"echo": ("", "")})
    monkeypatch.setattr(registry, "_load_class", lambda name: Echo)
    return ToolRegistry(ToolsConfig(enabled=("echo", "echo")))


async def test_a_hanging_tool_is_cancelled_at_its_timeout(echo: ToolRegistry) -> None:
    outcome = await asyncio.wait_for(echo.run(call("echo", {"times": 0})), 30)

    assert not outcome.ok
    assert "0.05 seconds" in outcome.content


async def test_a_long_result_is_truncated_at_a_character(echo: ToolRegistry) -> None:
    outcome = await echo.run(call("echo", {"times": 100_000}))

    assert outcome.ok
    assert MAX_CONTENT_BYTES - 2 <= len(outcome.content.encode()) <= MAX_CONTENT_BYTES
    assert outcome.content.endswith("longer than this]")


async def test_a_crash_does_not_end_the_turn_or_reveal_details(echo: ToolRegistry) -> None:
    outcome = await echo.run(call("echo", {"times": -1}))

    assert not outcome.ok
    assert "secret" not in outcome.content


async def test_a_cancelled_turn_cancels_its_tool(echo: ToolRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echo, "timeout_seconds", 60.0)
    running = asyncio.create_task(echo.run(call("echo", {"times": 0})))
    await asyncio.sleep(0)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


def noon() -> datetime:
    return datetime(2024, 12, 31, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "2024-12-31T15:30:00+00:00 (Tuesday, UTC, week 1); UTC 2024-12-31T15:30:00+00:00"),
        (
            "Asia/Seoul",
            "2025-01-01T00:30:00+09:00 (Wednesday, Asia/Seoul, week 1); UTC 2024-12-31T15:30:00+00:00",
        ),
        (" ", "2024-12-31T15:30:00+00:00 (Tuesday, UTC, week 1); UTC 2024-12-31T15:30:00+00:00"),
    ],
)
async def test_the_time_is_returned_for_the_requested_zone(zone: str, text: str) -> None:
    assert await CurrentTimeTool(ToolsConfig(), noon).run(CurrentTimeArguments(timezone=zone)) == text


async def test_the_clock_is_the_systems() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    returned = datetime.fromisoformat(
        (await CurrentTimeTool(ToolsConfig()).run(CurrentTimeArguments())).split()[0]
    )

    assert before <= returned <= datetime.now(UTC)


async def test_without_a_zone_database_only_utc_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise current_time.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(current_time, "ZoneInfo", missing)
    clock = CurrentTimeTool(ToolsConfig(), noon)

    assert (await clock.run(CurrentTimeArguments())).startswith("2024-12-31T15:30:00+00:00")
    with pytest.raises(ToolError, match="no time zone database"):
        await clock.run(CurrentTimeArguments(timezone="Asia/Seoul"))
