"""Finish reasons of all vendors: truncated and blocked answers are distinguished from complete ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.exceptions import UpstreamBroken
from gateway.domain.events import Completed
from gateway.providers.finish_reason import FAILED, parse_finish_reason
from gateway.providers.openai.response_parser import OpenAIResponseParser

WORDS = {
    "stop": [
        *("stop", "STOP", "end_turn", "stop_sequence", "eos", "eos_token", "COMPLETE", "endTurn", "normal"),
        *("eosFound", "completed", "endoftext", "FINISH_REASON_STOP", "stop-sequence"),
    ],
    "length": [
        *("length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "model_length", "max_new_tokens"),
        *("maxTokens", "maximum_tokens", "limit", "time_limit", "output_limit", "ERROR_LIMIT", "truncated"),
        *("maxPredictedTokensReached", "contextLengthReached", "incomplete", "budget_exhausted"),
    ],
    "tool_calls": ["tool_calls", "tool_use", "function_call", "TOOL_CALL", "toolUse", "tool-calls"],
    "content_filter": [
        *("content_filter", "content_filtered", "sensitive", "SAFETY", "RECITATION", "refusal", "BLOCKLIST"),
        *("PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT"),
        *("MODEL_ARMOR", "NO_IMAGE", "guardrail_intervened", "output_moderation"),
        *("ERROR_TOXIC", "contentFiltered", "content_policy", "safety-violation", "flagged", "risk"),
        *("IMAGE_RECITATION", "jailbreak", "harmful"),
    ],
    FAILED: [
        *("error", "abort", "cancelled", "network_error", "insufficient_system_resource", "timeout"),
        *("TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"),
        *("MISSING_THOUGHT_SIGNATURE", "OTHER", "IMAGE_OTHER", "FINISH_REASON_UNSPECIFIED", "load", "unload"),
        *("modelUnloaded", "userStopped", "terminated", "preempted", "disconnected", "deadline_exceeded"),
        *("rate_limit", "engine_dead", "USER_CANCEL"),
    ],
}


@pytest.mark.parametrize(("word", "ending"), [(word, end) for end, words in WORDS.items() for word in words])
def test_every_vendors_finish_reason_is_mapped(word: str, ending: str) -> None:
    assert parse_finish_reason(word) == ending


@pytest.mark.parametrize("word", [None, "", "null", " ", "None", "NOT_FINISHED", "in_progress"])
def test_an_empty_finish_reason_does_not_end_the_answer(word: str | None) -> None:
    assert parse_finish_reason(word) is None


def chunk(delta: dict[str, Any], finish: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


@pytest.mark.parametrize("word", ["", "null"])
def test_a_stream_that_ends_after_an_empty_finish_reason_is_broken(word: str) -> None:
    reader = OpenAIResponseParser()
    reader.feed(chunk({"content": "Half an"}, word))
    reader.feed_eof()
    with pytest.raises(UpstreamBroken):
        reader.finish()
    reader = OpenAIResponseParser()
    events = reader.feed(chunk({"content": "An"}, word) + chunk({"content": "swer"}, "length"))
    assert [*events, *reader.finish()][-1] == Completed("length")


@pytest.mark.parametrize("word", WORDS[FAILED])
def test_a_failure_finish_reason_is_broken(word: str) -> None:
    body = {"choices": [{"message": {"content": "Hi"}, "finish_reason": word}]}
    with pytest.raises(UpstreamBroken):
        OpenAIResponseParser().parse_body(json.dumps(body).encode())
