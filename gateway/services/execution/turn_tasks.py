"""Tasks that run turns independently of requests and are drained at shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any
from uuid import UUID

from gateway.core.exceptions import Unavailable
from gateway.domain.accounts.principal import Principal
from gateway.services.execution.concurrency import ConcurrencyLimiter, Permit
from gateway.services.execution.live_turn import LiveTurn

# The message of a cancellation, which the task reads from its CancelledError.
INTERRUPTED = "interrupted"
CANCELLED = "cancelled"

DRAIN_SECONDS = 25.0


class TurnTask:
    """A turn's task, which can be cancelled until it starts to settle.

    `live` is set for a persisted turn. `has_waiters` returns whether other requests wait for its result.
    """

    def __init__(self, owner: Principal | None, live: LiveTurn | None = None) -> None:
        self.owner = owner
        self.live = live
        self.task: asyncio.Task[Any] | None = None
        self.has_waiters: Callable[[], bool] = _no_waiters
        self._cancellation_blocked = False

    def block_cancellation(self) -> None:
        """Ignore later cancellations, so that the turn can be settled."""
        self._cancellation_blocked = True

    def cancel(self, reason: str = CANCELLED) -> None:
        """Cancel the turn, unless it is settling already."""
        # Not at once: a task that has not started yet could not record that it was cancelled.
        asyncio.get_running_loop().call_soon(self._cancel, reason)

    def on_client_disconnect(self) -> None:
        """Cancel the turn, unless other requests wait for its result."""
        if not self.has_waiters():
            self.cancel()

    def acknowledge_cancel(self) -> None:
        """Clear the cancellation, so that the task can settle what it has done so far."""
        if self.task is not None:
            self.task.uncancel()

    def _cancel(self, reason: str) -> None:
        if self.task is not None and not self._cancellation_blocked:
            self.task.cancel(reason)


class TurnTaskRegistry:
    """All running turns of this worker.

    At shutdown they get `grace_seconds` to finish.
    """

    def __init__(
        self, grace_seconds: float = DRAIN_SECONDS, limiter: ConcurrencyLimiter | None = None
    ) -> None:
        self._grace_seconds = grace_seconds
        self.limiter = limiter or ConcurrencyLimiter()
        self._turns: dict[asyncio.Task[Any], TurnTask] = {}
        self._persisted: dict[UUID, TurnTask] = {}
        self.persisted_turn_started = asyncio.Event()  # cleared by its waiter
        self._draining = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def draining(self) -> bool:
        return self._draining

    def __len__(self) -> int:
        return len(self._turns)

    def ensure_accepting(self) -> None:
        """Raise Unavailable if the worker is shutting down."""
        if self._draining:
            raise _restarting_error()

    async def acquire_permit(self, principal: Principal) -> Permit:
        """Return a permit to run one turn, after waiting in a queue if too many run.

        Raises:
            Unavailable: the worker is shutting down. Otherwise as `ConcurrencyLimiter.acquire`.
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
        """Start a task that runs a turn to its end.

        `permit` is released when the task has ended.
        """
        turn = TurnTask(owner, live)
        turn.task = asyncio.create_task(run(turn))
        self._register(turn.task, turn)

        def ended(_: asyncio.Task[Any]) -> None:
            self.release(turn)
            if permit is not None:
                permit.release()

        turn.task.add_done_callback(ended)
        return turn

    def register_current(self, *, owner: Principal, live: LiveTurn | None = None) -> TurnTask:
        """Register the current task as a turn's task, until `release`.

        Use it only in a request handler that sends nothing before the turn's end, because a client disconnect
        does not cancel such a handler.
        """
        turn = TurnTask(owner, live)
        turn.task = asyncio.current_task()
        if turn.task is not None:
            self._register(turn.task, turn)
        return turn

    def release(self, turn: TurnTask) -> None:
        """Remove a turn that has ended."""
        if turn.task is not None:
            self._turns.pop(turn.task, None)
        if turn.live is not None:
            self._persisted.pop(turn.live.message_id, None)

    def persisted(self) -> Collection[TurnTask]:
        """Return the running turns that belong to conversations."""
        return self._persisted.values()

    def by_message(self, message_id: UUID) -> TurnTask | None:
        """Return the turn that writes this message, if it runs in this worker."""
        return self._persisted.get(message_id)

    def owners(self) -> set[tuple[UUID, UUID | None]]:
        """Return (account, session) of every running turn.

        The session is None for turns of API keys.
        """
        owners = (turn.owner for turn in self._turns.values())
        return {(owner.user_id, owner.session_id) for owner in owners if owner is not None}

    def cancel_turns_of(
        self, user_id: UUID, sessions: frozenset[UUID] | None = None
    ) -> set[asyncio.Task[Any]]:
        """Cancel the account's turns, or only those of `sessions`; return their tasks."""
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
        """Reject new turns, and interrupt those that still run after the grace period.

        Returns at once.
        """
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
        """Wait until the turns that are running now have ended."""
        if self._turns:
            await asyncio.wait(set(self._turns))

    async def drain(self, grace_seconds: float | None = None) -> None:
        """Wait until every turn has ended and is settled."""
        self.begin_draining(grace_seconds)
        await self.wait_idle()
        if self._deadline is not None:
            self._deadline.cancel()

    def _register(self, task: asyncio.Task[Any], turn: TurnTask) -> None:
        self._turns[task] = turn
        if turn.live is not None:
            self._persisted[turn.live.message_id] = turn
            self.persisted_turn_started.set()

    def _interrupt_all(self) -> None:
        for turn in self._turns.values():
            turn.cancel(INTERRUPTED)


def _restarting_error() -> Unavailable:
    return Unavailable("The gateway is restarting. Try again in a moment.", retry_after=2)


def _no_waiters() -> bool:
    return False
