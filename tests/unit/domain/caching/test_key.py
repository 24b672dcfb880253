"""Which turns are cacheable, and that no two different ones share a key."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from typing import Any
from uuid import UUID

import pytest

from gateway.domain.caching.key import (
    _EXCLUDED_FIELDS,
    _KEY_FIELDS,
    answer_key,
    catalog_fingerprint,
    is_cacheable,
    single_question,
)
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.guardrails import GuardModes
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall
from gateway.domain.requests import ConversationTarget, ResponseFormat, Sampling, ToolChoice, ToolSpec, Turn

ACCOUNT = UUID(int=1)
HI = Message("user", "Hi")
TURN = Turn(request_id="r", messages=(HI,), model="small", sampling=Sampling(temperature=0))


def catalog(**changes: Any) -> Catalog:
    return Catalog.model_validate(
        {
            "providers": {"mock": {"type": "mock", "api_key": "one"}},
            "models": {"small": {"provider": "mock", "model": "mock", "capabilities": ["tools", "json"]}},
            **changes,
        }
    )


def key(turn: Turn = TURN, messages: tuple[Message, ...] = (HI,), **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "account_id": ACCOUNT,
        "guards": GuardModes(),
        "allowed_models": None,
        "config": b"c",
    }
    return answer_key(turn, messages, **{**values, **changes})


@pytest.mark.parametrize(
    ("temperature", "use_cache", "expected"),
    [
        (None, None, False),
        (None, True, True),
        (None, False, False),
        (0, None, True),
        (0, True, True),
        (0, False, False),
        (0.1, None, False),
        (0.1, True, False),
    ],
)
def test_a_turn_is_cacheable_at_temperature_zero_or_on_request(
    temperature: float | None, use_cache: bool | None, expected: bool
) -> None:
    turn = replace(TURN, sampling=Sampling(temperature=temperature), use_cache=use_cache)
    assert is_cacheable(turn) is expected


def test_every_field_of_a_turn_is_part_of_the_key_or_excluded_on_purpose() -> None:
    assert {field.name for field in fields(Turn)} >= set(_KEY_FIELDS)
    assert not set(_KEY_FIELDS) & _EXCLUDED_FIELDS


def test_whatever_an_answer_depends_on_changes_the_key() -> None:
    tool = ToolSpec("f", "", {"type": "object", "properties": {"a": {}, "b": {}}})
    turned = replace(tool, parameters={"type": "object", "properties": {"b": {}, "a": {}}})
    keys = [
        key(),
        key(account_id=UUID(int=2)),
        key(guards=GuardModes(injection="block")),
        key(allowed_models=frozenset({"small"})),
        key(allowed_models=frozenset()),
        key(config=b"d"),
        *(
            key(replace(TURN, sampling=replace(TURN.sampling, **{name: value})))
            for name, value in {
                "top_p": 0.5,
                "max_tokens": 5,
                "stop": ("x",),
                "seed": 7,
                "presence_penalty": 1.0,
                "frequency_penalty": 1.0,
            }.items()
        ),
        *(
            key(replace(TURN, **{name: value}))
            for name, value in {
                "model": "other",
                "conversation": ConversationTarget(),
                "client_tools": (tool,),
                "tool_choice": ToolChoice("required"),
                "parallel_tool_calls": False,
                "gateway_tools": None,
                "response_format": ResponseFormat("json_object"),
                "logprobs": True,
                "top_logprobs": 2,
                "role": "writer",
                "task": "draft",
                "fallbacks": ("other",),
                "extra": {"top_k": 1},
            }.items()
        ),
        key(replace(TURN, client_tools=(turned,))),
        key(messages=(Message("system", "Hi"), HI)),
        key(messages=(HI, Message("assistant", "Hello"), HI)),
        key(messages=(Message("user", (TextPart("Hi"), ImagePart("https://example.org/a.png"))),)),
        key(messages=(Message("user", (TextPart("Hi"), ImagePart("https://example.org/b.png"))),)),
        key(messages=(Message("assistant", "", (ToolCall("1", "f", "{}"),)), HI)),
    ]
    assert len(set(keys)) == len(keys)


def test_message_boundaries_are_part_of_the_key() -> None:
    assert key(messages=(Message("user", "ab"), Message("user", "c"))) != key(
        messages=(Message("user", "a"), Message("user", "bc"))
    )
    assert key(messages=(Message("user", '"},{"role":"user"'),)) != key(messages=(Message("user", '"'),))


def test_transport_and_conversation_are_not_part_of_the_key() -> None:
    other = replace(
        TURN,
        request_id="another",
        stream=False,
        use_cache=True,
        can_retract=False,
    )
    assert key(other) == key()
    first, second = ConversationTarget(id=UUID(int=3)), ConversationTarget(metadata={"a": 1})
    assert key(replace(TURN, conversation=first)) == key(replace(TURN, conversation=second))


def test_a_lone_surrogate_in_the_history_has_a_key() -> None:
    assert key(messages=(Message("assistant", "\ud800"), HI)) != key(
        messages=(Message("assistant", "\ud801"), HI)
    )


def test_the_config_fingerprint_covers_models_and_limits_but_no_secret() -> None:
    first = catalog_fingerprint(catalog())
    assert catalog_fingerprint(catalog(providers={"mock": {"type": "mock", "api_key": "two"}})) == first
    changed = {"small": {"provider": "mock", "model": "other", "capabilities": ["tools", "json"]}}
    assert catalog_fingerprint(catalog(models=changed)) != first
    assert catalog_fingerprint(catalog(limits={"default_max_tokens": 7})) != first


def test_keys_are_the_same_in_every_process() -> None:
    script = (
        "from tests.unit.domain.caching.test_key import *\n"
        "print((key(allowed_models=frozenset('abcdefgh')) + catalog_fingerprint(catalog())).hex())"
    )
    here = (key(allowed_models=frozenset("abcdefgh")) + catalog_fingerprint(catalog())).hex()
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == here


def test_only_a_text_question_without_history_is_a_single_question() -> None:
    system = Message("system", "Be brief.")
    assert single_question((system, HI)) == "Hi"
    assert single_question((HI, Message("assistant", "Hello"), HI)) is None
    assert (
        single_question((Message("user", (TextPart("a"), ImagePart("https://example.org/a.png"))),)) is None
    )
    assert single_question((Message("user", "  "),)) is None
