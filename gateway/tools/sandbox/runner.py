"""Runs of code side by side: a few at a time, each in its own process, none on the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gateway.domain.config.code_tool import CodeConfig
from gateway.tools.sandbox.layers import Layer, active_layer
from gateway.tools.sandbox.limits import RunLimits
from gateway.tools.sandbox.places import Places
from gateway.tools.sandbox.process import Run
from gateway.tools.sandbox.report import Report, SandboxBroken, read

_MARGIN_SECONDS = 5.0


class SandboxBusy(Exception):
    """No place came free in time: others run code, or too many runs of the account wait."""


class SandboxClosed(Exception):
    """The gateway is stopping."""


class Sandbox:
    """At most `processes` runs at once; the others wait up to `queue_seconds`, the accounts in turn."""

    def __init__(self, config: CodeConfig) -> None:
        self._limits = RunLimits.of(config)
        self._queue_seconds = config.queue_seconds
        self._require_bwrap = config.require_bwrap
        self._places = Places(config.processes)
        self._waiting_per_account = config.waiting_per_account
        self._threads = ThreadPoolExecutor(config.processes, thread_name_prefix="sandbox")
        self._runs: dict[Run, asyncio.Future[Report]] = {}
        self._layer: Layer | None = None
        self._closed = False

    @property
    def longest_seconds(self) -> float:
        """What waiting and running may take together; `run` ends sooner unless this machine is at a stand."""
        return self._queue_seconds + self._limits.wall_seconds + _MARGIN_SECONDS

    async def run(self, code: str, account: str = "") -> Report:
        """Run `code` for an account; SandboxBusy, SandboxBroken or SandboxClosed where that cannot be done.

        Cancelling kills the process; its place is free once it is gone.
        """
        if self._places.waiting(account) >= self._waiting_per_account:
            raise SandboxBusy
        try:
            await self._places.acquire(account, self._queue_seconds)
        except TimeoutError:
            raise SandboxBusy from None
        try:
            run, future = self._begin(await self._working_layer(), code, account)
        except BaseException:
            self._places.release(account)
            raise
        return await self._attend(run, future)

    async def aclose(self) -> None:
        """Kill what runs, wait until it is gone; nothing runs afterwards."""
        self._closed = True
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs.values(), return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    async def _working_layer(self) -> Layer:
        if self._layer is not None:
            return self._layer
        layer = await asyncio.to_thread(active_layer)
        if layer.name == "none":
            raise SandboxBroken(layer.sentence)
        if self._require_bwrap and layer.name != "bwrap":
            raise SandboxBroken("tools.code.require_bwrap is set, and bwrap does not work here")
        self._layer = layer
        return layer

    def _begin(self, layer: Layer, code: str, account: str) -> tuple[Run, asyncio.Future[Report]]:
        if self._closed:
            raise SandboxClosed
        run = Run(partial(layer.command, self._limits), self._limits.wall_seconds, code.encode())
        future = asyncio.get_running_loop().run_in_executor(self._threads, _report, run, code)
        self._runs[run] = future
        future.add_done_callback(partial(self._end, run, account))
        return run, future

    def _end(self, run: Run, account: str, future: asyncio.Future[Report]) -> None:
        if not future.cancelled():
            future.exception()  # whoever waited may be gone
        del self._runs[run]
        self._places.release(account)

    async def _attend(self, run: Run, future: asyncio.Future[Report]) -> Report:
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            run.cancel()
            raise
        except OSError as error:
            raise SandboxBroken(f"the interpreter cannot be started: {type(error).__name__}") from error


def _report(run: Run, code: str) -> Report:
    """All of a run that takes time, for a thread: what hostile code writes takes time to read, too."""
    ended = run.finish()
    if ended.why == "cancelled":
        raise SandboxClosed
    return read(ended, code)
