"""Base of all repositories: queries of one aggregate, inside one unit of work."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession


class Repository:
    """Queries over the session of the unit of work that made it; never commits.

    Every method that touches a user's thing takes its `user_id` and puts it in the WHERE clause.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
