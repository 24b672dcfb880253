"""Where a client's address and credential come from when they are not given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def where(client: Any) -> tuple[str, str]:
    http = client._transport.http
    return str(http.base_url).rstrip("/"), http.headers["authorization"]


@pytest.mark.parametrize("make", CLIENTS)
def test_address_and_key_come_from_the_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_GATEWAY_URL", "https://gateway.example/base/")
    monkeypatch.setenv("LLM_GATEWAY_API_KEY", "gw_from_the_environment")

    assert where(make()) == ("https://gateway.example/base", "Bearer gw_from_the_environment")


@pytest.mark.parametrize("make", CLIENTS)
def test_arguments_win_over_the_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_GATEWAY_URL", "https://gateway.example")
    monkeypatch.setenv("LLM_GATEWAY_API_KEY", "gw_from_the_environment")

    assert where(make("http://other:1", token="access")) == ("http://other:1", "Bearer access")


@pytest.mark.parametrize("make", CLIENTS)
def test_the_default_address_is_loopback(make: Make) -> None:
    assert where(make(api_key="gw_x"))[0] == "http://127.0.0.1:8000"


@pytest.mark.parametrize("make", CLIENTS)
def test_without_a_credential_the_message_names_the_variable(make: Make) -> None:
    with pytest.raises(ValueError, match="LLM_GATEWAY_API_KEY"):
        make()
    with pytest.raises(ValueError, match="either api_key or token"):
        make(api_key="gw_x", token="access")
