"""Guards the question while the model call runs, and holds its output until the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.agent.context import AgentContext
from gateway.agent.guards.moderation import moderate, moderation_not_allowed
from gateway.agent.guards.tool_results import has_client_results_to_check
from gateway.agent.guards.verdicts import GuardrailBlocked, record_verdict
from gateway.agent.model_call.light_model import key_allows_model
from gateway.domain.config.guardrails import GuardMode, GuardModes
from gateway.domain.events import ProviderEvent
from gateway.domain.messages import Message
from gateway.guardrails.base import Verdict


def has_input_guards(guards: GuardModes, messages: tuple[Message, ...]) -> bool:
    """Whether a guard has anything to check before the model is called."""
    return bool(guards.active_input_guards()) or has_client_results_to_check(guards, messages)


def start_input_check(context: AgentContext, question: str) -> None:
    """Start checking the question, if any input guard is on."""
    active_guards = context.run.guards.active_input_guards()
    if active_guards and question:
        context.input_check = asyncio.create_task(_check_input(context, question, active_guards))


async def _check_input(
    context: AgentContext, question: str, active_guards: tuple[str, ...]
) -> tuple[Verdict, ...]:
    resources, run = context.resources, context.run
    config = resources.catalog.guardrails.moderation
    local = resources.guardrails.check_input(question, active_guards)
    if config is None or "unsafe" not in active_guards:
        return await local
    if not key_allows_model(resources.catalog, run.allowed_models, config.model):
        # The API key does not permit sending questions to this model; the local guard decides.
        return (*await local, moderation_not_allowed(config))
    verdicts, moderation_verdict = await asyncio.gather(
        local,
        moderate(resources, config, question, model_calls=run.model_calls, budget=run.budget),
    )
    return (*verdicts, moderation_verdict)


async def hold_until_verdict(
    events: AsyncGenerator[ProviderEvent, None], context: AgentContext
) -> AsyncGenerator[ProviderEvent, None]:
    """Yield the events, the first one only after the input check has finished.

    Raises:
        GuardrailBlocked: a verdict blocks; `events` is closed.
    """
    check = context.input_check
    async with aclosing(events):
        if check is not None and not check.done():
            context.request_sent = True
            first = asyncio.ensure_future(anext(events, None))
            try:
                await asyncio.wait({first, check}, return_when=asyncio.FIRST_COMPLETED)
                await check
                enforce_input_verdict(context)
                event = await first
            finally:
                if not first.done():
                    first.cancel()
                    await asyncio.wait({first})
            if event is None:
                return
            yield event
        elif check is not None:
            enforce_input_verdict(context)
        context.request_sent = True
        async for event in events:
            yield event


def enforce_input_verdict(context: AgentContext) -> None:
    """Record the verdicts of a finished input check, once per turn.

    Raises:
        GuardrailBlocked: one of them blocks.
    """
    check, context.input_check = context.input_check, None
    if check is None:
        return
    blocking = [v for v in check.result() if record_verdict(context, v, "input", _mode(context, v))]
    if blocking:
        raise GuardrailBlocked(blocking[0].reason, "input")


def record_input_verdicts(context: AgentContext) -> None:
    """Record the known verdicts of a turn that ends without output."""
    check = context.input_check
    if check is not None and check.done() and not check.cancelled() and check.exception() is None:
        for verdict in check.result():
            record_verdict(context, verdict, "input", _mode(context, verdict))


def _mode(context: AgentContext, verdict: Verdict) -> GuardMode:
    return context.run.guards.mode_of(verdict.guard)
