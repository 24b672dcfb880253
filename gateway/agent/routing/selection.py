"""Candidate models of a turn, best first. Pure functions over the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from gateway.agent.routing.routing_reasons import difficulty_reason, rule_reason
from gateway.core.exceptions import (
    ContextLengthExceeded,
    ModelNotAllowed,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamUnavailable,
)
from gateway.domain.config.catalog import AUTO, Catalog
from gateway.domain.config.models import Capability, ModelConfig
from gateway.domain.events import ModelCall
from gateway.domain.intent import Intent
from gateway.domain.requests import Turn

_PARAMS: dict[str, str] = {
    "tools": "tools",
    "json": "response_format",
    "vision": "messages",
    "logprobs": "logprobs",
}


@dataclass(frozen=True, slots=True)
class ModelPreference:
    """Models in order of preference; `explicit` if the caller named one."""

    models: tuple[str, ...]
    reason: str
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a model needs for a turn; `prompt_tokens` estimates what cannot be dropped."""

    capabilities: tuple[Capability, ...]
    prompt_tokens: int


def resolve_preference(catalog: Catalog, turn: Turn, intent: Intent) -> ModelPreference:
    """Resolve `turn.model`: a model, an alias, a routing rule, or light or heavy.

    Raises:
        ModelNotFound: nothing has this name.
    """
    name = turn.model
    if name in catalog.models:
        return ModelPreference((name,), f"You asked for {name}.", explicit=True)
    if name in catalog.aliases:
        models = catalog.aliases[name]
        return ModelPreference(models, f"{name} stands for {', then '.join(models)}.")
    if name != AUTO:
        raise ModelNotFound(param="model")
    for rule in catalog.routing.rules:
        matches = _matches(rule.role, turn.role) and _matches(rule.task, turn.task) and rule.mode is None
        if matches and _matches(rule.intent, intent.label):
            return ModelPreference((rule.model,), rule_reason(rule, intent))
    return _by_complexity(catalog, intent)


def _matches(allowed: tuple[str, ...], value: str | None) -> bool:
    return not allowed or value in allowed


def _by_complexity(catalog: Catalog, intent: Intent) -> ModelPreference:
    routing = catalog.routing
    is_hard = intent.complexity >= routing.threshold
    ordered = (routing.heavy, routing.light) if is_hard else (routing.light, routing.heavy)
    models = tuple(name for name in ordered if name is not None) or tuple(
        name for name, model in catalog.models.items() if model.can_chat
    )
    if not models:
        raise UpstreamUnavailable("No chat model is configured. Add one to provider_config.yaml.")
    return ModelPreference(models, difficulty_reason(intent, routing.threshold, models[0]))


def required_capabilities(turn: Turn, *, has_images: bool) -> tuple[Capability, ...]:
    """Capabilities the turn requires; tools offered by `tools: auto` are optional."""
    required: list[Capability] = []
    if turn.client_tools or turn.gateway_tools:
        required.append("tools")
    if turn.response_format is not None and turn.response_format.required:
        required.append("json")
    if has_images:
        required.append("vision")
    if turn.logprobs:
        required.append("logprobs")
    return tuple(required)


def select_candidates(
    catalog: Catalog,
    turn: Turn,
    preference: ModelPreference,
    *,
    allowed: frozenset[str] | None,
    requirements: Requirements,
    usable: Callable[[str], bool],
) -> tuple[str, ...]:
    """The preferred models and their fallbacks that can and may answer, in order.

    Args:
        allowed: names the caller's key may use; an alias allows its models, and `auto` what it selects.
        usable: whether a provider of the model is configured.

    Raises:
        ModelNotAllowed, UnsupportedParameter (names the param), ContextLengthExceeded (with the numbers),
        UpstreamUnavailable: no model is left, for the reason that comes first in this order.
    """
    required, tokens = requirements.capabilities, requirements.prompt_tokens
    chain = _with_fallbacks(catalog, turn, preference)
    if allowed is not None:
        chain = _only_permitted(chain, catalog, turn, preference, allowed)
    if preference.explicit:
        # A named model that lacks a capability is an error, not a silent fallback.
        _require_capabilities(catalog.models[preference.models[0]], required)
    chain = _filter(chain, catalog, lambda m: m.can_chat)
    if not chain:
        raise UnsupportedParameter("No model behind this name can chat.", param="model")
    capable = _filter(chain, catalog, lambda m: set(required) <= m.capabilities)
    if not capable:
        raise UnsupportedParameter(
            f"No model behind this name supports the required capabilities ({', '.join(required)}).",
            param=_PARAMS.get(required[0], required[0]) if required else None,
        )
    large_enough = _filter(capable, catalog, lambda m: tokens < m.context_window)
    if not large_enough:
        window = max(catalog.models[name].context_window for name in capable)
        raise ContextLengthExceeded.for_request(tokens, window)
    usable_models = tuple(filter(usable, large_enough))
    if not usable_models:
        raise UpstreamUnavailable("No configured provider can serve this request.")
    return usable_models


def _only_permitted(
    chain: tuple[str, ...], catalog: Catalog, turn: Turn, preference: ModelPreference, allowed: frozenset[str]
) -> tuple[str, ...]:
    permitted = allowed.union(*map(catalog.models_of, allowed))
    if AUTO in allowed and turn.model == AUTO:
        permitted = permitted.union(preference.models, *map(catalog.fallbacks_of, preference.models))
    chain = tuple(name for name in chain if name in permitted)
    if not chain or (preference.explicit and preference.models[0] not in permitted):
        raise ModelNotAllowed(param="model")
    return chain


def failed_calls(model_calls: Sequence[ModelCall]) -> list[tuple[str, str]]:
    """(model, provider) of failed answer calls since the last success.

    Oldest first.
    """
    answer_calls = [call for call in model_calls if call.step == "answer"]
    failed = list(takewhile(lambda call: call.outcome != "ok", reversed(answer_calls)))
    return [(call.model, call.provider) for call in reversed(failed)]


def _with_fallbacks(catalog: Catalog, turn: Turn, preference: ModelPreference) -> tuple[str, ...]:
    chain = list(preference.models)
    if turn.fallbacks is not None:
        for name in turn.fallbacks:
            if not (models := catalog.models_of(name)):
                raise ModelNotFound(param="gateway.fallbacks")
            chain.extend(models)
    else:
        for name in preference.models:
            chain.extend(catalog.fallbacks_of(name))
    return tuple(dict.fromkeys(chain))


def _require_capabilities(model: ModelConfig, required: Iterable[Capability]) -> None:
    if not model.can_chat:
        raise UnsupportedParameter("This model cannot chat.", param="model")
    for capability in required:
        if capability not in model.capabilities:
            param = _PARAMS.get(capability, capability)
            raise UnsupportedParameter(f"This model does not support {capability}.", param=param)


def _filter(names: Iterable[str], catalog: Catalog, fits: Callable[[ModelConfig], bool]) -> tuple[str, ...]:
    return tuple(name for name in names if fits(catalog.models[name]))
