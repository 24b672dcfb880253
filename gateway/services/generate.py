"""One answer of a role: the configuration says who speaks, the schema what comes back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from gateway.core.exceptions import ContentBlocked, Unavailable, UnsupportedParameter, UpstreamBroken
from gateway.domain.catalog import AUTO, Catalog
from gateway.domain.chat import ResponseFormat, Sampling, Turn
from gateway.domain.events import Answer
from gateway.domain.messages import Message
from gateway.domain.principal import Principal
from gateway.domain.usage import Usage
from gateway.services.chat import ChatService
from gateway.services.roles import Payload, RoleBook, RoleTask
from gateway.services.shapes import Shape

Mode = Literal["live", "mock", "final"]

_AGAIN = "That is not what was asked for: {complaint}. Send the whole JSON object again, and nothing else."
_MOCK = "mock"


@dataclass(frozen=True, slots=True)
class Generated:
    """A role's answer; `data` is the object where the role has a schema. Usage and cost are of all calls."""

    role: str
    task: str | None
    mode: Mode
    content: str
    data: dict[str, Any] | None
    answer: Answer
    usage: Usage
    cost_usd: Decimal


class GenerateService:
    """Turns `{role, task, payload}` into a chat turn that no conversation keeps."""

    def __init__(self, catalog: Catalog, book: RoleBook, chat: ChatService) -> None:
        self._catalog = catalog
        self._book = book
        self._chat = chat

    async def generate(
        self,
        role: str,
        task: str | None,
        payload: Payload,
        mode: Mode | None,
        principal: Principal,
        request_id: str,
        gone: Callable[[], Awaitable[None]] | None = None,
    ) -> Generated:
        """What the role makes of `payload`; an answer that breaks the schema is asked for once more.

        Raises:
            NotFound: no such role. ValidationFailed: the payload lacks what the prompt needs.
            UpstreamBroken: the second answer does not fit either. Otherwise as `ChatService.answer`.
        """
        entry = self._book.find(role, task)
        # Where the gateway itself runs on mocks, nothing else answers.
        used: Mode = "mock" if self._catalog.mode == "mock" else mode or "live"
        turn = self._turn(entry, payload, used, request_id)
        answer = await self._answer(turn, principal, gone)
        usage, cost = answer.usage, answer.cost_usd
        data = None
        if (shape := entry.shape) is not None:
            data, complaint = _read(answer, shape)
            if data is None:
                answer = await self._answer(_once_more(turn, answer, complaint), principal, gone)
                usage, cost = usage + answer.usage, cost + answer.cost_usd
                data, complaint = _read(answer, shape)
            if data is None:
                raise UpstreamBroken(
                    f"The model's answer, asked for twice, does not fit the role {role}: {complaint}."
                )
        return Generated(role, task, used, answer.content, data, answer, usage, cost)

    async def _answer(
        self, turn: Turn, principal: Principal, gone: Callable[[], Awaitable[None]] | None
    ) -> Answer:
        answer = await self._chat.answer(turn, principal, gone)
        if answer.status != "complete":
            raise Unavailable("The request was called off.")
        if answer.blocked_reason is not None and turn.response_format is not None:
            raise ContentBlocked
        return answer

    def _turn(self, entry: RoleTask, payload: Payload, mode: Mode, request_id: str) -> Turn:
        system = entry.render(payload)
        said = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False, indent=1)
        wanted = None
        if entry.shape is not None:
            system += f"\n\n{entry.shape.request}"
            wanted = ResponseFormat("json_schema", entry.role, entry.shape.schema, required=False)
        return Turn(
            request_id=request_id,
            messages=(Message("system", system), Message("user", said or "…")),
            model=self._model(entry, mode),
            sampling=Sampling(temperature=entry.temperature, max_tokens=entry.max_tokens),
            response_format=wanted,
            role=entry.role,
            task=entry.task,
            incremental=False,
        )

    def _model(self, entry: RoleTask, mode: Mode) -> str:
        if mode == "mock":
            return self._mock()
        if mode == "final":
            return self._best(entry)
        return entry.model or AUTO

    def _best(self, entry: RoleTask) -> str:
        """What the first rule with `mode: final` says that fits; without one the role's own, or `heavy`."""
        for rule in self._catalog.routing.rules:
            fits = (not rule.role or entry.role in rule.role) and (not rule.task or entry.task in rule.task)
            if rule.mode == "final" and fits and not rule.intent:
                return rule.model
        return entry.model or self._catalog.routing.heavy or AUTO

    def _mock(self) -> str:
        """A mock that answers; where the gateway runs on mocks, any model that keeps to schemas is one."""
        models = self._catalog.models.items()
        mocks = [
            (name, model.model)
            for name, model in models
            if model.chats and self._catalog.providers[model.provider].type == "mock"
        ]
        if mocks:
            # The others are drills.
            return next((name for name, own in mocks if own == _MOCK), mocks[0][0])
        if self._catalog.mode == "mock":
            return next((name for name, model in models if "json" in model.capabilities), AUTO)
        raise UnsupportedParameter("No model of the configuration is a mock.", param="mode")


def _read(answer: Answer, shape: Shape) -> tuple[dict[str, Any] | None, str]:
    data, complaint = shape.read(answer.content)
    if data is None and answer.finish_reason == "length":
        complaint = "it was longer than it may be, and cut off"
    return data, complaint


def _once_more(turn: Turn, answer: Answer, complaint: str) -> Turn:
    again = (Message("assistant", answer.content or "…"), Message("user", _AGAIN.format(complaint=complaint)))
    return replace(turn, messages=(*turn.messages, *again))
