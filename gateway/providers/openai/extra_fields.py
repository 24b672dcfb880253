"""Message fields that OpenAI does not document.

Collects them, detects that a server rejects one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from gateway.core.exceptions import UpstreamRejected
from gateway.domain.messages import CLIENT_FIELDS, Message, RawPart

# How strict servers reject an unknown field.
_UNKNOWN_FIELD = re.compile(
    r"unsupported|not supported|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed|forbidden"
    r"|\bextra\b|\badditional\b",
    re.IGNORECASE,
)


def extra_field_names(messages: Iterable[Message]) -> frozenset[str]:
    """Return the names of all extra fields of messages, their parts and their tool calls."""
    names: set[str] = set()
    for message in messages:
        if message.vendor is not None:
            names |= message.vendor.fields.keys() - CLIENT_FIELDS
        for call in message.tool_calls:
            names |= call.extra.keys()
        if not isinstance(message.content, str):
            for part in message.content:
                names |= set() if isinstance(part, RawPart) else part.extra.keys()
    return frozenset(names)


def rejects_field(names: Collection[str], error: UpstreamRejected) -> bool:
    """Whether the error says that the server does not know one of these fields."""
    if not names or error.upstream_reply is None:
        return False
    text = f"{error.upstream_reply.param or ''} {error.upstream_reply.reason}"
    if _UNKNOWN_FIELD.search(text) is None:
        return False
    return any(re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", text) for name in names)
