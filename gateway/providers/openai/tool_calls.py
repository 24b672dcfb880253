"""Parses the tool call fragments of OpenAI's responses, also in the variants of compatible servers."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.core.exceptions import UpstreamBroken
from gateway.providers.http.stream_decoders import repair_json_surrogates, repair_surrogates

_CALL_FIELDS = frozenset({"id", "index", "type", "function"})
_FUNCTION_FIELDS = frozenset({"name", "arguments"})


@dataclass(frozen=True, slots=True)
class ToolCallFragment:
    """A part of a tool call; `key` identifies the call within the response."""

    key: Hashable | None
    call_id: str | None
    name: str | None
    arguments: str
    extra: dict[str, Any]


def parse_tool_calls(delta: dict[str, Any], *, unstreamed: bool) -> Iterator[ToolCallFragment]:
    """Yield the tool call fragments of one `delta`, or of the `message` of an unstreamed response.

    Raises:
        UpstreamBroken: a name or an id is not a string.
    """
    calls = delta.get("tool_calls") or ()
    if type(calls) is dict:
        calls = [calls]
    if not calls and (function := delta.get("function_call")):
        calls = [{"index": 0, "function": function}]  # servers with OpenAI's older API
    unidentified = all(call.get("index") is None and not call.get("id") for call in calls if call)
    for position, call in enumerate(calls):
        if call:
            # Fragments without index and id belong to the calls in order.
            by_position = unidentified and len(calls) > 1
            yield _parse_call(call, ("at", position) if by_position else call.get("index"), unstreamed)


def _parse_call(call: dict[str, Any], key: Hashable | None, unstreamed: bool) -> ToolCallFragment:
    function = call.get("function") or {}
    name, arguments = function.get("name"), function.get("arguments")
    if arguments is None or (arguments == {} and not unstreamed):
        arguments = ""
    elif type(arguments) is not str:
        arguments = orjson.dumps(repair_json_surrogates(arguments)).decode()
    call_id = call.get("id")
    call_id = str(call_id) if type(call_id) is int else call_id
    if not isinstance(name, str | None) or not isinstance(call_id, str | None):
        raise UpstreamBroken
    extra = _extra_fields(call, _CALL_FIELDS)
    if function_extra := _extra_fields(function, _FUNCTION_FIELDS):
        extra["function"] = function_extra
    return ToolCallFragment(key, call_id, name, repair_surrogates(arguments), extra)


def _extra_fields(value: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return the vendor-specific fields that are not null."""
    if known.issuperset(value):
        return {}
    return {
        name: repair_json_surrogates(field)
        for name, field in value.items()
        if name not in known and field is not None
    }
