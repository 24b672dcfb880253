"""Ask the chosen model and relay its words as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, replace
from time import perf_counter

from langgraph.runtime import Runtime

from gateway.agent.context import AgentContext
from gateway.agent.reply import Reply
from gateway.agent.request import build_request
from gateway.agent.spending import within_money
from gateway.agent.state import AgentState
from gateway.core.exceptions import GatewayError, UpstreamBroken, UpstreamTimeout
from gateway.domain.chat import ChatRequest
from gateway.domain.events import Attempt, Completed, ProviderEvent
from gateway.domain.usage import Usage
from gateway.guardrails.base import Verdict
from gateway.providers.chat.base import ChatProvider


class _Withheld(Exception):
    """The input's verdict forbids the answer; carries the reason."""


async def llm(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """One call of one model; a failure becomes part of the state, for the edge to decide on."""
    context = runtime.context
    parts = context.parts
    route = state["route"]
    model = parts.catalog.models[route.model]
    provider = parts.provider_of(model)
    reply = Reply()
    failure: GatewayError | None = None
    blocked: str | None = None
    outcome = "cancelled"
    started = perf_counter()
    request: ChatRequest | None = None
    try:
        offered = parts.tools.specs(state["turn"].gateway_tools) if state["turn"].gateway_tools != () else ()
        request = build_request(state, model, offered, max_rounds=parts.catalog.tools.max_rounds)
        await _relay(provider, request, reply, runtime)
        outcome = "ok"
    except _Withheld as verdict:
        blocked, outcome = str(verdict), "content_blocked"
    except GatewayError as error:
        failure, outcome = error, error.code
    finally:
        # Also on cancellation: what a vendor has begun to answer is on its bill.
        usage = reply.usage_or_estimate(request) if request is not None else Usage()
        context.attempts.append(
            Attempt(
                model=route.model,
                provider=provider.name,
                outcome=outcome,
                ms=round((perf_counter() - started) * 1000, 3),
                usage=usage,
                cost_usd=parts.catalog.price_of(route.model).cost(usage),
            )
        )
    update = AgentState(
        text=state["text"] + reply.text,
        said=reply.text,
        reasoning=state["reasoning"] + reply.reasoning,
        logprobs=(*state["logprobs"], *reply.logprobs),
        tool_calls=reply.tool_calls() if failure is None else (),
        finish_reason=reply.finish_reason,
        failure=failure,
        blocked=blocked,
        spoke=state["spoke"] or reply.spoke,
        verdicts=(*state["verdicts"], *_new_verdicts(context, state)),
    )
    return within_money(update, state, parts.catalog, context.attempts)


async def _relay(
    provider: ChatProvider, request: ChatRequest, reply: Reply, runtime: Runtime[AgentContext]
) -> None:
    """Write the provider's events as they come.

    A stream may be silent for `timeouts.first_token` seconds at a time, a call may take the mode's time in
    all; a whole answer is one silence.

    Raises:
        UpstreamTimeout, UpstreamBroken (no end marker), whatever the provider raises, _Withheld.
    """
    context = runtime.context
    write = context.emit
    loop = asyncio.get_running_loop()
    total = context.parts.total_timeout(provider)
    silence = min(provider.timeouts.first_token, total) if request.incremental else total
    deadline = loop.time() + total
    try:
        async with (
            asyncio.timeout(silence) as limit,
            aclosing(_after_verdict(provider.stream(request), context)) as events,
        ):
            async for event in events:
                limit.reschedule(min(deadline, loop.time() + silence))
                reply.add(event)
                if not isinstance(event, Completed):
                    write(event)
    except TimeoutError as error:
        raise UpstreamTimeout from error
    if reply.finish_reason is None:
        raise UpstreamBroken


async def _after_verdict(
    events: AsyncGenerator[ProviderEvent, None], context: AgentContext
) -> AsyncGenerator[ProviderEvent, None]:
    """The same events, the first held back until the input's verdict is in."""
    check = context.input_check
    async with aclosing(events):
        if check is not None and not check.done():
            first = asyncio.ensure_future(anext(events, None))
            try:
                await asyncio.wait({first, check}, return_when=asyncio.FIRST_COMPLETED)
                _judge(await check, context)
                event = await first
            finally:
                if not first.done():
                    first.cancel()
                    await asyncio.wait({first})
            if event is None:
                return
            yield event
        elif check is not None:
            _judge(check.result(), context)
        async for event in events:
            yield event


def _judge(verdicts: tuple[Verdict, ...], context: AgentContext) -> None:
    if context.guard.injection == "block":
        for verdict in verdicts:
            if verdict.flagged:
                raise _Withheld(verdict.reason)


def _new_verdicts(context: AgentContext, state: AgentState) -> tuple[dict[str, object], ...]:
    """The input's verdicts, once a turn."""
    check = context.input_check
    known = {entry["guard"] for entry in state["verdicts"]}
    if check is None or not check.done() or check.cancelled() or check.exception() is not None:
        return ()
    return tuple(
        asdict(replace(verdict, score=round(verdict.score, 4), ms=round(verdict.ms, 3)))
        for verdict in check.result()
        if verdict.guard not in known
    )
