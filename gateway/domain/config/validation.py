"""Validation across sections: references between names, and fallback cycles."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import Any

from gateway.domain.config.catalog import AUTO
from gateway.domain.config.provider_types import ProviderTypes
from gateway.domain.config.yaml_source import KeyPath
from gateway.domain.intent import INTENTS

Problem = tuple[KeyPath, str]
ANY_MODEL = "*"


def check_references(value: dict[str, Any], provider_types: ProviderTypes) -> Iterator[Problem]:
    """Yield the problems of a raw configuration by path.

    Values of a wrong type are skipped: pydantic reports them.
    """
    providers = _mapping(value, "providers")
    models = _mapping(value, "models")
    for name, model in models.items():
        if name in (AUTO, ANY_MODEL):
            yield ("models", name), f"a model must not be called '{name}'"
        if isinstance(model, dict):
            yield from _check_providers(("models", name, "provider"), model.get("provider"), providers)
            yield from _check_capabilities(("models", name, "capabilities"), model, providers, provider_types)
            if "providers" in model:
                yield ("models", name, "providers"), "unknown key; `provider` takes a list too"
    yield from _check_aliases(_mapping(value, "aliases"), models)
    yield from _check_routing(_mapping(value, "routing"), models)
    custom = _mapping(_mapping(value, "intent"), "exemplars")
    yield from _check_rule_intents(_mapping(value, "routing").get("rules"), (*INTENTS, *custom))
    yield from _check_fallbacks(_mapping(value, "fallbacks"), models)
    yield from _check_roles(_mapping(value, "roles"), (AUTO, *models, *_mapping(value, "aliases")))
    image_model = _mapping(value, "media").get("default")
    if (
        isinstance(image_model, str)
        and image_model not in models
        and image_model not in _mapping(value, "aliases")
    ):
        yield ("media", "default"), _unknown("model", image_model, models)
    moderator = _mapping(_mapping(value, "guardrails"), "moderation").get("model")
    if isinstance(moderator, str) and moderator not in models:
        yield ("guardrails", "moderation", "model"), _unknown("model", moderator, models)


def _check_providers(path: KeyPath, given: Any, providers: Collection[str]) -> Iterator[Problem]:
    """Check a provider's name or a list of names."""
    if isinstance(given, str) and given not in providers:
        yield path, _unknown("provider", given, providers)
    if isinstance(given, list):
        if not given or not all(isinstance(one, str) for one in given):
            yield path, "this must be a provider's name, or a list of them"
        for index, one in enumerate(given):
            if isinstance(one, str) and one not in providers:
                yield (*path, index), _unknown("provider", one, providers)


def _check_capabilities(
    path: KeyPath, model: dict[str, Any], providers: dict[str, Any], provider_types: ProviderTypes
) -> Iterator[Problem]:
    """Check that the types of a model's providers support its capabilities."""
    given = model.get("provider")
    capabilities = model.get("capabilities")
    capabilities = capabilities if isinstance(capabilities, list | tuple | frozenset) else ()
    for name in given if isinstance(given, list) else [given]:
        provider = providers.get(name) if isinstance(name, str) else None
        type_name = provider.get("type") if isinstance(provider, dict) else None
        provider_type = provider_types.get(type_name) if isinstance(type_name, str) else None
        if provider_type is None:
            continue
        for capability in ("images", "embeddings"):
            if capability in capabilities and capability not in provider_type.capabilities:
                yield path, f"a provider of type {type_name} has no {capability}"
        if "chat" not in provider_type.capabilities and set(capabilities) != provider_type.capabilities:
            only = ", ".join(sorted(provider_type.capabilities))
            yield path, f"a model of a provider of type {type_name} has only the capability {only}"


def _check_roles(roles: dict[str, Any], names: Collection[str]) -> Iterator[Problem]:
    for role, entry in roles.items():
        if not isinstance(entry, dict):
            continue
        tasks = _mapping(entry, "tasks")
        for path, part in [((role,), entry), *(((role, "tasks", task), tasks[task]) for task in tasks)]:
            model = part.get("model") if isinstance(part, dict) else None
            if isinstance(model, str) and model not in names:
                yield ("roles", *path, "model"), _unknown("model", model, names)


def _check_aliases(aliases: dict[str, Any], models: Collection[str]) -> Iterator[Problem]:
    for name, targets in aliases.items():
        if name in (AUTO, ANY_MODEL):
            yield ("aliases", name), f"an alias must not be called '{name}'"
        elif name in models:
            yield ("aliases", name), "this alias has the name of a model"
        if targets == []:
            yield ("aliases", name), "an alias needs at least one model"
        yield from _check_models(("aliases", name), targets, models)


def _check_routing(routing: dict[str, Any], models: Collection[str]) -> Iterator[Problem]:
    for key in ("light", "heavy"):
        target = routing.get(key)
        if isinstance(target, str) and target not in models:
            yield ("routing", key), _unknown("model", target, models)
    rules = routing.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        target = rule.get("model") if isinstance(rule, dict) else None
        if isinstance(target, str) and target not in models:
            yield ("routing", "rules", index, "model"), _unknown("model", target, models)


def _check_rule_intents(rules: Any, intents: Collection[str]) -> Iterator[Problem]:
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        given = rule.get("intent") if isinstance(rule, dict) else None
        for at, intent in enumerate(given if isinstance(given, list) else ()):
            if isinstance(intent, str) and intent not in intents:
                yield ("routing", "rules", index, "intent", at), _unknown("intent", intent, intents)


def _check_fallbacks(fallbacks: dict[str, Any], models: Collection[str]) -> Iterator[Problem]:
    for name, targets in fallbacks.items():
        if name != ANY_MODEL and name not in models:
            yield ("fallbacks", name), _unknown("model", name, models)
        yield from _check_models(("fallbacks", name), targets, models)
    reported: set[str] = set()
    for start in fallbacks:
        cycle = _cycle_from(start, fallbacks) if start not in reported else None
        if cycle:
            reported.update(cycle)
            yield ("fallbacks", start), f"these fallbacks form a cycle: {' → '.join(cycle)}"


def _check_models(path: KeyPath, targets: Any, models: Collection[str]) -> Iterator[Problem]:
    for index, target in enumerate(targets if isinstance(targets, list) else ()):
        if isinstance(target, str) and target not in models:
            yield (*path, index), _unknown("model", target, models)


def _cycle_from(start: str, fallbacks: dict[str, Any]) -> list[str] | None:
    """The path from `start` back to itself.

    `*` applies to all models and closes no cycle.
    """
    paths = [[start]]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        targets = fallbacks.get(path[-1])
        for target in targets if isinstance(targets, list) else ():
            if target == start:
                return [*path, start]
            if isinstance(target, str) and target not in seen:
                seen.add(target)
                paths.append([*path, target])
    return None


def _unknown(kind: str, name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"there is no {kind} called '{name}'{hint}"


def _mapping(value: dict[str, Any], key: str) -> dict[str, Any]:
    section = value.get(key)
    return section if isinstance(section, dict) else {}
