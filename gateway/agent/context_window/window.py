"""A kept conversation's turn in a model's window: tools' results cut, older exchanges summarised."""

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
from gateway.domain.config.catalog import ModelConfig
from gateway.domain.requests import ChatRequest, ToolSpec, Turn
from gateway.domain.token_estimates import estimate_max_tokens

log = structlog.get_logger(__name__)

# Room kept for an answer whose caller set no limit: a share of the window, within bounds.
_ANSWER_SHARE = 8
_MIN_ANSWER_TOKENS, _MAX_ANSWER_TOKENS = 128, 2048
# Of a window, what notes may take, within bounds.
_NOTES_SHARE = 8
_MIN_NOTES_TOKENS, _MAX_NOTES_TOKENS = 96, 1536
# After an upstream found a prompt too long that we thought would fit, the next holds this share of it.
_SHRINK_FACTOR = 0.7


def exceeds_window(
    state: AgentState, model: ModelConfig, tools: Sequence[ToolSpec], context: AgentContext
) -> bool:
    """Whether `make_room` has something to do; of what a caller's own body holds nothing is ever left out."""
    memory = context.memory
    if memory is None:
        return False
    messages, context_window = state["messages"], model.context_window
    if memory.too_many_rows:
        return True
    # Most conversations are short: they are known to fit without counting, neither what is said nor the tools
    # on offer by `auto`, whose schemas take no more than half of a window by any tokenizer.
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
    """What the model is shown: within its window, with notes on what it is not shown any more.

    Tools' results are cut first, to half of the window. Where older exchanges have to go, so many go that
    the rest takes half of the room there is for them, and the light model sums them up: seldom, then.

    Raises:
        ContextLengthExceeded: system prompt, question and the last tool round are too long by themselves.
    """
    memory = context.memory
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
        fitted = fit_messages(head, history, tail, limit)  # better an answer without the notes than none
    size = max_total_tokens(fitted)
    # By the tokenizer that needs the most; it may still fit by another, and nothing else is left to try.
    if size > limit and (history or state["room"] is not None or sum(map(message_tokens, fitted)) > limit):
        raise (
            context_length_error(size, limit)
            if state["room"] is None
            else context_length_exceeded(size, model)
        )
    return fitted


def answer_capacity(request: ChatRequest, model: ModelConfig) -> int:
    """What the prompt surely leaves of the window for an answer, and never less than a short one."""
    prompt = max_total_tokens(request.messages) + sum(map(_max_tool_tokens, request.tools))
    return max(_MIN_ANSWER_TOKENS, model.context_window - prompt)


def context_length_exceeded(tokens: int, model: ModelConfig) -> ContextLengthExceeded:
    """The refusal that is an upstream's, with the numbers."""
    return ContextLengthExceeded.for_request(tokens, model.context_window)


def shrink_after_rejection(
    state: AgentState, request: ChatRequest | None, context: AgentContext
) -> AgentState:
    """What follows from "too long": where an upstream said it, a kept conversation's turn tries with less.

    Our own count errs on the safe side, so either the model's window is smaller than the configuration says,
    or its tokenizer is one of a kind.
    """
    shrink_count = state["shrunk"] + 1
    if request is None:
        return AgentState(shrunk=MAX_SHRINKS + 1)
    sent_tokens = max_total_tokens(request.messages)
    if context.memory is None or shrink_count > MAX_SHRINKS:
        model = context.resources.catalog.models[state["route"].model]
        return AgentState(shrunk=MAX_SHRINKS + 1, failure=context_length_exceeded(sent_tokens, model))
    log.warning("prompt.longer_than_estimated", model=request.model, estimated_tokens=sent_tokens)
    return AgentState(room=int(sent_tokens * _SHRINK_FACTOR), shrunk=shrink_count)


async def _summarize_oldest(
    memory: Memory, context: AgentContext, history: Messages, limit: int, fixed_tokens: int
) -> Messages:
    """The newest exchanges, after notes were made of all before them; the last one stays if it can."""
    notes_limit = max(_MIN_NOTES_TOKENS, min(_MAX_NOTES_TOKENS, limit // _NOTES_SHARE))
    remaining = limit - fixed_tokens - notes_limit - max_total_tokens(notes.as_messages("-"))
    kept = newest_exchanges(history, remaining // 2)
    if not kept:
        last = max((at for at, m in enumerate(history) if m.role == "user"), default=0)
        kept = newest_exchanges(history[last:], remaining)
    if memory.too_many_rows:
        is_small = (
            len(history) <= ROWS_AFTER_SUMMARY
        )  # the branch is long of questions that were never answered
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
    """Tokens that messages may take: of the window, without the tools' schemas and an answer."""
    turn = state["turn"]
    limit = model.context_window - _answer_reserve(turn, model.context_window)
    limit -= sum(map(_max_tool_tokens, tools))
    reduced_limit = state["room"]
    return limit if reduced_limit is None else min(limit, reduced_limit)


def _max_tool_tokens(tool: ToolSpec) -> int:
    """Tokens that the definition of a tool takes at most."""
    schema = orjson.dumps(tool.parameters).decode()
    return (
        estimate_max_tokens(tool.name) + estimate_max_tokens(tool.description) + estimate_max_tokens(schema)
    )


def _answer_reserve(turn: Turn, context_window: int) -> int:
    requested = turn.sampling.max_tokens
    return requested or max(_MIN_ANSWER_TOKENS, min(_MAX_ANSWER_TOKENS, context_window // _ANSWER_SHARE))
