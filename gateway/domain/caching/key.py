"""Decides which turns are cacheable, and computes the key of an answer.

Pure functions, the same in every worker.
"""

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

# Part of every key; raise it when the layout of keys changes.
_VERSION = 2
# Fields of a turn that no answer depends on, or that are in the key in another form.
_EXCLUDED_FIELDS = frozenset(
    {
        "request_id",
        "messages",
        "conversation",
        "use_cache",
        "stream",
        "guard_overrides",
        "can_retract",
    }
)
# Hints for a provider's prompt cache and abuse control, which no answer depends on.
_EXCLUDED_EXTRA = frozenset({"prompt_cache_key", "prompt_cache_retention", "safety_identifier"})
# All other fields, future ones included: one that is forgotten here costs a miss, not a wrong answer.
_KEY_FIELDS = tuple(field.name for field in fields(Turn) if field.name not in _EXCLUDED_FIELDS)


def is_cacheable(turn: Turn) -> bool:
    """Return whether the same question may get the same answer again.

    A temperature of 0 is enough. Without a temperature the provider's default applies, which is above 0: then
    `cache: true` is required. A turn above 0, or with `cache: false`, is never cacheable.
    """
    temperature = turn.sampling.temperature
    if turn.use_cache is False or (temperature is not None and temperature > 0):
        return False
    return temperature is not None or turn.use_cache is True


def catalog_fingerprint(catalog: Catalog) -> bytes:
    """Return a hash of the configuration that answers depend on, without secrets."""
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
    """Return the SHA-256 of all that an answer depends on; `messages` is the prompt.

    The input is a JSON array of fixed length, so two different requests never have the same text.
    """
    return _digest(
        [
            _VERSION,
            account_id.hex,
            config.hex(),
            {name: getattr(turn, name) for name in _KEY_FIELDS}
            | {"persisted": turn.persisted, "extra": _key_extra(turn.extra)},
            guards,
            allowed_models,
            list(messages),
        ]
    )


def single_question(messages: Sequence[Message]) -> str | None:
    """Return the question if the messages are only a question and a system prompt.

    The system prompt is optional. Otherwise return None.
    """
    questions = [message for message in messages if message.role != "system"]
    if len(questions) != 1 or questions[0].role != "user":
        return None
    if questions[0].has_images or questions[0].raw_parts:
        return None
    return questions[0].text.strip() or None


def _key_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name not in _EXCLUDED_EXTRA}


def _digest(value: Any) -> bytes:
    # A lone surrogate, which an answer in the history may contain, cannot be encoded by orjson.
    try:
        text = orjson.dumps(value, default=_to_json, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        text = repr(value).encode("utf-8", "backslashreplace")
    return hashlib.sha256(text).digest()


def _to_json(value: Any) -> Any:
    if isinstance(value, (frozenset, set)):
        return sorted(value)  # the order of a set differs between processes
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError
