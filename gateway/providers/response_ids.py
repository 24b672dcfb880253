"""Reads the id and model name that a vendor puts into its response, for traces."""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.domain.events import VendorResponse

# OpenAI, Anthropic and Ollama; Gemini.
_ID_FIELDS: Final = ("id", "responseId")
_MODEL_FIELDS: Final = ("model", "modelVersion")
# Vendor text is untrusted: only short printable ASCII is passed on.
_SAFE_NAME = re.compile(r"[!-~]{1,200}")


def parse_vendor_response(data: dict[str, Any]) -> VendorResponse | None:
    """Return the id and model of a response or of one streamed object.

    Returns None if it has neither.
    """
    response_id, model = _first_safe_name(data, _ID_FIELDS), _first_safe_name(data, _MODEL_FIELDS)
    return None if response_id is None and model is None else VendorResponse(response_id, model)


def _first_safe_name(data: dict[str, Any], fields: tuple[str, ...]) -> str | None:
    for field in fields:
        value = data.get(field)
        if isinstance(value, str) and _SAFE_NAME.fullmatch(value):
            return value
    return None
