"""Redaction of providers' error messages: no keys, account ids or request text, and limited length."""

from __future__ import annotations

import pytest

from gateway.core.exceptions import UpstreamRejected, UpstreamReply, UpstreamUnavailable
from gateway.domain.config.providers import ProviderConfig
from gateway.domain.messages import Message, TextPart, ToolCall
from gateway.providers.errors.reason import (
    MAX_REASON,
    iter_texts,
    provider_secrets,
    redact_reason,
    sanitize_error,
)

OURS = "0123abcd-azure-style-key"
CONFIG = ProviderConfig(type="openai", api_key=OURS, options={"headers": {"api-key": "another-secret-1"}})


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop",
        "AIzaSyA1234567890abcdefghijklmnop",
        "gw_abcdefghijklmnopqrstuvwxyz123456789012",
        OURS,
        "another-secret-1",
        "org-A1b2C3d4E5",
        "http://10.1.2.3:8000/internal/path",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    ],
)
def test_secrets_account_ids_and_urls_are_redacted(secret: str) -> None:
    kept = redact_reason(
        f"Incorrect key provided: {secret}. See the page.", list(provider_secrets(CONFIG)), []
    )
    assert secret not in kept
    assert "Incorrect key provided" in kept


@pytest.mark.parametrize(
    ("words", "given", "gone"),
    [
        (
            "Cannot parse 'the launch code is 0000' as a role",
            "the launch code is 0000",
            "launch code is 0000",
        ),
        ("Bad value: CANARY-9f3a", "My pass word is CANARY-9f3a, keep it", "CANARY-9f3a"),
        ("Blocked: 서울에서 만나요", "우리 서울에서 만나요", "서울에서"),
        ("Blocked input: hunter22.", "hunter22", "hunter22"),
        ('{"input": {"content": "how do I fire my manager"}}', "how do I fire my manager", "fire my manager"),
        ("data " + "A" * 60, "", "AAAA"),
    ],
)
def test_input_is_redacted(words: str, given: str, gone: str) -> None:
    assert gone not in redact_reason(words, [], [given])


def test_other_words_are_not_redacted() -> None:
    words = "Unsupported value: 'temperature' does not support 0.2 with this model."
    assert redact_reason(words, [], ["Say hello to the world."]) == words


def test_a_reason_is_one_line_of_limited_length() -> None:
    kept = redact_reason("Too\n\n many  words " * 500, [], [])
    assert kept.startswith("Too many words")
    assert len(kept) <= MAX_REASON
    assert "\n" not in kept


def test_with_very_long_input_the_reason_is_dropped() -> None:
    assert redact_reason("Bad", [], ["x" * (5 * 1024 * 1024)]) == ""


def test_the_texts_of_a_request_are_its_messages_and_arguments() -> None:
    messages = [
        Message("system", "a"),
        Message("user", (TextPart("b"),)),
        Message("assistant", "", tool_calls=(ToolCall("1", "t", '{"c": 1}'),)),
    ]
    assert list(iter_texts(messages)) == ["a", "b", "", '{"c": 1}']


def test_a_rejection_includes_field_and_reason() -> None:
    error = UpstreamRejected()
    error.upstream_reply = UpstreamReply(400, "Invalid 'messages[0].role'", "messages[0].role")
    sanitize_error(error, CONFIG, ["Hello"])
    assert error.param == "messages[0].role"
    assert (
        error.message == "The provider rejected the request as invalid. It says: Invalid 'messages[0].role'"
    )


def test_an_outage_does_not_reveal_the_providers_message() -> None:
    error = UpstreamUnavailable()
    error.upstream_reply = UpstreamReply(500, f"database down, key {OURS}")
    sanitize_error(error, CONFIG, [])
    assert error.message == UpstreamUnavailable.default_message
    assert error.upstream_reply == UpstreamReply(500, "database down, key [redacted]")
