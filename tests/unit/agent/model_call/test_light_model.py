"""Auxiliary calls respect the models of an API key."""

from __future__ import annotations

import pytest

from gateway.agent.model_call.light_model import key_allows_model, light_model
from tests.support.agent import make_catalog, running_agent
from tests.support.upstreams.openai_server import OpenAIUpstream

SECTIONS = {
    "routing": {"light": "small", "heavy": "big"},
    "aliases": {"cheap": ["small"], "dear": ["big", "other"]},
}


@pytest.mark.parametrize(
    ("allowed", "light", "other"),
    [
        (None, True, True),
        ({"small"}, True, False),
        ({"cheap"}, True, False),
        ({"auto"}, True, False),
        ({"big"}, False, False),
        ({"dear"}, False, True),
        (set(), False, False),
    ],
)
async def test_auxiliary_calls_use_only_models_of_the_api_key(
    allowed: set[str] | None, light: bool, other: bool
) -> None:
    limits = None if allowed is None else frozenset(allowed)
    async with OpenAIUpstream() as up:
        config = make_catalog({"small": up.url, "big": up.url, "other": up.url}, **SECTIONS)
        async with running_agent(config) as agent:
            assert light_model(agent.resources, limits) == ("small" if light else None)
    assert key_allows_model(config, limits, "other") is other
