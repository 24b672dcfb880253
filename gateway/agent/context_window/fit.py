"""Shorten messages to a token limit. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.core.exceptions import ContextLengthExceeded
from gateway.domain.messages import ImagePart, Message
from gateway.domain.token_estimates import estimate_max_tokens, max_tokens_by_bytes

Messages = tuple[Message, ...]

# Upper estimates of a message's chat template and of an image.
_TEMPLATE_TOKENS = 8
_IMAGE_TOKENS = 800
# Minimum tokens of a shortened tool result: of earlier rounds, of the last round.
_MIN_RESULT_TOKENS = (48, 160)
# Minimum when nothing else can be cut: the mark and a few words.
_STUB_TOKENS = 24
_TRUNCATION_MARK = "\n[… {count} characters left out, to fit the model's context window …]\n"
_DROPPED_ROUNDS_MARK = (
    "[{count} earlier tool calls and their results were left out, to fit the model's context window.]\n"
)


def max_message_tokens(message: Message) -> int:
    """Upper estimate of a message's tokens, with its chat template."""
    tokens = _TEMPLATE_TOKENS + estimate_max_tokens(message.text)
    for call in message.tool_calls:
        tokens += _TEMPLATE_TOKENS + estimate_max_tokens(call.name) + estimate_max_tokens(call.arguments)
    if not isinstance(message.content, str):
        tokens += _IMAGE_TOKENS * sum(isinstance(part, ImagePart) for part in message.content)
    return tokens


def max_total_tokens(messages: Sequence[Message]) -> int:
    """Upper estimate of the tokens of all messages."""
    return sum(map(max_message_tokens, messages))


def fits_cheaply(messages: Sequence[Message], token_limit: int) -> bool:
    """Whether the messages fit by their byte lengths alone, which costs nothing."""
    for message in messages:
        token_limit -= _TEMPLATE_TOKENS + max_tokens_by_bytes(message.text)
        for call in message.tool_calls:
            token_limit -= (
                _TEMPLATE_TOKENS + max_tokens_by_bytes(call.name) + max_tokens_by_bytes(call.arguments)
            )
        if token_limit < 0 or not isinstance(message.content, str):
            return False
    return True


def truncate(text: str, tokens: int) -> str:
    """Cut `text` to about `tokens` tokens and mark the cut with an ellipsis."""
    size = estimate_max_tokens(text)
    if size <= tokens:
        return text
    while text and size > tokens:
        text = text[: min(len(text) - 1, int(len(text) * tokens / size * 0.97))]
        size = estimate_max_tokens(text) + 1
    return text.rstrip() + "…"


