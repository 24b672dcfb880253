"""Admits turns: checks names, reserves the cost, opens the conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from gateway.agent.budget.turn_budget import TurnBudget
from gateway.agent.context import AgentResources
from gateway.agent.context_window.memory import Memory
from gateway.core.exceptions import ModelNotAllowed, ModelNotFound, TurnInProgress, ValidationFailed
from gateway.core.ids import new_id
from gateway.core.request_context import current_request
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.catalog import AUTO, Catalog
from gateway.domain.conversations.titles import make_title
from gateway.domain.events import Answer, TurnStarted
from gateway.domain.messages import Message
from gateway.domain.requests import ConversationTarget, RequestScope, Turn
from gateway.domain.usage.turn_records import NewTurn, OpenedTurn, UsageOwner
from gateway.services.chat.conversation_queue import ConversationQueue
from gateway.services.chat.cost_estimate import CostEstimator
from gateway.services.chat.titles import FirstExchange
from gateway.services.execution.live_turn import LiveTurn
from gateway.services.usage.ledger import Ledger
from gateway.services.usage.turn_bill import TurnBill


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedTurn:
    """A turn that passed its checks and holds its reservation.

    `prompt` is the input of the first model call. `memory` is set if older messages may be left out of it.
    `started` is the `perf_counter` reading at the request's start.
    """

    turn: Turn
    scope: RequestScope
    prompt: tuple[Message, ...]
    started: float
    bill: TurnBill
    reservation_id: UUID | None
    budget: TurnBudget | None
    memory: Memory | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistedTurn(AdmittedTurn):
    """An admitted turn of a conversation, whose question is already stored."""

    opened: OpenedTurn
    live: LiveTurn

    def first_exchange(self, answer: Answer) -> FirstExchange | None:
        """Return the exchange to generate a title from.

        Return None if the conversation has a title, or does not need one.
        """
        if not self.opened.first_exchange or answer.status != "complete" or not answer.content:
            return None
        if self.turn.conversation is not None and self.turn.conversation.request is not None:
            return None  # conversations of programs need no title
        return FirstExchange(self.opened.conversation_id, self.turn.messages[-1].text, answer.content)


class TurnAdmission:
    """Checks a turn, reserves its cost and opens its conversation, for every API."""

    def __init__(
        self, resources: AgentResources, ledger: Ledger, conversation_queue: ConversationQueue
    ) -> None:
        self._resources = resources
        self._conversation_queue = conversation_queue
        self._cost_estimator = CostEstimator(resources)
        self._ledger = ledger

    async def admit(self, turn: Turn, scope: RequestScope, started: float) -> AdmittedTurn:
        """Check names, reserve the cost and open the conversation.

        If a name does not exist, nothing is stored or reserved.

        Raises:
            ModelNotFound, ModelNotAllowed, ValidationFailed: names of models and tools.
            NotFound, TurnInProgress, QuotaExceeded, BudgetExceeded: as `Ledger.open_turn`, `Ledger.reserve`.
        """
        principal = scope.principal
        if turn.model is not None:
            _check_model_name(self._resources.catalog, turn.model, principal)
        if unknown := self._resources.tools.find_unknown(turn.gateway_tools or ()):
            raise ValidationFailed(
                f"{len(unknown)} of the requested tools are not enabled. GET /api/tools lists the others.",
                param="tools",
            )
        if turn.conversation is not None:
            return await self._admit_persisted(turn, turn.conversation, scope, started)
        bill = self._bill(turn, principal, None)
        reservation_id = await self._ledger.reserve(principal, self._cost_estimator.estimate(turn, bill))
        return AdmittedTurn(
            turn=replace(turn, model=turn.model or AUTO),
            scope=scope,
            prompt=turn.messages,
            started=started,
            bill=bill,
            reservation_id=reservation_id,
            budget=self._ledger.turn_budget(principal, reservation_id),
            memory=Memory.from_client_messages(turn.messages) if turn.may_truncate else None,
        )

    async def _admit_persisted(
        self, turn: Turn, target: ConversationTarget, scope: RequestScope, started: float
    ) -> PersistedTurn:
        principal = scope.principal
        question_id, answer_id = new_id(), new_id()
        if target.regenerate_of is not None:
            existing = await self._ledger.get_question(principal, target.regenerate_of)
            question_id = existing.id
            target = replace(target, id=existing.conversation_id, parent_id=existing.parent_id, as_root=True)
            turn = replace(turn, messages=existing.messages, conversation=target, use_cache=False)
        bill = self._bill(turn, principal, answer_id)
        opened = await self._open_turn(
            turn, target, principal, bill, _new_turn(turn, target, principal, question_id, answer_id)
        )
        # The configuration may no longer have the conversation's model.
        known = opened.model if opened.model and self._resources.catalog.models_of(opened.model) else None
        branch, question = opened.branch.split_open_exchange(turn.messages)
        memory = Memory(branch)
        ids = str(opened.conversation_id), str(question_id), str(answer_id)
        return PersistedTurn(
            turn=replace(turn, model=turn.model or known or AUTO),
            scope=scope,
            prompt=memory.build_prompt(
                target.system if target.system is not None else opened.system, *question
            ),
            started=started,
            bill=bill,
            reservation_id=answer_id,
            budget=self._ledger.turn_budget(principal, answer_id),
            memory=memory if turn.may_truncate else None,
            opened=opened,
            live=LiveTurn(
                principal.user_id,
                opened.conversation_id,
                answer_id,
                opened.lock_token,
                TurnStarted(turn.request_id, *ids),
            ),
        )

    def _bill(self, turn: Turn, principal: Principal, answer_id: UUID | None) -> TurnBill:
        request = current_request()
        owner = UsageOwner(
            principal.user_id,
            turn.request_id,
            principal.api_key_id,
            answer_id,
            request.request_key if request is not None else None,
        )
        return self._cost_estimator.bill(turn, owner)

    async def _open_turn(
        self, turn: Turn, target: ConversationTarget, principal: Principal, bill: TurnBill, new: NewTurn
    ) -> OpenedTurn:
        """Open the turn now, or when the conversation becomes free."""
        estimate = self._cost_estimator.estimate(turn, bill)
        try:
            return await self._ledger.open_turn(principal, new, estimate)
        except TurnInProgress as busy:
            if target.on_busy == "refuse" or new.conversation_id is None:
                raise
            return await self._conversation_queue.begin_when_free(
                lambda: self._ledger.open_turn(principal, replace(new, from_queue=True), estimate),
                principal.user_id,
                new.conversation_id,
                self._resources.catalog.conversation_queue,
                busy,
            )


def _new_turn(
    turn: Turn, target: ConversationTarget, principal: Principal, question_id: UUID, answer_id: UUID
) -> NewTurn:
    text = _question_text(turn.messages)
    return NewTurn(
        user_id=principal.user_id,
        question=text,
        question_id=question_id,
        answer_id=answer_id,
        conversation_id=target.id,
        parent_id=target.parent_id,
        as_root=target.as_root,
        is_regeneration=target.regenerate_of is not None,
        title=make_title(text),
        model=turn.model,
        system=target.system or None,
        metadata=target.metadata,
        request=target.request,
    )


def _question_text(question: Sequence[Message]) -> str:
    """Return a question's display text: its user messages, else its tool results."""
    texts = [m.text for m in question if m.role == "user"] or [m.text for m in question if m.role == "tool"]
    return "\n\n".join(filter(None, texts)) or question[-1].text


def _check_model_name(catalog: Catalog, name: str, principal: Principal) -> None:
    if name != AUTO and not catalog.models_of(name):
        raise ModelNotFound(param="model")
    if principal.models is not None and name != AUTO and name not in principal.models:
        raise ModelNotAllowed(param="model")
