"""Ask the chosen model and relay its words as they come."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter

from langgraph.runtime import Runtime

from gateway.agent.budget.cost_limit import enforce_cost_limit
from gateway.agent.budget.stream_metering import limit_to_budget
from gateway.agent.budget.turn_budget import CallReservation
from gateway.agent.context import AgentContext
from gateway.agent.context_window.window import (
    answer_capacity,
    exceeds_window,
    fit_to_window,
    shrink_after_rejection,
)
from gateway.agent.edges import should_shrink
from gateway.agent.guards.input import GuardrailBlocked, hold_until_verdict
from gateway.agent.guards.output import OutputGuard, output_guard_for
from gateway.agent.model_call.request_builder import build_request, prompt_tokens_to_reserve
from gateway.agent.model_call.response_accumulator import ResponseAccumulator
from gateway.agent.model_call.stream_assembler import StreamAssembler
from gateway.agent.model_call.timeouts import CallDeadline, timeouts_for
from gateway.agent.routing.alternatives import rejects_streaming, stream_if_alternatives
from gateway.agent.state import AgentState, Route
from gateway.agent.tool_use.limits import enforce_round_limit
from gateway.agent.tool_use.selection import select_tools
from gateway.agent.tracing import end_model_span, model_span
from gateway.core.cooperative import iterate_cooperatively
from gateway.core.exceptions import (
    ContextLengthExceeded,
    GatewayError,
    RateLimited,
    UpstreamBroken,
    UpstreamReply,
    UpstreamTimeout,
)
from gateway.domain.events import Completed, ModelCall, ProviderEvent
from gateway.domain.requests import ChatRequest, ToolSpec
from gateway.providers.base import ChatProvider, activity_callback, reject_raw_parts, require_chat
from gateway.providers.errors.reason import iter_texts, sanitize_error


async def llm(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """One call of one model; a failure becomes part of the state, for the edge to decide on."""
    context = runtime.context
    resources = context.resources
    route = state["route"]
    model = resources.catalog.models[route.model]
    provider = require_chat(resources.upstreams.get(route.model, route.provider).provider)
    response = ResponseAccumulator()
    output_guard = output_guard_for(context, state["messages"])
    failure: GatewayError | None = None
    block: GuardrailBlocked | None = None
    request: ChatRequest | None = None
    try:
        reject_raw_parts(provider, state["messages"])
        gateway_tools = select_tools(resources.tools, state, model)
        if exceeds_window(state, model, gateway_tools, context):
            state = {**state, "messages": await fit_to_window(state, model, gateway_tools, context)}
        request = build_request(state, model, gateway_tools, max_rounds=resources.catalog.tools.max_rounds)
        request = stream_if_alternatives(request, state, context)
        client_tools = state["turn"].client_tools
        request, reservation = await _reserve(context, route, request)
        await _call_model(
            provider, route, request, response, context, output_guard, client_tools, reservation
        )
    except GuardrailBlocked as verdict:
        block = verdict
    except RateLimited as refusal:
        return _end_without_budget(state, refusal)
    except GatewayError as error:
        failure = error
    if block is not None:
        return AgentState(
            said="",
            tool_calls=(),
            vendor=None,
            finish_reason=None,
            failure=None,
            blocked=block.reason,
            blocked_at=block.stage,
            spoke=state["spoke"] or response.has_output,
        )
    if output_guard is not None and failure is None:
        output_guard.record_verdicts(response)
    update = AgentState(
        text=state["text"] + response.text,
        said=response.text,
        reasoning=state["reasoning"] + response.reasoning,
        logprobs=(*state["logprobs"], *response.logprobs),
        refused=response.is_refusal,
        tool_calls=response.tool_calls() if failure is None else (),
        vendor=response.vendor_data,
        finish_reason=response.finish_reason,
        failure=failure,
        # Calls of tools that arrived whole are no words: another model may go on from what the tools said.
        spoke=state["spoke"]
        or (response.has_output if failure is not None else bool(response.text or response.reasoning)),
    )
    if isinstance(failure, ContextLengthExceeded):
        update.update(shrink_after_rejection(state, request, context))
        if update["failure"] is not None:
            update["failure"].upstream_reply, update["failure"].last_upstream = (
                failure.upstream_reply,
                failure.last_upstream,
            )
    update["failures"] = _failures(state, update)
    update = enforce_round_limit(update, state, resources.catalog.tools.max_rounds)
    return enforce_cost_limit(update, state, resources.catalog, context.model_calls)


def _failures(state: AgentState, update: AgentState) -> tuple[GatewayError, ...]:
    """Those since the last good call; a prompt that is tried again with less has not failed yet."""
    failure = update["failure"]
    if failure is None:
        return ()
    return state["failures"] if should_shrink({**state, **update}) else (*state["failures"], failure)


async def _reserve(
    context: AgentContext, route: Route, request: ChatRequest
) -> tuple[ChatRequest, CallReservation | None]:
    """The request with its answer cut to what the turn may still spend, and its part of that.

    Raises:
        QuotaExceeded, BudgetExceeded: the account has nothing left for this call.
    """
    if context.budget is None:
        return request, None
    catalog = context.resources.catalog
    model, max_tokens = catalog.models[route.model], request.sampling.max_tokens
    reservation = await context.budget.reserve_call(
        context.model_calls,
        prompt_tokens_to_reserve(request.messages, request.tools),
        min(max_tokens or catalog.limits.default_max_tokens, model.context_window),
        catalog.price_of(route.model),
        max_answer_tokens=max_tokens or model.reserved_answer_tokens,
    )
    if reservation.answer_tokens < (max_tokens or model.reserved_answer_tokens):
        # Some vendors refuse a limit that the prompt leaves no room for in the window.
        answer = min(reservation.answer_tokens, max_tokens or answer_capacity(request, model))
        context.budget.truncated = True
        request = replace(request, sampling=replace(request.sampling, max_tokens=answer))
    return request, reservation


def _end_without_budget(state: AgentState, refusal: RateLimited) -> AgentState:
    """End a turn whose account has nothing left: its text stands, cut; without a word it fails."""
    if state["text"]:
        return AgentState(said="", tool_calls=(), failure=None, finish_reason="length")
    return AgentState(said="", tool_calls=(), failure=refusal)


async def _call_model(
    provider: ChatProvider,
    route: Route,
    request: ChatRequest,
    response: ResponseAccumulator,
    context: AgentContext,
    output_guard: OutputGuard | None,
    tools: Sequence[ToolSpec],
    reservation: CallReservation | None,
) -> None:
    """Make the call, and note the attempt however it ends; raises as `_relay`."""
    outcome, refusal = "cancelled", None
    failure: GatewayError | None = None
    context.request_sent = False
    started = perf_counter()
    with model_span(provider, route.model, request) as call_span:
        try:
            with context.track_call(route):
                await _stream_or_ask_unstreamed(
                    provider, route, request, response, context, output_guard, reservation
                )
            outcome = "ok"
        except GuardrailBlocked:
            outcome = "content_blocked"
            raise
        except GatewayError as error:
            sanitize_error(error, provider.config, iter_texts(request.messages))
            error.last_upstream = (provider.name, route.model)
            outcome, refusal, failure = error.code, error.upstream_reply, error
            raise
        finally:
            # Also on cancellation: what a vendor has begun to answer is on its bill.
            if output_guard is not None:
                response.withheld_text += output_guard.withheld_text
            response.request_sent = context.request_sent
            if failure is not None:
                response.record_failure(failure)
            catalog = context.resources.catalog
            window = catalog.models[route.model].context_window
            usage = response.usage_or_estimate(request, window, tools)
            model_call = ModelCall(
                model=route.model,
                provider=provider.name,
                outcome=outcome,
                ms=round((perf_counter() - started) * 1000, 3),
                first_ms=_first_ms(response, started) if request.stream and not request.assembled else None,
                usage=usage,
                cost_usd=catalog.price_of(route.model).cost(usage),
                upstream_reply=refusal,
            )
            context.model_calls.append(model_call)
            if context.budget is not None and reservation is not None:
                context.budget.release_call(reservation, usage)
            end_model_span(call_span, model_call, response)


def _first_ms(response: ResponseAccumulator, started: float) -> float | None:
    return None if response.first_output_at is None else round((response.first_output_at - started) * 1000, 3)


async def _stream_or_ask_unstreamed(
    provider: ChatProvider,
    route: Route,
    request: ChatRequest,
    response: ResponseAccumulator,
    context: AgentContext,
    output_guard: OutputGuard | None,
    reservation: CallReservation | None,
) -> None:
    """Relay the answer; an upstream that refuses a stream its caller did not ask for is asked for the whole.

    Raises:
        As `_relay`.
    """
    try:
        await _stream_events(provider, route, request, response, context, output_guard, reservation)
    except GatewayError as error:
        if not request.assembled or not rejects_streaming(error):
            raise
        context.resources.upstreams.get(route.model, route.provider).accepts_streams = False
        unstreamed = replace(request, stream=False, assembled=False)
        await _stream_events(provider, route, unstreamed, response, context, output_guard, reservation)


async def _stream_events(
    provider: ChatProvider,
    route: Route,
    request: ChatRequest,
    response: ResponseAccumulator,
    context: AgentContext,
    output_guard: OutputGuard | None,
    reservation: CallReservation | None,
) -> None:
    """Write the provider's events as they come.

    Raises:
        UpstreamTimeout, UpstreamBroken (no end marker), whatever the provider raises, Withheld.
    """
    deadline = CallDeadline(timeouts_for(provider, request))
    token = activity_callback.set(deadline.extend)
    assembler = StreamAssembler()
    events_in = provider.stream(request)
    if request.stream and context.budget is not None and reservation is not None:
        price = context.resources.catalog.price_of(route.model)
        events_in = limit_to_budget(
            events_in, context.budget, reservation, price, request.sampling.max_tokens
        )
    if request.assembled:
        events_in = assembler.assemble(events_in)
    try:
        async with (
            deadline.timeout,
            aclosing(iterate_cooperatively(hold_until_verdict(events_in, context))) as events,
        ):
            async for event in events:
                deadline.extend()
                _handle_event(event, response, context, output_guard)
    except TimeoutError as error:
        timeout = UpstreamTimeout()
        timeout.upstream_reply = UpstreamReply(reason=deadline.reason)
        raise timeout from error
    finally:
        activity_callback.reset(token)
        response.withheld_text = assembler.incomplete_text
    if response.finish_reason is None:
        raise UpstreamBroken


def _handle_event(
    event: ProviderEvent,
    response: ResponseAccumulator,
    context: AgentContext,
    output_guard: OutputGuard | None,
) -> None:
    if output_guard is None:
        response.add(event)
        if not isinstance(event, Completed):
            context.emit(event)
        return
    for passed in output_guard.filter(event):
        response.add(passed)
        if not isinstance(passed, Completed):
            context.emit(passed)
    output_guard.raise_if_blocked()
