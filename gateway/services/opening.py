"""Unit of work 1 of a turn: what is asked for is checked, written down and reserved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from gateway.agent.context import AgentParts
from gateway.agent.remembering.memory import Memory
from gateway.agent.turn_budget import TurnBudget
from gateway.core.exceptions import ModelNotAllowed, ModelNotFound, TurnInProgress, ValidationFailed
from gateway.core.ids import new_id
from gateway.core.request_context import current_request
from gateway.domain.catalog import AUTO, Catalog
from gateway.domain.chat import Turn
from gateway.domain.events import Answer, TurnStarted
from gateway.domain.ledger import NewTurn, OpenedTurn, UsageOwner
from gateway.domain.messages import Message
from gateway.domain.principal import Principal
from gateway.domain.titles import make_title
from gateway.services.bill import Bill
from gateway.services.ledger import Ledger
from gateway.services.live import LiveTurn
from gateway.services.pricing import Pricing
from gateway.services.queueing import Waiting
from gateway.services.titles import FirstExchange


@dataclass(frozen=True, slots=True)
class Job:
    """One admitted turn; `opened`, `live` and the ids only where it is persisted.

    `memory` is given where the turn is persisted or older messages of its body may be left out.
    """

    turn: Turn
    principal: Principal
    messages: tuple[Message, ...]
    started: float
    reservation_id: UUID | None
    bill: Bill
    question_id: UUID | None = None
    answer_id: UUID | None = None
    opened: OpenedTurn | None = None
    memory: Memory | None = None
    live: LiveTurn | None = None
    budget: TurnBudget | None = None

    def untitled(self, answer: Answer) -> FirstExchange | None:
        """What a title may be made of, where the conversation has none but its question's."""
        opened = self.opened
        if opened is None or not opened.untitled or answer.status != "complete" or not answer.content:
            return None
        if self.turn.request is not None:
            return None  # a program's: who would read it, and who asked for another call
        return FirstExchange(opened.conversation_id, self.turn.messages[-1].text, answer.content)


class Opening:
    """Opens turns of every door."""

    def __init__(self, parts: AgentParts, ledger: Ledger, waiting: Waiting) -> None:
        self._parts = parts
        self._waiting = waiting
        self._pricing = Pricing(parts)
        self._ledger = ledger

    async def open(self, turn: Turn, principal: Principal, started: float) -> Job:
        """Nothing is written or reserved for a name that does not exist.

        Raises:
            ModelNotFound, ModelNotAllowed, ValidationFailed: names of models and tools.
            NotFound, TurnInProgress, QuotaExceeded, BudgetExceeded: as `Ledger.begin` and `Ledger.reserve`.
        """
        if turn.model is not None:
            _check_name(self._parts.catalog, turn.model, principal)
        if unknown := self._parts.tools.unknown(turn.gateway_tools or ()):
            raise ValidationFailed(
                f"{len(unknown)} of the tools asked for are not enabled here; GET /api/tools lists them.",
                param="tools",
            )
        if turn.persist:
            return await self._open_kept(turn, principal, started)
        bill = self._bill(turn, principal, None)
        reservation_id = await self._ledger.reserve(principal, self._pricing.estimate(turn, bill))
        turn = replace(turn, model=turn.model or AUTO)
        memory = Memory.of(turn.messages) if turn.may_truncate else None
        budget = self._ledger.turn_budget(principal, reservation_id)
        return Job(
            turn, principal, turn.messages, started, reservation_id, bill, memory=memory, budget=budget
        )

    async def _open_kept(self, turn: Turn, principal: Principal, started: float) -> Job:
        question_id, answer_id = new_id(), new_id()
        if turn.again is not None:
            asked = await self._ledger.asked(principal, turn.again)
            question_id = asked.id
            turn = replace(
                turn,
                messages=asked.messages,
                conversation_id=asked.conversation_id,
                parent_id=asked.parent_id,
                rooted=True,
                use_cache=False,
            )
        text = _text_of(turn.messages)
        bill = self._bill(turn, principal, answer_id)
        opened = await self._begin(
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
                rooted=turn.rooted,
                asked=turn.again is not None,
                title=make_title(text),
                model=turn.model,
                system=turn.system or None,
                metadata=turn.metadata,
                request=turn.request,
            ),
        )
        # A conversation's model may have left the configuration since.
        known = opened.model if opened.model and self._parts.catalog.models_of(opened.model) else None
        branch, question = opened.branch.followed_by(turn.messages)
        memory = Memory(branch)
        return Job(
            replace(turn, model=turn.model or known or AUTO),
            principal,
            memory.prompt(turn.system if turn.system is not None else opened.system, *question),
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

    def _bill(self, turn: Turn, principal: Principal, answer_id: UUID | None) -> Bill:
        request = current_request()
        owner = UsageOwner(
            principal.user_id,
            turn.request_id,
            principal.api_key_id,
            answer_id,
            request.key if request is not None else None,
        )
        return self._pricing.bill(turn, owner)

    async def _begin(self, turn: Turn, principal: Principal, bill: Bill, new: NewTurn) -> OpenedTurn:
        """Write it down now, or when its turn has come."""
        estimate = self._pricing.estimate(turn, bill)
        try:
            return await self._ledger.begin(principal, new, estimate)
        except TurnInProgress as busy:
            if turn.on_busy == "refuse" or new.conversation_id is None:
                raise
            return await self._waiting.begin(
                lambda: self._ledger.begin(principal, replace(new, waited=True), estimate),
                principal.user_id,
                new.conversation_id,
                self._parts.catalog.conversation_queue,
                busy,
            )


def _text_of(question: Sequence[Message]) -> str:
    """What people read of a question: what its user says, or the results that it brings."""
    said = [m.text for m in question if m.role == "user"] or [m.text for m in question if m.role == "tool"]
    return "\n\n".join(filter(None, said)) or question[-1].text


def _check_name(catalog: Catalog, name: str, principal: Principal) -> None:
    if name != AUTO and not catalog.models_of(name):
        raise ModelNotFound(param="model")
    if principal.models is not None and name != AUTO and name not in principal.models:
        raise ModelNotAllowed(param="model")
