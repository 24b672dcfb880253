"""The configuration file: its meaning, and problems with line numbers."""
# ruff: noqa: E501  a table of one-line files and sentences reads best a row a line

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.domain.config.catalog import Catalog
from gateway.domain.config.loader import ConfigError, parse_catalog
from gateway.domain.config.yaml_source import read_yaml
from tests.support.paths import PROJECT

SHIPPED = PROJECT / "provider_config.yaml"
BASE = """\
providers:
  ollama: {type: ollama}
  local: {type: local}
models:
  small: {provider: ollama, model: a, price: {input: 0.15, output: 0.6}}
  big: {provider: ollama, model: b}
  local: {provider: local, model: c}
"""


def parse(text: str, **environ: str) -> Catalog:
    return parse_catalog(text, environ, source="conf.yaml")


def mistakes(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, **environ)
    return str(caught.value).splitlines()


def test_the_shipped_file_works_without_environment() -> None:
    catalog = parse_catalog(SHIPPED.read_text(), {})
    assert catalog.mode == "live"
    assert catalog.providers["ollama"].base_url == "http://localhost:11434"
    assert all(catalog.providers[name].api_key is None for name in ("openai", "anthropic", "gemini"))
    assert {model.provider for model in catalog.models.values()} == set(catalog.providers)
    assert catalog.fallbacks_of("qwen2.5:7b")[-1] == "local"
    assert {"calculator", "current_time", "code"} <= set(catalog.tools.enabled)
    assert catalog.guardrails.api_keys.injection == "off"
    assert catalog.tiers["enterprise"].tokens_per_day is None
    assert catalog.price_of("gpt-4o-mini").input == Decimal("0.15")


def test_the_environment_reaches_the_shipped_file() -> None:
    catalog = parse_catalog(
        SHIPPED.read_text(),
        {
            "OPENAI_API_KEY": "k",
            "MODEL_SIMPLE": "phi4",
            "COMPLEXITY_THRESHOLD": "0.7",
            "GENERATOR_MODE": "mock",
        },
    )
    assert catalog.providers["openai"].api_key == "k"
    assert catalog.models["llama3.2:3b"].model == "phi4"
    assert catalog.routing.threshold == 0.7
    assert catalog.mode == "mock"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "aliases:\n"])
def test_missing_sections_have_defaults(text: str) -> None:
    catalog = parse(text)
    assert catalog.tiers["free"].requests_per_minute == 20
    assert catalog.tiers["pro"].usd_per_month == Decimal(50)
    assert catalog.retry.attempts == 2


@pytest.mark.parametrize(
    ("line", "environ", "value"),
    [
        ("retry: {attempts: 4}", {}, 4),
        ("retry:\n  attempts: ${N:-5}", {}, 5),
        ("retry:\n  attempts: ${N:-5}", {"N": "7"}, 7),
        ("retry:\n  attempts: ${N:-5}", {"N": ""}, 5),
        ('retry: {attempts: "${N:-6}"}', {}, 6),
    ],
)
def test_a_substituted_scalar_gets_the_type_of_its_text(
    line: str, environ: dict[str, str], value: int
) -> None:
    assert parse(line, **environ).retry.attempts == value


@pytest.mark.parametrize("key", ["0123", "true", "12345678901234567890123", "1e5", "~x"])
def test_an_api_key_of_digits_remains_text(key: str) -> None:
    text = "providers:\n  p:\n    type: openai\n    api_key: ${K}"
    assert parse(text, K=key).providers["p"].api_key == key


@pytest.mark.parametrize(
    "value", ["x, type: local", "x\n  evil: {type: local}", "[a, b]", "{a: b}", "*x", "&y z"]
)
def test_a_value_from_the_environment_cannot_become_yaml(value: str) -> None:
    for text in (
        "providers:\n  p:\n    type: openai\n    api_key: ${K}",
        'providers: {p: {type: openai, api_key: "${K}"}}',
    ):
        catalog = parse(text, K=value)
        assert list(catalog.providers) == ["p"]
        assert catalog.providers["p"].api_key == value


def test_a_doubled_dollar_sign_is_an_escape() -> None:
    assert parse('providers: {p: {type: openai, api_key: "$${K}"}}').providers["p"].api_key == "${K}"


