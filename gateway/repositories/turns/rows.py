"""Converts result rows of turn statements to domain objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import asyncpg
import orjson

from gateway.domain.conversations.branch import Branch, StoredParts, build_branch
from gateway.domain.conversations.stored_messages import calls_from_storage, from_storage, vendor_from_storage
from gateway.domain.messages import Message
from gateway.domain.usage.budgets import BudgetState


def _stored_parts(calls: list[dict[str, Any]]) -> StoredParts:
    return StoredParts(tool_calls=calls_from_storage(calls), vendor=vendor_from_storage(calls))


def parse_branch(row: asyncpg.Record | None) -> Branch:
    """Build the branch from the columns of `statements._BRANCH_COLUMNS`."""
    if row is None or row["ids"] is None:
        return Branch()
    extras = {
        at: StoredParts(messages=from_storage(orjson.loads(text)))
        if row["roles"][at] == "user"
        else _stored_parts(orjson.loads(text))
        for at, text in enumerate(row["extras"])
        if text is not None
    }
    return build_branch(row["ids"], row["roles"], row["contents"], row["summary"], extras)


def parse_question(row: asyncpg.Record) -> tuple[Message, ...]:
    """Return the question's messages."""
    if row["messages"] is None:
        return (Message("user", row["content"]),)
    return from_storage(orjson.loads(row["messages"]))


def parse_budget(row: asyncpg.Record) -> BudgetState:
    """Read the budget's columns."""
    return BudgetState(
        row["tokens_used"],
        row["tokens_reserved"],
        row["usd_used"],
        row["usd_reserved"],
        row["stored_bytes"],
    )


def parse_granted_budget(row: asyncpg.Record) -> BudgetState:
    """Read the budget's columns and what was granted of the reservation."""
    return replace(
        parse_budget(row),
        granted_tokens=row["granted_tokens"],
        granted_usd=row["granted_usd"],
        spare_tokens=row["spare_tokens"],
    )
