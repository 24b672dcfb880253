"""Building providers from the configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import providers
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.loader import ConfigError
from gateway.domain.config.models import ModelConfig
from gateway.domain.config.providers import ProviderConfig
from gateway.providers import registry
from gateway.providers.base import Provider
from gateway.providers.registry import PROVIDER_TYPES, ProviderMisconfigured, build_providers
from gateway.services.operations.config_file import load_catalog
from tests.support.paths import PROJECT


def code_of(page: str, path: str) -> str:
    """Return the Python block after the first mention of `path` on a Markdown page."""
    return page.split(f"`{path}`", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]


def build(local_url: str = "", **config: Any) -> Provider:
    catalog = Catalog(providers={"it": ProviderConfig(**config)})
    return build_providers(catalog, httpx.AsyncClient(), local_url).all["it"]


@pytest.mark.parametrize("kind", PROVIDER_TYPES)
def test_every_provider_type_can_be_built(kind: str) -> None:
    models = {
        capability: ModelConfig(provider="it", model="m", context_window=1000, capabilities={capability})
        for capability in ("images", "embeddings")
        if capability in PROVIDER_TYPES[kind].capabilities
    }
    catalog = Catalog(providers={"it": ProviderConfig(type=kind)}, models=models)

    built = build_providers(catalog, httpx.AsyncClient())

    by_capability = {"chat": built.chat, "images": built.images, "embeddings": built.embeddings}
    assert {name for name, found in by_capability.items() if found} == PROVIDER_TYPES[kind].capabilities
    assert {provider.type for found in by_capability.values() for provider in found.values()} == {kind}
    assert PROVIDER_TYPES[kind].name == kind


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
async def test_configured_says_whether_a_provider_can_be_called(
    config: dict[str, Any], configured: bool
) -> None:
    provider = build(**config)
    assert provider.configured is configured
    if not configured:
        assert not (await provider.check_health()).reachable


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "litellm"}, "type: openai"),
        ({"type": "opnai"}, "available: anthropic, comfyui, gemini, local, mock, ollama, openai"),
        ({"type": "wire"}, "there is no provider type"),
        ({"type": "../chat"}, "there is no provider type"),
        ({"type": "openai", "base_url": "localhost:8000"}, "base_url"),
        ({"type": "ollama", "base_url": "http://"}, "base_url"),
        ({"type": "openai", "api_key": "two\nlines"}, "header 'authorization'"),
        ({"type": "gemini", "api_key": "two\nlines"}, "header 'authorization'"),
        ({"type": "openai", "options": {"headers": {"x-key": "a\0b"}}}, "header 'x-key'"),
        ({"type": "openai", "options": {"headers": {"x key": "ab"}}}, "header 'x key'"),
    ],
)
def test_a_misconfigured_provider_is_reported_by_name(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ProviderMisconfigured, match=words) as caught:
        build(**config)
    assert "providers.it" in str(caught.value)


def test_a_new_provider_is_one_folder_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folder = tmp_path / "echo"
    folder.mkdir()
    for name in ("__init__.py", "chat.py"):
        (folder / name).write_text(code_of(page, f"gateway/providers/echo/{name}"), encoding="utf-8")
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(tmp_path)])
    monkeypatch.setitem(registry.PROVIDER_TYPES, "echo", registry.load_provider_type("echo"))
    config = tmp_path / "provider_config.yaml"
    config.write_text("providers: {it: {type: echo}}\nmodels: {echo: {provider: it, model: echo}}\n")

    provider = build_providers(load_catalog(config), httpx.AsyncClient()).chat["it"]

    assert (provider.type, provider.configured) == ("echo", True)
    assert sorted(registry.VENDORS) == list(registry.VENDORS)


def test_an_unknown_type_in_the_file_is_reported_with_its_line(tmp_path: Path) -> None:
    config = tmp_path / "provider_config.yaml"
    config.write_text("providers:\n  it:\n    type: acme\n")

    with pytest.raises(
        ConfigError, match=r"provider_config\.yaml:3: providers\.it\.type: there is no provider"
    ):
        load_catalog(config)


def test_the_sdks_of_vendors_are_not_imported_before_their_first_use() -> None:
    script = """
import sys, httpx
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.providers import ProviderConfig
from gateway.domain.config.loader import ConfigError
from gateway.providers.registry import PROVIDER_TYPES, build_providers
build_providers(Catalog(providers={t: ProviderConfig(type=t) for t in PROVIDER_TYPES}), httpx.AsyncClient())
sdks = {"langchain_ollama", "ollama", "langchain_anthropic", "anthropic", "langchain_google_genai", 
        "google.genai", "langchain_openai", "openai"}
print(sorted(sdks & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
