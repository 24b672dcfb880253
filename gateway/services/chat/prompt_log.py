"""What was said in a turn, for the log of those who have asked for it with `LOG_PROMPTS=true`."""

from __future__ import annotations

import structlog

from gateway.core.logging.setup import logs_prompts
from gateway.domain.events import Answer
from gateway.services.chat.admission import AdmittedTurn

log = structlog.get_logger(__name__)

_MAX_MESSAGES, _MAX_CHARACTERS = 50, 8192


def log_prompts(admitted: AdmittedTurn, answer: Answer | None) -> None:
    """One line with the newest messages and the answer, each cut; none where nobody has asked for it."""
    if not logs_prompts():
        return
    log.info(
        "turn_said",
        request_id=admitted.turn.request_id,
        user_id=str(admitted.principal.user_id),
        messages=[
            {"role": message.role, "text": message.text[:_MAX_CHARACTERS]}
            for message in admitted.messages[-_MAX_MESSAGES:]
        ],
        answer=answer.content[:_MAX_CHARACTERS] if answer is not None else None,
    )
