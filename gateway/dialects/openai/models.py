"""A choice of the catalogue as OpenAI's `model` object, with the gateway's own fields beside it."""

from __future__ import annotations

from typing import Any

from gateway.domain.usage import Price
from gateway.services.model_catalog import Choice


def model_body(choice: Choice) -> dict[str, Any]:
    """OpenAI's four fields; `created` is 0, since a name has no birthday here."""
    return {
        "id": choice.name,
        "object": "model",
        "created": 0,
        "owned_by": choice.provider,
        "gateway": {
            "kind": choice.kind,
            "models": list(choice.models),
            "capabilities": list(choice.capabilities),
            "context_window": choice.context_window,
            "price": price_body(choice.price),
        },
    }


def price_body(price: Price | None) -> dict[str, str] | None:
    """US dollars per million tokens, as decimal strings."""
    if price is None:
        return None
    body = {"input": f"{price.input:f}", "output": f"{price.output:f}"}
    if price.cached_input is not None:
        body["cached_input"] = f"{price.cached_input:f}"
    if price.cache_write is not None:
        body["cache_write"] = f"{price.cache_write:f}"
    return body
