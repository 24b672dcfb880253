"""Ask the chosen model and relay its words as they come."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter

from langgraph.runtime import Runtime

from gateway.agent.assembly import Assembly
from gateway.agent.context import AgentContext
from gateway.agent.edges import shrinks
from gateway.agent.guarding.checks import Withheld, after_verdict
from gateway.agent.guarding.screen import OutputScreen, screen_of
from gateway.agent.metering import within_budget
from gateway.agent.others import refuses_streams, streamed_where_others_could_answer
from gateway.agent.patience import Watch, patience_of
from gateway.agent.remembering.window import after_too_long, answer_room, make_room, needs_room
from gateway.agent.reply import Reply
from gateway.agent.request import build_request, reserved_prompt_tokens
from gateway.agent.spans import end_model_span, model_span
from gateway.agent.spending import within_money
from gateway.agent.state import AgentState, Route
from gateway.agent.tooluse.offer import offer
from gateway.agent.tooluse.rounds import within_rounds
from gateway.agent.turn_budget import Covered
from gateway.core.exceptions import (
    ContextLengthExceeded,
    GatewayError,
    RateLimited,
    UpstreamBroken,
    UpstreamReply,
    UpstreamTimeout,
)
from gateway.core.fairness import fairly
from gateway.domain.chat import ChatRequest, ToolSpec
from gateway.domain.events import Attempt, Completed, ProviderEvent
from gateway.providers.chat.base import ChatProvider, refuse_raw_parts, sign_of_life
from gateway.providers.chat.reasons import explain, texts_of


async def llm(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """One call of one model; a failure becomes part of the state, for the edge to decide on."""
    context = runtime.context
    parts = context.parts
    route = state["route"]
    model = parts.catalog.models[route.model]
    provider = parts.upstreams.at(route.model, route.provider).provider
    reply = Reply()
    screen = screen_of(context, state["messages"])
    failure: GatewayError | None = None
    blocked: Withheld | None = None
    request: ChatRequest | None = None
    try:
        refuse_raw_parts(provider, state["messages"])
        offered = offer(parts.tools, state, model)
        if needs_room(state, model, offered, context):
            state = {**state, "messages": await make_room(state, model, offered, context)}
        request = build_request(state, model, offered, max_rounds=parts.catalog.tools.max_rounds)
        request = streamed_where_others_could_answer(request, state, context)
        own_tools = state["turn"].client_tools
        request, covered = await _covered(context, route, request)
        await _call(provider, route, request, reply, context, screen, own_tools, covered)
    except Withheld as verdict:
        blocked = verdict
    except RateLimited as refusal:
        return _unaffordable(state, refusal)
    except GatewayError as error:
        failure = error
    if blocked is not None:
        return AgentState(
            said="",
            tool_calls=(),
            vendor=None,
            finish_reason=None,
            failure=None,
            blocked=blocked.reason,
            blocked_at=blocked.where,
            spoke=state["spoke"] or reply.spoke,
        )
    if screen is not None and failure is None:
        screen.finish(reply)
    update = AgentState(
        text=state["text"] + reply.text,
        said=reply.text,
        reasoning=state["reasoning"] + reply.reasoning,
        logprobs=(*state["logprobs"], *reply.logprobs),
        refused=reply.refused,
        tool_calls=reply.tool_calls() if failure is None else (),
        vendor=reply.vendor,
        finish_reason=reply.finish_reason,
        failure=failure,
        # Calls of tools that arrived whole are no words: another model may go on from what the tools said.
        spoke=state["spoke"] or (reply.spoke if failure is not None else bool(reply.text or reply.reasoning)),
    )
    if isinstance(failure, ContextLengthExceeded):
        update.update(after_too_long(state, request, context))
        if update["failure"] is not None:
            update["failure"].upstream, update["failure"].asked = failure.upstream, failure.asked
    update["failures"] = _failures(state, update)
    update = within_rounds(update, state, parts.catalog.tools.max_rounds)
    return within_money(update, state, parts.catalog, context.attempts)


def _failures(state: AgentState, update: AgentState) -> tuple[GatewayError, ...]:
    """Those since the last good call; a prompt that is tried again with less has not failed yet."""
    failure = update["failure"]
    if failure is None:
        return ()
    return state["failures"] if shrinks({**state, **update}) else (*state["failures"], failure)


async def _covered(
    context: AgentContext, route: Route, request: ChatRequest
) -> tuple[ChatRequest, Covered | None]:
    """The request with its answer cut to what the turn may still spend, and its part of that.

    Raises:
        QuotaExceeded, BudgetExceeded: the account has nothing left for this call.
    """
    if context.budget is None:
        return request, None
    catalog = context.parts.catalog
    model, asked = catalog.models[route.model], request.sampling.max_tokens
    covered = await context.budget.cover(
        context.attempts,
        reserved_prompt_tokens(request.messages, request.tools),
        min(asked or catalog.limits.default_max_tokens, model.context_window),
        catalog.price_of(route.model),
        longest=asked or model.longest_answer,
    )
    if covered.answer < (asked or model.longest_answer):
        # Some vendors refuse a limit that the prompt leaves no room for in the window.
        answer = min(covered.answer, asked or answer_room(request, model))
        context.budget.cut = True
        request = replace(request, sampling=replace(request.sampling, max_tokens=answer))
    return request, covered


def _unaffordable(state: AgentState, refusal: RateLimited) -> AgentState:
    """End a turn whose account has nothing left: its text stands, cut; without a word it fails."""
    if state["text"]:
        return AgentState(said="", tool_calls=(), failure=None, finish_reason="length")
    return AgentState(said="", tool_calls=(), failure=refusal)


async def _call(
    provider: ChatProvider,
    route: Route,
    request: ChatRequest,
    reply: Reply,
    context: AgentContext,
    screen: OutputScreen | None,
    tools: Sequence[ToolSpec],
    covered: Covered | None,
) -> None:
    """Make the call, and note the attempt however it ends; raises as `_relay`."""
    outcome, refusal = "cancelled", None
    failure: GatewayError | None = None
    context.sent = False
    started = perf_counter()
    with model_span(provider, route.model, request) as it:
        try:
            with context.calling(route):
                await _ask(provider, route, request, reply, context, screen, covered)
            outcome = "ok"
        except Withheld:
            outcome = "content_blocked"
            raise
        except GatewayError as error:
            explain(error, provider.config, texts_of(request.messages))
            error.asked = (provider.name, route.model)
            outcome, refusal, failure = error.code, error.upstream, error
            raise
        finally:
            # Also on cancellation: what a vendor has begun to answer is on its bill.
            if screen is not None:
                reply.unseen += screen.held
            reply.sent = context.sent
            if failure is not None:
                reply.failed(failure)
            catalog = context.parts.catalog
            window = catalog.models[route.model].context_window
            usage = reply.usage_or_estimate(request, window, tools)
            attempt = Attempt(
                model=route.model,
                provider=provider.name,
                outcome=outcome,
                ms=round((perf_counter() - started) * 1000, 3),
                first_ms=_first_ms(reply, started) if request.incremental and not request.assembled else None,
                usage=usage,
                cost_usd=catalog.price_of(route.model).cost(usage),
                upstream=refusal,
            )
            context.attempts.append(attempt)
            if context.budget is not None and covered is not None:
                context.budget.end(covered, usage)
            end_model_span(it, attempt, reply)


def _first_ms(reply: Reply, started: float) -> float | None:
    return None if reply.first_at is None else round((reply.first_at - started) * 1000, 3)


async def _ask(
    provider: ChatProvider,
    route: Route,
    request: ChatRequest,
    reply: Reply,
    context: AgentContext,
    screen: OutputScreen | None,
    covered: Covered | None,
) -> None:
    """Relay the answer; an upstream that refuses a stream its caller did not ask for is asked for the whole.

    Raises:
        As `_relay`.
    """
    try:
        await _relay(provider, route, request, reply, context, screen, covered)
    except GatewayError as error:
        if not request.assembled or not refuses_streams(error):
            raise
        context.parts.upstreams.at(route.model, route.provider).streams = False
        whole = replace(request, incremental=False, assembled=False)
        await _relay(provider, route, whole, reply, context, screen, covered)


async def _relay(
    provider: ChatProvider,
    route: Route,
    request: ChatRequest,
    reply: Reply,
    context: AgentContext,
    screen: OutputScreen | None,
    covered: Covered | None,
) -> None:
    """Write the provider's events as they come.

    Raises:
        UpstreamTimeout, UpstreamBroken (no end marker), whatever the provider raises, Withheld.
    """
    watch = Watch(patience_of(provider, request))
    token = sign_of_life.set(watch.alive)
    assembly = Assembly()
    said = provider.stream(request)
    if request.incremental and context.budget is not None and covered is not None:
        price = context.parts.catalog.price_of(route.model)
        said = within_budget(said, context.budget, covered, price, request.sampling.max_tokens)
    if request.assembled:
        said = assembly.whole(said)
    try:
        async with watch.limit, aclosing(fairly(after_verdict(said, context))) as events:
            async for event in events:
                watch.alive()
                _take(event, reply, context, screen)
    except TimeoutError as error:
        timeout = UpstreamTimeout()
        timeout.upstream = UpstreamReply(reason=watch.reason)
        raise timeout from error
    finally:
        sign_of_life.reset(token)
        reply.unseen = assembly.unseen
    if reply.finish_reason is None:
        raise UpstreamBroken


def _take(event: ProviderEvent, reply: Reply, context: AgentContext, screen: OutputScreen | None) -> None:
    if screen is None:
        reply.add(event)
        if not isinstance(event, Completed):
            context.emit(event)
        return
    for passed in screen.through(event):
        reply.add(passed)
        if not isinstance(passed, Completed):
            context.emit(passed)
    screen.obey()
