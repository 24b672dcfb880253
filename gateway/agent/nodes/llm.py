"""Call the selected model and stream its output to the client."""

from __future__ import annotations

from dataclasses import replace

from langgraph.runtime import Runtime

from gateway.agent.budget.cost_limit import enforce_cost_limit
from gateway.agent.budget.turn_budget import CallReservation
from gateway.agent.context import AgentContext
from gateway.agent.context_window.window import (
    answer_capacity,
    exceeds_window,
    fit_to_window,
    shrink_after_rejection,
)
from gateway.agent.edges import should_shrink
from gateway.agent.guards.output import output_guard_for
from gateway.agent.guards.verdicts import GuardrailBlocked
from gateway.agent.model_call.answer_call import AnswerCall
from gateway.agent.model_call.request_builder import build_request, prompt_tokens_to_reserve
from gateway.agent.model_call.response_accumulator import ResponseAccumulator
from gateway.agent.routing.alternatives import stream_if_alternatives
from gateway.agent.state import AgentState, Route
from gateway.agent.tool_use.limits import enforce_round_limit
from gateway.agent.tool_use.selection import select_tools
from gateway.core.exceptions import ContextLengthExceeded, GatewayError, RateLimited
from gateway.domain.requests import ChatRequest
from gateway.providers.base import reject_raw_parts, require_chat


async def llm(state: AgentState, runtime: Runtime[AgentContext]) -> AgentState:
    """Make one model call; a failure becomes part of the state, for the edge to decide on."""
    context = runtime.context
    route = state["route"]
    provider = require_chat(context.resources.upstreams.get(route.model, route.provider).provider)
    output_guard = output_guard_for(context, state["messages"])
    call = AnswerCall(context, provider, route, output_guard, state["turn"].client_tools)
    failure: GatewayError | None = None
    request: ChatRequest | None = None
    try:
        reject_raw_parts(provider, state["messages"])
        request = await _build_request(state, context)
        request, reservation = await _reserve(context, route, request)
        await call.run(request, reservation)
    except GuardrailBlocked as block:
        return _blocked(state, block, call.response)
    except RateLimited as refusal:
        return _end_without_budget(state, refusal)
    except GatewayError as error:
        failure = error
    if output_guard is not None and failure is None:
        output_guard.record_verdicts(call.response)
    update = _answered(state, call.response, failure)
    if isinstance(failure, ContextLengthExceeded):
        update.update(shrink_after_rejection(state, request, context))
        if (reported := update["failure"]) is not None:
            reported.upstream_reply, reported.last_upstream = failure.upstream_reply, failure.last_upstream
    update["failures"] = _failures(state, update)
    update = enforce_round_limit(update, state, context.resources.catalog.tools.max_rounds)
    return enforce_cost_limit(update, state, context.resources.catalog, context.run.model_calls)


async def _build_request(state: AgentState, context: AgentContext) -> ChatRequest:
    """Build the request within the model's context window.

    Raises:
        ContextLengthExceeded: the part of the prompt that cannot be dropped is too long.
    """
    resources = context.resources
    model = resources.catalog.models[state["route"].model]
    gateway_tools = select_tools(resources.tools, state, model)
    if exceeds_window(state, model, gateway_tools, context):
        state = {**state, "messages": await fit_to_window(state, model, gateway_tools, context)}
    request = build_request(state, model, gateway_tools, max_rounds=resources.catalog.tools.max_rounds)
    return stream_if_alternatives(request, state, context)


async def _reserve(
    context: AgentContext, route: Route, request: ChatRequest
) -> tuple[ChatRequest, CallReservation | None]:
    """Reserve the call; its answer is limited to what the turn may still spend.

    Raises:
        QuotaExceeded, BudgetExceeded: the account has nothing left for this call.
    """
    budget = context.run.budget
    if budget is None:
        return request, None
    catalog = context.resources.catalog
    model, max_tokens = catalog.models[route.model], request.sampling.max_tokens
    reservation = await budget.reserve_call(
        context.run.model_calls,
        prompt_tokens_to_reserve(request.messages, request.tools),
        min(max_tokens or catalog.limits.default_max_tokens, model.context_window),
        catalog.price_of(route.model),
        max_answer_tokens=max_tokens or model.reserved_answer_tokens,
    )
    if reservation.answer_tokens < (max_tokens or model.reserved_answer_tokens):
        # Some vendors reject a limit that exceeds the window together with the prompt.
        answer = min(reservation.answer_tokens, max_tokens or answer_capacity(request, model))
        budget.truncated = True
        request = replace(request, sampling=replace(request.sampling, max_tokens=answer))
    return request, reservation


def _answered(state: AgentState, response: ResponseAccumulator, failure: GatewayError | None) -> AgentState:
    # Complete tool calls are not output: another model may continue from the tool results.
    has_output = response.has_output if failure is not None else bool(response.text or response.reasoning)
    return AgentState(
        text=state["text"] + response.text,
        last_text=response.text,
        reasoning=state["reasoning"] + response.reasoning,
        logprobs=(*state["logprobs"], *response.logprobs),
        refused=response.is_refusal,
        tool_calls=response.tool_calls() if failure is None else (),
        vendor=response.vendor_data,
        finish_reason=response.finish_reason,
        failure=failure,
        has_output=state["has_output"] or has_output,
    )


def _blocked(state: AgentState, block: GuardrailBlocked, response: ResponseAccumulator) -> AgentState:
    return AgentState(
        last_text="",
        tool_calls=(),
        vendor=None,
        finish_reason=None,
        failure=None,
        block_reason=block.reason,
        blocked_stage=block.stage,
        has_output=state["has_output"] or response.has_output,
    )


def _end_without_budget(state: AgentState, refusal: RateLimited) -> AgentState:
    """End the turn: existing text is kept, truncated; without text the turn fails."""
    if state["text"]:
        return AgentState(last_text="", tool_calls=(), failure=None, finish_reason="length")
    return AgentState(last_text="", tool_calls=(), failure=refusal)


def _failures(state: AgentState, update: AgentState) -> tuple[GatewayError, ...]:
    """Failures since the last successful call; a prompt that is shortened is not one yet."""
    failure = update["failure"]
    if failure is None:
        return ()
    return state["failures"] if should_shrink({**state, **update}) else (*state["failures"], failure)
