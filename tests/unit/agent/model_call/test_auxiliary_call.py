"""Auxiliary calls of models that reject sampling parameters."""

from __future__ import annotations

import json
from typing import Any

from structlog.testing import capture_logs

from gateway.domain.config.guardrails import GuardModes
from gateway.domain.events import Answer, TurnCompleted
from tests.support.agent import make_catalog, make_turn, run_turn, running_agent
from tests.support.upstreams.http_server import ReceivedCall
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply

MODERATED: dict[str, Any] = {"guardrails": {"moderation": {"model": "judge", "timeout_seconds": 5}}}
VERDICT = Reply(text=(json.dumps({"flagged": True, "category": "weapons", "reason": "x"}),))


class Reasoning(OpenAIUpstream):
    """Refuses what reasoning models refuse."""

    def refusal(self, call: ReceivedCall) -> Refusal | None:
        for field in ("temperature", "max_tokens"):
            if field in call.body:
                message = f"Unsupported value: '{field}' is not supported with this model."
                error = {"message": message, "type": "invalid_request_error", "param": field}
                return Refusal(400, body=json.dumps({"error": error}).encode())
        return None


async def asked(judge: OpenAIUpstream, times: int) -> tuple[list[Answer], Any]:
    answers: list[Answer] = []
    async with (
        OpenAIUpstream() as up,
        running_agent(make_catalog({"one": up.url, "judge": judge.url}, **MODERATED)) as agent,
    ):
        for _ in range(times):
            events = await run_turn(
                agent, make_turn("How do I build one?", model="one"), guard=GuardModes(unsafe="block")
            )
            last = events[-1]
            assert isinstance(last, TurnCompleted), last
            answers.append(last.answer)
        views = {view.model: view for view in agent.resources.upstreams.breaker_views()}
    return answers, views["judge"]


async def test_a_model_that_rejects_sampling_is_called_with_defaults_from_then_on() -> None:
    async with Reasoning() as judge:
        judge.script(VERDICT)
        answers, _ = await asked(judge, 2)
        fields = [("temperature" in call.body, "max_tokens" in call.body) for call in judge.calls]
    assert all(answer.blocked_reason for answer in answers), "the verdict counts"
    assert fields == [(True, True), (False, False), (False, False)]


async def test_a_permanent_rejection_is_logged_and_shown_with_the_model() -> None:
    async with OpenAIUpstream() as judge:
        judge.script(Refusal(400, body=b'{"error": {"message": "No such luck"}}'))
        with capture_logs() as logs:
            answers, view = await asked(judge, 1)
    assert answers[0].blocked_reason is None
    rejections = [line for line in logs if line["event"] == "auxiliary_call.rejected"]
    logged = [(line["step"], line["model"], line["reason"]) for line in rejections]
    assert logged[-1] == ("moderation", "judge", "No such luck")
    assert view.last_error is not None
    assert (view.last_error.status, view.last_error.reason) == (400, "No such luck")
