"""Requests to the small local model: the shipped default fields, which a request overrides."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import yaml

from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.messages import Message
from gateway.domain.requests import ChatRequest, Sampling
from gateway.providers.local.chat import LocalChat
from tests.support.paths import PROJECT
from tests.support.upstreams.openai_server import OpenAIUpstream

SHIPPED = yaml.safe_load((PROJECT / "provider_config.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("asked", "extra", "expected"),
    [
        (Sampling(), {}, {"max_tokens": 400, "repeat_penalty": 1.15}),
        (Sampling(max_tokens=9), {}, {"max_tokens": 9, "repeat_penalty": 1.15}),
        (Sampling(), {"repeat_penalty": 1.0}, {"max_tokens": 400, "repeat_penalty": 1.0}),
    ],
)
async def test_default_fields_apply_unless_the_request_sets_them(
    stream: bool, asked: Sampling, extra: dict[str, Any], expected: dict[str, Any]
) -> None:
    async with OpenAIUpstream() as up, httpx.AsyncClient(trust_env=False) as http:
        config = ProviderConfig(**{**SHIPPED["providers"]["local"], "base_url": up.url})
        provider = LocalChat("local", config, Timeouts(), http)
        request = ChatRequest("smollm2", (Message("user", "Hello"),), asked, extra=extra, stream=stream)
        [event async for event in provider.stream(request)]
    sent = up.calls[0].body
    assert {name: sent[name] for name in expected} == expected
