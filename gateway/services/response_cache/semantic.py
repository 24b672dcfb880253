"""Answers to the same question in other words: found by its vector, believed only after a second look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import structlog

from gateway.core.exceptions import GatewayError
from gateway.domain.caching.answer import CachedAnswer
from gateway.domain.caching.key import single_question
from gateway.domain.config.caches import SemanticCacheConfig
from gateway.domain.messages import Message
from gateway.domain.requests import Turn
from gateway.providers.local.wordllama import WordLlamaEmbedder
from gateway.question_match import QuestionMatcher
from gateway.repositories.response_embeddings import ResponseEmbeddingRepository, Vector
from gateway.services.response_cache.single_flight import SharedAnswer

log = structlog.get_logger(__name__)

# Longer texts carry their own material; what is the same question about it is not judged here.
MAX_CHARACTERS = 500
# The nearest questions that are given the second look.
MAX_CANDIDATES = 4
# Neighbours further away than this are not the same question, whatever a second look would say.
MIN_SIMILARITY = 0.6


@dataclass(frozen=True, slots=True)
class CacheQuestion:
    """A question that stands by itself; `scope` is all else that its answer depends on."""

    account_id: UUID
    scope: bytes
    text: str

    @classmethod
    def from_turn(
        cls,
        turn: Turn,
        messages: tuple[Message, ...],
        account_id: UUID,
        key_of: Callable[[Turn, tuple[Message, ...]], bytes],
    ) -> CacheQuestion | None:
        """None where the turn has a history, tools of its caller's choice, an image or a form to keep to."""
        if turn.client_tools or turn.gateway_tools or turn.response_format is not None or turn.logprobs:
            return None
        text = single_question(messages)
        if text is None or len(text) > MAX_CHARACTERS:
            return None
        system = tuple(message for message in messages if message.role == "system")
        return cls(account_id, key_of(replace(turn, messages=()), system), text)


class SemanticCache:
    """Finds and keeps answers of one account; a database that is away costs a hit, never a turn."""

    def __init__(
        self,
        answers: ResponseEmbeddingRepository,
        embedder: WordLlamaEmbedder,
        verifier: QuestionMatcher,
        config: SemanticCacheConfig,
    ) -> None:
        self._answers = answers
        self._embedder = embedder
        self._verifier = verifier
        self._config = config
        self._min_score = verifier.threshold if config.min_score is None else config.min_score
        self._background: set[asyncio.Task[None]] = set()
        self._available: bool | None = None

    async def ensure_available(self) -> bool:
        """Whether there is a table to ask; says once in the log where there is none. Never raises."""
        if self._available is None:
            try:
                self._available = await self._answers.ensure_table()
            except GatewayError:
                return False  # the database is away; asked again with the next question
            if not self._available:
                log.warning("semantic_cache_unavailable", reason="the database has no pgvector")
        return self._available

    async def find(self, question: CacheQuestion) -> SharedAnswer | None:
        """The answer to the nearest question that is the same one, None where there is none."""
        vector = self._embedder.embed([question.text])[0]
        if not vector.any() or not await self.ensure_available():
            return None
        try:
            found = await self._answers.find_similar(
                question.account_id,
                question.scope,
                vector,
                limit=MAX_CANDIDATES,
                min_similarity=MIN_SIMILARITY,
            )
        except GatewayError:
            return None  # as if nothing had been kept
        best, chosen = 0.0, None
        for near in found:
            score = self._verifier.score(near.question, question.text)
            if score < max(self._min_score, best):
                continue
            answer = CachedAnswer.from_bytes(near.answer)
            if answer is None:
                continue
            best = score
            chosen = SharedAnswer(
                answer, "semantic", _details(near.question, near.similarity, score), store=False
            )
        return chosen

    def store(self, question: CacheQuestion, answer: CachedAnswer) -> None:
        """Write a whole answer down, beside whatever comes next."""
        data = answer.to_bytes() if self._available and answer.finish_reason == "stop" else None
        vector = self._embedder.embed([question.text])[0]
        if data is not None and vector.any():
            self._spawn(self._store(question, vector, data))

    async def aclose(self) -> None:
        """Finish writing what was to be kept."""
        while self._background:
            await asyncio.wait(self._background)

    async def _store(self, question: CacheQuestion, vector: Vector, data: bytes) -> None:
        try:
            await self._answers.store(
                question.account_id,
                question.scope,
                question.text,
                vector,
                data,
                ttl_seconds=self._config.ttl_seconds,
                max_entries=self._config.max_entries,
            )
        except GatewayError as error:
            log.info("semantic_answer_not_kept", error=error.code)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _details(question: str, similarity: float, score: float) -> dict[str, Any]:
    return {"question": question, "similarity": round(similarity, 4), "score": round(score, 4)}
