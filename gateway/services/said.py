"""What was said in a turn, for the log of those who have asked for it with `LOG_PROMPTS=true`."""

from __future__ import annotations

import structlog

from gateway.core.logging import prompts_logged
from gateway.domain.events import Answer
from gateway.services.opening import Job

log = structlog.get_logger(__name__)

_MOST_MESSAGES, _LONGEST = 50, 8192


def log_what_was_said(job: Job, answer: Answer | None) -> None:
    """One line with the newest messages and the answer, each cut; none where nobody has asked for it."""
    if not prompts_logged():
        return
    log.info(
        "turn_said",
        request_id=job.turn.request_id,
        user_id=str(job.principal.user_id),
        messages=[
            {"role": message.role, "text": message.text[:_LONGEST]}
            for message in job.messages[-_MOST_MESSAGES:]
        ],
        answer=answer.content[:_LONGEST] if answer is not None else None,
    )
