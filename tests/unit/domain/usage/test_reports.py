"""Date ranges, and the cursors of lists of totals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.exceptions import ValidationFailed
from gateway.domain.pagination import TotalsCursor
from gateway.domain.usage.reports import DateRange

NOW = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)


def test_the_default_range_is_thirty_days_including_today() -> None:
    during = DateRange.parse(None, None, None, NOW)
    assert (during.start, during.end) == (
        datetime(2026, 3, 2, tzinfo=UTC),
        datetime(2026, 4, 1, tzinfo=UTC),
    )
    assert len(during.days()) == 30


def test_today_depends_on_the_zone() -> None:
    during = DateRange.parse(None, None, "Asia/Seoul", NOW)
    assert during.days()[-1] == date(2026, 4, 1)
    assert during.end == datetime(2026, 4, 1, 15, tzinfo=UTC)


def test_a_date_is_a_whole_day_and_a_time_is_exact() -> None:
    assert DateRange.parse("2026-01-05", "2026-01-05", None, NOW).days() == [date(2026, 1, 5)]
    during = DateRange.parse("2026-01-05T10:00:00+09:00", "2026-01-05T12:00:00Z", None, NOW)
    assert during.end - during.start == timedelta(hours=11)
    assert DateRange.parse("2026-01-05T10:00", "2026-01-06", "Asia/Seoul", NOW).start == datetime(
        2026, 1, 5, 1, tzinfo=UTC
    )


def test_a_day_on_which_clocks_change_is_shorter() -> None:
    during = DateRange.parse("2026-03-28", "2026-03-30", "Europe/Berlin", NOW)
    parts = [during.clip_to_day(day) for day in during.days()]
    assert [(part.end - part.start) / timedelta(hours=1) for part in parts] == [24, 23, 24]
    assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]


@pytest.mark.parametrize(
    ("start", "end", "tz", "param"),
    [
        ("2026-01-02", "2026-01-01", None, "from"),
        ("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z", None, "from"),
        ("2024-01-01", "2026-01-01", None, "to"),
        ("yesterday", None, None, "from"),
        ("2026-02-30", None, None, "from"),
        (None, "0001-01-01", None, "to"),
        (None, "9999-12-31", None, "to"),
        ("2026-W01-1", None, None, "from"),
        (None, None, "Mars/Olympus", "tz"),
        (None, None, "../../etc/passwd", "tz"),
        (None, None, "America", "tz"),
        (None, None, "x" * 64, "tz"),
    ],
)
def test_an_invalid_range_is_rejected(start: str | None, end: str | None, tz: str | None, param: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        DateRange.parse(start, end, tz, NOW)
    assert refused.value.param == param


@given(
    start=st.one_of(st.none(), st.text(max_size=40)),
    end=st.one_of(st.none(), st.text(max_size=40)),
    tz=st.one_of(st.none(), st.text(max_size=64), st.sampled_from(["UTC", "Asia/Seoul", "America/Lima"])),
)
def test_any_text_is_a_range_or_rejected(start: str | None, end: str | None, tz: str | None) -> None:
    try:
        during = DateRange.parse(start, end, tz, NOW)
    except ValidationFailed:
        return
    assert during.start < during.end
    assert 1 <= len(during.days()) <= 368


@given(day=st.dates(), model=st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=200))
def test_a_cursor_round_trips_and_others_are_rejected(day: date, model: str) -> None:
    cursor = TotalsCursor(day, model, uuid4())
    text = cursor.encode()
    assert TotalsCursor.decode(text) == cursor
    for broken in (
        text[:-1],
        text + "A",
        text[:5] + ("A" if text[5] != "A" else "B") + text[6:],
        "",
        "é" * 40,
    ):
        with pytest.raises(ValidationFailed):
            TotalsCursor.decode(broken)


def test_a_cursor_may_have_no_account() -> None:
    cursor = TotalsCursor(date(2026, 1, 1), "a model", None)
    assert TotalsCursor.decode(cursor.encode()) == cursor
