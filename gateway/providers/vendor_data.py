"""What vendors want back with their messages (decision 36): who gets it, and how its pieces are joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.domain.messages import Message, VendorData

_EMPTY: Mapping[str, Any] = {}


def filter_vendor_data(
    messages: tuple[Message, ...], provider_type: str, provider: str, model: str, *, single_vendor: bool
) -> tuple[Message, ...]:
    """The messages for one upstream, without what another vendor wants back.

    This is the one place where such data is dropped. It is kept where the upstream has written it (the same
    provider type, and for a format that many vendors speak the same provider or model), and where a client
    sent it, because nobody knows whose it is.

    Args:
        one_vendor: whether all providers of this type are one vendor, so that any of them reads the data.
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
    """A field of a streamed message: texts and lists go on, objects are merged, anything else is replaced."""
    if isinstance(current, str) and isinstance(piece, str):
        return current + piece
    if isinstance(current, list) and isinstance(piece, list):
        return [*current, *piece]
    if isinstance(current, dict) and isinstance(piece, dict):
        return {**current, **{name: merge_field(current.get(name), value) for name, value in piece.items()}}
    return piece
