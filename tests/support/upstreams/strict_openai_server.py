"""An OpenAI-compatible server that rejects what OpenAI's API rejects."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from tests.support.upstreams.http_server import ReceivedCall, Refusal, Step
from tests.support.upstreams.openai_server import OpenAIUpstream

KNOWN = frozenset(
    {
        *("audio", "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens"),
        *("messages", "metadata", "modalities", "model", "n", "parallel_tool_calls", "prediction"),
        *("presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort"),
        *("response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream"),
        *("stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user"),
        *("verbosity", "web_search_options"),
    }
)
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def validation_error(body: dict[str, Any]) -> str | None:
    """Why OpenAI would refuse this chat completion; None where it would not."""
    for name in body:
        if name not in KNOWN:
            return f"Unrecognized request argument supplied: {name}"
    names: list[str] = []
    for at, tool in enumerate(body.get("tools") or ()):
        if tool.get("type") != "function":
            return f"Invalid value: 'tools[{at}].type'"
        names.append(tool["function"]["name"])
        if not _NAME.fullmatch(names[-1]):
            return f"Invalid 'tools[{at}].function.name': string does not match pattern."
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        return "Tool choice names no tool."
    return _unanswered(body["messages"])


def _unanswered(messages: list[dict[str, Any]]) -> str | None:
    missing: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in missing:
                return (
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                )
            missing.remove(message["tool_call_id"])
            continue
        if missing:
            break
        missing = [call["id"] for call in message.get("tool_calls") or ()]
    if missing:
        return "An assistant message with 'tool_calls' must be followed by tool messages."
    return None


class StrictOpenAIUpstream(OpenAIUpstream):
    """`refused` are its complaints; a script's step is used up by a refused call too."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []

    async def _answer(
        self, step: Step, call: ReceivedCall, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if call.path.endswith("/chat/completions") and (why := validation_error(call.body)) is not None:
            self.refused.append(why)
            error = {"message": why, "type": "invalid_request_error", "param": None, "code": None}
            step = Refusal(400, body=json.dumps({"error": error}).encode())
        return await super()._answer(step, call, reader, writer)
