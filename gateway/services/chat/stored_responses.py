"""Stored responses of the Responses API: each is an answer of a conversation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from gateway.core.body_limit import LARGE_BODY
from gateway.core.database import dump_json
from gateway.core.exceptions import (
    Conflict,
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    TurnInProgress,
    ValidationFailed,
)
from gateway.domain.conversations.branch import StoredParts, build_branch
from gateway.domain.conversations.models import BranchMessage, StoredMessage
from gateway.domain.conversations.stored_messages import (
    calls_from_storage,
    from_storage,
    to_storage,
    vendor_from_storage,
)
from gateway.domain.messages import Message, merge_system_messages
from gateway.domain.requests import ConversationTarget, Turn
from gateway.repositories.unit_of_work import UnitOfWorkFactory

# The size of the parameters of one stored response (instructions, tools, schema) as JSON.
MAX_PARAMETERS_BYTES = 1024 * 1024
_PREVIOUS_PARAM = "previous_response_id"
_RUNNING = ("pending", "streaming")


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An answer and its question, with the messages that were sent to the model."""

    answer: StoredMessage
    question: StoredMessage | None
    messages: tuple[Message, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the request.

        Empty if the question did not come through the Responses API.
        """
        known = (self.question.request or {}).get("parameters") if self.question is not None else None
        return known or {}


class StoredResponseService:
    """Use cases of stored responses.

    Every method takes the owner's id; responses of other accounts are not found.
    """

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    async def continue_from(
        self, turn: Turn, previous: UUID | None, parameters: dict[str, Any], user_id: UUID, *, store: bool
    ) -> Turn:
        """Return the turn as a continuation of a stored response.

        It is the next turn of the conversation, or contains the history in its messages.

        Raises:
            NotFound: no such answer. TurnInProgress: it is still being written.
            InvalidRequest: a tool output without its call, or a call without its output.
            ValidationFailed: `parameters` are too large to be stored.
            ContextLengthExceeded: the history is larger than a request may be.
        """
        target = turn.conversation or ConversationTarget()
        calls: tuple[str, ...] = ()
        branch: Sequence[BranchMessage] = ()
        if previous is not None:
            conversation_id, answer = await self._answer(user_id, previous, param=_PREVIOUS_PARAM)
            if answer.status in _RUNNING:
                raise TurnInProgress("The previous response is still being written.", param=_PREVIOUS_PARAM)
            calls = tuple(call.id for call in calls_from_storage(answer.tool_calls))
            if store:
                target = replace(target, id=conversation_id, parent_id=previous)
            else:
                branch = await self._history(user_id, conversation_id, previous)
        _check_calls(turn.messages, calls)
        if store:
            _check_parameters(parameters)
            request: dict[str, Any] = {"parameters": parameters}
            if len(turn.messages) > 1 or turn.messages[0] != Message("user", turn.messages[0].text):
                request["messages"] = to_storage(turn.messages)
            return replace(turn, conversation=replace(target, request=request))
        messages = _full_history(target.system, branch, turn.messages)
        return replace(turn, messages=messages, conversation=None)

    async def read(self, user_id: UUID, response_id: UUID) -> StoredResponse:
        """Return the response.

        Raises:
            NotFound: the account has no such response.
        """
        _, answer = await self._answer(user_id, response_id)
        question = None
        if answer.parent_id is not None:
            async with self._uow() as uow:
                found = await uow.messages.get(user_id, answer.parent_id)
            question = found[1] if found is not None else None
        return StoredResponse(answer, question, _question_messages(question) if question is not None else ())

    async def find_by_messages(self, user_id: UUID, message_ids: Collection[UUID]) -> list[StoredResponse]:
        """Return the responses whose answer or question is among these messages."""
        async with self._uow() as uow:
            rows = await uow.messages.list_exchanges(user_id, message_ids)
        questions = {row.id: row for row in rows if row.role == "user"}
        found: list[StoredResponse] = []
        for row in rows:
            if row.role == "assistant":
                question = questions.get(row.parent_id) if row.parent_id is not None else None
                found.append(StoredResponse(row, question, _question_messages(question) if question else ()))
        return found

    async def delete(self, user_id: UUID, response_id: UUID) -> None:
        """Delete the answer, and its question and conversation if they become empty.

        Raises:
            NotFound: no such answer. TurnInProgress: its conversation is being answered.
            Conflict: other messages follow it.
        """
        conversation_id, answer = await self._answer(user_id, response_id)
        async with self._uow() as uow:
            outcome = await uow.stored_responses.delete(user_id, conversation_id, answer.id, answer.parent_id)
        if outcome == "missing":
            raise NotFound()
        if outcome == "busy":
            raise TurnInProgress()
        if outcome == "has_replies":
            raise Conflict("Other responses follow this one; delete them first.")

    async def _history(self, user_id: UUID, conversation_id: UUID, last: UUID) -> Sequence[BranchMessage]:
        async with self._uow() as uow:
            sizes = await uow.messages.list_branch_sizes(user_id, conversation_id, last, include_hidden=True)
            if sum(size for _, size in sizes) > LARGE_BODY:
                raise ContextLengthExceeded(
                    "The previous responses are too large to be sent to a model in full. Send store: true, or"
                    " a shorter input without previous_response_id.",
                    param=_PREVIOUS_PARAM,
                )
            return await uow.messages.list_branch(user_id, conversation_id, last)

    async def _answer(self, user_id: UUID, id_: UUID, param: str | None = None) -> tuple[UUID, StoredMessage]:
        async with self._uow() as uow:
            found = await uow.messages.get(user_id, id_)
        if found is None or found[1].role != "assistant":
            raise NotFound(param=param)
        return found


def _check_parameters(parameters: dict[str, Any]) -> None:
    """Reject parameters that are too large to be stored with the question."""
    sizes = {name: len(dump_json(value)) for name, value in parameters.items()}
    if sum(sizes.values()) > MAX_PARAMETERS_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise ValidationFailed(
            f"The parameters of a stored response are larger than {MAX_PARAMETERS_BYTES // 1024} KiB. "
            "Send less,"
            " or store: false.",
            param=largest,
        )


def _check_calls(messages: Sequence[Message], open_calls: Sequence[str]) -> None:
    """Check that every tool output has its call and every call its output."""
    known = set(open_calls)
    answered: set[str] = set()
    for message in messages:
        known |= {call.id for call in message.tool_calls}
        if message.role == "tool" and message.tool_call_id is not None:
            if message.tool_call_id not in known:
                raise InvalidRequest("An output answers no call of this conversation.", param="input")
            answered.add(message.tool_call_id)
    if known - answered:
        raise InvalidRequest("A function call has no output.", param="input")


def _full_history(
    system: str | None, branch: Sequence[BranchMessage], question: Sequence[Message]
) -> tuple[Message, ...]:
    """Return system prompt, history and question, with one system message first."""
    stored_parts = {
        at: StoredParts(
            _question_messages(message),
            calls_from_storage(message.tool_calls),
            vendor_from_storage(message.tool_calls),
        )
        for at, message in enumerate(branch)
    }
    before = build_branch(
        [m.id for m in branch], [m.role for m in branch], [m.content for m in branch], None, stored_parts
    )
    head = (Message("system", system),) if system else ()
    return merge_system_messages((*head, *before.messages, *question))


def _question_messages(question: StoredMessage) -> tuple[Message, ...]:
    stored = (question.request or {}).get("messages")
    if stored is not None:
        return from_storage(stored)
    return (Message("user", question.content),) if question.role == "user" else ()
