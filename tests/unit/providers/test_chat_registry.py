"""Building providers from the configuration."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import httpx
import pytest

from gateway.domain.catalog import Catalog, ProviderConfig
from gateway.providers.chat.base import ChatProvider
from gateway.providers.chat.registry import PROVIDERS, ProviderMisconfigured, build_providers


def build(local_url: str = "", **config: Any) -> ChatProvider:
    catalog = Catalog(providers={"it": ProviderConfig(**config)})
    return build_providers(catalog, httpx.AsyncClient(), local_url)["it"]


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
def test_every_type_of_the_table_can_be_built(kind: str) -> None:
    provider = build(type=kind)
    assert provider.type == kind
    assert provider.name == "it"


@pytest.mark.parametrize(
    ("config", "configured"),
    [
        ({"type": "openai"}, False),
        ({"type": "openai", "api_key": ""}, False),
        ({"type": "openai", "api_key": "k"}, True),
        ({"type": "openai", "base_url": "http://localhost:1/v1"}, True),
        ({"type": "anthropic"}, False),
        ({"type": "anthropic", "api_key": "k"}, True),
        ({"type": "gemini"}, False),
        ({"type": "gemini", "api_key": "k"}, True),
        ({"type": "gemini", "base_url": "http://localhost:1"}, True),
        ({"type": "ollama"}, True),
        ({"type": "mock"}, True),
        ({"type": "local"}, False),
        ({"type": "local", "local_url": "http://127.0.0.1:1/v1"}, True),
    ],
)
async def test_a_provider_knows_whether_it_can_be_called(config: dict[str, Any], configured: bool) -> None:
    provider = build(**config)
    assert provider.configured is configured
    if not configured:
        assert not (await provider.check()).reachable


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "litellm"}, "type: openai"),
        ({"type": "openai", "base_url": "localhost:8000"}, "base_url"),
        ({"type": "ollama", "base_url": "http://"}, "base_url"),
        ({"type": "openai", "api_key": "two\nlines"}, "header 'authorization'"),
        ({"type": "gemini", "api_key": "two\nlines"}, "header 'authorization'"),
        ({"type": "openai", "options": {"headers": {"x-key": "a\0b"}}}, "header 'x-key'"),
        ({"type": "openai", "options": {"headers": {"x key": "ab"}}}, "header 'x key'"),
    ],
)
def test_what_cannot_be_built_says_which_and_what_to_do(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ProviderMisconfigured, match=words) as caught:
        build(**config)
    assert "providers.it" in str(caught.value)


def test_the_sdks_of_vendors_are_not_imported_before_their_first_use() -> None:
    script = """
import sys, httpx
from gateway.domain.catalog import Catalog, ProviderConfig
from gateway.providers.chat.registry import PROVIDERS, build_providers
build_providers(Catalog(providers={t: ProviderConfig(type=t) for t in PROVIDERS}), httpx.AsyncClient(), "")
sdks = {"langchain_ollama", "ollama", "langchain_anthropic", "anthropic", "langchain_google_genai", 
        "google.genai", "langchain_openai", "openai"}
print(sorted(sdks & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
