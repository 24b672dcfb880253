"""What one turn has cost so far, in entries for its settlement and for the sweeper."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway.core.ids import new_id
from gateway.domain.events import Answer, Attempt
from gateway.domain.ledger import UsageEntry, UsageOwner, bill_of
from gateway.domain.usage import Price, Usage, estimate_tokens
from gateway.services.receipts import usage_entries

_INTERRUPTED = "interrupted"


class Bill:
    """The entries of a turn. The entry of a call keeps its id while the call runs and when it has ended.

    So a row that was written because the worker seemed dead is not written again by its late settlement.
    """

    def __init__(self, owner: UsageOwner, model: str, provider: str, prompt: int, price: Price) -> None:
        """`prompt` estimates a call that runs; `model`, `provider` and `price` are the likely ones."""
        self.owner = owner
        self._price = price
        self._running = UsageEntry(
            "chat", model, provider, Usage(prompt), price.cost(Usage(prompt)), _INTERRUPTED
        )
        self._known = [(self._running.id, self._running.created_at)]

    @property
    def prompt_tokens(self) -> int:
        """The estimate of the prompt."""
        return self._running.usage.prompt_tokens

    def begun(self) -> dict[str, Any]:
        """The bill as a reservation is made: the first call will be sent."""
        return bill_of(self.owner, [self._running])

    def so_far(self, attempts: Sequence[Attempt], text: Callable[[], str]) -> dict[str, Any]:
        """The bill while the turn runs: what has ended, and a call that has said what of `text` is newer."""
        ended = self.entries(attempts, None, ())
        said = max(0, estimate_tokens(text()) - sum(a.usage.completion_tokens for a in attempts))
        usage = Usage(self.prompt_tokens, said)
        running = replace(self._running, usage=usage, cost_usd=self._price.cost(usage))
        return bill_of(self.owner, [*ended, self._as(len(ended), running)])

    def entries(
        self, attempts: Sequence[Attempt], answer: Answer | None, tools: Collection[str]
    ) -> list[UsageEntry]:
        """The ledger's entries of the turn's calls, each with the id it had while it ran."""
        return [
            self._as(at, entry) if entry.kind == "chat" else entry
            for at, entry in enumerate(usage_entries(attempts, answer, tools))
        ]

    def _as(self, at: int, entry: UsageEntry) -> UsageEntry:
        while len(self._known) <= at:
            self._known.append((new_id(), datetime.now(UTC)))
        id_, created_at = self._known[at]
        return replace(entry, id=id_, created_at=created_at)
