"""Which turns may be answered from what was kept, and under which key: pure, the same in every worker."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel

from gateway.domain.config.catalog import Catalog
from gateway.domain.config.guardrails import GuardModes
from gateway.domain.messages import Message
from gateway.domain.requests import Turn

# Part of every key: what is kept by an older layout is never found again.
_VERSION = 1
# What a turn carries that no answer depends on, or that is in the key in another form.
_EXCLUDED_FIELDS = frozenset(
    {
        "request_id",
        "messages",
        "system",
        "conversation_id",
        "parent_id",
        "metadata",
        "request",
        "use_cache",
        "incremental",
        "guards",
        "retractable",
    }
)
# What tells a vendor's cache or its abuse control who asks: no answer depends on it.
_EXCLUDED_EXTRA = frozenset({"prompt_cache_key", "prompt_cache_retention", "safety_identifier"})
# All else counts, also what is added to `Turn` one day: a field forgotten here costs a miss, no wrong answer.
_KEY_FIELDS = tuple(field.name for field in fields(Turn) if field.name not in _EXCLUDED_FIELDS)


def is_cacheable(turn: Turn) -> bool:
    """Whether its caller may expect the same answer to the same question.

    A temperature of 0 says so by itself. Without one the vendor's own default holds, which is above 0: then
    only `cache: true` says so. Above 0, or with `cache: false`, it never does.
    """
    temperature = turn.sampling.temperature
    if turn.use_cache is False or (temperature is not None and temperature > 0):
        return False
    return temperature is not None or turn.use_cache is True


def config_fingerprint(catalog: Catalog) -> bytes:
    """32 bytes that change with whatever of the configuration an answer may depend on; no secret counts."""
    providers = {
        name: provider.model_dump(exclude={"api_key"}) for name, provider in catalog.providers.items()
    }
    rest = catalog.model_dump(exclude={"providers", "tiers", "on_disconnect", "conversation_queue"})
    return _digest([providers, rest])


def answer_key(
    turn: Turn,
    messages: Sequence[Message],
    *,
    account_id: UUID,
    guards: GuardModes,
    allowed_models: frozenset[str] | None,
    config: bytes,
) -> bytes:
    """SHA-256 over all that an answer may depend on; `messages` is what the model would be shown.

    A JSON array of fixed length: no two different requests have the same text, whatever they contain.
    """
    return _digest(
        [
            _VERSION,
            account_id.hex,
            config.hex(),
            {name: getattr(turn, name) for name in _KEY_FIELDS} | {"extra": _key_extra(turn.extra)},
            guards,
            allowed_models,
            list(messages),
        ]
    )


def single_question(messages: Sequence[Message]) -> str | None:
    """The question of a turn that is nothing but one, with or without a system prompt; else None."""
    asked = [message for message in messages if message.role != "system"]
    if len(asked) != 1 or asked[0].role != "user" or asked[0].has_images or asked[0].raw_parts:
        return None
    return asked[0].text.strip() or None


def _key_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name not in _EXCLUDED_EXTRA}


def _digest(value: Any) -> bytes:
    # A lone surrogate, which a vendor's answer in a history may hold, has no JSON form in orjson.
    try:
        text = orjson.dumps(value, default=_to_json, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        text = repr(value).encode("utf-8", "backslashreplace")
    return hashlib.sha256(text).digest()


def _to_json(value: Any) -> Any:
    if isinstance(value, (frozenset, set)):
        return sorted(value)  # the order of a set differs from process to process
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError
