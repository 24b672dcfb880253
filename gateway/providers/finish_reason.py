"""Maps the finish reasons of all vendors to OpenAI's."""

from __future__ import annotations

import re
from typing import Final

from gateway.domain.events import FinishReason

# A failure that a vendor reports in the finish reason of a well-formed answer.
FAILED: Final = "failed"
ParsedFinishReason = FinishReason | str

# Reasons are compared in lower case, without digits and separators: `max_tokens` equals `maxTokens`.
_EXACT_REASONS: Final[dict[str, ParsedFinishReason]] = {
    **dict.fromkeys(("stop", "endturn", "stopsequence", "eos", "complete", "completed"), "stop"),
    **dict.fromkeys(("tooluse", "functioncall"), "tool_calls"),
    **dict.fromkeys(("language", "noimage", "modelarmor", "spii", "errortoxic"), "content_filter"),
    "errorlimit": "length",  # Cohere: the prompt and the answer do not fit
    # Gemini: the model did not answer, or the conversation is malformed.
    **dict.fromkeys(
        ("other", "imageother", "toomanytoolcalls", "unexpectedtoolcall", "finishreasonunspecified"),
        FAILED,
    ),
    "missingthoughtsignature": FAILED,
    "pauseturn": FAILED,
    # Ollama: a model was loaded and nothing was generated.
    **dict.fromkeys(("load", "unload"), FAILED),
}
# Substrings of reasons that are not listed above; the first match decides.
_PARTIAL_REASONS: Final[tuple[tuple[str, ParsedFinishReason], ...]] = (
    *((part, FAILED) for part in ("error", "fail", "abort", "cancel", "timeout", "timedout", "malformed")),
    *((part, FAILED) for part in ("insufficient", "overload", "unavailable", "interrupt", "unload")),
    *((part, FAILED) for part in ("deadline", "disconnect", "crash", "preempt", "terminat", "engine")),
    *((part, FAILED) for part in ("userstop", "ratelimit", "quota")),
    *((part, "content_filter") for part in ("filter", "safety", "recitation", "blocklist", "prohibited")),
    *((part, "content_filter") for part in ("guardrail", "moderation", "refus", "violat", "sensitive")),
    *((part, "content_filter") for part in ("blocked", "policy", "flagged", "harm", "toxic", "jailbreak")),
    *((part, "content_filter") for part in ("censor", "risk", "copyright")),
    *((part, "length") for part in ("length", "max", "limit", "contextwindow", "truncat", "incomplete")),
    *((part, "length") for part in ("exhausted", "repetition")),
    *((part, "tool_calls") for part in ("tool", "functioncall")),
)
# Sent by some servers with every chunk until the answer ends.
_UNFINISHED: Final = frozenset({"", "null", "none", "notfinished", "unfinished", "inprogress"})
_SEPARATORS: Final = re.compile(r"[\W\d_]+")


def parse_finish_reason(raw: str | None) -> ParsedFinishReason | None:
    """Return OpenAI's finish reason, `FAILED`, or None if the answer has not ended.

    An unknown reason means `stop`, because the vendor says that the answer has ended.
    """
    normalized = _SEPARATORS.sub("", (raw or "").lower())
    if normalized in _UNFINISHED:
        return None
    known = _EXACT_REASONS.get(normalized)
    if known is not None:
        return known
    return next((reason for part, reason in _PARTIAL_REASONS if part in normalized), "stop")
