"""Prices of models; no model is free by mistake."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.domain.config.loader import ConfigError, parse_catalog
from gateway.domain.money import Price, Usage
from gateway.providers.registry import PROVIDER_TYPES

PROVIDERS = (
    "providers: {vendor: {type: openai}, home: {type: ollama}, toy: {type: mock}, tiny: {type: local}}\n"
)


def price(model: str, more: str = "") -> Price:
    text = f"{PROVIDERS}models: {{m: {{model: x, {model}}}}}\n{more}"
    return parse_catalog(text, {}, provider_types=PROVIDER_TYPES).price_of("m")


def test_a_vendors_model_without_a_price_costs_the_unknown_price() -> None:
    assert price("provider: vendor") == Price(Decimal(5), Decimal(15), Decimal("0.2"))
    assert price("provider: vendor", "pricing: {unknown: {input: 7, output: 21, image: 0}}") == Price(
        Decimal(7), Decimal(21)
    )


def test_a_missing_part_of_a_price_is_unknown() -> None:
    assert price("provider: vendor, price: {input: 0.5}") == Price(
        Decimal("0.5"), Decimal(15), Decimal("0.2")
    )


def test_cached_and_cache_write_tokens_have_their_own_prices() -> None:
    claude = price("provider: vendor, price: {input: 3, cached_input: 0.3, cache_write: 3.75, output: 15}")
    used = Usage(1_000_000, 100_000, cached_tokens=700_000, cache_write_tokens=200_000)
    assert claude.cost(used) == Decimal("0.3") + Decimal("0.21") + Decimal("0.75") + Decimal("1.5")


def test_cached_tokens_default_to_the_input_price() -> None:
    plain = price("provider: vendor, price: {input: 3, output: 15}")
    assert plain.cost(Usage(1000, 10, 700, 200)) == plain.cost(Usage(1000, 10))


@pytest.mark.parametrize("provider", ["home", "toy", "tiny"])
def test_self_hosted_models_are_free_without_a_price(provider: str) -> None:
    assert price(f"provider: {provider}") == Price()
    assert price(f"provider: {provider}, price: {{input: 1, output: 2}}") == Price(Decimal(1), Decimal(2))


def test_a_price_of_zero_is_used() -> None:
    assert price("provider: vendor, price: {input: 0, output: 0, image: 0}") == Price()


@pytest.mark.parametrize(
    "section",
    [
        "limits: {usd_per_turn: 0}",
        "limits: {usd_per_turn: -1}",
        "limits: {default_max_tokens: 0}",
        "limits: {usd_a_turn: 1}",
        "pricing: {unknown: {input: -1}}",
        "pricing: {unkown: {input: 1}}",
    ],
)
def test_an_invalid_limit_is_reported_with_its_line(section: str) -> None:
    with pytest.raises(ConfigError, match=r"provider_config\.yaml:3: "):
        price("provider: vendor", section)
