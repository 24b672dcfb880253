"""Puts vendors' pieces of tool calls into one order: first piece with id and name, then arguments only."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.domain.events import ToolCallDelta
from gateway.domain.messages import ToolCall

_NO_ARGUMENTS = "{}"


@dataclass(slots=True)
class _Call:
    index: int
    id: str | None
    vendors_id: str | None = None
    name: str | None = None
    held: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether its arguments are a whole JSON object, which nothing can continue."""
        try:
            return isinstance(orjson.loads("".join(self.held)), dict)
        except ValueError:
            return False


class ToolCallPieces:
    """The tool calls of one answer.

    A vendor's index says which call a piece belongs to, unless its id says otherwise: an id that differs from
    the call's begins another call. Without an index the id decides, and without both a name begins a call.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_key: dict[Hashable, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._last: _Call | None = None

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def unnamed(self) -> bool:
        """Whether a call has begun whose name has not come: an answer cannot end so."""
        return any(call.name is None for call in self._calls)

    @property
    def extra(self) -> bool:
        """Whether a call has further fields."""
        return any(call.extra for call in self._calls)

    def piece(
        self,
        key: Hashable | None,
        call_id: str | None,
        name: str | None,
        arguments: str,
        extra: Mapping[str, Any] | None = None,
    ) -> ToolCallDelta | None:
        """The event for one piece, or None while the name is still to come.

        Args:
            key: the vendor's index of the call, None where it gives none.
            call_id: the vendor's id; a call without one gets one.
            extra: further fields of the vendor's call.
        """
        call = self._find(key, call_id or None, name, arguments) or self._begin(call_id or None)
        if key is not None:
            self._by_key[key] = call
        if call_id:
            self._by_id[call_id] = call
            call.vendors_id = call_id
        self._last = call
        if extra:
            call.extra.update(extra)
        call.held.append(arguments)
        if call.name is not None:
            return (
                ToolCallDelta(call.index, None, None, arguments, extra or {}) if arguments or extra else None
            )
        call.id = call.id or call_id or None
        if not name:
            return None
        call.name = name
        call.id = call.id or f"call_{uuid.uuid4().hex}"
        return ToolCallDelta(call.index, call.id, name, "".join(call.held), dict(call.extra))

    def finish(self) -> list[ToolCallDelta]:
        """At the answer's end: `{}` for each call that came without arguments."""
        empty = [call for call in self._calls if call.name is not None and not "".join(call.held).strip()]
        for call in empty:
            call.held.append(_NO_ARGUMENTS)
        return [ToolCallDelta(call.index, arguments=_NO_ARGUMENTS) for call in empty]

    def _begin(self, call_id: str | None) -> _Call:
        call = _Call(len(self._calls), call_id)
        self._calls.append(call)
        return call

    def _find(
        self, key: Hashable | None, call_id: str | None, name: str | None, arguments: str
    ) -> _Call | None:
        """The call that the piece continues, None where it begins one."""
        at_key = self._by_key.get(key) if key is not None else None
        if call_id is not None:
            known = self._by_id.get(call_id)
            if known is None and at_key is not None and at_key.vendors_id is None:
                known = at_key  # its id comes late
        else:
            known = at_key if key is not None else self._last
        if known is None or not name or known.name is None:
            return known
        if key is None and call_id is None:
            goes_on = known.name == name and "".join(known.held).strip() and not known.complete
            return known if goes_on else None
        # A vendor may give one index or one id to several calls: a whole one cannot go on.
        another = bool(arguments.strip()) or (key is not None and at_key is None)
        return None if another and known.complete else known


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The arguments as an object; a call whose JSON the model got wrong is kept as text under one key."""
    try:
        value = orjson.loads(call.arguments.strip() or "{}")
    except orjson.JSONDecodeError:
        return {"arguments": call.arguments}
    return value if isinstance(value, dict) else {"arguments": value}
