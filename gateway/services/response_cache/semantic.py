"""Semantic cache: reuses answers to questions with the same meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import structlog

from gateway.core.aio import BackgroundTasks
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

# Longer texts contain material of their own, which the verification does not compare.
MAX_CHARACTERS = 500
# How many of the nearest questions are verified.
MAX_CANDIDATES = 4
# Questions less similar than this are never the same.
MIN_SIMILARITY = 0.6


@dataclass(frozen=True, slots=True)
class CacheQuestion:
    """A question without history.

    `scope` is a hash of everything else that its answer depends on.
    """

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
        """Return the turn's question, or None if the turn is not eligible.

        Turns with a history, tools, an image or a response format are not.
        """
        if turn.client_tools or turn.gateway_tools or turn.response_format is not None or turn.logprobs:
            return None
        text = single_question(messages)
        if text is None or len(text) > MAX_CHARACTERS:
            return None
        system = tuple(message for message in messages if message.role == "system")
        return cls(account_id, key_of(replace(turn, messages=()), system), text)


class SemanticCache:
    """Finds and stores answers per account.

    If the database is unreachable, lookups miss and the turn runs normally.
    """

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
        self._background = BackgroundTasks()
        self._available: bool | None = None

    async def ensure_available(self) -> bool:
        """Return whether the table exists; log once if it does not. Never raises."""
        if self._available is None:
            try:
                self._available = await self._answers.ensure_table()
            except GatewayError:
                return False  # the database is unreachable; the next question checks again
            if not self._available:
                log.warning("semantic_cache.unavailable", reason="the database has no pgvector")
        return self._available

    async def find(self, question: CacheQuestion) -> SharedAnswer | None:
        """Return the answer to the most similar question that is verified to be the same.

        Return None if there is none.
        """
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
            return None  # a cache miss
        best, chosen = 0.0, None
        for similar in found:
            score = self._verifier.score(similar.question, question.text)
            if score < max(self._min_score, best):
                continue
            answer = CachedAnswer.from_bytes(similar.answer)
            if answer is None:
                continue
            best = score
            details = _details(similar.question, similar.similarity, score)
            chosen = SharedAnswer(answer, "semantic", details, store=False)
        return chosen

    def store(self, question: CacheQuestion, answer: CachedAnswer) -> None:
        """Store a complete answer in the background."""
        data = answer.to_bytes() if self._available and answer.finish_reason == "stop" else None
        vector = self._embedder.embed([question.text])[0]
        if data is not None and vector.any():
            self._background.spawn(self._store(question, vector, data))

    async def aclose(self) -> None:
        """Wait until pending answers are stored."""
        await self._background.drain()

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
            log.info("semantic_cache.store_failed", error=error.code)


def _details(question: str, similarity: float, score: float) -> dict[str, Any]:
    return {"question": question, "similarity": round(similarity, 4), "score": round(score, 4)}
