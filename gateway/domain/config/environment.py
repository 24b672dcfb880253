"""Environment variables that add or override providers, fallbacks and limits."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway.domain.config.limits import default_tiers

UPSTREAMS = "GATEWAY_UPSTREAMS"
DEFAULT_UPSTREAM = "GATEWAY_DEFAULT_UPSTREAM"
FALLBACKS = "GATEWAY_FALLBACKS"
RATE_LIMIT = "GATEWAY_RATE_LIMIT_PER_MINUTE"
MAX_FAILURES = "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES"
RESET_SECONDS = "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS"
REQUEST_TIMEOUT = "GATEWAY_REQUEST_TIMEOUT_SECONDS"

# Capabilities assumed for a server that does not report any; it rejects what it does not support.
_CAPABILITIES = ["tools", "json", "vision", "logprobs"]
_CONTEXT_WINDOW = 131_072
# Vendors by model prefix, as in `litellm://`, and the variable with their key.
_VENDORS: tuple[tuple[str, str, str], ...] = (
    ("openai/", "openai", "OPENAI_API_KEY"),
    ("anthropic/", "anthropic", "ANTHROPIC_API_KEY"),
    ("gemini/", "gemini", "GOOGLE_API_KEY"),
    ("ollama/", "ollama", ""),
    ("ollama_chat/", "ollama", ""),
    ("gpt-", "openai", "OPENAI_API_KEY"),
    ("chatgpt-", "openai", "OPENAI_API_KEY"),
    ("o1", "openai", "OPENAI_API_KEY"),
    ("o3", "openai", "OPENAI_API_KEY"),
    ("o4", "openai", "OPENAI_API_KEY"),
    ("claude-", "anthropic", "ANTHROPIC_API_KEY"),
    ("gemini-", "gemini", "GOOGLE_API_KEY"),
)
_NAME = re.compile(r"[^\s=;,]+")


class EnvironmentConfigError(ValueError):
    """An environment variable is invalid; the message names it without its value."""


def apply_environment(value: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return a configuration with the overrides of `environ`; `value` is not changed.

    `GATEWAY_UPSTREAMS` is `name=address;…`. Each entry becomes a provider and a model of that name:
    `http(s)://…` an OpenAI-compatible server (`/v1` if no path is given), `mock://local` the mock,
    `mock://fail` a failure of the mock, `litellm://gpt-4o-mini` that vendor's model, which is also available
    by its own name. `GATEWAY_FALLBACKS` is `name=other,third;…`.

    Raises:
        EnvironmentConfigError: which variable is invalid, and how.
    """
    result = {key: dict(part) if isinstance(part, dict) else part for key, part in value.items()}
    _add_upstreams(result, environ)
    if name := environ.get(DEFAULT_UPSTREAM, "").strip():
        result["routing"] = {**(result.get("routing") or {}), "light": name, "heavy": name}
    _add_fallbacks(result, environ)
    _add_limits(result, environ)
    return result


def _add_upstreams(result: dict[str, Any], environ: Mapping[str, str]) -> None:
    for name, address in _pairs(UPSTREAMS, environ):
        provider, model = _upstream(name, address, environ)
        for section, entry in (("providers", provider), ("models", {**model, "provider": name})):
            result[section] = {**(result.get(section) or {}), name: entry}
        own = model["model"]
        known = {**(result.get("models") or {}), **(result.get("aliases") or {})}
        if address.startswith("litellm:") and own not in known:
            result["aliases"] = {**(result.get("aliases") or {}), own: [name]}


