"""Which model the gateway may ask on its own for a caller whose key has limits."""

from __future__ import annotations

import pytest

from gateway.agent.light import light_model, may_use
from tests.agents import catalog, runner
from tests.upstreams.openai_server import OpenAIUpstream

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
async def test_a_side_call_asks_only_what_the_key_may_use(
    allowed: set[str] | None, light: bool, other: bool
) -> None:
    limits = None if allowed is None else frozenset(allowed)
    async with OpenAIUpstream() as up:
        config = catalog({"small": up.url, "big": up.url, "other": up.url}, **SECTIONS)
        async with runner(config) as agent:
            assert light_model(agent.parts, limits) == ("small" if light else None)
    assert may_use(config, limits, "other") is other
