"""Configuration by environment variables, with and without a file."""

from __future__ import annotations

import pytest

from gateway.domain.config.loader import ConfigError, parse_catalog

UPSTREAMS = "llama=http://localhost:8001;mock=mock://local;gpt=litellm://gpt-4o-mini;bad=mock://fail"


def test_upstreams_alone_are_a_complete_configuration() -> None:
    catalog = parse_catalog("", {"GATEWAY_UPSTREAMS": UPSTREAMS, "OPENAI_API_KEY": "not-a-real-key"})

    assert set(catalog.models) == {"llama", "mock", "gpt", "bad"}
    assert catalog.providers["llama"].base_url == "http://localhost:8001/v1"
    assert catalog.models["llama"].model == "llama"
    assert catalog.models["bad"].model == "fail"
    assert catalog.models["gpt"].model == "gpt-4o-mini"
    assert catalog.providers["gpt"].type == "openai"
    assert catalog.providers["gpt"].api_key == "not-a-real-key"
    assert catalog.models_of("gpt-4o-mini") == ("gpt",)


def test_a_fallback_may_name_a_vendors_model() -> None:
    environ = {"GATEWAY_UPSTREAMS": UPSTREAMS, "GATEWAY_FALLBACKS": "llama=gpt-4o-mini,mock;bad=mock"}

    catalog = parse_catalog("", environ)

    assert catalog.fallbacks_of("llama") == ("gpt", "mock")
    assert catalog.fallbacks_of("bad") == ("mock",)


def test_auto_uses_the_default_upstream() -> None:
    environ = {"GATEWAY_UPSTREAMS": UPSTREAMS, "GATEWAY_DEFAULT_UPSTREAM": "mock"}

    routing = parse_catalog("", environ).routing

    assert (routing.light, routing.heavy) == ("mock", "mock")


def test_limits_override_the_file() -> None:
    text = "tiers: {only: {requests_per_minute: 5, tokens_per_day: 100}}\ntimeouts: {connect: 2}"
    environ = {
        "GATEWAY_RATE_LIMIT_PER_MINUTE": "7",
        "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "2",
        "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS": "1.5",
        "GATEWAY_REQUEST_TIMEOUT_SECONDS": "9",
    }

    catalog = parse_catalog(text, environ)

    assert catalog.tier_of("only").requests_per_minute == 7
    assert catalog.tier_of("only").tokens_per_day == 100
    assert catalog.limits.environment_key_requests_per_minute == 7
    assert (catalog.circuit_breaker.failures, catalog.circuit_breaker.reset_seconds) == (2, 1.5)
    assert (catalog.timeouts.live, catalog.timeouts.first_token, catalog.timeouts.connect) == (9, 9, 2)


def test_the_rate_limit_applies_to_the_default_tiers() -> None:
    catalog = parse_catalog("", {"GATEWAY_RATE_LIMIT_PER_MINUTE": "3"})

    assert {tier.requests_per_minute for tier in catalog.tiers.values()} == {3}
    assert catalog.tier_of("free").tokens_per_day == 200_000


def test_an_upstream_replaces_one_of_the_same_name_in_the_file() -> None:
    text = (
        "providers: {a: {type: mock}, b: {type: mock}}\n"
        "models: {a: {provider: a, model: x}, b: {provider: b, model: y}}"
    )

    catalog = parse_catalog(text, {"GATEWAY_UPSTREAMS": "a=https://models.example.com/api/v2/"})

    assert catalog.providers["a"].base_url == "https://models.example.com/api/v2"
    assert catalog.models["b"].model == "y"


@pytest.mark.parametrize(
    ("address", "free"),
    [
        ("http://localhost:1", True),
        ("http://192.168.1.5:8000", True),
        ("http://llama:8000", True),
        ("https://models.example.com", False),
    ],
)
def test_only_self_hosted_upstreams_are_free(address: str, free: bool) -> None:
    catalog = parse_catalog("", {"GATEWAY_UPSTREAMS": f"a={address}"})

    assert (catalog.price_of("a").input == 0) is free


@pytest.mark.parametrize(
    "environ",
    [
        {"GATEWAY_UPSTREAMS": "llama"},
        {"GATEWAY_UPSTREAMS": "llama=localhost:8001"},
        {"GATEWAY_UPSTREAMS": "llama=ftp://secret-host"},
        {"GATEWAY_UPSTREAMS": "a=http://"},
        {"GATEWAY_UPSTREAMS": "a=http://host/v1?key=secret"},
        {"GATEWAY_UPSTREAMS": "a=litellm://secret-model"},
        {"GATEWAY_UPSTREAMS": "a=mock://local", "GATEWAY_FALLBACKS": "a=secret"},
        {"GATEWAY_UPSTREAMS": "a=mock://local", "GATEWAY_FALLBACKS": "a"},
        {"GATEWAY_RATE_LIMIT_PER_MINUTE": "secret"},
        {"GATEWAY_RATE_LIMIT_PER_MINUTE": "0"},
        {"GATEWAY_REQUEST_TIMEOUT_SECONDS": "inf"},
        {"GATEWAY_DEFAULT_UPSTREAM": "nobody"},
    ],
)
def test_an_invalid_variable_is_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        parse_catalog("", environ)


@pytest.mark.parametrize("variable", ["GATEWAY_UPSTREAMS", "GATEWAY_FALLBACKS"])
def test_a_duplicate_name_is_an_error(variable: str) -> None:
    twice = {"GATEWAY_UPSTREAMS": "a=mock://local;b=mock://fail;a=http://localhost:1"}
    if variable == "GATEWAY_FALLBACKS":
        twice = {"GATEWAY_UPSTREAMS": "a=mock://local;b=mock://fail", variable: "a=b;a=b"}

    with pytest.raises(ConfigError, match=f"{variable}: a is defined twice"):
        parse_catalog("", twice)
