"""Which unknown fields of a body are passed on to upstreams that speak OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A proxy behind the gateway would let these choose another server, key, model or bill.
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
    """The fields of `extra`, but for those in `without`, those that redirect a proxy, and null.

    Null asks for nothing, and servers that know their own fields only refuse the name itself.
    """
    return {
        name: value
        for name, value in extra.items()
        if value is not None and name not in without and not _is_proxy_field(name)
    }


def _is_proxy_field(name: str) -> bool:
    folded = name.strip().lower().replace("-", "_")
    return folded in _PROXY_FIELDS or folded.startswith(_PROXY_PREFIXES)
