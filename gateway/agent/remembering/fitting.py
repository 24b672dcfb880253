"""Making messages fit a window: what they take, what is cut first, what goes; pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.core.exceptions import ContextLengthExceeded
from gateway.domain.messages import ImagePart, Message
from gateway.domain.tokens import bytes_at_most, most_tokens

Messages = tuple[Message, ...]

# What a chat template puts around a message, and what a picture takes, at most.
_AROUND = 8
_IMAGE = 800
# A tool's result is not cut below these while something else can still go: of earlier rounds, of the last.
_FLOORS = (48, 160)
# What is left of one where nothing else helps: its mark, and a few words.
_STUB = 24
_MARK = "\n[… {count} characters left out, to fit the model's context window …]\n"
_GONE = "[{count} earlier tool calls and their results were left out, to fit the model's context window.]\n"


def size(message: Message) -> int:
    """Tokens that a message takes at most (`most_tokens`), with what a template puts around it."""
    tokens = _AROUND + most_tokens(message.text)
    for call in message.tool_calls:
        tokens += _AROUND + most_tokens(call.name) + most_tokens(call.arguments)
    if not isinstance(message.content, str):
        tokens += _IMAGE * sum(isinstance(part, ImagePart) for part in message.content)
    return tokens


def total(messages: Sequence[Message]) -> int:
    """Tokens of all of them, at most."""
    return sum(map(size, messages))


def surely_fits(messages: Sequence[Message], room: int) -> bool:
    """Whether they fit by their mere lengths: most conversations do, and it is found out for nothing."""
    for message in messages:
        room -= _AROUND + bytes_at_most(message.text)
        for call in message.tool_calls:
            room -= _AROUND + bytes_at_most(call.name) + bytes_at_most(call.arguments)
        if room < 0 or not isinstance(message.content, str):
            return False
    return True


def clip(text: str, tokens: int) -> str:
    """The beginning of `text`, of at most about `tokens`, with an ellipsis where something was left out."""
    taken = most_tokens(text)
    if taken <= tokens:
        return text
    while text and taken > tokens:
        text = text[: min(len(text) - 1, int(len(text) * tokens / taken * 0.97))]
        taken = most_tokens(text) + 1
    return text.rstrip() + "…"


def fit(head: Messages, history: Messages, tail: Messages, room: int) -> Messages:
    """System prompt and notes (`head`), history, question and tool rounds (`tail`) within `room` tokens.

    Tools' results are cut first, the oldest rounds' and the longest, each with a mark; then the oldest
    exchanges go; then more of the results, and whole rounds but the last. `head` and the question stay whole,
    and no tool's answer is without its call: more than `room` is returned only where these are more.
    """
    room -= total(head)
    tail = shorten(tail, max(room - total(history), room // 2))
    history = newest_exchanges(history, room - total(tail))
    if not history:
        tail = shorten(tail, room, hard=True)
    return (*head, *history, *tail)


def newest_exchanges(history: Messages, room: int) -> Messages:
    """As many of the newest whole exchanges as `room` holds; the first of them begins with a question."""
    kept = len(history)
    for at in range(len(history) - 1, -1, -1):
        room -= size(history[at])
        if room < 0:
            break
        if history[at].role == "user":
            kept = at
    return history[kept:]


def shorten(tail: Messages, room: int, *, hard: bool = False) -> Messages:
    """The question and its tool rounds with results cut to `room`, as far as the floors let that be.

    With `hard`, results shrink to stubs and whole rounds go, the oldest first; the question and the last
    round stay.
    """
    if total(tail) <= room:
        return tail
    last_round = max((at for at, m in enumerate(tail) if m.tool_calls), default=len(tail))
    earlier, last = _FLOORS
    tail = _cut_results(tail, room, earlier, lambda at: at < last_round)
    tail = _cut_results(tail, room, last, lambda at: at >= last_round)
    if not hard or total(tail) <= room:
        return tail
    tail = _cut_results(tail, room, _STUB, lambda at: True)
    return _without_rounds(tail, room)


def too_long(needed: int, room: int) -> ContextLengthExceeded:
    """The refusal, with the numbers."""
    return ContextLengthExceeded.of(needed, room, param="message")


def _cut_results(tail: Messages, room: int, floor: int, where: Callable[[int], bool]) -> Messages:
    """Cut the longest results first, down to one common length of at least `floor` tokens."""
    results = {at: size(m) - _AROUND for at, m in enumerate(tail) if m.role == "tool" and where(at)}
    over = total(tail) - room
    if over <= 0 or not results:
        return tail
    limit = max(floor, _common_length(sorted(results.values()), sum(results.values()) - over))
    cut = list(tail)
    for at, tokens in results.items():
        if tokens > limit:
            cut[at] = replace(tail[at], content=_middle_out(tail[at].text, limit))
    return tuple(cut)


def _common_length(lengths: list[int], room: int) -> int:
    """The length to which the longest are cut, so that all together take `room`; lengths ascend."""
    for at, length in enumerate(lengths):
        rest = len(lengths) - at
        if length * rest > room:
            return max(0, room // rest)
        room -= length
    return lengths[-1]


def _middle_out(text: str, tokens: int) -> str:
    """The beginning and a little of the end of `text`, with a mark of how much is missing between."""
    taken = most_tokens(text)
    budget = tokens - most_tokens(_MARK.format(count=len(text)))
    keep = max(0, int(len(text) * budget / taken))
    while True:
        head, end = text[: keep - keep // 4], text[len(text) - keep // 4 :] if keep >= 4 else ""
        cut = head + _MARK.format(count=len(text) - len(head) - len(end)) + end
        if keep == 0 or most_tokens(cut) <= tokens:
            return cut
        keep = int(keep * 0.9)


def _without_rounds(tail: Messages, room: int) -> Messages:
    """Drop the oldest rounds, calls and results, until the rest fits; the last one stays."""
    starts = [at for at, m in enumerate(tail) if m.tool_calls]
    if not starts:
        return tail
    rounds, over, gone = starts[1:], total(tail) - room, 0
    begin = starts[0]
    for start in rounds:
        if over <= 0:
            break
        # The mark that tells of it takes some room itself.
        over -= total(tail[begin:start]) - (0 if gone else _AROUND + most_tokens(_GONE))
        gone += len(tail[begin].tool_calls)
        begin = start
    if not gone:
        return tail
    kept = list(tail[begin:])
    for at, message in enumerate(kept):
        if message.role == "tool":
            kept[at] = replace(message, content=_GONE.format(count=gone) + message.text)
            break
    return (*tail[: starts[0]], *kept)
