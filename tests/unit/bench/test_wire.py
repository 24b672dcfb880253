"""The benchmark's HTTP client and static upstream: their counts match the transferred answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bench import answers, wire
from bench.load import burst, closed_loop
from bench.measure import upstream_counts
from bench.prompts import prompt
from bench.shapes import JsonCompletion, PersistedTurn, SlowCompletion, StreamedCompletion
from bench.upstream import Counters, StaticServer


@pytest.fixture
async def port() -> AsyncIterator[int]:
    counters = Counters()
    server = await asyncio.get_running_loop().create_server(lambda: StaticServer(counters), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _reply(port: int, request: bytes) -> wire.Reply:
    connection = await wire.Connection.open(port)
    try:
        return await connection.exchange(request)
    finally:
        connection.close()


async def test_a_complete_answer_passes_the_check(port: int) -> None:
    shape = JsonCompletion("key")
    assert shape.check(await _reply(port, shape.request()))


async def test_a_streamed_answer_passes_the_check_and_every_chunk_is_counted(port: int) -> None:
    shape = StreamedCompletion("key")
    reply = await _reply(port, shape.request())
    assert shape.check(reply)
    assert reply.body.count(b"data: {") == answers.TOKENS + 3  # the role, the finish, the usage
    assert reply.sent_at < reply.first_at <= reply.done_at
    assert await upstream_counts(port) == {"requests": 1, "streams": 1, "chunks": answers.TOKENS}


@pytest.mark.parametrize("cut", [b"tok0042 ", b"data: [DONE]"])
async def test_an_incomplete_stream_fails_the_check(port: int, cut: bytes) -> None:
    shape = StreamedCompletion("key")
    reply = await _reply(port, shape.request())
    reply.body = reply.body.replace(cut, b"")
    assert not shape.check(reply)


async def test_an_error_status_is_a_failure_without_a_latency(port: int) -> None:
    tally = await burst(port, "key", PersistedTurn, 2)  # the upstream has no such path: 404
    assert (tally.failures, tally.latencies) == (2, [])
    assert tally.first_failure.startswith("status 404")


async def test_a_closed_connection_is_a_failure() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        tally = await closed_loop(server.sockets[0].getsockname()[1], "key", JsonCompletion, 1, 0.05)
    assert tally.failures > 0
    assert not tally.latencies


async def test_a_closed_loop_counts_each_answer_once(port: int) -> None:
    tally = await closed_loop(port, "key", JsonCompletion, 3, 0.1)
    assert tally.failures == 0
    assert len(tally.latencies) == (await upstream_counts(port))["requests"] > 3


async def test_slow_streams_request_the_slow_model() -> None:
    assert b'"model":"slow"' in SlowCompletion("key").request()


def test_all_prompts_are_different() -> None:
    assert len({prompt() for _ in range(1000)}) == 1000