def test_an_unquoted_off_is_text() -> None:
    assert parse("guardrails: {people: {injection: off}}").guardrails.people.injection == "off"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\n", "conf.yaml:2: not valid YAML"),
        ("tools:\n\t- x\n", "conf.yaml:2: not valid YAML"),
        ("mode: live\n\x07", "conf.yaml:2: not valid YAML: a character"),
        ("- a\n", "conf.yaml:1: the file must be a mapping"),
        ("mode: live\nmode: mock\n", "conf.yaml:2: mode: this key is defined twice"),
        ("retry:\n  attempts: 1\n  attempts: 2\n", "conf.yaml:3: retry.attempts: this key is defined twice"),
        ("routing:\n  threshold: 0.5\n  treshold: 1\n", "conf.yaml:3: routing.treshold: unknown key"),
        ("nonsense: 1\n", "conf.yaml:1: nonsense: unknown key"),
        ("mode: ${NOT_THERE}\n", "conf.yaml:1: mode: the environment variable NOT_THERE is not set"),
        ("mode: ${9}\n", "conf.yaml:1: mode: a ${…} that is not"),
        ("mode: fast\n", "conf.yaml:1: mode: input should be 'live' or 'mock'"),
        ("timeouts:\n  live: soon\n", "conf.yaml:2: timeouts.live: input should be a valid number"),
        ("timeouts:\n  live: inf\n", "conf.yaml:2: timeouts.live: input should be a finite number"),
        ("timeouts: [1]\n", "conf.yaml:1: timeouts: this must be a mapping"),
        ("providers:\n  p:\n    base_url: x\n", "conf.yaml:2: providers.p.type: this key is required"),
        ("tools: {enabled: calculator}\n", "conf.yaml:1: tools.enabled: this must be a list"),
        ("mode: !!python/object:os.system x\n", "conf.yaml:1: mode: a YAML tag is not supported"),
        ("mode: &x live\nretry: &y\n  attempts: *y\n", "conf.yaml:2: retry.attempts: an alias that contains itself"),
        ("? [a]\n: b\n", "conf.yaml:1: file: a key must be a name"),
        (BASE + "  auto: {provider: local, model: x}\n", "conf.yaml:8: models.auto: a model must not be called 'auto'"),
        (BASE + "  x: {provider: olama, model: x}\n", "conf.yaml:8: models.x.provider: there is no provider called 'olama'; did you mean 'ollama'?"),
        (BASE + "aliases:\n  fast:\n    - small\n    - smal\n", "conf.yaml:11: aliases.fast.1: there is no model called 'smal'; did you mean 'small'?"),
        (BASE + "aliases:\n  small: [big]\n", "conf.yaml:9: aliases.small: this alias has the name of a model"),
        (BASE + "aliases:\n  auto: [big]\n", "conf.yaml:9: aliases.auto: an alias must not be called 'auto'"),
        (BASE + "aliases:\n  empty: []\n", "conf.yaml:9: aliases.empty: an alias needs at least one model"),
        (BASE + "routing:\n  light: tiny\n", "conf.yaml:9: routing.light: there is no model called 'tiny'"),
        (BASE + "routing:\n  rules:\n    - {role: [a], model: small}\n    - {model: gone}\n", "conf.yaml:11: routing.rules.1.model: there is no model called 'gone'"),
        (BASE + "fallbacks:\n  smoll: [big]\n", "conf.yaml:9: fallbacks.smoll: there is no model called 'smoll'"),
        (BASE + 'fallbacks:\n  "*": [gone]\n', "conf.yaml:9: fallbacks.*.0: there is no model called 'gone'"),
        (BASE + "fallbacks:\n  small: [small]\n", "conf.yaml:9: fallbacks.small: these fallbacks form a cycle: small → small"),
        (BASE + "fallbacks:\n  big: [local]\n  small: [big]\n  local: [small]\n", "conf.yaml:9: fallbacks.big: these fallbacks form a cycle: big → local → small → big"),
    ],
)  # fmt: skip
def test_problems_have_line_numbers(text: str, expected: str) -> None:
    found = mistakes(text)
    assert any(line.startswith(expected) for line in found), found


def test_the_wildcard_fallback_closes_no_cycle() -> None:
    catalog = parse(BASE + 'fallbacks: {small: [big], "*": [local], local: [small]}')
    assert catalog.fallbacks_of("small") == ("big", "local")


def test_all_problems_are_reported_in_line_order() -> None:
    text = (
        BASE.replace("provider: local", "provider: nowhere")
        + "retry: {attempts: 0}\nmode: ${NOPE}\nextra: 1\n"
    )
    lines = [int(line.split(":")[1]) for line in mistakes(text)]
    assert lines == sorted(lines)
    assert {7, 8, 9, 10} <= set(lines)