def fit_messages(head: Messages, history: Messages, tail: Messages, token_limit: int) -> Messages:
    """Fit `head`, `history` and `tail` into `token_limit`.

    `head` is the system prompt and notes, `tail` the question and its tool rounds. Tool results are cut
    first, the oldest rounds and the longest results first. Then the oldest exchanges are dropped, then more
    of the results, then whole rounds except the last. `head` and the question are never cut and no tool
    result loses its call, so the result exceeds `token_limit` only if these do.
    """
    token_limit -= max_total_tokens(head)
    tail = shorten_tool_results(tail, max(token_limit - max_total_tokens(history), token_limit // 2))
    history = newest_exchanges(history, token_limit - max_total_tokens(tail))
    if not history:
        tail = shorten_tool_results(tail, token_limit, drop_rounds=True)
    return (*head, *history, *tail)


def newest_exchanges(history: Messages, token_limit: int) -> Messages:
    """The newest whole exchanges within `token_limit`, beginning with a question."""
    start = len(history)
    for index in range(len(history) - 1, -1, -1):
        token_limit -= max_message_tokens(history[index])
        if token_limit < 0:
            break
        if history[index].role == "user":
            start = index
    return history[start:]


def shorten_tool_results(tail: Messages, token_limit: int, *, drop_rounds: bool = False) -> Messages:
    """Cut the tool results of the current turn, down to a minimum length each.

    Args:
        drop_rounds: cut results to stubs and drop whole rounds, oldest first, except the last.
    """
    if max_total_tokens(tail) <= token_limit:
        return tail
    last_round = max((at for at, m in enumerate(tail) if m.tool_calls), default=len(tail))
    earlier, last = _MIN_RESULT_TOKENS
    tail = _cut_results(tail, token_limit, earlier, lambda at: at < last_round)
    tail = _cut_results(tail, token_limit, last, lambda at: at >= last_round)
    if not drop_rounds or max_total_tokens(tail) <= token_limit:
        return tail
    tail = _cut_results(tail, token_limit, _STUB_TOKENS, lambda at: True)
    return _drop_oldest_rounds(tail, token_limit)


def context_length_error(needed: int, token_limit: int) -> ContextLengthExceeded:
    """The error with the numbers."""
    return ContextLengthExceeded.for_request(needed, token_limit, param="message")


def _cut_results(tail: Messages, token_limit: int, floor: int, applies_to: Callable[[int], bool]) -> Messages:
    """Cut the longest results first, to one common length of at least `floor` tokens."""
    results = {
        at: max_message_tokens(m) - _TEMPLATE_TOKENS
        for at, m in enumerate(tail)
        if m.role == "tool" and applies_to(at)
    }
    excess = max_total_tokens(tail) - token_limit
    if excess <= 0 or not results:
        return tail
    limit = max(floor, _common_limit(sorted(results.values()), sum(results.values()) - excess))
    cut = list(tail)
    for at, tokens in results.items():
        if tokens > limit:
            cut[at] = replace(tail[at], content=_truncate_middle(tail[at].text, limit))
    return tuple(cut)


def _common_limit(lengths: list[int], token_limit: int) -> int:
    """The length at which the longest are cut so that all fit; `lengths` ascend."""
    for at, length in enumerate(lengths):
        rest = len(lengths) - at
        if length * rest > token_limit:
            return max(0, token_limit // rest)
        token_limit -= length
    return lengths[-1]


def _truncate_middle(text: str, tokens: int) -> str:
    """Keep the beginning and a little of the end of `text`, with a mark between."""
    size = estimate_max_tokens(text)
    budget = tokens - estimate_max_tokens(_TRUNCATION_MARK.format(count=len(text)))
    keep = max(0, int(len(text) * budget / size))
    while True:
        head, end = text[: keep - keep // 4], text[len(text) - keep // 4 :] if keep >= 4 else ""
        cut = head + _TRUNCATION_MARK.format(count=len(text) - len(head) - len(end)) + end
        if keep == 0 or estimate_max_tokens(cut) <= tokens:
            return cut
        keep = int(keep * 0.9)


def _drop_oldest_rounds(tail: Messages, token_limit: int) -> Messages:
    """Drop the oldest rounds (calls and results) until the rest fits; keep the last."""
    starts = [at for at, m in enumerate(tail) if m.tool_calls]
    if not starts:
        return tail
    rounds, excess, dropped = starts[1:], max_total_tokens(tail) - token_limit, 0
    begin = starts[0]
    for start in rounds:
        if excess <= 0:
            break
        # The mark takes some tokens itself.
        excess -= max_total_tokens(tail[begin:start]) - (
            0 if dropped else _TEMPLATE_TOKENS + estimate_max_tokens(_DROPPED_ROUNDS_MARK)
        )
        dropped += len(tail[begin].tool_calls)
        begin = start
    if not dropped:
        return tail
    kept = list(tail[begin:])
    for at, message in enumerate(kept):
        if message.role == "tool":
            kept[at] = replace(message, content=_DROPPED_ROUNDS_MARK.format(count=dropped) + message.text)
            break
    return (*tail[: starts[0]], *kept)
