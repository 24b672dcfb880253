"""Compare the database, the upstream's calls and the client's responses of one test."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.database import fetch_rows
from tests.support.ledger_audit import read_ledger
from tests.support.upstreams.http_server import UpstreamServer

TERMINAL_STATUSES = frozenset({"complete", "failed", "cancelled", "interrupted"})
# What the gateway writes down where it did not know what to do.
_UNEXPECTED_ERRORS = (
    "request.unhandled_error",
    "turn.crashed",
    "turn.not_persisted",
    "settlement.abandoned",
    "exception was never retrieved",
    "Traceback (most recent call last)",
)


@dataclass(slots=True)
class WorkerLog:
    """What workers wrote, of however many of them; `expected` are words of lines that a fault may bring."""

    read: Callable[[], str]
    expected: tuple[str, ...] = ()

    @classmethod
    def of(cls, stream: BytesIO) -> WorkerLog:
        return cls(lambda: stream.getvalue().decode())

    def assert_clean(self, secrets: Collection[str]) -> None:
        """No secret, and nothing that nobody foresaw."""
        text = self.read()
        for secret in secrets:
            assert secret not in text, f"a secret is in the log: {secret[:6]}…"
        for line in text.splitlines():
            if any(word in line for word in self.expected):
                continue
            for word in _UNEXPECTED_ERRORS:
                assert word not in line, line[:4000]


@dataclass(slots=True)
class StoredRows:
    """What the database holds of some accounts, once nothing runs any more."""

    messages: list[dict[str, Any]]
    usage: list[dict[str, Any]]

    def answer_rows(self, *, status: str | None = None) -> list[dict[str, Any]]:
        found = [row for row in self.messages if row["role"] == "assistant"]
        return found if status is None else [row for row in found if row["status"] == status]

    def message_row(self, message_id: str) -> dict[str, Any]:
        (row,) = [row for row in self.messages if str(row["id"]) == message_id]
        return row

    def call_rows(self) -> list[dict[str, Any]]:
        """What was asked of models; answers from the cache are no calls, and cost nothing."""
        cached = [row for row in self.usage if row["outcome"] == "cached"]
        assert not any(row["cost_usd"] or row["completion_tokens"] for row in cached)
        return [row for row in self.usage if row["outcome"] != "cached"]

    def successful_usage(self) -> list[tuple[int, int]]:
        """(prompt, completion) tokens of every call that ended well."""
        return [
            (row["prompt_tokens"], row["completion_tokens"]) for row in self.usage if row["outcome"] == "ok"
        ]


@dataclass(slots=True)
class ConsistencyChecker:
    """The ledgers of one stage.

    `users` are the accounts whose rows count, `secrets` what no log may hold, `since` when the story began.
    """

    engine: AsyncEngine
    upstreams: Sequence[UpstreamServer]
    log: WorkerLog
    users: list[UUID] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    since: datetime = datetime(2000, 1, 1, tzinfo=UTC)

    async def start_recording(self) -> None:
        """Turn to a new page: what was before does not count any more."""
        (row,) = await fetch_rows(self.engine, "SELECT clock_timestamp() AS now")
        self.since = row["now"]
        for up in self.upstreams:
            up.calls.clear()

    async def wait_settled(self, seconds: float = 15) -> StoredRows:
        """The database's ledger once every turn has ended; fails where one does not."""
        async with asyncio.timeout(seconds):
            while left := await self._running():
                assert left
                await asyncio.sleep(0.03)
        return await self.read_rows()

    async def read_rows(self) -> StoredRows:
        return StoredRows(
            await fetch_rows(
                self.engine,
                "SELECT m.*, c.user_id FROM messages m JOIN conversations c ON c.id = m.conversation_id"
                " WHERE c.user_id = ANY(:users) AND m.created_at >= :since ORDER BY m.created_at, m.id",
                users=self.users,
                since=self.since,
            ),
            await fetch_rows(
                self.engine,
                "SELECT * FROM usage_records WHERE user_id = ANY(:users) AND kind = 'chat'"
                " AND created_at >= :since ORDER BY created_at",
                users=self.users,
                since=self.since,
            ),
        )

    async def assert_consistent(self, *, calls: bool = True, seconds: float = 15) -> StoredRows:
        """The invariants of every fault, once all is quiet.

        Args:
            calls: whether each upstream call that was made has its row and the other way round; not so where
                a process died with its calls, or a call did not reach the upstream.
        """
        rows = await self.wait_settled(seconds)
        for row in rows.answer_rows():
            assert row["status"] in TERMINAL_STATUSES, row
        for user in self.users:  # what is used is what was recorded; nothing is reserved
            held = (await read_ledger(self.engine, user)).assert_consistent()
            assert (held.tokens_reserved, held.usd_reserved, held.leases) == (0, 0, 0), held
        await self._none_idle_in_transaction()
        reported = [call.reported_usage for up in self.upstreams for call in up.calls if call.reported_usage]
        if calls:
            made = sum(len(up.calls) for up in self.upstreams)
            assert len(rows.call_rows()) == made, f"{len(rows.call_rows())} rows for {made} calls"
            assert Counter(rows.successful_usage()) == Counter(reported)
        else:
            assert not Counter(rows.successful_usage()) - Counter(reported), (
                "more was charged than upstreams reported"
            )
        self.log.assert_clean(self.secrets)
        return rows

    async def _running(self) -> list[dict[str, Any]]:
        return await fetch_rows(
            self.engine,
            "SELECT 'reservation' AS what, id FROM reservations WHERE user_id = ANY(:users)"
            " UNION ALL SELECT 'conversation', id FROM conversations"
            " WHERE user_id = ANY(:users) AND running_message_id IS NOT NULL"
            " UNION ALL SELECT 'message', m.id FROM messages m JOIN conversations c"
            " ON c.id = m.conversation_id WHERE c.user_id = ANY(:users)"
            " AND m.role = 'assistant' AND m.status IN ('pending', 'streaming')",
            users=self.users,
        )

    async def _none_idle_in_transaction(self) -> None:
        """A transaction may be found between two of its statements; one that stays there is forgotten."""
        async with asyncio.timeout(30):
            while await fetch_rows(  # noqa: ASYNC110 - rows tell nobody
                self.engine,
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()",
            ):
                await asyncio.sleep(0.05)


