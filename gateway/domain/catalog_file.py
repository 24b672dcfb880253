"""From the text of `provider_config.yaml` to a checked `Catalog`, or to every mistake in it with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from gateway.domain.catalog import Catalog
from gateway.domain.catalog_checks import check_names
from gateway.domain.overlay import OverlayError, overlay
from gateway.domain.yaml_lines import LinedDocument, Path, read_lines

_SENTENCES = {
    "extra_forbidden": "unknown key",
    "missing": "this key is required",
    "tuple_type": "this has to be a list",
    "frozen_set_type": "this has to be a list",
    "dict_type": "this has to be a mapping",
    "model_type": "this has to be a mapping",
    "model_attributes_type": "this has to be a mapping",
    "string_type": "this has to be text; quote it",
}


class ConfigError(Exception):
    """The configuration cannot be used; the message has a line a mistake: `file:line: key: what is wrong`."""


def parse_catalog(
    text: str,
    environ: Mapping[str, str],
    *,
    source: str = "provider_config.yaml",
    type_problem: Callable[[str], str | None] = lambda _: None,
) -> Catalog:
    """The catalog that `text` describes, with `${NAME}` and `${NAME:-default}` read from `environ`.

    A section left out takes its defaults. `GATEWAY_*` variables are laid over it (`domain.overlay`).

    Args:
        type_problem: what is wrong with the type of a provider, as a sentence; None if nothing is.

    Raises:
        ConfigError: with all mistakes of the file, by line; values are never shown, names are.
    """
    document = read_lines(text, environ)
    problems = list(document.problems)
    value = {} if document.value is None else document.value
    catalog: Catalog | None = None
    if not isinstance(value, dict):
        problems.append((1, "the file has to be a mapping of sections"))
    elif document.value is not None or not problems:
        # A bare `aliases:` with nothing under it is a section left out.
        value = {key: section for key, section in value.items() if section is not None}
        try:
            value = overlay(value, environ)
        except OverlayError as error:
            raise ConfigError(str(error)) from None
        problems += _named(document, check_names(value))
        catalog, mistakes = _validate(value, document)
        problems += _named(document, mistakes)
        problems += _named(document, _wrong_types(value, type_problem))
    if problems or catalog is None:
        lines = dict.fromkeys(f"{source}:{line}: {sentence}" for line, sentence in sorted(problems))
        raise ConfigError("\n".join(lines))
    return catalog


def _wrong_types(
    value: Mapping[str, Any], type_problem: Callable[[str], str | None]
) -> Iterator[tuple[Path, str]]:
    providers = value.get("providers")
    for name, provider in providers.items() if isinstance(providers, dict) else ():
        type_ = provider.get("type") if isinstance(provider, dict) else None
        if isinstance(type_, str) and (problem := type_problem(type_)) is not None:
            yield ("providers", name, "type"), problem


def _named(document: LinedDocument, mistakes: Iterator[tuple[Path, str]]) -> list[tuple[int, str]]:
    return [
        (document.line_of(path), f"{'.'.join(str(part) for part in path) or 'file'}: {sentence}")
        for path, sentence in mistakes
    ]


def _validate(
    value: dict[str, Any], document: LinedDocument
) -> tuple[Catalog | None, Iterator[tuple[Path, str]]]:
    try:
        return Catalog.model_validate(value), iter(())
    except ValidationError as error:
        failed = error
    # Text from the environment that looks like a number, in a field that wants text.
    for detail in failed.errors(include_url=False, include_input=False):
        path = tuple(detail["loc"])
        if detail["type"] == "string_type" and document.texts.get(path):
            _replace(value, path, document.texts[path])
    try:
        return Catalog.model_validate(value), iter(())
    except ValidationError as error:
        return None, _mistakes(error)


def _replace(value: Any, path: Path, text: str) -> None:
    for part in path[:-1]:
        value = value[part]
    value[path[-1]] = text


def _mistakes(error: ValidationError) -> Iterator[tuple[Path, str]]:
    for detail in error.errors(include_url=False, include_input=False):
        sentence = _SENTENCES.get(detail["type"]) or detail["msg"][:1].lower() + detail["msg"][1:]
        yield tuple(detail["loc"]), sentence
