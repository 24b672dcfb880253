"""Assembles tool call fragments.

The first delta of a call has id and name, the others only arguments.
"""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.domain.events import ToolCallDelta

_NO_ARGUMENTS = "{}"


@dataclass(slots=True)
class _PartialCall:
    index: int
    id: str | None
    vendor_id: str | None = None
    name: str | None = None
    # Whether the first event was emitted. It waits for the next fragment, as a name may come in fragments.
    started: bool = False
    argument_parts: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> str:
        return "".join(self.argument_parts)

    @property
    def is_complete(self) -> bool:
        """Whether the arguments are a complete JSON object, which no fragment can continue."""
        try:
            return isinstance(orjson.loads(self.arguments), dict)
        except ValueError:
            return False


class ToolCallAssembler:
    """Assembles the tool calls of one answer.

    The vendor's index says which call a fragment belongs to, but an id that differs from that call's starts
    another call. Without an index the id decides; without both, a name starts a call.
    """

    def __init__(self) -> None:
        self._calls: list[_PartialCall] = []
        self._by_key: dict[Hashable, _PartialCall] = {}
        self._by_id: dict[str, _PartialCall] = {}
        self._ids: set[str] = set()
        # Named calls whose first event was not emitted yet.
        self._unstarted: dict[int, _PartialCall] = {}
        self._last: _PartialCall | None = None

    def __len__(self) -> int:
        return sum(not _is_empty(call) for call in self._calls)

    @property
    def has_unnamed_call(self) -> bool:
        """Whether a call has no name yet; a complete answer has none."""
        return any(call.name is None and not _is_empty(call) for call in self._calls)

    @property
    def has_extra_fields(self) -> bool:
        """Whether any call has extra fields."""
        return any(call.extra for call in self._calls)

    def add_piece(
        self,
        key: Hashable | None,
        call_id: str | None,
        name: str | None,
        arguments: str,
        extra: Mapping[str, Any] | None = None,
        *,
        is_complete: bool = False,
    ) -> list[ToolCallDelta]:
        """Return the events of one fragment; none while the name may still continue.

        Args:
            key: the vendor's index of the call, None if it has none.
            call_id: the vendor's id; a call without one, or with that of another call, gets a new id.
            extra: vendor-specific fields of the call.
            is_complete: the fragment is a complete call, of a response that was not streamed.
        """
        call_id = call_id or None
        known = None if is_complete else self._find_call(key, call_id, name, arguments)
        call = known or self._new_call(call_id)
        events = self._start_earlier_calls(call)
        if key is not None:
            self._by_key[key] = call
        if call_id:
            self._by_id[call_id] = call
            call.vendor_id = call_id
        self._last = call
        if extra:
            call.extra.update(extra)
        if name and call.started and call.name == name and arguments and arguments.startswith(call.arguments):
            # Some servers send all arguments so far, or the complete call again at its end.
            arguments = arguments[len(call.arguments) :]
        call.argument_parts.append(arguments)
        if call.started:
            if arguments or extra:
                events.append(ToolCallDelta(call.index, None, None, arguments, extra or {}))
            return events
        call.id = call.id or call_id
        call.name = _merge_name(call.name, name)
        if call.name is not None:
            self._unstarted[call.index] = call
            if arguments:
                events.append(self._start_event(call))
        return events

    def finish(self) -> list[ToolCallDelta]:
        """Return the last events of the answer.

        These are pending calls, and `{}` for calls without arguments.
        """
        events: list[ToolCallDelta] = []
        for call in self._calls:
            if call.name is None:
                continue
            if not call.started:
                call.argument_parts.append("" if call.arguments.strip() else _NO_ARGUMENTS)
                events.append(self._start_event(call))
            elif not call.arguments.strip():
                call.argument_parts.append(_NO_ARGUMENTS)
                events.append(ToolCallDelta(call.index, arguments=_NO_ARGUMENTS))
        return events

    def _start_event(self, call: _PartialCall) -> ToolCallDelta:
        """Return the first event of a call, with an id that is unique within the answer."""
        if not call.id or call.id in self._ids:
            call.id = f"call_{uuid.uuid4().hex}"
        self._ids.add(call.id)
        self._unstarted.pop(call.index, None)
        call.started = True
        return ToolCallDelta(call.index, call.id, call.name, call.arguments, dict(call.extra))

    def _start_earlier_calls(self, call: _PartialCall) -> list[ToolCallDelta]:
        """Start the pending calls before this one, whose names are now complete."""
        if call is self._last or call.started or not self._unstarted:
            return []
        return [
            self._start_event(self._unstarted[index])
            for index in sorted(self._unstarted)
            if index < call.index
        ]

    def _new_call(self, call_id: str | None) -> _PartialCall:
        call = _PartialCall(len(self._calls), call_id)
        self._calls.append(call)
        return call

    def _find_call(
        self, key: Hashable | None, call_id: str | None, name: str | None, arguments: str
    ) -> _PartialCall | None:
        """Return the call that the fragment continues, None if it starts one."""
        by_key = self._by_key.get(key) if key is not None else self._last
        if call_id is not None:
            known = self._by_id.get(call_id)
            if known is None and by_key is not None and _adopts_id(by_key, key, name, arguments):
                known = by_key
        else:
            known = by_key
        if known is None or not name or known.name is None:
            return known
        same = known.name == name
        if key is None and call_id is None:
            return known if same and not known.is_complete and arguments.strip() else None
        if same and call_id is not None and known.arguments.strip() == arguments.strip():
            return known  # the same call again
        new_key = key is not None and by_key is None
        if not _name_continues(known.name, name) and (new_key or (arguments.strip() and not known.started)):
            return None
        # A vendor may reuse an index or id for several calls; a complete call cannot continue.
        may_be_new = bool(arguments.strip()) or new_key
        return None if may_be_new and known.is_complete else known


def _adopts_id(call: _PartialCall, key: Hashable | None, name: str | None, arguments: str) -> bool:
    """Whether a fragment with a new id continues the call.

    Some ids come late, or change each time.
    """
    if call.vendor_id is None:
        return key is not None
    starts_call = name and (not arguments or arguments.lstrip().startswith("{"))
    return not starts_call and bool(arguments) and call.name is not None and not call.is_complete


def _is_empty(call: _PartialCall) -> bool:
    """Whether the call has only an index or id.

    Some servers end with an empty fragment.
    """
    return call.name is None and not call.arguments.strip()


def _name_continues(before: str, piece: str) -> bool:
    """Whether one is a prefix of the other, so that the name was sent again rather than continued."""
    return piece.startswith(before) or before.startswith(piece)


def _merge_name(before: str | None, piece: str | None) -> str | None:
    """Merge a name fragment: vendors send names once, repeatedly, or in fragments."""
    if not before or not piece:
        return before or piece or None
    return max(before, piece, key=len) if _name_continues(before, piece) else before + piece


def arguments_as_object(arguments: str) -> dict[str, Any]:
    """Parse arguments as a JSON object.

    Invalid JSON becomes text under the key `arguments`.
    """
    try:
        value = orjson.loads(arguments.strip() or "{}")
    except orjson.JSONDecodeError:
        return {"arguments": arguments}
    return value if isinstance(value, dict) else {"arguments": value}
