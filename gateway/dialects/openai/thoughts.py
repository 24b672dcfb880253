"""A model's thoughts in `reasoning` items: told to a client, and taken back with the calls they led to."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from gateway.dialects.openai.responses_body import InputItem
from gateway.domain.messages import VendorData

# The name that most vendors read, and under which chat completions carry it.
_FIELD = "reasoning_content"
_NAMES = (_FIELD, "reasoning")
_MARK = "gw1."


def carried(text: str) -> str:
    """`encrypted_content` for thoughts that a client has been told anyway; it is not secret."""
    return _MARK + base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode()


def thoughts_of(item: InputItem) -> str:
    """The thoughts that a client sends back; empty where the item holds another vendor's."""
    sealed = (item.model_extra or {}).get("encrypted_content")
    if isinstance(sealed, str) and sealed.startswith(_MARK):
        try:
            return base64.urlsafe_b64decode(sealed.removeprefix(_MARK)).decode()
        except (binascii.Error, ValueError):
            return ""
    return "".join(part.text or "" for part in item.content or () if part.type == "reasoning_text")


def as_vendor_data(thoughts: str) -> VendorData | None:
    """What an upstream gets with the calls; several refuse calls without the thoughts before them."""
    return VendorData(fields={_FIELD: thoughts}) if thoughts else None


def stored_thoughts(vendor: VendorData | None) -> str:
    """The thoughts that are stored with an answer's calls."""
    fields: Mapping[str, Any] = vendor.fields if vendor is not None else {}
    return next((fields[name] for name in _NAMES if isinstance(fields.get(name), str)), "")
