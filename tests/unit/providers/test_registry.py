"""Building providers from the configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.domain.config.catalog import Catalog, ProviderConfig
from gateway.domain.config.loader import ConfigError
from gateway.providers import chat
from gateway.providers.base import ChatProvider
from gateway.providers.discovery import chat_types
from gateway.providers.registry import ProviderMisconfigured, build_chat_providers
from gateway.services.operations.config_file import load_catalog
from tests.support.paths import PROJECT


def code_of(page: str, path: str) -> str:
    """The Python block that follows the first mention of `path` on a Markdown page."""
    return page.split(f"`{path}`", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]


def build(local_url: str = "", **config: Any) -> ChatProvider:
    catalog = Catalog(providers={"it": ProviderConfig(**config)})
    return build_chat_providers(catalog, httpx.AsyncClient(), local_url)["it"]


@pytest.mark.parametrize("kind", chat_types())
def test_every_type_that_a_module_declares_can_be_built(kind: str) -> None:
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
        assert not (await provider.check_health()).reachable


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "litellm"}, "type: openai"),
        ({"type": "opnai"}, "there are anthropic, comfyui, gemini, local, mock, ollama, openai"),
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
def test_what_cannot_be_built_says_which_and_what_to_do(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ProviderMisconfigured, match=words) as caught:
        build(**config)
    assert "providers.it" in str(caught.value)


def test_a_new_provider_is_one_file_that_the_configuration_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (tmp_path / "echo.py").write_text(code_of(recipe, "gateway/providers/chat/echo.py"), encoding="utf-8")
    monkeypatch.setattr(chat, "__path__", [*chat.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "gateway.providers.chat.echo", raising=False)
    config = tmp_path / "provider_config.yaml"
    config.write_text("providers: {it: {type: echo}}\nmodels: {echo: {provider: it, model: echo}}\n")

    provider = build_chat_providers(load_catalog(config), httpx.AsyncClient(), "")["it"]

    assert (provider.type, provider.configured) == ("echo", True)


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
from gateway.domain.config.catalog import Catalog, ProviderConfig
from gateway.domain.config.loader import ConfigError
from gateway.providers import chat
from gateway.providers.registry import build_providers
from gateway.providers.discovery import chat_types
build_providers(Catalog(providers={t: ProviderConfig(type=t) for t in chat_types()}), httpx.AsyncClient(), "")
sdks = {"langchain_ollama", "ollama", "langchain_anthropic", "anthropic", "langchain_google_genai", 
        "google.genai", "langchain_openai", "openai"}
print(sorted(sdks & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
