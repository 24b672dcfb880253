"""Model options as OpenAI's `model` object, with the gateway's own fields."""

from __future__ import annotations

from typing import Any

from gateway.domain.money import Price
from gateway.services.operations.model_catalog import ModelOption


def model_body(option: ModelOption) -> dict[str, Any]:
    """Return OpenAI's four fields and `gateway`; `created` is always 0."""
    return {
        "id": option.name,
        "object": "model",
        "created": 0,
        "owned_by": option.provider,
        "gateway": {
            "kind": option.kind,
            "models": list(option.models),
            "capabilities": list(option.capabilities),
            "context_window": option.context_window,
            "price": price_body(option.price),
        },
    }


def price_body(price: Price | None) -> dict[str, str] | None:
    """Return prices in US dollars per million tokens, as decimal strings."""
    if price is None:
        return None
    body = {"input": f"{price.input:f}", "output": f"{price.output:f}"}
    if price.cached_input is not None:
        body["cached_input"] = f"{price.cached_input:f}"
    if price.cache_write is not None:
        body["cache_write"] = f"{price.cache_write:f}"
    return body
