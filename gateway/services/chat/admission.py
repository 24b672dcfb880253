"""Unit of work 1 of a turn: what is asked for is checked, written down and reserved."""

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
from gateway.domain.requests import Turn
from gateway.domain.usage.turn_records import NewTurn, OpenedTurn, UsageOwner
from gateway.services.chat.conversation_queue import ConversationQueue
from gateway.services.chat.cost_estimate import CostEstimator
from gateway.services.chat.titles import FirstExchange
from gateway.services.execution.live_turn import LiveTurn
from gateway.services.usage.ledger import Ledger
from gateway.services.usage.turn_bill import TurnBill


@dataclass(frozen=True, slots=True)
class AdmittedTurn:
    """One admitted turn; `opened`, `live` and the ids only where it is persisted.

    `memory` is given where the turn is persisted or older messages of its body may be left out.
    """

    turn: Turn
    principal: Principal
    messages: tuple[Message, ...]
    started: float
    reservation_id: UUID | None
    bill: TurnBill
    question_id: UUID | None = None
    answer_id: UUID | None = None
    opened: OpenedTurn | None = None
    memory: Memory | None = None
    live: LiveTurn | None = None
    budget: TurnBudget | None = None

    def first_exchange(self, answer: Answer) -> FirstExchange | None:
        """What a title may be made of, where the conversation has none but its question's."""
        opened = self.opened
        if opened is None or not opened.first_exchange or answer.status != "complete" or not answer.content:
            return None
        if self.turn.request is not None:
            return None  # a program's: who would read it, and who asked for another call
        return FirstExchange(opened.conversation_id, self.turn.messages[-1].text, answer.content)


class TurnAdmission:
    """Opens turns of every door."""

    def __init__(self, parts: AgentResources, ledger: Ledger, conversation_queue: ConversationQueue) -> None:
        self._parts = parts
        self._conversation_queue = conversation_queue
        self._cost_estimator = CostEstimator(parts)
        self._ledger = ledger

    async def admit(self, turn: Turn, principal: Principal, started: float) -> AdmittedTurn:
        """Nothing is written or reserved for a name that does not exist.

        Raises:
            ModelNotFound, ModelNotAllowed, ValidationFailed: names of models and tools.
            NotFound, TurnInProgress, QuotaExceeded, BudgetExceeded: as `Ledger.begin` and `Ledger.reserve`.
        """
        if turn.model is not None:
            _check_model_name(self._parts.catalog, turn.model, principal)
        if unknown := self._parts.tools.find_unknown(turn.gateway_tools or ()):
            raise ValidationFailed(
                f"{len(unknown)} of the tools asked for are not enabled here; GET /api/tools lists them.",
                param="tools",
            )
        if turn.persist:
            return await self._admit_persisted(turn, principal, started)
        bill = self._bill(turn, principal, None)
        reservation_id = await self._ledger.reserve(principal, self._cost_estimator.estimate(turn, bill))
        turn = replace(turn, model=turn.model or AUTO)
        memory = Memory.from_client_messages(turn.messages) if turn.may_truncate else None
        budget = self._ledger.turn_budget(principal, reservation_id)
        return AdmittedTurn(
            turn, principal, turn.messages, started, reservation_id, bill, memory=memory, budget=budget
        )

    async def _admit_persisted(self, turn: Turn, principal: Principal, started: float) -> AdmittedTurn:
        question_id, answer_id = new_id(), new_id()
        if turn.regenerate_of is not None:
            existing = await self._ledger.get_question(principal, turn.regenerate_of)
            question_id = existing.id
            turn = replace(
                turn,
                messages=existing.messages,
                conversation_id=existing.conversation_id,
                parent_id=existing.parent_id,
                as_root=True,
                use_cache=False,
            )
        text = _question_text(turn.messages)
        bill = self._bill(turn, principal, answer_id)
        opened = await self._open_turn(
            turn,
            principal,
            bill,
            NewTurn(
                user_id=principal.user_id,
                question=text,
                question_id=question_id,
                answer_id=answer_id,
                conversation_id=turn.conversation_id,
                parent_id=turn.parent_id,
                as_root=turn.as_root,
                is_regeneration=turn.regenerate_of is not None,
                title=make_title(text),
                model=turn.model,
                system=turn.system or None,
                metadata=turn.metadata,
                request=turn.request,
            ),
        )
        # A conversation's model may have left the configuration since.
        known = opened.model if opened.model and self._parts.catalog.models_of(opened.model) else None
        branch, question = opened.branch.split_open_exchange(turn.messages)
        memory = Memory(branch)
        return AdmittedTurn(
            replace(turn, model=turn.model or known or AUTO),
            principal,
            memory.build_prompt(turn.system if turn.system is not None else opened.system, *question),
            started,
            answer_id,
            bill,
            question_id,
            answer_id,
            opened,
            memory if turn.may_truncate else None,
            LiveTurn(
                principal.user_id,
                opened.conversation_id,
                answer_id,
                opened.lock_token,
                TurnStarted(turn.request_id, str(opened.conversation_id), str(question_id), str(answer_id)),
            ),
            self._ledger.turn_budget(principal, answer_id),
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

    async def _open_turn(self, turn: Turn, principal: Principal, bill: TurnBill, new: NewTurn) -> OpenedTurn:
        """Write it down now, or when its turn has come."""
        estimate = self._cost_estimator.estimate(turn, bill)
        try:
            return await self._ledger.open_turn(principal, new, estimate)
        except TurnInProgress as busy:
            if turn.on_busy == "refuse" or new.conversation_id is None:
                raise
            return await self._conversation_queue.begin_when_free(
                lambda: self._ledger.open_turn(principal, replace(new, from_queue=True), estimate),
                principal.user_id,
                new.conversation_id,
                self._parts.catalog.conversation_queue,
                busy,
            )


def _question_text(question: Sequence[Message]) -> str:
    """What people read of a question: what its user says, or the results that it brings."""
    texts = [m.text for m in question if m.role == "user"] or [m.text for m in question if m.role == "tool"]
    return "\n\n".join(filter(None, texts)) or question[-1].text


def _check_model_name(catalog: Catalog, name: str, principal: Principal) -> None:
    if name != AUTO and not catalog.models_of(name):
        raise ModelNotFound(param="model")
    if principal.models is not None and name != AUTO and name not in principal.models:
        raise ModelNotAllowed(param="model")
