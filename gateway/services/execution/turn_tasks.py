"""Turns run in tasks of their own under the worker, never under a request, and are drained at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any
from uuid import UUID

from gateway.core.exceptions import Unavailable
from gateway.domain.accounts.principal import Principal
from gateway.services.execution.concurrency import ConcurrencyLimiter, Permit
from gateway.services.execution.live_turn import LiveTurn

# What a cancelled task is told, and reads again from the CancelledError.
INTERRUPTED = "interrupted"
CANCELLED = "cancelled"

DRAIN_SECONDS = 25.0


class TurnTask:
    """A turn's task; it can be called off until it begins to write down what came of it.

    `live` is what others may follow of it, where a conversation keeps it; `wanted` says whether others than
    its client wait for it.
    """

    def __init__(self, owner: Principal | None, live: LiveTurn | None = None) -> None:
        self.owner = owner
        self.live = live
        self.task: asyncio.Task[Any] | None = None
        self.has_waiters: Callable[[], bool] = _no_waiters
        self._cancellation_blocked = False

    def block_cancellation(self) -> None:
        """From here on no cancellation reaches the turn: what it did is written whatever happens."""
        self._cancellation_blocked = True

    def cancel(self, reason: str = CANCELLED) -> None:
        """Call the turn off, unless it has said all it has to say."""
        # Not at once: a task that has not begun could not write down that it was called off.
        asyncio.get_running_loop().call_soon(self._cancel, reason)

    def on_client_disconnect(self) -> None:
        """Its client has gone: call it off, unless others wait for what it makes."""
        if not self.has_waiters():
            self.cancel()

    def acknowledge_cancel(self) -> None:
        """The cancellation was heard: the task goes on, to write down what there is."""
        if self.task is not None:
            self.task.uncancel()

    def _cancel(self, reason: str) -> None:
        if self.task is not None and not self._cancellation_blocked:
            self.task.cancel(reason)


class TurnTaskRegistry:
    """All turns of this worker that are running; they may go on for `grace` seconds when it ends."""

    def __init__(
        self, grace_seconds: float = DRAIN_SECONDS, limiter: ConcurrencyLimiter | None = None
    ) -> None:
        self._grace_seconds = grace_seconds
        self.limiter = limiter or ConcurrencyLimiter()
        self._turns: dict[asyncio.Task[Any], TurnTask] = {}
        self._persisted: dict[UUID, TurnTask] = {}
        self.persisted_turn_started = (
            asyncio.Event()
        )  # set when a kept turn begins; whoever waits for one clears it
        self._draining = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def draining(self) -> bool:
        return self._draining

    def __len__(self) -> int:
        return len(self._turns)

    def ensure_accepting(self) -> None:
        """Raises Unavailable once the worker is shutting down."""
        if self._draining:
            raise _restarting_error()

    async def acquire_permit(self, principal: Principal) -> Permit:
        """The right to run a turn; waits for it in a queue where too many run.

        Raises:
            Unavailable: the worker is shutting down. Otherwise as `Slots.take`.
        """
        self.ensure_accepting()
        return await self.limiter.acquire(principal)

    def start(
        self,
        run: Callable[[TurnTask], Coroutine[Any, Any, Any]],
        *,
        owner: Principal | None = None,
        live: LiveTurn | None = None,
        permit: Permit | None = None,
    ) -> TurnTask:
        """Run a turn to its end, whoever listens; the worker keeps hold of it and knows whose it is.

        Its `slot` is given back when it has ended.
        """
        turn = TurnTask(owner, live)
        turn.task = asyncio.create_task(run(turn))
        self._register(turn.task, turn)

        def wait_current(_: asyncio.Task[Any]) -> None:
            self.release(turn)
            if permit is not None:
                permit.release()

        turn.task.add_done_callback(wait_current)
        return turn

    def register_current(self, *, owner: Principal, live: LiveTurn | None = None) -> TurnTask:
        """Take the present task for a turn's own, until `release`: where nobody can leave before its end."""
        turn = TurnTask(owner, live)
        turn.task = asyncio.current_task()
        if turn.task is not None:
            self._register(turn.task, turn)
        return turn

    def release(self, turn: TurnTask) -> None:
        """The turn has ended."""
        if turn.task is not None:
            self._turns.pop(turn.task, None)
        if turn.live is not None:
            self._persisted.pop(turn.live.message_id, None)

    def persisted(self) -> Collection[TurnTask]:
        """The running turns that conversations keep."""
        return self._persisted.values()

    def by_message(self, message_id: UUID) -> TurnTask | None:
        """The running turn that writes this message, if it runs here."""
        return self._persisted.get(message_id)

    def _register(self, task: asyncio.Task[Any], turn: TurnTask) -> None:
        self._turns[task] = turn
        if turn.live is not None:
            self._persisted[turn.live.message_id] = turn
            self.persisted_turn_started.set()

    def owners(self) -> set[tuple[UUID, UUID | None]]:
        """(account, session) of every running turn; a key's turns have no session."""
        owners = (turn.owner for turn in self._turns.values())
        return {(owner.user_id, owner.session_id) for owner in owners if owner is not None}

    def cancel_owner(self, user_id: UUID, sessions: frozenset[UUID] | None = None) -> set[asyncio.Task[Any]]:
        """Cancel the account's turns, or only those of `sessions`; returns them, each about to end."""
        cancelled = {
            task: turn
            for task, turn in self._turns.items()
            if turn.owner is not None
            and turn.owner.user_id == user_id
            and (sessions is None or turn.owner.session_id in sessions)
        }
        for turn in cancelled.values():
            turn.cancel(CANCELLED)
        return set(cancelled)

    def begin_draining(self, grace_seconds: float | None = None) -> None:
        """Admit no new turns and interrupt what still runs after the grace; returns at once."""
        if self._draining:
            return
        self._draining = True
        self.limiter.close(_restarting_error())
        seconds = self._grace_seconds if grace_seconds is None else grace_seconds
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._interrupt_all)

    async def wait_idle(self) -> None:
        """Wait until no turn is running."""
        while self._turns:
            await asyncio.wait(set(self._turns))

    async def wait_current(self) -> None:
        """Wait until those that are running now have ended."""
        if self._turns:
            await asyncio.wait(set(self._turns))

    async def drain(self, grace_seconds: float | None = None) -> None:
        """Wait until every turn has ended and is written down."""
        self.begin_draining(grace_seconds)
        await self.wait_idle()
        if self._deadline is not None:
            self._deadline.cancel()

    def _interrupt_all(self) -> None:
        for turn in self._turns.values():
            turn.cancel(INTERRUPTED)


def _restarting_error() -> Unavailable:
    return Unavailable("The gateway is restarting; try again in a moment.", retry_after=2)


def _no_waiters() -> bool:
    return False
