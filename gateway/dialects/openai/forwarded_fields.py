"""Selects the unknown body fields that are forwarded to OpenAI-compatible upstreams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Fields with which a proxy behind the gateway would use another server, key, model or account.
_PROXY_FIELDS = frozenset(
    {
        *("allowed_openai_params", "api_base", "api_key", "api_type", "api_version", "azure", "base_url"),
        *("custom_llm_provider", "deployment_id", "endpoint", "extra_body", "extra_headers", "extra_query"),
        *("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "headers", "http_client"),
        *("input_cost_per_token", "output_cost_per_token", "mock_response", "mock_tool_calls"),
        *("model_info", "model_list", "models", "no_log", "organization", "plugins", "preset", "project"),
        *("provider", "proxy", "region_name", "route", "router_settings_override", "timeout"),
        *("transport", "url", "user_config"),
    }
)
_PROXY_PREFIXES = (
    *("aws_", "azure_", "gcs_", "langfuse_", "langsmith_", "litellm_", "proxy_", "s3_", "vertex_"),
    *("watsonx_", "x_"),
)


def forwarded_fields(extra: Mapping[str, Any], without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return `extra` except `without`, fields that redirect a proxy, and nulls.

    Null has no meaning, and strict servers reject the field name itself.
    """
    return {
        name: value
        for name, value in extra.items()
        if value is not None and name not in without and not _is_proxy_field(name)
    }


def _is_proxy_field(name: str) -> bool:
    folded = name.strip().lower().replace("-", "_")
    return folded in _PROXY_FIELDS or folded.startswith(_PROXY_PREFIXES)
