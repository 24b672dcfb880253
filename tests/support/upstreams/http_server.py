"""An HTTP/1.1 server that answers like a vendor, fails on request and logs its calls."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

Ending = Literal["clean", "cut", "reset", "hang"]


@dataclass(slots=True)
class ReceivedCall:
    """One request as it arrived; `disconnected` is set when the client goes away before the answer's end.

    `reported` is the usage, (prompt, completion) tokens, of an answer that was sent to its end.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    raw: bytes
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    reported_usage: tuple[int, int] | None = None

    @property
    def body(self) -> Any:
        """The request's JSON."""
        return json.loads(self.raw)


@dataclass(frozen=True, slots=True)
class ScriptedToolCall:
    """A tool call of an answer; `pieces` are the pieces of its arguments' JSON text."""

    name: str
    pieces: tuple[str, ...]
    id: str = "call_1"


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer, or one that goes wrong after `after` frames of content.

    `finish` is OpenAI's word for it. `usage` is (prompt, completion) tokens. `fault`: `cut` closes cleanly
    without the vendor's end marker, `reset` resets the connection, `hang` falls silent, `error` sends the
    vendor's error in the stream, `garbage` and `half_utf8` send such bytes and end cleanly.
    `gate`: wait for this event before the frame number `gate_at`. `pause`: seconds before each frame.
    `headers` are added to the answer's own.
    """

    text: Sequence[str] = ("Hello", ", ", "world", "!")
    reasoning: Sequence[str] = ()
    tools: Sequence[ScriptedToolCall] = ()
    finish: str = "stop"
    usage: tuple[int, int] | None = (11, 4)
    logprobs: bool = False
    fault: Literal["cut", "reset", "hang", "error", "garbage", "half_utf8"] | None = None
    after: int = 2
    gate: asyncio.Event | None = None
    gate_at: int = 0
    pause: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error before the first word; `code` is the vendor's word for the reason."""

    status: int
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """Exactly these bytes as the body, then this ending."""

    pieces: Sequence[bytes]
    content_type: str = "text/event-stream"
    ending: Ending = "clean"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """Not a byte, ever."""


Step = Reply | Refusal | Raw | Silence


