"""Runs code concurrently.

A few runs at a time, each in its own process, off the event loop.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gateway.domain.config.code_tool import CodeConfig
from gateway.tools.code.fair_limiter import FairLimiter
from gateway.tools.code.isolation import Isolation, detect_isolation
from gateway.tools.code.limits import RunLimits
from gateway.tools.code.process import SandboxProcess
from gateway.tools.code.report import CodeReport, SandboxBroken, parse_report

_TIMEOUT_MARGIN_SECONDS = 5.0


class SandboxBusy(Exception):
    """There was no permit in time, or too many runs of the account are waiting."""


class SandboxClosed(Exception):
    """The gateway is shutting down."""


class Sandbox:
    """Runs at most `processes` programs at a time.

    Others wait up to `queue_seconds`, fairly by account.
    """

    def __init__(self, config: CodeConfig) -> None:
        self._limits = RunLimits.from_config(config)
        self._queue_seconds = config.queue_seconds
        self._require_bwrap = config.require_bwrap
        self._limiter = FairLimiter(config.processes)
        self._waiting_per_account = config.waiting_per_account
        self._threads = ThreadPoolExecutor(config.processes, thread_name_prefix="sandbox")
        self._processes: dict[SandboxProcess, asyncio.Future[CodeReport]] = {}
        self._isolation: Isolation | None = None
        self._closed = False

    @property
    def max_seconds(self) -> float:
        """The longest time for waiting and running together; `run` normally ends sooner."""
        return self._queue_seconds + self._limits.wall_seconds + _TIMEOUT_MARGIN_SECONDS

    async def run(self, code: str, account: str = "") -> CodeReport:
        """Run `code` for an account; cancelling kills the process.

        Raises:
            SandboxBusy, SandboxBroken, SandboxClosed: the code could not be run.
        """
        if self._limiter.waiting(account) >= self._waiting_per_account:
            raise SandboxBusy
        try:
            await self._limiter.acquire(account, self._queue_seconds)
        except TimeoutError:
            raise SandboxBusy from None
        try:
            process, future = self._start(await self._get_isolation(), code, account)
        except BaseException:
            self._limiter.release(account)
            raise
        return await self._wait_for(process, future)

    async def aclose(self) -> None:
        """Kill all runs and wait for them; no run is accepted afterwards."""
        self._closed = True
        for process in self._processes:
            process.cancel()
        await asyncio.gather(*self._processes.values(), return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    async def _get_isolation(self) -> Isolation:
        if self._isolation is not None:
            return self._isolation
        isolation = await asyncio.to_thread(detect_isolation)
        if isolation.name == "none":
            raise SandboxBroken(isolation.description)
        if self._require_bwrap and isolation.name != "bwrap":
            raise SandboxBroken("tools.code.require_bwrap is set, but bwrap does not work here")
        self._isolation = isolation
        return isolation

    def _start(
        self, isolation: Isolation, code: str, account: str
    ) -> tuple[SandboxProcess, asyncio.Future[CodeReport]]:
        if self._closed:
            raise SandboxClosed
        process = SandboxProcess(
            partial(isolation.command, self._limits), self._limits.wall_seconds, code.encode()
        )
        future = asyncio.get_running_loop().run_in_executor(self._threads, _run_and_report, process, code)
        self._processes[process] = future
        future.add_done_callback(partial(self._on_finished, process, account))
        return process, future

    def _on_finished(self, process: SandboxProcess, account: str, future: asyncio.Future[CodeReport]) -> None:
        if not future.cancelled():
            future.exception()  # mark as retrieved: the caller may be gone
        del self._processes[process]
        self._limiter.release(account)

    async def _wait_for(self, process: SandboxProcess, future: asyncio.Future[CodeReport]) -> CodeReport:
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            process.cancel()
            raise
        except OSError as error:
            raise SandboxBroken(f"the interpreter cannot be started: {type(error).__name__}") from error


def _run_and_report(process: SandboxProcess, code: str) -> CodeReport:
    """Run the process and parse its output, in a thread.

    Parsing hostile output takes time too.
    """
    result = process.run_to_end()
    if result.end_reason == "cancelled":
        raise SandboxClosed
    return parse_report(result, code)
