"""How a vendor names an answer: its id and the model that wrote it, for traces."""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.domain.events import VendorResponse

# OpenAI, Anthropic and Ollama; Gemini.
_ID_FIELDS: Final = ("id", "responseId")
_MODEL_FIELDS: Final = ("model", "modelVersion")
# A vendor's text is not to be trusted: what is no short plain word is left out.
_SAFE_NAME = re.compile(r"[!-~]{1,200}")


def parse_vendor_response(data: dict[str, Any]) -> VendorResponse | None:
    """The names in a whole answer or in one object of a stream; None where it has none."""
    response_id, model = _first_safe_name(data, _ID_FIELDS), _first_safe_name(data, _MODEL_FIELDS)
    return None if response_id is None and model is None else VendorResponse(response_id, model)


def _first_safe_name(data: dict[str, Any], fields: tuple[str, ...]) -> str | None:
    for field in fields:
        value = data.get(field)
        if isinstance(value, str) and _SAFE_NAME.fullmatch(value):
            return value
    return None
