"""The query parameters of lists that come in pages, and of ranges of days."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=100)]
FromDate = Annotated[
    str | None,
    Query(alias="from", max_length=40, description="a date, or a time of RFC 3339"),
]
ToDate = Annotated[
    str | None,
    Query(alias="to", max_length=40, description="a date, its day included, or a time, itself not"),
]
TimeZoneName = Annotated[
    str | None, Query(max_length=64, description="an IANA time zone, whose days these are")
]
