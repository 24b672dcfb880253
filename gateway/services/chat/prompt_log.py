"""Logs prompts and answers, for operators who set `LOG_PROMPTS=true`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import structlog

from gateway.core.logging.setup import logs_prompts
from gateway.domain.events import Answer
from gateway.domain.messages import Message

log = structlog.get_logger(__name__)

_MAX_MESSAGES, _MAX_CHARACTERS = 50, 8192


def log_prompts(request_id: str, user_id: UUID, messages: Sequence[Message], answer: Answer | None) -> None:
    """Log the newest messages and the answer, each truncated, if enabled."""
    if not logs_prompts():
        return
    log.info(
        "turn.prompts",
        request_id=request_id,
        user_id=str(user_id),
        messages=[
            {"role": message.role, "text": message.text[:_MAX_CHARACTERS]}
            for message in messages[-_MAX_MESSAGES:]
        ],
        answer=answer.content[:_MAX_CHARACTERS] if answer is not None else None,
    )