@dataclass(slots=True)
class ClientResponse:
    """The bytes of one stream as its client got them, read as events. `status` is 0 where no answer came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    completed: bool = False  # the HTTP answer came to its end

    @property
    def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(id, name, data) of every event that arrived whole; OpenAI's have no name."""
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            fields = dict(
                line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":")
            )
            if fields and fields["data"] != "[DONE]":
                found.append((fields.get("id", ""), fields.get("event", ""), orjson.loads(fields["data"])))
        return found

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error_code(self) -> str:
        """The code of the error, by HTTP status or as the stream's last event; empty where there is none."""
        if self.status != 200:
            return str(self.json["error"]["code"]) if self.body else ""
        found = [data for _, _, data in self.events if "error" in data]
        return str(found[-1]["error"]["code"]) if found else ""

    @property
    def text(self) -> str:
        """The words as a client would show them."""
        said = ""
        for _, name, data in self.events:
            if name == "delta":
                said += data["text"]
            elif name == "replace":
                said = data["text"]
            elif not name:
                for choice in data.get("choices", ()):
                    said += choice["delta"].get("content") or ""
        return said

    @property
    def turn_ids(self) -> dict[str, Any]:
        """The ids of the turn, which its first event names."""
        _, name, data = self.events[0]
        assert name == "turn"
        return data

    @property
    def terminal_events(self) -> list[str]:
        """Every event that claims to be the last, in the words of the native dialect."""
        if b"\ndata: [DONE]\n\n" in b"\n" + self.body:
            done = ["done"] * self.body.count(b"data: [DONE]\n\n")
        else:
            done = []
        named = [name for _, name, _ in self.events if name in ("done", "error")]
        unnamed = ["error" for _, name, data in self.events if not name and "error" in data]
        return done + named + unnamed

    def assert_one_ending(self) -> str:
        """How it ended, which must be in exactly one way: `done`, `error`, or an HTTP status as text."""
        if self.status != 200:
            assert self.json["error"]["code"], self.body
            assert self.status != 500, self.body
            if self.status in (429, 503):
                assert int(self.headers["retry-after"]) >= 1
            return str(self.status)
        assert self.completed, "the answer was cut off"
        if "json" in self.headers["content-type"]:
            return "200"
        assert len(self.terminal_events) == 1, self.body
        return self.terminal_events[0]


def response_time_percentile(heard: Iterable[ClientResponse], share: float) -> float:
    """A percentile of how long answers took."""
    found = sorted(one.seconds for one in heard)
    return found[min(len(found) - 1, int(share * len(found)))]
