"""One answer of a role: the configuration says who speaks, the schema what comes back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from jsonschema import Draft202012Validator

from gateway.core.exceptions import UnsupportedParameter, UpstreamBroken
from gateway.domain.catalog import AUTO, Catalog
from gateway.domain.chat import ResponseFormat, Sampling, Turn
from gateway.domain.events import Answer
from gateway.domain.messages import Message
from gateway.domain.principal import Principal
from gateway.domain.usage import Usage
from gateway.services.chat import ChatService
from gateway.services.roles import Payload, RoleBook, RoleTask

Mode = Literal["live", "mock", "final"]

_ONLY_JSON = "Answer with one JSON object that fits this JSON Schema, and with nothing else:\n{schema}"
_AGAIN = "That is not what was asked for: {complaint}. Send the whole JSON object again, and nothing else."
_MOST_COMPLAINTS = 3


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
            NotFound: no such role or task. ValidationFailed: the payload lacks what the prompt needs.
            UpstreamBroken: the second answer does not fit either. Otherwise as `ChatService.answer`.
        """
        entry = self._book.find(role, task)
        used: Mode = mode or self._catalog.mode
        turn = self._turn(entry, payload, used, request_id)
        answer = await self._chat.answer(turn, principal, gone)
        usage, cost = answer.usage, answer.cost_usd
        data = None
        if entry.schema is not None:
            data, complaint = read_object(answer.content, entry.schema)
            if data is None:
                second = (
                    *turn.messages,
                    Message("assistant", answer.content),
                    Message("user", _AGAIN.format(complaint=complaint)),
                )
                answer = await self._chat.answer(replace(turn, messages=second), principal, gone)
                usage, cost = usage + answer.usage, cost + answer.cost_usd
                data, complaint = read_object(answer.content, entry.schema)
            if data is None:
                raise UpstreamBroken(
                    f"The model's answer, asked for twice, does not fit the role {role}: {complaint}."
                )
        return Generated(role, task, used, answer.content, data, answer, usage, cost)

    def _turn(self, entry: RoleTask, payload: Payload, mode: Mode, request_id: str) -> Turn:
        system = entry.render(payload)
        said = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False, indent=1)
        name = self._model(entry, mode)
        wanted = None
        if entry.schema is not None:
            system += "\n\n" + _ONLY_JSON.format(schema=json.dumps(entry.schema, ensure_ascii=False))
            if self._keeps_to_schemas(name):
                wanted = ResponseFormat("json_schema", entry.role, entry.schema)
        return Turn(
            request_id=request_id,
            messages=(Message("system", system), Message("user", said or "…")),
            model=name,
            sampling=Sampling(temperature=entry.temperature, max_tokens=entry.max_tokens),
            response_format=wanted,
            role=entry.role,
            task=entry.task,
            incremental=False,
        )

    def _model(self, entry: RoleTask, mode: Mode) -> str:
        if mode == "mock" and self._catalog.mode != "mock":
            for name, model in self._catalog.models.items():
                if self._catalog.providers[model.provider].type == "mock":
                    return name
            raise UnsupportedParameter("No model of the configuration is a mock.", param="mode")
        if mode == "final":
            for rule in self._catalog.routing.rules:
                fits = (not rule.role or entry.role in rule.role) and (
                    not rule.task or entry.task in rule.task
                )
                if rule.mode == "final" and fits:
                    return rule.model
        return entry.model or AUTO

    def _keeps_to_schemas(self, name: str) -> bool:
        """Whether every model that may answer first can be held to a schema; else the prompt alone asks."""
        routing = self._catalog.routing
        models = self._catalog.models_of(name) or tuple(
            model for model in (routing.light, routing.heavy) if model is not None
        )
        return bool(models) and all("json" in self._catalog.models[model].capabilities for model in models)


def read_object(text: str, schema: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The JSON object in `text` if it fits `schema`, else None and what is wrong, in the schema's words."""
    start = text.find("{")
    if start < 0:
        return None, "it holds no JSON object"
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, "it is not valid JSON"
    complaints = [
        f"{'.'.join(map(str, error.absolute_path)) or 'the object'} breaks «{error.validator}»"
        for error in Draft202012Validator(schema).iter_errors(value)
    ]
    if complaints:
        return None, "; ".join(complaints[:_MOST_COMPLAINTS])
    return value, ""