def test_problems_never_contain_values() -> None:
    text = (
        'providers:\n  p: {type: openai, api_key: ["${K}"]}\n  q: {type: openai, options: "${K}"}\nmode: ${K}'
    )
    found = "\n".join(mistakes(text, K="sk-this-is-a-secret"))
    assert "sk-this" not in found
    assert found.count("conf.yaml:") == 3


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tiers: {free: {tokens_per_day: 99999999999999999999}}", "tiers.free.tokens_per_day"),
        ("tiers: {free: {requests_per_minute: 9223372036854775808}}", "tiers.free.requests_per_minute"),
        ("tiers: {free: {usd_per_month: 1e40}}", "tiers.free.usd_per_month"),
        ("tiers: {free: {storage_mb: 99999999999999999}}", "tiers.free.storage_mb"),
        ("circuit_breaker: {failures: 99999999999999999999}", "circuit_breaker.failures"),
        ("cache: {exact: {ttl_seconds: 1e18}}", "cache.exact.ttl_seconds"),
    ],
)
def test_too_large_numbers_are_rejected(text: str, place: str) -> None:
    assert mistakes(BASE + text) == [f"conf.yaml:8: {place}: this number exceeds 1,000,000,000,000"]


@pytest.mark.parametrize(
    "name", [r"mo\0ck", r"mo\nck", r"m\ud800", r"\udc00", r"\u202e", r"a\x7f"], ids=ascii
)
@pytest.mark.parametrize("section", ["models", "tiers", "aliases", "providers"])
def test_unprintable_names_are_rejected(section: str, name: str) -> None:
    text = BASE if section in BASE else f"{BASE}{section}:\n"
    found = mistakes(text.replace(f"{section}:\n", f'{section}:\n  "{name}": {{}}\n'))
    assert any(line.endswith(f"{section}: a key with a control character") for line in found)


@pytest.mark.parametrize("value", ["sk-\udcff", "a\x00b"], ids=ascii)
def test_invalid_text_is_rejected(value: str) -> None:
    text = BASE.replace("{type: local}", "{type: openai, api_key: '${KEY}'}")
    found = mistakes(text, KEY=value)
    assert "providers.local.api_key: a NUL character or an unpaired surrogate" in found[0]
    assert "sk-" not in found[0]


def test_too_large_prices_are_rejected() -> None:
    text = BASE.replace("input: 0.15", "input: 1e30")
    assert mistakes(text)[0].startswith("conf.yaml:5: models.small.price.input: ")


def test_nested_aliases_and_placeholders_are_limited() -> None:
    many = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    assert "more than 100,000 values" in mistakes(BASE + many)[0]
    deep = "mode: " + "${A:-" * 3000 + "live" + "}" * 3000
    assert mistakes(BASE + deep) == ["conf.yaml:1: nested too deeply"]


def test_deep_nesting_is_reported() -> None:
    assert "nested too deeply" in mistakes("a: " + "[" * 5000 + "]" * 5000)[0]


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        ("${A:-${B:-x}}", {}, "x"),
        ("${A:-${B:-x}}", {"B": "b"}, "b"),
        ("${A:-${B:-x}}", {"A": "a", "B": "b"}, "a"),
        ("${A:-${B}}", {"A": "a"}, "a"),  # B is not needed
        ("${A:-http://${HOST:-localhost}:${PORT:-80}/v1}/x", {"PORT": "81"}, "http://localhost:81/v1/x"),
        ("${A:-${B:-${C:-deep}}}", {}, "deep"),
        ("${A:-}${B:-y}", {}, "y"),
        ("${A:-$${B}}", {}, "${B}"),
        ("${A:-${B:-x}}", {"A": "${C}"}, "${C}"),  # a value is no placeholder
        ("$5 {a} $A", {}, "$5 {a} $A"),
    ],
)
def test_a_default_may_contain_placeholders(text: str, environ: dict[str, str], value: str) -> None:
    document = read_yaml(f"key: '{text}'", environ)
    assert (document.value, document.problems) == ({"key": value}, [])


@pytest.mark.parametrize("text", ["${A:-${B:-x}", "${A:-${B}}", "${", "${A:-", "${A-b}", "${1A}"])
def test_an_invalid_placeholder_is_reported(text: str) -> None:
    assert read_yaml(f"key: '{text}'", {}).problems


@pytest.mark.parametrize("end", ["?api-version=1", "#part", "/v1?", "/v1#"])
@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini", "ollama", "comfyui"])
def test_a_base_url_with_query_or_fragment_is_rejected(kind: str, end: str) -> None:
    found = mistakes(f"providers:\n  p: {{type: {kind}, base_url: 'http://localhost:1{end}'}}\n")
    assert any(line.startswith("conf.yaml:2: providers.p.base_url: ") for line in found), found
