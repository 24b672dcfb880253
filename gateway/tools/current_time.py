"""The tool `current_time`: date and time in a time zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from gateway.domain.config.tools import ToolsConfig
from gateway.tools.base import Tool, ToolArguments, ToolError


class CurrentTimeArguments(ToolArguments):
    timezone: str = Field(
        default="UTC",
        max_length=64,
        description="IANA name of a time zone, such as UTC, Asia/Seoul or Europe/Berlin.",
    )


def _now() -> datetime:
    return datetime.now(UTC)


class CurrentTimeTool(Tool[CurrentTimeArguments]):
    """Returns the current time; `clock` returns an aware datetime."""

    name = "current_time"
    description = (
        "The current date, weekday and time. Use it whenever an answer depends on today's date or on the "
        "present time somewhere. Give an IANA time zone for local time."
    )
    timeout_seconds = 2.0
    arguments = CurrentTimeArguments

    def __init__(self, config: ToolsConfig, clock: Callable[[], datetime] = _now) -> None:
        super().__init__(config)
        self._clock = clock

    async def run(self, arguments: CurrentTimeArguments) -> str:
        zone_name = arguments.timezone.strip() or "UTC"
        moment = self._clock()
        local = moment.astimezone(_load_zone(zone_name))
        return (
            f"{local.isoformat(timespec='seconds')} ({_WEEKDAYS[local.weekday()]}, {zone_name}, "
            f"week {local.isocalendar().week}); UTC {moment.astimezone(UTC).isoformat(timespec='seconds')}"
        )


# Not strftime, whose names depend on the process's locale.
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _load_zone(name: str) -> tzinfo:
    if name.upper() in {"UTC", "Z", "GMT"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # OSError: the name is a folder of the zone database, such as "Europe", or too long for a file name.
        raise ToolError(_unknown_zone_message()) from None


def _unknown_zone_message() -> str:
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        return "This machine has no time zone database, so only UTC is available; use the timezone UTC."
    return "There is no such time zone; use an IANA name such as Asia/Seoul, America/New_York or UTC."
