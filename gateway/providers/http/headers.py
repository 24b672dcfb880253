"""The headers of every call to a server that speaks OpenAI's API, whatever the call is for."""

from __future__ import annotations

from gateway.domain.config.catalog import ProviderConfig
from gateway.providers.http import exchange


def json_headers(config: ProviderConfig) -> dict[str, str]:
    """Content type, key and `options.headers`, which replace the others; names in lower case.

    Raises:
        ValueError: a header that HTTP cannot carry.
    """
    headers = {"content-type": "application/json", "user-agent": "llm-gateway"}
    if config.api_key:
        headers["authorization"] = f"Bearer {config.api_key}"
    headers |= configured_headers(config)
    for name, value in headers.items():
        exchange.validate_header(name, value)
    return headers


def configured_headers(config: ProviderConfig) -> dict[str, str]:
    """`options.headers` of a provider of any type, names in lower case.

    Raises:
        ValueError: a header that HTTP cannot carry.
    """
    configured = dict(config.options.get("headers") or {})
    headers = {str(name).lower(): str(value) for name, value in configured.items()}
    for name, value in headers.items():
        exchange.validate_header(name, value)
    return headers


def auth_headers(config: ProviderConfig) -> dict[str, str]:
    """The key as `authorization`, and `options.headers`, which replace it; raises as `own_headers`."""
    headers = {"authorization": f"Bearer {config.api_key}"} if config.api_key else {}
    for name, value in headers.items():
        exchange.validate_header(name, value)
    return {**headers, **configured_headers(config)}
