"""How a vendor names an answer: its id and the model that wrote it, for traces."""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.domain.events import VendorResponse

# OpenAI, Anthropic and Ollama; Gemini.
_IDS: Final = ("id", "responseId")
_MODELS: Final = ("model", "modelVersion")
# A vendor's text is not to be trusted: what is no short plain word is left out.
_WORD = re.compile(r"[!-~]{1,200}")


def answered(data: dict[str, Any]) -> VendorResponse | None:
    """The names in a whole answer or in one object of a stream; None where it has none."""
    response_id, model = _first(data, _IDS), _first(data, _MODELS)
    return None if response_id is None and model is None else VendorResponse(response_id, model)


def _first(data: dict[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = data.get(name)
        if isinstance(value, str) and _WORD.fullmatch(value):
            return value
    return None