def _upstream(name: str, address: str, environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    scheme, separator, rest = address.partition("://")
    if not separator or not rest:
        raise EnvironmentConfigError(f"{UPSTREAMS}: the address of {name} must be scheme://…")
    if scheme == "mock":
        mock_model = rest.strip("/")
        model = "mock" if mock_model == "local" else mock_model
        return {"type": "mock"}, {"model": model, "capabilities": ["tools", "json"]}
    if scheme == "litellm":
        return _vendor(name, rest, environ)
    if scheme not in ("http", "https"):
        raise EnvironmentConfigError(
            f"{UPSTREAMS}: {name} must begin with http://, https://, mock:// or litellm://"
        )
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host or parts.query or parts.fragment:
        raise EnvironmentConfigError(f"{UPSTREAMS}: the address of {name} is not a base URL")
    base_url = address.rstrip("/") if parts.path.strip("/") else f"{scheme}://{parts.netloc}/v1"
    provider = {"type": "openai", "base_url": base_url}
    model_entry: dict[str, Any] = {
        "model": name,
        "context_window": _CONTEXT_WINDOW,
        "capabilities": _CAPABILITIES,
    }
    if _is_own_hardware(host):
        model_entry["price"] = {"input": 0, "output": 0}
    return provider, model_entry


def _vendor(name: str, model: str, environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    for prefix, provider_type, key in _VENDORS:
        if model.startswith(prefix):
            vendor_model = model.removeprefix(prefix) if prefix.endswith("/") else model
            provider: dict[str, Any] = {"type": provider_type}
            if key:
                provider["api_key"] = environ.get(key) or None
            else:
                provider["base_url"] = environ.get("OLLAMA_URL") or None
            entry = {
                "model": vendor_model,
                "context_window": _CONTEXT_WINDOW,
                "capabilities": ["tools", "vision"],
            }
            if provider_type == "openai":
                entry["capabilities"] = _CAPABILITIES
            return provider, entry
    raise EnvironmentConfigError(
        f"{UPSTREAMS}: {name} names a model of an unknown vendor; write litellm://vendor/model with "
        "openai, anthropic, gemini or ollama"
    )


def _is_own_hardware(host: str) -> bool:
    """Whether the host is self-hosted: loopback, private, or a name without dots."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost"))
    return address.is_private or address.is_loopback


def _add_fallbacks(result: dict[str, Any], environ: Mapping[str, str]) -> None:
    aliases = result.get("aliases") or {}
    for name, chain in _pairs(FALLBACKS, environ):
        models: list[str] = []
        for target in filter(None, (part.strip() for part in chain.split(","))):
            models.extend(aliases.get(target, (target,)))
        source = aliases.get(name, [name])[0]
        result["fallbacks"] = {
            **(result.get("fallbacks") or {}),
            source: [model for model in dict.fromkeys(models) if model != source],
        }


def _add_limits(result: dict[str, Any], environ: Mapping[str, str]) -> None:
    if (limit := _number(RATE_LIMIT, environ, int)) is not None:
        result["limits"] = {**(result.get("limits") or {}), "environment_key_requests_per_minute": limit}
        tiers = result.get("tiers") or {
            name: tier.model_dump(mode="json") for name, tier in default_tiers().items()
        }
        result["tiers"] = {
            name: {**tier, "requests_per_minute": limit} if isinstance(tier, dict) else tier
            for name, tier in tiers.items()
        }
    for variable, section, field, kind in (
        (MAX_FAILURES, "circuit_breaker", "failures", int),
        (RESET_SECONDS, "circuit_breaker", "reset_seconds", float),
        (REQUEST_TIMEOUT, "timeouts", "live", float),
        (REQUEST_TIMEOUT, "timeouts", "first_token", float),
        (REQUEST_TIMEOUT, "timeouts", "stream", float),
    ):
        if (number := _number(variable, environ, kind)) is not None:
            result[section] = {**(result.get(section) or {}), field: number}
    if _number(REQUEST_TIMEOUT, environ, float) is not None:  # it applies to every provider
        result["providers"] = {
            name: {key: value for key, value in provider.items() if key != "timeouts"}
            if isinstance(provider, dict)
            else provider
            for name, provider in (result.get("providers") or {}).items()
        }


def _pairs(variable: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    names: set[str] = set()
    for entry in filter(None, (part.strip() for part in environ.get(variable, "").split(";"))):
        name, separator, rest = (part.strip() for part in entry.partition("="))
        if not separator or not rest or not _NAME.fullmatch(name):
            raise EnvironmentConfigError(
                f"{variable}: each entry must be name=value, entries separated by ';'"
            )
        if name in names:
            raise EnvironmentConfigError(f"{variable}: {name} is defined twice; give each entry its own name")
        names.add(name)
        yield name, rest


def _number(variable: str, environ: Mapping[str, str], kind: Callable[[str], float]) -> float | None:
    text = environ.get(variable, "").strip()
    if not text:
        return None
    try:
        number = kind(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise EnvironmentConfigError(f"{variable} must be a number above 0")
    return number
