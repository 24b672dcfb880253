"""SIGHUP starts a coroutine; signals during startup are remembered."""

from __future__ import annotations

import asyncio
import signal

from gateway.core.sighup import handle_sighup


async def test_signals_before_start_are_handled_once_at_start() -> None:
    acted: asyncio.Queue[None] = asyncio.Queue()

    async def act() -> None:
        acted.put_nowait(None)

    earlier: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: earlier.append(number))
    try:
        with handle_sighup() as hang_ups:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)
            await asyncio.sleep(0)
            assert acted.empty()
            hang_ups.start(act)
            await asyncio.wait_for(acted.get(), 20)
            assert acted.empty()

            signal.raise_signal(signal.SIGHUP)
            await asyncio.wait_for(acted.get(), 20)
        signal.raise_signal(signal.SIGHUP)
        assert earlier == [signal.SIGHUP] * 4  # those that listened before hear each of them
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_signal_right_before_start_is_not_lost() -> None:
    acted = asyncio.Event()

    async def act() -> None:
        acted.set()

    with handle_sighup() as hang_ups:
        signal.raise_signal(signal.SIGHUP)  # its callback has not run when the start ends
        hang_ups.start(act)
        await asyncio.wait_for(acted.wait(), 20)