class UpstreamServer(ABC):
    """Base of the vendors' servers: `async with OpenAIUpstream() as up: …`.

    `script(*steps)` says how the next calls are answered, the last step for all further ones; without a
    script every call gets `Reply()`. `calls` logs the calls for an answer; look-ups such as a list of
    models are in `lookups`. `connections` counts the TCP connections accepted.
    """

    stream_type = "text/event-stream"

    def __init__(self) -> None:
        self.calls: list[ReceivedCall] = []
        self.lookups: list[ReceivedCall] = []
        self.connections = 0
        self.url = ""
        self._steps: list[Step] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._called = asyncio.Condition()

    # What a vendor's server has to say.

    @abstractmethod
    def frames(self, reply: Reply, call: ReceivedCall) -> tuple[list[bytes], list[bytes]]:
        """The stream's frames: content, then the end (finish reason, usage, marker)."""

    @abstractmethod
    def json_body(self, reply: Reply, call: ReceivedCall) -> bytes:
        """The answer as one JSON body."""

    @abstractmethod
    def error_frame(self) -> bytes:
        """The vendor's error in the middle of a stream."""

    @abstractmethod
    def error_body(self, status: int, code: str) -> bytes:
        """The body of an HTTP error."""

    @abstractmethod
    def wants_stream(self, call: ReceivedCall) -> bool: ...

    @abstractmethod
    def lookup(self, call: ReceivedCall) -> bytes | None:
        """The JSON for a call that asks for no answer of a model; None for any other call."""

    def refusal(self, call: ReceivedCall) -> Refusal | None:
        """The vendor's refusal of this call, if its body breaks a rule of the vendor's."""
        return None

    # What a test uses.

    def script(self, *steps: Step) -> None:
        self._steps = list(steps)

    def reset(self) -> None:
        """Forget the script and the calls: another test begins."""
        self._steps = []
        self.calls.clear()
        self.lookups.clear()

    async def wait_for_calls(self, count: int) -> None:
        """Return once `count` calls have arrived."""
        async with self._called:
            await self._called.wait_for(lambda: len(self.calls) >= count)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 20)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}{self.prefix}"
        return self

    prefix = ""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop listening and drop every connection, as a killed server does."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server = None

    # The HTTP underneath.

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the server is being stopped
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; False when the connection is done for."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {k.strip().lower(): v.strip() for k, v in (h.split(":", 1) for h in head[1:] if h)}
        raw = await self._read_body(reader, headers)
        parts = urlsplit(target)
        call = ReceivedCall(method, parts.path, parse_qs(parts.query), headers, raw)
        found = self.lookup(call)
        if found is not None:
            self.lookups.append(call)
            step = self._steps[0] if self._steps else None
            if isinstance(step, Refusal | Silence):
                return await self._answer(step, call, reader, writer)
            await self._send_whole(writer, 200, "application/json", found, {})
            return True
        step: Step | None = self.refusal(call)
        if step is None:
            step = self._steps.pop(0) if len(self._steps) > 1 else (self._steps or [Reply()])[0]
        async with self._called:
            self.calls.append(call)
            self._called.notify_all()
        try:
            return await self._answer(step, call, reader, writer)
        finally:
            call.finished.set()

    @staticmethod
    async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
        return body

    async def _answer(
        self, step: Step, call: ReceivedCall, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if isinstance(step, Refusal):
            body = step.body if step.body is not None else self.error_body(step.status, step.code)
            await self._send_whole(writer, step.status, "application/json", body, step.headers)
            return True
        if isinstance(step, Silence):
            return await self._hang(call, reader)
        if isinstance(step, Raw):
            sender = self._send_raw(step, call, reader, writer)
        elif self.wants_stream(call):
            sender = self._send_stream(step, call, reader, writer)
        else:
            sender = self._send_json(step, call, reader, writer)
        return await self._watched(sender, call, reader)

    @staticmethod
    async def _watched(sender: Any, call: ReceivedCall, reader: asyncio.StreamReader) -> bool:
        """Send, and notice at once when the client hangs up meanwhile."""
        sending = asyncio.ensure_future(sender)
        watching = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({sending, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                call.disconnected.set()
                return False
            return bool(await sending)
        except ConnectionError:
            call.disconnected.set()
            return False
        finally:
            for task in (sending, watching):
                task.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)

    @staticmethod
    async def _hang(call: ReceivedCall, reader: asyncio.StreamReader) -> bool:
        with contextlib.suppress(ConnectionError):
            await reader.read(1)
        call.disconnected.set()
        return False

    @staticmethod
    async def _send_whole(
        writer: asyncio.StreamWriter, status: int, kind: str, body: bytes, headers: dict[str, str]
    ) -> None:
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async def _send_json(
        self, reply: Reply, call: ReceivedCall, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        body = self.json_body(reply, call)
        if reply.gate is not None:
            await reply.gate.wait()
        if reply.pause:
            await asyncio.sleep(reply.pause)
        if reply.fault in ("garbage", "half_utf8"):
            body = b"<html>nonsense" if reply.fault == "garbage" else b'{"a": "\xc3'
        elif reply.fault == "error":
            body = self.error_body(500, "server_error")
        if reply.fault in ("cut", "reset", "hang"):
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body[: len(body) // 2])
            await writer.drain()
            return await self._end(reply.fault, reader, writer)
        await self._send_whole(writer, 200, "application/json", body, reply.headers)
        call.reported_usage = reply.usage if reply.fault is None else None
        return True

    async def _send_stream(
        self, reply: Reply, call: ReceivedCall, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        content, end = self.frames(reply, call)
        ending: Ending = "clean"
        if reply.fault is None:
            frames = content + end
        else:
            frames = content[: reply.after]
            if reply.fault == "error":
                frames.append(self.error_frame())
            elif reply.fault == "garbage":
                frames += [b"<html>\xff\xfe this is no answer\n\n", *end]
            elif reply.fault == "half_utf8":
                frames += [content[0].replace(b"Hello", b"\xc3"), *end]
            elif reply.fault in ("reset", "hang"):
                ending = reply.fault
        self._head(writer, 200, self.stream_type, reply.headers)
        for number, frame in enumerate(frames):
            if reply.gate is not None and number == reply.gate_at:
                await writer.drain()
                await reply.gate.wait()
            if reply.pause:
                await asyncio.sleep(reply.pause)
            self._chunk(writer, frame)
            call.sent += 1
            await writer.drain()
        call.reported_usage = reply.usage if reply.fault is None else None
        return await self._end(ending, reader, writer)

    async def _send_raw(
        self, raw: Raw, call: ReceivedCall, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        self._head(writer, raw.status, raw.content_type, raw.headers)
        for piece in raw.pieces:
            self._chunk(writer, piece)
            call.sent += 1
            await writer.drain()
            await asyncio.sleep(0)
        return await self._end(raw.ending, reader, writer)

    @staticmethod
    def _head(writer: asyncio.StreamWriter, status: int, kind: str, headers: dict[str, str]) -> None:
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        content_type = f"content-type: {kind}\r\n" if kind else ""
        writer.write(
            f"HTTP/1.1 {status} X\r\n{content_type}transfer-encoding: chunked\r\n{extra}\r\n".encode()
        )

    @staticmethod
    def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
        if data:  # an empty chunk would be the end
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    @staticmethod
    async def _end(ending: Ending, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if ending == "clean":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
            return True
        await writer.drain()
        if ending == "hang":
            await asyncio.Event().wait()
        if ending == "reset":
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return False
