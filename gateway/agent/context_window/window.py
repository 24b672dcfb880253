"""Fit a persisted conversation's turn into the model's context window."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import structlog

from gateway.agent.context import AgentContext
from gateway.agent.context_window import notes
from gateway.agent.context_window.fit import (
    Messages,
    context_length_error,
    fit_messages,
    fits_cheaply,
    max_total_tokens,
    newest_exchanges,
    shorten_tool_results,
)
from gateway.agent.context_window.memory import ROWS_AFTER_SUMMARY, Memory
from gateway.agent.context_window.summary import update_notes
from gateway.agent.edges import MAX_SHRINKS
from gateway.agent.model_call.request_builder import message_tokens
from gateway.agent.state import AgentState
from gateway.core.exceptions import ContextLengthExceeded
from gateway.domain.config.models import ModelConfig
from gateway.domain.requests import ChatRequest, ToolSpec, Turn
from gateway.domain.token_estimates import estimate_max_tokens

log = structlog.get_logger(__name__)

# Reserve for an answer without `max_tokens`: a share of the window, within bounds.
_ANSWER_SHARE = 8
_MIN_ANSWER_TOKENS, _MAX_ANSWER_TOKENS = 128, 2048
# Share of the window for notes, within bounds.
_NOTES_SHARE = 8
_MIN_NOTES_TOKENS, _MAX_NOTES_TOKENS = 96, 1536
# After a rejection, the prompt is reduced to this share of its estimated size.
_SHRINK_FACTOR = 0.7


def exceeds_window(
    state: AgentState, model: ModelConfig, tools: Sequence[ToolSpec], context: AgentContext
) -> bool:
    """Whether `fit_to_window` has to change anything.

    Messages of stateless requests are never cut.
    """
    memory = context.run.memory
    if memory is None:
        return False
    messages, context_window = state["messages"], model.context_window
    if memory.too_many_rows:
        return True
    # Most conversations are short and fit without counting tokens. Schemas of `tools: auto` take at most half
    # of the window with any tokenizer.
    tool_reserve = context_window // 2 if tools else 0
    if state["turn"].gateway_tools is None and fits_cheaply(
        messages, _message_limit(state, model, ()) - tool_reserve
    ):
        return False
    limit = _message_limit(state, model, tools)
    return not (fits_cheaply(messages, limit) or max_total_tokens(messages) <= limit)


async def fit_to_window(
    state: AgentState, model: ModelConfig, tools: Sequence[ToolSpec], context: AgentContext
) -> Messages:
    """Return the messages that fit, with notes replacing what was dropped.

    Tool results are cut first, down to half of the window. If older exchanges must go, enough are dropped
    that the rest takes half of the available tokens, so that summaries are rare.

    Raises:
        ContextLengthExceeded: system prompt, question and last tool round alone are too long.
    """
    memory = context.run.memory
    assert memory is not None
    limit = _message_limit(state, model, tools)
    head, history, tail = memory.split(state["messages"])
    fixed = (*head, *notes.as_messages(memory.notes))
    fitted = fit_messages(fixed, history, tail, limit)
    if memory.too_many_rows or fitted[len(fixed) : len(fixed) + len(history)] != history:
        history = await _summarize_oldest(
            memory,
            context,
            history,
            limit,
            max_total_tokens(head) + max_total_tokens(shorten_tool_results(tail, limit // 2)),
        )
        fitted = fit_messages((*head, *notes.as_messages(memory.notes)), history, tail, limit)
    if max_total_tokens(fitted) > limit and memory.notes:
        fitted = fit_messages(head, history, tail, limit)  # an answer without notes is better than none
    size = max_total_tokens(fitted)
    # The limit uses the least economical tokenizer; without anything left to cut, try with the usual
    # estimate.
    was_rejected = state["token_limit"] is not None
    if size > limit and (history or was_rejected or sum(map(message_tokens, fitted)) > limit):
        raise context_length_exceeded(size, model) if was_rejected else context_length_error(size, limit)
    return fitted


def answer_capacity(request: ChatRequest, model: ModelConfig) -> int:
    """Tokens left for an answer, with a minimum."""
    prompt = max_total_tokens(request.messages) + sum(map(_max_tool_tokens, request.tools))
    return max(_MIN_ANSWER_TOKENS, model.context_window - prompt)


def context_length_exceeded(tokens: int, model: ModelConfig) -> ContextLengthExceeded:
    """The error that an upstream would return, with the numbers."""
    return ContextLengthExceeded.for_request(tokens, model.context_window)


def shrink_after_rejection(
    state: AgentState, request: ChatRequest | None, context: AgentContext
) -> AgentState:
    """Reduce the token limit after an upstream rejected the prompt as too long.

    The estimate is an upper bound, so either the configured window is too large or the tokenizer is unusual.
    Stateless requests are not cut: they fail.
    """
    shrink_count = state["shrink_count"] + 1
    if request is None:
        return AgentState(shrink_count=MAX_SHRINKS + 1)
    sent_tokens = max_total_tokens(request.messages)
    if context.run.memory is None or shrink_count > MAX_SHRINKS:
        model = context.resources.catalog.models[state["route"].model]
        return AgentState(shrink_count=MAX_SHRINKS + 1, failure=context_length_exceeded(sent_tokens, model))
    log.warning("prompt.estimate_exceeded", model=request.model, estimated_tokens=sent_tokens)
    return AgentState(token_limit=int(sent_tokens * _SHRINK_FACTOR), shrink_count=shrink_count)


async def _summarize_oldest(
    memory: Memory, context: AgentContext, history: Messages, limit: int, fixed_tokens: int
) -> Messages:
    """Summarize old exchanges; return the rest, with the last one if possible."""
    notes_limit = max(_MIN_NOTES_TOKENS, min(_MAX_NOTES_TOKENS, limit // _NOTES_SHARE))
    remaining = limit - fixed_tokens - notes_limit - max_total_tokens(notes.as_messages("-"))
    kept = newest_exchanges(history, remaining // 2)
    if not kept:
        last = max((at for at, m in enumerate(history) if m.role == "user"), default=0)
        kept = newest_exchanges(history[last:], remaining)
    if memory.too_many_rows:
        is_small = len(history) <= ROWS_AFTER_SUMMARY  # many questions without answers
        kept = () if is_small else newest_exchanges(kept[-ROWS_AFTER_SUMMARY:], limit)
        memory.force_store = True
    dropped = history[: len(history) - len(kept)]
    if dropped:
        text = (
            await update_notes(context, memory.notes, dropped, notes_limit) if memory.can_summarize else None
        )
        memory.summarize_first(len(dropped), text)
    return kept


def _message_limit(state: AgentState, model: ModelConfig, tools: Sequence[ToolSpec]) -> int:
    """Tokens available for messages: the window without tool definitions and answer."""
    turn = state["turn"]
    limit = model.context_window - _answer_reserve(turn, model.context_window)
    limit -= sum(map(_max_tool_tokens, tools))
    reduced_limit = state["token_limit"]
    return limit if reduced_limit is None else min(limit, reduced_limit)


def _max_tool_tokens(tool: ToolSpec) -> int:
    """Upper estimate of a tool definition's tokens."""
    schema = orjson.dumps(tool.parameters).decode()
    return (
        estimate_max_tokens(tool.name) + estimate_max_tokens(tool.description) + estimate_max_tokens(schema)
    )


def _answer_reserve(turn: Turn, context_window: int) -> int:
    requested = turn.sampling.max_tokens
    return requested or max(_MIN_ANSWER_TOKENS, min(_MAX_ANSWER_TOKENS, context_window // _ANSWER_SHARE))
