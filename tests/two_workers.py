"""Two gateways over one database and one Valkey, and what a stream of the native dialect told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.gateway_server import Gateway, Person, running_gateway


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it came over the wire."""

    id: int
    name: str
    data: dict[str, Any]


def events_of(text: str) -> list[Event]:
    """The events of a stream that is over."""
    return [event for block in text.split("\n\n") if (event := _event(block)) is not None]


def text_of(events: list[Event]) -> str:
    """What a client shows that goes by the events."""
    text = ""
    for event in events:
        if event.name == "delta":
            text += event.data["text"]
        elif event.name == "replace":
            text = event.data["text"]
    return text


async def read(
    gateway: Gateway | httpx.AsyncClient,
    person: Person | dict[str, str],
    path: str,
    *,
    body: dict[str, Any] | None = None,
    after: int | None = None,
    until: Callable[[list[Event]], bool] = lambda events: False,
) -> list[Event]:
    """The events of a stream, to its end or until enough were told; then the client goes away.

    A POST of `body`, else a GET from behind the event `after`.
    """
    headers = dict(person if isinstance(person, dict) else person.headers)
    if after is not None:
        headers["last-event-id"] = str(after)
    method = "GET" if body is None else "POST"
    http = gateway if isinstance(gateway, httpx.AsyncClient) else gateway.http
    told: list[Event] = []
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
                told.append(event)
                if until(told):
                    return told
            block = []
    return told


def _event(block: str) -> Event | None:
    fields = dict(
        line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and ": " in line
    )
    if "data" not in fields:
        return None
    return Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))


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
