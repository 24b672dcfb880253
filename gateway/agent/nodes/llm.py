"""Ask the chosen model and relay its words as they come."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from time import perf_counter

from langgraph.runtime import Runtime

from gateway.agent.checks import Withheld, after_verdict
from gateway.agent.context import AgentContext
from gateway.agent.offer import offer
from gateway.agent.reply import Reply
from gateway.agent.request import build_request
from gateway.agent.spending import within_money
from gateway.agent.state import AgentState
from gateway.core.exceptions import GatewayError, UpstreamBroken, UpstreamTimeout
from gateway.domain.chat import ChatRequest
from gateway.domain.events import Attempt, Completed
from gateway.domain.usage import Usage
from gateway.providers.chat.base import ChatProvider


async def llm(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """One call of one model; a failure becomes part of the state, for the edge to decide on."""
    context = runtime.context
    parts = context.parts
    route = state["route"]
    model = parts.catalog.models[route.model]
    provider = parts.upstreams.at(route.model, route.provider).provider
    reply = Reply()
    failure: GatewayError | None = None
    blocked: Withheld | None = None
    outcome = "cancelled"
    started = perf_counter()
    request: ChatRequest | None = None
    try:
        offered = offer(parts.tools, state, model)
        request = build_request(state, model, offered, max_rounds=parts.catalog.tools.max_rounds)
        with context.calling(route):
            await _relay(provider, request, reply, runtime)
        outcome = "ok"
    except Withheld as verdict:
        blocked, outcome = verdict, "content_blocked"
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
        blocked=blocked.reason if blocked is not None else None,
        blocked_at=blocked.where if blocked is not None else state["blocked_at"],
        # Calls of tools that arrived whole are no words: another model may go on from what the tools said.
        spoke=state["spoke"] or (reply.spoke if failure is not None else bool(reply.text or reply.reasoning)),
    )
    return within_money(update, state, parts.catalog, context.attempts)


async def _relay(
    provider: ChatProvider, request: ChatRequest, reply: Reply, runtime: Runtime[AgentContext]
) -> None:
    """Write the provider's events as they come.

    A stream may be silent for `timeouts.first_token` seconds at a time, a call may take the mode's time in
    all; a whole answer is one silence.

    Raises:
        UpstreamTimeout, UpstreamBroken (no end marker), whatever the provider raises, Withheld.
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
            aclosing(after_verdict(provider.stream(request), context)) as events,
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
