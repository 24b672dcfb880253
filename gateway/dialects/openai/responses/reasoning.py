"""Reasoning items: sent to clients, and accepted back with the calls that followed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from gateway.dialects.openai.responses.body import InputItem
from gateway.domain.messages import VendorData

# The name that most vendors and chat completions use.
_REASONING_CONTENT = "reasoning_content"
_REASONING_FIELDS = (_REASONING_CONTENT, "reasoning")
_PREFIX = "gw1."


def encode_reasoning(reasoning: str) -> str:
    """Encode reasoning as `encrypted_content`.

    Not secret, since the client has the text anyway.
    """
    return _PREFIX + base64.urlsafe_b64encode(reasoning.encode("utf-8", "replace")).decode()


def decode_reasoning(item: InputItem) -> str:
    """Return the reasoning that a client sends back; empty for another vendor's."""
    encrypted = (item.model_extra or {}).get("encrypted_content")
    if isinstance(encrypted, str) and encrypted.startswith(_PREFIX):
        try:
            return base64.urlsafe_b64decode(encrypted.removeprefix(_PREFIX)).decode()
        except (binascii.Error, ValueError):
            return ""
    return "".join(part.text or "" for part in item.content or () if part.type == "reasoning_text")


def reasoning_vendor_data(reasoning: str) -> VendorData | None:
    """Return the reasoning as vendor data: several vendors reject calls without it."""
    return VendorData(fields={_REASONING_CONTENT: reasoning}) if reasoning else None


def stored_reasoning(vendor: VendorData | None) -> str:
    """Return the reasoning stored with an answer's calls."""
    fields: Mapping[str, Any] = vendor.fields if vendor is not None else {}
    return next((fields[name] for name in _REASONING_FIELDS if isinstance(fields.get(name), str)), "")
