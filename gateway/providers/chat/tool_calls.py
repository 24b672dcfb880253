"""Puts vendors' pieces of tool calls into one order: first piece with id and name, then arguments only."""

from __future__ import annotations

import uuid
from collections.abc import Hashable
from dataclasses import dataclass

from gateway.domain.events import ToolCallDelta


@dataclass(slots=True)
class _Call:
    index: int
    id: str | None
    named: bool = False
    held: str = ""


class ToolCallPieces:
    """The tool calls of one answer."""

    def __init__(self) -> None:
        self._calls: dict[Hashable, _Call] = {}
        self._last: _Call | None = None

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def unnamed(self) -> bool:
        """Whether a call has begun whose name has not come: an answer cannot end so."""
        return any(not call.named for call in self._calls.values())

    def piece(
        self, key: Hashable | None, call_id: str | None, name: str | None, arguments: str
    ) -> ToolCallDelta | None:
        """The event for one piece, or None while the name is still to come.

        `key` is the vendor's index of the call; where it gives none, a piece with a name begins a new call
        and any other continues the last one. A call without an id gets one.
        """
        if key is None:
            call = None if name or self._last is None else self._last
            key = ("unkeyed", len(self._calls))
        else:
            call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = _Call(len(self._calls), call_id)
        self._last = call
        if call.named:
            return ToolCallDelta(call.index, arguments=arguments) if arguments else None
        call.id = call.id or call_id
        if not name:
            call.held += arguments
            return None
        call.named = True
        return ToolCallDelta(call.index, call.id or f"call_{uuid.uuid4().hex}", name, call.held + arguments)
