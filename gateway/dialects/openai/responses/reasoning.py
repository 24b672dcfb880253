"""A model's thoughts in `reasoning` items: told to a client, and taken back with the calls they led to."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from gateway.dialects.openai.responses.body import InputItem
from gateway.domain.messages import VendorData

# The name that most vendors read, and under which chat completions carry it.
_REASONING_CONTENT = "reasoning_content"
_REASONING_FIELDS = (_REASONING_CONTENT, "reasoning")
_PREFIX = "gw1."


def encode_reasoning(reasoning: str) -> str:
    """`encrypted_content` for thoughts that a client has been told anyway; it is not secret."""
    return _PREFIX + base64.urlsafe_b64encode(reasoning.encode("utf-8", "replace")).decode()


def decode_reasoning(item: InputItem) -> str:
    """The thoughts that a client sends back; empty where the item holds another vendor's."""
    encrypted = (item.model_extra or {}).get("encrypted_content")
    if isinstance(encrypted, str) and encrypted.startswith(_PREFIX):
        try:
            return base64.urlsafe_b64decode(encrypted.removeprefix(_PREFIX)).decode()
        except (binascii.Error, ValueError):
            return ""
    return "".join(part.text or "" for part in item.content or () if part.type == "reasoning_text")


def reasoning_vendor_data(reasoning: str) -> VendorData | None:
    """What an upstream gets with the calls; several refuse calls without the thoughts before them."""
    return VendorData(fields={_REASONING_CONTENT: reasoning}) if reasoning else None


def stored_reasoning(vendor: VendorData | None) -> str:
    """The thoughts that are stored with an answer's calls."""
    fields: Mapping[str, Any] = vendor.fields if vendor is not None else {}
    return next((fields[name] for name in _REASONING_FIELDS if isinstance(fields.get(name), str)), "")
