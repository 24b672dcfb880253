"""Which models may answer a turn, best first: pure decisions over the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from gateway.agent.reasons import difficulty_reason, rule_reason
from gateway.core.exceptions import (
    ContextLengthExceeded,
    ModelNotAllowed,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamUnavailable,
)
from gateway.domain.catalog import AUTO, Capability, Catalog, ModelConfig
from gateway.domain.chat import Turn
from gateway.domain.events import Attempt
from gateway.domain.intent import Intent

_PARAMS: dict[str, str] = {
    "tools": "tools",
    "json": "response_format",
    "vision": "messages",
    "logprobs": "logprobs",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """The models a name stands for, in order, and why; `named` where the caller named one model."""

    models: tuple[str, ...]
    reason: str
    named: bool = False


def resolve(catalog: Catalog, turn: Turn, intent: Intent) -> Wish:
    """What `turn.model` asks for: a model → an alias → for `auto` a role's rule → light or heavy.

    Raises:
        ModelNotFound: nothing has this name.
    """
    name = turn.model
    if name in catalog.models:
        return Wish((name,), f"You asked for {name}.", named=True)
    if name in catalog.aliases:
        models = catalog.aliases[name]
        return Wish(models, f"{name} stands for {', then '.join(models)}.")
    if name != AUTO:
        raise ModelNotFound(param="model")
    for rule in catalog.routing.rules:
        asked = _matches(rule.role, turn.role) and _matches(rule.task, turn.task) and rule.mode is None
        if asked and _matches(rule.intent, intent.label):
            return Wish((rule.model,), rule_reason(rule, intent))
    return _by_complexity(catalog, intent)


def _matches(allowed: tuple[str, ...], value: str | None) -> bool:
    return not allowed or value in allowed


def _by_complexity(catalog: Catalog, intent: Intent) -> Wish:
    routing = catalog.routing
    hard = intent.complexity >= routing.threshold
    ordered = (routing.heavy, routing.light) if hard else (routing.light, routing.heavy)
    models = tuple(name for name in ordered if name is not None) or tuple(
        name for name, model in catalog.models.items() if model.chats
    )
    if not models:
        raise UpstreamUnavailable("No model of the configuration answers in words.")
    return Wish(models, difficulty_reason(intent, routing.threshold, models[0]))


def needs(turn: Turn, *, has_images: bool) -> tuple[Capability, ...]:
    """What the turn cannot do without; tools on offer by `tools: auto` are a wish, not a need."""
    wanted: list[Capability] = []
    if turn.client_tools or turn.gateway_tools:
        wanted.append("tools")
    if turn.response_format is not None and turn.response_format.required:
        wanted.append("json")
    if has_images:
        wanted.append("vision")
    if turn.logprobs:
        wanted.append("logprobs")
    return tuple(wanted)


def candidates(
    catalog: Catalog,
    turn: Turn,
    wish: Wish,
    *,
    allowed: frozenset[str] | None,
    needed: tuple[Capability, ...],
    tokens: int,
    usable: Callable[[str], bool],
) -> tuple[str, ...]:
    """The wished models and their fallbacks that can and may answer, in order, without repeats.

    Args:
        allowed: names the caller's key may use; an allowed alias allows its models, and `auto` what it picks.
        tokens: estimate of what cannot be left out of the prompt.
        usable: whether a provider of the model is configured.

    Raises:
        ModelNotAllowed, UnsupportedParameter (names the param), ContextLengthExceeded (with the numbers),
        UpstreamUnavailable: no model is left, for the reason that comes first in this order.
    """
    chain = _with_fallbacks(catalog, turn, wish)
    if allowed is not None:
        permitted = allowed.union(*map(catalog.models_of, allowed))
        if AUTO in allowed and turn.model == AUTO:
            permitted = permitted.union(wish.models, *map(catalog.fallbacks_of, wish.models))
        chain = tuple(name for name in chain if name in permitted)
        if not chain or (wish.named and wish.models[0] not in permitted):
            raise ModelNotAllowed(param="model")
    if wish.named:
        # Who names a model is told what it cannot do, rather than served by another in silence.
        _require(catalog.models[wish.models[0]], needed)
    chain = _keep(chain, catalog, lambda m: m.chats)
    if not chain:
        raise UnsupportedParameter("No model behind this name answers in words.", param="model")
    able = _keep(chain, catalog, lambda m: set(needed) <= m.capabilities)
    if not able:
        raise UnsupportedParameter(
            f"No model behind this name can do what was asked ({', '.join(needed)}).",
            param=_PARAMS.get(needed[0], needed[0]) if needed else None,
        )
    fitting = _keep(able, catalog, lambda m: tokens < m.context_window)
    if not fitting:
        window = max(catalog.models[name].context_window for name in able)
        raise ContextLengthExceeded.of(tokens, window)
    ready = tuple(filter(usable, fitting))
    if not ready:
        raise UpstreamUnavailable("No provider that could answer this is configured.")
    return ready


def failed_calls(attempts: Sequence[Attempt]) -> list[tuple[str, str]]:
    """(model, provider) of the answer's calls that failed since the last good one, oldest first."""
    answers = [attempt for attempt in attempts if attempt.step == "answer"]
    failed = list(takewhile(lambda attempt: attempt.outcome != "ok", reversed(answers)))
    return [(attempt.model, attempt.provider) for attempt in reversed(failed)]


def _with_fallbacks(catalog: Catalog, turn: Turn, wish: Wish) -> tuple[str, ...]:
    chain = list(wish.models)
    if turn.fallbacks is not None:
        for name in turn.fallbacks:
            if not (models := catalog.models_of(name)):
                raise ModelNotFound(param="gateway.fallbacks")
            chain.extend(models)
    else:
        for name in wish.models:
            chain.extend(catalog.fallbacks_of(name))
    return tuple(dict.fromkeys(chain))


def _require(model: ModelConfig, needed: Iterable[Capability]) -> None:
    if not model.chats:
        raise UnsupportedParameter("This model does not answer in words.", param="model")
    for capability in needed:
        if capability not in model.capabilities:
            param = _PARAMS.get(capability, capability)
            raise UnsupportedParameter(f"This model does not support {capability}.", param=param)


def _keep(names: Iterable[str], catalog: Catalog, fits: Callable[[ModelConfig], bool]) -> tuple[str, ...]:
    return tuple(name for name in names if fits(catalog.models[name]))
