"""Query parameters of paginated lists and date ranges."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Cursor = Annotated[str | None, Query(description="`next_cursor` of the previous page.")]
Limit = Annotated[int, Query(ge=1, le=100)]
FromDate = Annotated[
    str | None,
    Query(alias="from", max_length=40, description="a date, or an RFC 3339 time"),
]
ToDate = Annotated[
    str | None,
    Query(alias="to", max_length=40, description="a date (inclusive), or a time (exclusive)"),
]
TimeZoneName = Annotated[str | None, Query(max_length=64, description="an IANA time zone for the days")]
