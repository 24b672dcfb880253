"""A model may have several providers."""

from __future__ import annotations

import pytest

from gateway.domain.config.loader import ConfigError, parse_catalog
from gateway.domain.money import Price
from gateway.providers.registry import PROVIDER_TYPES

FILE = """\
providers:
  a: {type: openai, base_url: "http://a.test/v1"}
  b: {type: mock}
  c: {type: local}
models:
  m: {model: x, provider: %s}
"""


@pytest.mark.parametrize(
    ("given", "providers"),
    [("a", ("a",)), ("[a]", ("a",)), ("[b, a]", ("b", "a")), ("[a, b, a]", ("a", "b"))],
)
def test_provider_is_a_name_or_a_list(given: str, providers: tuple[str, ...]) -> None:
    model = parse_catalog(FILE % given, {}).models["m"]
    assert (model.providers, model.provider) == (providers, providers[0])


def test_a_dumped_catalog_loads_again() -> None:
    catalog = parse_catalog(FILE % "[b, a]", {})
    assert type(catalog).model_validate(catalog.model_dump()).models == catalog.models


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("[a, z]", "conf.yaml:6: models.m.provider.1: there is no provider called 'z'"),
        ("[]", "conf.yaml:6: models.m.provider: this must be a provider's name, or a list of them"),
        ("a, providers: [b]", "conf.yaml:6: models.m.providers: unknown key; `provider` takes a list too"),
    ],
)
def test_an_invalid_provider_is_reported_with_its_line(given: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_catalog(FILE % given, {}, source="conf.yaml")
    assert sentence in str(caught.value).splitlines()


def test_a_model_is_free_only_if_all_its_providers_are() -> None:
    assert parse_catalog(FILE % "[b, c]", {}, provider_types=PROVIDER_TYPES).price_of("m") == Price()
    dear = parse_catalog(FILE % "[b, a]", {}, provider_types=PROVIDER_TYPES)
    assert dear.price_of("m") == Price(
        *(getattr(dear.pricing.unknown, kind) for kind in ("input", "output", "image"))
    )
