"""The running cost of one turn, itemized for its settlement and for crash recovery."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway.core.ids import new_id
from gateway.domain.events import Answer, ModelCall
from gateway.domain.money import Price, Usage, estimate_tokens
from gateway.domain.usage.turn_records import UsageEntry, UsageOwner, build_bill
from gateway.services.usage.entries import usage_entries

_INTERRUPTED_OUTCOME = "interrupted"


class TurnBill:
    """The usage records of one turn, whose ids never change while it runs.

    Stable ids prevent duplicate records when a turn was charged as abandoned and settles late.
    """

    def __init__(
        self, owner: UsageOwner, model: str, provider: str, prompt_tokens: int, price: Price
    ) -> None:
        """Create a bill that estimates the running call by `prompt_tokens` and `price`."""
        self.owner = owner
        self._price = price
        self._running_call = UsageEntry(
            "chat",
            model,
            provider,
            Usage(prompt_tokens),
            price.cost(Usage(prompt_tokens)),
            _INTERRUPTED_OUTCOME,
        )
        self._entry_ids = [(self._running_call.id, self._running_call.created_at)]

    @property
    def prompt_tokens(self) -> int:
        """Return the estimated prompt tokens."""
        return self._running_call.usage.prompt_tokens

    def initial(self) -> dict[str, Any]:
        """Return the bill as of the reservation: one call is about to be sent."""
        return build_bill(self.owner, [self._running_call])

    def current(self, attempts: Sequence[ModelCall], get_text: Callable[[], str]) -> dict[str, Any]:
        """Return the bill of a running turn; the running call covers uncounted text."""
        ended_calls = self.entries(attempts, None, ())
        completion_tokens = max(
            0, estimate_tokens(get_text()) - sum(a.usage.completion_tokens for a in attempts)
        )
        usage = Usage(self.prompt_tokens, completion_tokens)
        running_call = replace(self._running_call, usage=usage, cost_usd=self._price.cost(usage))
        return build_bill(self.owner, [*ended_calls, self._with_entry_id(len(ended_calls), running_call)])

    def entries(
        self, attempts: Sequence[ModelCall], answer: Answer | None, tools: Collection[str]
    ) -> list[UsageEntry]:
        """Return the usage records of the turn's calls, each with the id it had while it ran."""
        return [
            self._with_entry_id(index, entry) if entry.kind == "chat" else entry
            for index, entry in enumerate(usage_entries(attempts, answer, tools))
        ]

    def _with_entry_id(self, index: int, entry: UsageEntry) -> UsageEntry:
        while len(self._entry_ids) <= index:
            self._entry_ids.append((new_id(), datetime.now(UTC)))
        id_, created_at = self._entry_ids[index]
        return replace(entry, id=id_, created_at=created_at)
