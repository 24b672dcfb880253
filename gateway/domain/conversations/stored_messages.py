"""Converts messages to and from JSON for storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gateway.domain.messages import ImagePart, Message, RawPart, TextPart, ToolCall, VendorData

# The result of a call that was never answered: no provider accepts a history without one.
MISSING_RESULT = "[no result: this call was never answered]"
_INTERNAL_FIELDS = frozenset({"vendor", "extra"})


def to_storage(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the messages as JSON."""
    return [_message_to_storage(message) for message in messages]


def from_storage(rows: Sequence[dict[str, Any]]) -> tuple[Message, ...]:
    """Return the messages that `to_storage` converted."""
    return tuple(_message_from_storage(row) for row in rows)


def calls_from_storage(calls: Sequence[dict[str, Any]] | None) -> tuple[ToolCall, ...]:
    """Return the tool calls of a stored answer."""
    return tuple(
        ToolCall(call["id"], call["name"], call["arguments"], call.get("extra", {})) for call in calls or ()
    )


def calls_to_storage(calls: Sequence[ToolCall], vendor: VendorData | None = None) -> list[dict[str, Any]]:
    """Return an answer's tool calls as JSON; the first call includes the vendor data.

    The vendor requires its data together with the calls' results only, so an answer without calls needs none.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            **({"extra": call.extra} if call.extra else {}),
        }
        for call in calls
    ]
    if rows and vendor is not None:
        rows[0]["vendor"] = _vendor_to_storage(vendor)
    return rows


def vendor_from_storage(calls: Sequence[dict[str, Any]] | None) -> VendorData | None:
    """Return the vendor data that `calls_to_storage` stored."""
    data = calls[0].get("vendor") if calls else None
    return VendorData(**data) if data is not None else None


def public_calls(calls: Sequence[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return the tool calls of a stored answer in the API's format."""
    if calls is None:
        return None
    return [{name: value for name, value in call.items() if name not in _INTERNAL_FIELDS} for call in calls]


def unanswered_calls(messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """Return the tool calls at the end of the messages that have no result."""
    answered: set[str] = set()
    for message in reversed(messages):
        if message.role == "tool" and message.tool_call_id is not None:
            answered.add(message.tool_call_id)
        else:
            return tuple(call for call in message.tool_calls if call.id not in answered)
    return ()


def pair_results(messages: Sequence[Message]) -> list[tuple[int, Message]]:
    """Return the messages with their positions, every call followed by its result.

    A result without its call is left out, and a call without a result gets `MISSING_RESULT`. Calls at the end
    stay open, because the next message may answer them.
    """
    paired: list[tuple[int, Message]] = []
    missing: dict[str, ToolCall] = {}
    for at, message in enumerate(messages):
        if message.role == "tool":
            if missing.pop(message.tool_call_id or "", None) is not None:
                paired.append((at, message))
            continue
        paired.extend((at, missing_result(call)) for call in missing.values())
        missing = {call.id: call for call in message.tool_calls}
        paired.append((at, message))
    return paired


def missing_result(call: ToolCall) -> Message:
    """Return the result for a call that was never answered."""
    return Message("tool", MISSING_RESULT, tool_call_id=call.id, name=call.name)


def _message_to_storage(message: Message) -> dict[str, Any]:
    row: dict[str, Any] = {"role": message.role, "content": message.content}
    if not isinstance(message.content, str):
        row["content"] = [_part_to_storage(part) for part in message.content]
    if message.tool_calls:
        row["tool_calls"] = calls_to_storage(message.tool_calls)
    if message.vendor is not None:
        row["vendor"] = _vendor_to_storage(message.vendor)
    if message.tool_call_id is not None:
        row["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        row["name"] = message.name
    return row


def _part_to_storage(part: TextPart | ImagePart | RawPart) -> dict[str, Any]:
    if isinstance(part, RawPart):
        return {"raw": part.type, "fields": part.fields}
    row = {"text": part.text} if isinstance(part, TextPart) else {"url": part.url, "detail": part.detail}
    return {**row, **({"extra": part.extra} if part.extra else {})}


def _part_from_storage(row: dict[str, Any]) -> TextPart | ImagePart | RawPart:
    if "raw" in row:
        return RawPart(row["raw"], row["fields"])
    if "text" in row:
        return TextPart(row["text"], row.get("extra", {}))
    return ImagePart(row["url"], row["detail"], row.get("extra", {}))


def _message_from_storage(row: dict[str, Any]) -> Message:
    content = row["content"]
    if not isinstance(content, str):
        content = tuple(_part_from_storage(part) for part in content)
    return Message(
        role=row["role"],
        content=content,
        tool_calls=calls_from_storage(row.get("tool_calls")),
        tool_call_id=row.get("tool_call_id"),
        name=row.get("name"),
        vendor=VendorData(**row["vendor"]) if "vendor" in row else None,
    )


def _vendor_to_storage(vendor: VendorData) -> dict[str, Any]:
    return {name: value for name, value in asdict(vendor).items() if value}
