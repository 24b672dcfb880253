"""A stored branch of a conversation as the messages that a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from uuid import UUID

from gateway.domain.conversations.stored_messages import missing_result, pair_results, unanswered_calls
from gateway.domain.messages import Message, ToolCall, VendorData

# Longer branches are not read: they are summarized long before (`gateway.agent.context_window.memory`).
MAX_BRANCH_ROWS = 100


@dataclass(frozen=True, slots=True)
class Branch:
    """The messages before a question, as a model should read them, oldest first.

    `summary` replaces everything before `messages`. A summary of the first n of them is stored with the
    message `summary_message_ids[n]` (None at 0 if nothing comes before). `row_count` is how many stored
    messages were read.
    """

    messages: tuple[Message, ...] = ()
    summary: str | None = None
    summary_message_ids: tuple[UUID | None, ...] = (None,)
    row_count: int = 0

    def split_open_exchange(self, question: tuple[Message, ...]) -> tuple[Branch, tuple[Message, ...]]:
        """Split off an open tool exchange.

        Return the branch before it, and the exchange with the question. The exchange stays complete, however
        much history is dropped before it.
        """
        open_tool_calls = unanswered_calls(self.messages)
        if not open_tool_calls:
            return self, question
        answered = {message.tool_call_id for message in question if message.role == "tool"}
        missing_results = (missing_result(call) for call in open_tool_calls if call.id not in answered)
        exchange_start = max((index for index, m in enumerate(self.messages) if m.role == "user"), default=0)
        earlier = replace(
            self,
            messages=self.messages[:exchange_start],
            summary_message_ids=self.summary_message_ids[: exchange_start + 1],
        )
        return earlier, (*self.messages[exchange_start:], *missing_results, *question)


@dataclass(frozen=True, slots=True)
class BranchSummary:
    """A summary of a branch up to and including a message."""

    message_id: UUID
    text: str


@dataclass(frozen=True, slots=True)
class StoredParts:
    """The parts of a stored message besides its text: messages or tool calls.

    `vendor` is the data that the answer's vendor requires with its calls.
    """

    messages: tuple[Message, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    vendor: VendorData | None = None


_NO_PARTS = StoredParts()


def build_branch(
    ids: Sequence[UUID],
    roles: Sequence[str],
    contents: Sequence[str],
    summary: str | None,
    parts: Mapping[int, StoredParts] = MappingProxyType({}),
) -> Branch:
    """Build the messages for a model from a stored branch, oldest first.

    A question is dropped if its answer has neither text nor calls: it failed, was blocked or cancelled, and
    would fail every later turn again. Everything before the first question is dropped (the branch may be cut
    off), and so are results without calls. `summary` covers the first message; `parts` is keyed by position
    in the branch.
    """
    history: list[Message] = []
    preceding_ids: list[UUID | None] = []  # for each message: the stored message before it
    last_id: UUID | None = None
    open_question_length = 0  # how many messages the last question has, until it is answered
    for index, (id_, role, content) in enumerate(zip(ids, roles, contents, strict=True)):
        stored = parts.get(index, _NO_PARTS)
        if index == 0 and summary is not None:
            # The summary covers this message too, but not the calls that the next one may answer.
            messages: tuple[Message, ...] = ()
            if stored.tool_calls:
                messages = (Message("assistant", "", stored.tool_calls, vendor=stored.vendor),)
            last_id = id_
        elif role == "user":
            messages = stored.messages or (Message("user", content),)
        elif history and (content or stored.tool_calls):
            messages = (Message("assistant", content, stored.tool_calls, vendor=stored.vendor),)
        else:
            messages = ()
            del (
                history[len(history) - open_question_length :],
                preceding_ids[len(preceding_ids) - open_question_length :],
            )
        history.extend(messages)
        preceding_ids.extend([last_id] * len(messages))
        open_question_length = len(messages) if role == "user" else 0
        last_id = id_
    if parts:
        pairs = pair_results(history)
        history, preceding_ids = (
            [message for _, message in pairs],
            [preceding_ids[index] for index, _ in pairs],
        )
    return Branch(tuple(history), summary, (*preceding_ids, last_id), len(ids))
