"""Why an answer ended: the words of all vendors, read in one place."""

from __future__ import annotations

from typing import Final

from gateway.domain.events import FinishReason

# A failure that a vendor reports at the end of a well-formed answer.
FAILED: Final = "failed"
Ending = FinishReason | str

_WORDS: Final[dict[str, Ending]] = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "eos", "complete", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
    "model_context_window_exceeded": "length",
    **dict.fromkeys(("tool_calls", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(
        ("language", "no_image", "model_armor", "spii", "refusal", "sensitive"), "content_filter"
    ),
    # Gemini: the model did not answer, or the conversation is not what it has to be.
    **dict.fromkeys(
        ("other", "image_other", "too_many_tool_calls", "unexpected_tool_call", "finish_reason_unspecified"),
        FAILED,
    ),
    "missing_thought_signature": FAILED,
    "pause_turn": FAILED,
    # Ollama: a model was loaded, and nothing generated.
    **dict.fromkeys(("load", "unload"), FAILED),
}
# Parts of words, for vendors that are not listed; the first that is found decides.
_PARTS: Final[tuple[tuple[str, Ending], ...]] = (
    *((part, FAILED) for part in ("error", "fail", "abort", "cancel", "timeout", "time_out", "malformed")),
    *((part, FAILED) for part in ("insufficient", "overload", "unavailable", "interrupt")),
    *((part, "content_filter") for part in ("filter", "safety", "recitation", "blocklist", "prohibited")),
    *(
        (part, "content_filter")
        for part in ("guardrail", "moderation", "refus", "violat", "sensitive", "blocked")
    ),
    *((part, "length") for part in ("length", "max_", "token_limit", "context_window")),
    *((part, "tool_calls") for part in ("tool", "function_call")),
)
# Some servers send these with each chunk until the answer ends.
_NOT_YET: Final = frozenset({"", "null", "none"})


def finish_of(word: str | None) -> Ending | None:
    """OpenAI's word for a vendor's finish reason, `FAILED`, or None where the answer goes on.

    A word that nothing is known of means `stop`: the vendor says that it has ended.
    """
    folded = (word or "").strip().lower().replace("-", "_")
    if folded in _NOT_YET:
        return None
    known = _WORDS.get(folded)
    if known is not None:
        return known
    return next((ending for part, ending in _PARTS if part in folded), "stop")
