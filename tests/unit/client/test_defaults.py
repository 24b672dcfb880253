"""Defaults of the client's address and credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.client import (
    AsyncLLMGatewayClient,
    AsyncMediaGatewayClient,
    LLMGatewayClient,
    MediaGatewayClient,
)

CLIENTS = (LLMGatewayClient, MediaGatewayClient, AsyncLLMGatewayClient, AsyncMediaGatewayClient)
Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_GATEWAY_URL", raising=False)
    monkeypatch.delenv("LLM_GATEWAY_API_KEY", raising=False)


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Arguments of the httpx clients that a test creates."""
    created: list[dict[str, Any]] = []
    for name in ("Client", "AsyncClient"):
        monkeypatch.setattr(httpx, name, lambda **options: created.append(options))
    return created


def where(created: list[dict[str, Any]]) -> tuple[str, str]:
    [options] = created
    return options["base_url"], options["headers"]["authorization"]


@pytest.mark.parametrize("make", CLIENTS)
def test_address_and_key_come_from_the_environment(
    make: Make, monkeypatch: pytest.MonkeyPatch, created: list[dict[str, Any]]
) -> None:
    monkeypatch.setenv("LLM_GATEWAY_URL", "https://gateway.example/base/")
    monkeypatch.setenv("LLM_GATEWAY_API_KEY", "gw_from_the_environment")

    make()
    assert where(created) == ("https://gateway.example/base", "Bearer gw_from_the_environment")


@pytest.mark.parametrize("make", CLIENTS)
def test_arguments_override_the_environment(
    make: Make, monkeypatch: pytest.MonkeyPatch, created: list[dict[str, Any]]
) -> None:
    monkeypatch.setenv("LLM_GATEWAY_URL", "https://gateway.example")
    monkeypatch.setenv("LLM_GATEWAY_API_KEY", "gw_from_the_environment")

    make("http://other:1", token="access")
    assert where(created) == ("http://other:1", "Bearer access")


@pytest.mark.parametrize("make", CLIENTS)
def test_default_address_is_loopback(make: Make, created: list[dict[str, Any]]) -> None:
    make(api_key="gw_x")
    assert where(created)[0] == "http://127.0.0.1:8000"


@pytest.mark.parametrize("make", CLIENTS)
def test_missing_credential_error_names_the_variable(make: Make) -> None:
    with pytest.raises(ValueError, match="LLM_GATEWAY_API_KEY"):
        make()
    with pytest.raises(ValueError, match="either api_key or token"):
        make(api_key="gw_x", token="access")
