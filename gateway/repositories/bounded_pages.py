"""Pages bounded in rows and in bytes, to protect the worker's memory."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Select, Subquery, func, select

MAX_PAGE_BYTES: Final = 8 * 1024 * 1024


def bounded_page(rows: Select[Any], limit: int, *, newest_first: bool = False) -> Subquery:
    """Select the first row ids: at most `limit`, none after `MAX_PAGE_BYTES`.

    Args:
        rows: the columns `id`, `at` (the order, together with the id) and `size`, in that order.

    Returns:
        The columns `id` and `more`, whether further rows follow.
    """
    page = rows.limit(limit + 1).subquery()
    order = (page.c.at.desc(), page.c.id.desc()) if newest_first else (page.c.at, page.c.id)
    summed = select(
        page.c.id,
        (func.sum(page.c.size).over(order_by=order) - page.c.size).label("before"),
        func.row_number().over(order_by=order).label("place"),
        func.count().over().label("found"),
    ).subquery()
    fitting = select(summed.c.id, summed.c.found, func.count().over().label("included")).where(
        summed.c.before < MAX_PAGE_BYTES, summed.c.place <= limit
    )
    included = fitting.subquery()
    return select(included.c.id, (included.c.found > included.c.included).label("more")).subquery()
