"""Two gateways on one database and Valkey, and a reader of native streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.gateway import Account, Gateway, running_gateway


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event as it came over the wire."""

    id: int
    name: str
    data: dict[str, Any]


def parse_events(text: str) -> list[StreamEvent]:
    """The events of a stream that is over."""
    return [event for block in text.split("\n\n") if (event := _event(block)) is not None]


def displayed_text(events: list[StreamEvent]) -> str:
    """What a client shows that goes by the events."""
    text = ""
    for event in events:
        if event.name == "delta":
            text += event.data["text"]
        elif event.name == "replace":
            text = event.data["text"]
    return text


async def read_stream(
    gateway: Gateway | httpx.AsyncClient,
    person: Account | dict[str, str],
    path: str,
    *,
    body: dict[str, Any] | None = None,
    after: int | None = None,
    until: Callable[[list[StreamEvent]], bool] = lambda events: False,
) -> list[StreamEvent]:
    """Read a stream to its end, or until `until` holds; then disconnect.

    A POST of `body`, else a GET from behind the event `after`.
    """
    headers = dict(person if isinstance(person, dict) else person.headers)
    if after is not None:
        headers["last-event-id"] = str(after)
    method = "GET" if body is None else "POST"
    http = gateway if isinstance(gateway, httpx.AsyncClient) else gateway.http
    events: list[StreamEvent] = []
    async with http.stream(method, path, json=body, headers=headers) as answer:
        if answer.status_code != 200:
            raise httpx.HTTPStatusError(
                (await answer.aread()).decode(), request=answer.request, response=answer
            )
        block: list[str] = []
        async for line in answer.aiter_lines():
            if line:
                block.append(line)
                continue
            if (event := _event("\n".join(block))) is not None:
                events.append(event)
                if until(events):
                    return events
            block = []
    return events


def _event(block: str) -> StreamEvent | None:
    fields = dict(
        line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and ": " in line
    )
    if "data" not in fields:
        return None
    return StreamEvent(int(fields["id"]), fields["event"], json.loads(fields["data"]))


@asynccontextmanager
async def two_workers(
    database_url: str, redis_url: str, directory: Path, config: dict[str, object], **settings: object
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Each with everything of its own but the engines, as two processes would have."""
    for name in "ab":
        (directory / name).mkdir()
    async with (
        running_gateway(database_url, redis_url, directory / "a", config, **settings) as one,
        running_gateway(database_url, redis_url, directory / "b", config, **settings) as other,
    ):
        yield one, other
