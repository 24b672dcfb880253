"""A server that speaks RESP and answers every command with an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

REFUSALS = {
    "MISCONF": "MISCONF Valkey is unable to persist to disk.",
    "CROSSSLOT": "CROSSSLOT Keys in request don't hash to the same slot",
    "MOVED": "MOVED 3999 127.0.0.1:6381",
    "CLUSTERDOWN": "CLUSTERDOWN Hash slot not served",
    "NOPERM": "NOPERM User default has no permissions to run the 'eval' command",
    "READONLY": "READONLY You can't write against a read only replica.",
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "WRONGTYPE": "WRONGTYPE Operation against a key holding the wrong kind of value",
    "BUSY": "BUSY Valkey is busy running a script.",
    "ERR": "ERR unknown command 'EVALSHA'",
    "LOADING": "LOADING Valkey is loading the dataset in memory",
    "MASTERDOWN": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "NOAUTH": "NOAUTH Authentication required.",
    "garbage": "\x00\x01 nothing that means anything",
}


@dataclass(slots=True)
class FailingValkey:
    """`reply` is the error that the next commands get."""

    url: str
    reply: str = REFUSALS["MISCONF"]


@asynccontextmanager
async def failing_valkey() -> AsyncIterator[FailingValkey]:
    """Serve on a free port of this machine until the block ends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readline():
                for _ in range(int(head[1:])):
                    size = int((await reader.readline())[1:])
                    await reader.readexactly(size + 2)
                writer.write(f"-{double.reply}\r\n".encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    double = FailingValkey(f"redis://127.0.0.1:{port}/0")
    async with server:
        yield double
