"""Data that must be sent back to the vendor that wrote a message (decision 36)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.domain.messages import Message, VendorData

_EMPTY: Mapping[str, Any] = {}


def filter_vendor_data(
    messages: tuple[Message, ...], provider_type: str, provider: str, model: str, *, single_vendor: bool
) -> tuple[Message, ...]:
    """Return the messages for one upstream, without data of other vendors.

    This is the only place that drops such data. It stays if this upstream wrote it (the same provider type
    and, for an API with many vendors, the same provider or model), or if a client sent it, since its origin
    is then unknown.

    Args:
        single_vendor: all providers of this type are the same vendor, so any of them can read the data.
    """

    def its_own(origin: VendorData) -> bool:
        if not origin.type:
            return True
        same_upstream = single_vendor or origin.provider == provider or origin.model == model
        return origin.type == provider_type and same_upstream

    if all(message.vendor is None or its_own(message.vendor) for message in messages):
        return messages
    return tuple(
        message if message.vendor is None or its_own(message.vendor) else _strip_vendor_data(message)
        for message in messages
    )


def _strip_vendor_data(message: Message) -> Message:
    return replace(
        message, vendor=None, tool_calls=tuple(replace(call, extra=_EMPTY) for call in message.tool_calls)
    )


def merge_field(current: Any, piece: Any) -> Any:
    """Merge a streamed field.

    Texts and lists are concatenated, objects merged, other values replaced.
    """
    if isinstance(current, str) and isinstance(piece, str):
        return current + piece
    if isinstance(current, list) and isinstance(piece, list):
        return [*current, *piece]
    if isinstance(current, dict) and isinstance(piece, dict):
        return {**current, **{name: merge_field(current.get(name), value) for name, value in piece.items()}}
    return piece
