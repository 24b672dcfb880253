"""Base class of repositories that run inside a unit of work."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession


class Repository:
    """Queries over the session of one unit of work; never commits.

    Every method that touches a user's data takes its `user_id` and puts it in the WHERE clause.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
