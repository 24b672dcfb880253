"""Builds request headers from a provider's configuration."""

from __future__ import annotations

from gateway.domain.config.providers import ProviderConfig
from gateway.providers.http import exchange


def json_headers(config: ProviderConfig) -> dict[str, str]:
    """Return content type, bearer key and `options.headers`, which take precedence.

    Names are in lower case.

    Raises:
        ValueError: a header contains a character that HTTP forbids.
    """
    headers = {"content-type": "application/json", "user-agent": "llm-gateway"}
    if config.api_key:
        headers["authorization"] = f"Bearer {config.api_key}"
    headers |= configured_headers(config)
    for name, value in headers.items():
        exchange.validate_header(name, value)
    return headers


def configured_headers(config: ProviderConfig) -> dict[str, str]:
    """Return `options.headers`, names in lower case.

    Raises:
        ValueError: a header contains a character that HTTP forbids.
    """
    configured = dict(config.options.get("headers") or {})
    headers = {str(name).lower(): str(value) for name, value in configured.items()}
    for name, value in headers.items():
        exchange.validate_header(name, value)
    return headers


def auth_headers(config: ProviderConfig) -> dict[str, str]:
    """Return the bearer key and `options.headers`, which take precedence.

    Raises:
        ValueError: a header contains a character that HTTP forbids.
    """
    headers = {"authorization": f"Bearer {config.api_key}"} if config.api_key else {}
    for name, value in headers.items():
        exchange.validate_header(name, value)
    return {**headers, **configured_headers(config)}
