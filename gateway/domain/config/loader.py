"""Parses `provider_config.yaml` into a `Catalog` or problems by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from gateway.domain.config.catalog import Catalog
from gateway.domain.config.environment import EnvironmentConfigError, apply_environment
from gateway.domain.config.provider_types import ProviderTypes, provider_type_problem
from gateway.domain.config.validation import check_references
from gateway.domain.config.yaml_source import KeyPath, YamlDocument, read_yaml

_MESSAGES = {
    "extra_forbidden": "unknown key",
    "missing": "this key is required",
    "tuple_type": "this must be a list",
    "frozen_set_type": "this must be a list",
    "dict_type": "this must be a mapping",
    "model_type": "this must be a mapping",
    "model_attributes_type": "this must be a mapping",
    "string_type": "this must be text; quote it",
}


class ConfigError(Exception):
    """The configuration is invalid; each line reads `file:line: key: problem`."""


def parse_catalog(
    text: str,
    environ: Mapping[str, str],
    *,
    source: str = "provider_config.yaml",
    provider_types: ProviderTypes = MappingProxyType({}),
) -> Catalog:
    """Parse and validate a configuration.

    `${NAME}` and `${NAME:-default}` are read from `environ`, and `GATEWAY_*` variables override sections
    (`gateway.domain.config.environment`). Missing sections have their defaults.

    Args:
        provider_types: all provider types; without them, types are not checked.

    Raises:
        ConfigError: with all problems by line; values are never included, names are.
    """
    document = read_yaml(text, environ)
    problems = list(document.problems)
    value = {} if document.value is None else document.value
    catalog: Catalog | None = None
    if not isinstance(value, dict):
        problems.append((1, "the file must be a mapping of sections"))
    elif document.value is not None or not problems:
        # An empty section such as `aliases:` counts as missing.
        value = {key: section for key, section in value.items() if section is not None}
        try:
            value = apply_environment(value, environ)
        except EnvironmentConfigError as error:
            raise ConfigError(str(error)) from None
        problems += _locate(document, check_references(value, provider_types))
        catalog, validation_problems = _validate(value, document, provider_types)
        problems += _locate(document, validation_problems)
        problems += _locate(document, _unknown_provider_types(value, provider_types))
    if problems or catalog is None:
        lines = dict.fromkeys(f"{source}:{line}: {message}" for line, message in sorted(problems))
        raise ConfigError("\n".join(lines))
    return catalog


def _unknown_provider_types(
    value: Mapping[str, Any], provider_types: ProviderTypes
) -> Iterator[tuple[KeyPath, str]]:
    if not provider_types:
        return
    providers = value.get("providers")
    for name, provider in providers.items() if isinstance(providers, dict) else ():
        type_ = provider.get("type") if isinstance(provider, dict) else None
        if isinstance(type_, str) and (problem := provider_type_problem(type_, provider_types)):
            yield ("providers", name, "type"), problem


def _locate(document: YamlDocument, problems: Iterator[tuple[KeyPath, str]]) -> list[tuple[int, str]]:
    return [
        (document.line_of(path), f"{'.'.join(str(part) for part in path) or 'file'}: {message}")
        for path, message in problems
    ]


def _validate(
    value: dict[str, Any], document: YamlDocument, provider_types: ProviderTypes
) -> tuple[Catalog | None, Iterator[tuple[KeyPath, str]]]:
    context = {"provider_types": provider_types}
    try:
        return Catalog.model_validate(value, context=context), iter(())
    except ValidationError as error:
        first_error = error
    # Strings from the environment that look like numbers, in fields that require text.
    for detail in first_error.errors(include_url=False, include_input=False):
        path = tuple(detail["loc"])
        if detail["type"] == "string_type" and document.texts.get(path):
            _replace(value, path, document.texts[path])
    try:
        return Catalog.model_validate(value, context=context), iter(())
    except ValidationError as error:
        return None, _validation_problems(error)


def _replace(value: Any, path: KeyPath, text: str) -> None:
    for part in path[:-1]:
        value = value[part]
    value[path[-1]] = text


def _validation_problems(error: ValidationError) -> Iterator[tuple[KeyPath, str]]:
    for detail in error.errors(include_url=False, include_input=False):
        message = _MESSAGES.get(detail["type"]) or detail["msg"][:1].lower() + detail["msg"][1:]
        yield tuple(detail["loc"]), message
