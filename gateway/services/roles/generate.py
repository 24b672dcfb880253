"""Runs one task of a role and validates the answer against the role's schema."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from gateway.core.exceptions import ContentBlocked, Unavailable, UnsupportedParameter, UpstreamBroken
from gateway.domain.config.catalog import AUTO, Catalog
from gateway.domain.events import Answer
from gateway.domain.messages import Message
from gateway.domain.money import Usage
from gateway.domain.requests import RequestScope, ResponseFormat, Sampling, Turn
from gateway.services.chat.service import ChatService
from gateway.services.roles.output_schema import OutputSchema
from gateway.services.roles.registry import Payload, RoleRegistry, RoleTask

Mode = Literal["live", "mock", "final"]

_RETRY_PROMPT = (
    "The previous answer is not valid: {violation}. Send the whole JSON object again, and nothing else."
)
_ANSWERING_MOCK = "mock"


@dataclass(frozen=True, slots=True)
class GenerateResult:
    """A role's answer, with usage and cost of all calls.

    `data` is set if the role has a schema.
    """

    role: str
    task: str | None
    mode: Mode
    content: str
    data: dict[str, Any] | None
    answer: Answer
    usage: Usage
    cost_usd: Decimal


class GenerateService:
    """Turns `{role, task, payload}` into a chat turn that is not persisted."""

    def __init__(self, catalog: Catalog, roles: RoleRegistry, chat: ChatService) -> None:
        self._catalog = catalog
        self._roles = roles
        self._chat = chat

    async def generate(
        self,
        role: str,
        task: str | None,
        payload: Payload,
        mode: Mode | None,
        scope: RequestScope,
    ) -> GenerateResult:
        """Run the role on `payload`.

        An answer that violates the schema is requested once more.

        Raises:
            NotFound: the role does not exist.
            ValidationFailed: the payload lacks a value that the prompt needs.
            UpstreamBroken: the second answer violates the schema too. Otherwise like `ChatService.answer`.
        """
        entry = self._roles.get(role, task)
        # A gateway in mock mode never calls real models.
        effective_mode: Mode = "mock" if self._catalog.mode == "mock" else mode or "live"
        turn = self._build_turn(entry, payload, effective_mode, scope.request_id)
        answer = await self._answer(turn, scope)
        usage, cost = answer.usage, answer.cost_usd
        data = None
        if (output_schema := entry.output_schema) is not None:
            data, violation = _extract(answer, output_schema)
            if data is None:
                answer = await self._answer(_retry_turn(turn, answer, violation), scope)
                usage, cost = usage + answer.usage, cost + answer.cost_usd
                data, violation = _extract(answer, output_schema)
            if data is None:
                raise UpstreamBroken(
                    f"The model's answer does not match the schema of role {role} after two attempts: "
                    f"{violation}."
                )
        return GenerateResult(role, task, effective_mode, answer.content, data, answer, usage, cost)

    async def _answer(self, turn: Turn, scope: RequestScope) -> Answer:
        answer = await self._chat.answer(turn, scope)
        if answer.status != "complete":
            raise Unavailable("The request was cancelled.")
        if answer.blocked_reason is not None and turn.response_format is not None:
            raise ContentBlocked
        return answer

    def _build_turn(self, entry: RoleTask, payload: Payload, mode: Mode, request_id: str) -> Turn:
        system = entry.render(payload)
        payload_text = (
            payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False, indent=1)
        )
        response_format = None
        if entry.output_schema is not None:
            system += f"\n\n{entry.output_schema.instruction}"
            response_format = ResponseFormat(
                "json_schema", entry.role, entry.output_schema.schema, required=False
            )
        return Turn(
            request_id=request_id,
            messages=(Message("system", system), Message("user", payload_text or "…")),
            model=self._model(entry, mode),
            sampling=Sampling(temperature=entry.temperature, max_tokens=entry.max_tokens),
            response_format=response_format,
            role=entry.role,
            task=entry.task,
            stream=False,
        )

    def _model(self, entry: RoleTask, mode: Mode) -> str:
        if mode == "mock":
            return self._mock_model()
        if mode == "final":
            return self._final_model(entry)
        return entry.model or AUTO

    def _final_model(self, entry: RoleTask) -> str:
        """Return the model of the first `mode: final` rule, else the role's or `heavy`."""
        for rule in self._catalog.routing.rules:
            applies = (not rule.role or entry.role in rule.role) and (
                not rule.task or entry.task in rule.task
            )
            if rule.mode == "final" and applies and not rule.intent:
                return rule.model
        return entry.model or self._catalog.routing.heavy or AUTO

    def _mock_model(self) -> str:
        """Return a mock model that answers; in mock mode, any model that supports JSON."""
        models = self._catalog.models.items()
        mocks = [
            (name, model.model)
            for name, model in models
            if model.can_chat and self._catalog.providers[model.provider].type == "mock"
        ]
        if mocks:
            # Other mocks simulate failures.
            return next(
                (name for name, provider_model in mocks if provider_model == _ANSWERING_MOCK), mocks[0][0]
            )
        if self._catalog.mode == "mock":
            return next((name for name, model in models if "json" in model.capabilities), AUTO)
        raise UnsupportedParameter(
            "No mock model is configured. Add one to provider_config.yaml.", param="mode"
        )


def _extract(answer: Answer, output_schema: OutputSchema) -> tuple[dict[str, Any] | None, str]:
    data, violation = output_schema.extract(answer.content)
    if data is None and answer.finish_reason == "length":
        violation = "it exceeded the maximum length and was cut off"
    return data, violation


def _retry_turn(turn: Turn, answer: Answer, violation: str) -> Turn:
    retry_messages = (
        Message("assistant", answer.content or "…"),
        Message("user", _RETRY_PROMPT.format(violation=violation)),
    )
    return replace(turn, messages=(*turn.messages, *retry_messages))
