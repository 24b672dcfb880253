"""The measured kinds of requests: how each is built and how its reply is checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import orjson

from bench import answers, wire
from bench.prompts import prompt

_CONTENT = re.compile(rb'"content": *"([^"]*)"')
# The number of turns in one conversation before the next one starts.
TURNS_PER_CONVERSATION = 5


class Shape(Protocol):
    """Builds the requests of one connection; stores what the next request needs from the last reply."""

    def request(self) -> bytes: ...

    def check(self, reply: wire.Reply) -> bool: ...


ShapeFactory = Callable[[str], Shape]


class JsonCompletion:
    """`/v1/chat/completions` with one JSON body."""

    def __init__(self, key: str) -> None:
        self._key = key

    def request(self) -> bytes:
        body = {"model": "static", "messages": [{"role": "user", "content": prompt()}]}
        return wire.post("/v1/chat/completions", self._key, orjson.dumps(body))

    def check(self, reply: wire.Reply) -> bool:
        if reply.status != 200:
            return False
        content = orjson.loads(reply.body)["choices"][0]["message"]["content"]
        return bool(content == answers.ANSWER)


class StreamedCompletion:
    """`/v1/chat/completions`, streamed with usage."""

    def __init__(self, key: str, model: str = "static") -> None:
        self._key = key
        self._model = model
        self._answer = (answers.SLOW_ANSWER if model == "slow" else answers.ANSWER).encode()

    def request(self) -> bytes:
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt()}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return wire.post("/v1/chat/completions", self._key, orjson.dumps(body))

    def check(self, reply: wire.Reply) -> bool:
        if reply.status != 200 or b"data: [DONE]" not in reply.body[-64:]:
            return False
        return b"".join(_CONTENT.findall(reply.body)) == self._answer


class SlowCompletion(StreamedCompletion):
    """A stream with a pause before each token."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "slow")


class PersistedTurn:
    """`/api/chat/`: a question and its answer stored in a conversation of several turns."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._conversation: str | None = None
        self._turns = 0

    def request(self) -> bytes:
        body: dict[str, str] = {"message": prompt(), "model": "static"}
        if self._conversation is not None:
            body["conversation_id"] = self._conversation
        return wire.post("/api/chat/", self._key, orjson.dumps(body))

    def check(self, reply: wire.Reply) -> bool:
        if reply.status != 200:
            self._conversation = None
            return False
        answer = orjson.loads(reply.body)
        self._turns += 1
        continues = self._turns % TURNS_PER_CONVERSATION != 0
        self._conversation = answer["conversation_id"] if continues else None
        message = answer["message"]
        return bool(message["content"] == answers.ANSWER and message["status"] == "complete")


SHAPES: dict[str, ShapeFactory] = {
    "json": JsonCompletion,
    "stream": StreamedCompletion,
    "turn": PersistedTurn,
    "slow": SlowCompletion,
}
