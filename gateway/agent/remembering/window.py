"""A kept conversation's turn in a model's window: tools' results cut, older exchanges summarised."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import structlog

from gateway.agent.context import AgentContext
from gateway.agent.edges import MOST_SHRUNK
from gateway.agent.remembering import notes
from gateway.agent.remembering.fitting import (
    Messages,
    fit,
    newest_exchanges,
    shorten,
    surely_fits,
    too_long,
    total,
)
from gateway.agent.remembering.memory import KEPT_ROWS, Memory
from gateway.agent.remembering.summary import new_notes
from gateway.agent.request import message_tokens
from gateway.agent.state import AgentState
from gateway.core.exceptions import ContextLengthExceeded
from gateway.domain.catalog import ModelConfig
from gateway.domain.chat import ChatRequest, ToolSpec, Turn
from gateway.domain.tokens import most_tokens

log = structlog.get_logger(__name__)

# Room kept for an answer whose caller set no limit: a share of the window, within bounds.
_ANSWER_SHARE = 8
_LEAST_ANSWER, _MOST_ANSWER = 128, 2048
# Of a window, what notes may take, within bounds.
_NOTES_SHARE = 8
_LEAST_NOTES, _MOST_NOTES = 96, 1536
# After an upstream found a prompt too long that we thought would fit, the next holds this share of it.
_SHRINK = 0.7


def needs_room(
    state: AgentState, model: ModelConfig, tools: Sequence[ToolSpec], context: AgentContext
) -> bool:
    """Whether `make_room` has something to do; of what a caller's own body holds nothing is ever left out."""
    memory = context.memory
    if memory is None:
        return False
    messages, window = state["messages"], model.context_window
    if memory.crowded:
        return True
    # Most conversations are short: they are known to fit without counting, neither what is said nor the tools
    # on offer by `auto`, whose schemas take no more than half of a window by any tokenizer.
    spare = window // 2 if tools else 0
    if state["turn"].gateway_tools is None and surely_fits(messages, _room(state, model, ()) - spare):
        return False
    room = _room(state, model, tools)
    return not (surely_fits(messages, room) or total(messages) <= room)


async def make_room(
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
    room = _room(state, model, tools)
    head, history, tail = memory.parts(state["messages"])
    before = (*head, *notes.shown(memory.notes))
    shown = fit(before, history, tail, room)
    if memory.crowded or shown[len(before) : len(before) + len(history)] != history:
        history = await _condensed(
            memory, context, history, room, total(head) + total(shorten(tail, room // 2))
        )
        shown = fit((*head, *notes.shown(memory.notes)), history, tail, room)
    if total(shown) > room and memory.notes:
        shown = fit(head, history, tail, room)  # better an answer without the notes than none
    needed = total(shown)
    # By the tokenizer that needs the most; it may still fit by another, and nothing else is left to try.
    if needed > room and (history or state["room"] is not None or sum(map(message_tokens, shown)) > room):
        raise too_long(needed, room) if state["room"] is None else refused(needed, model)
    return shown


def answer_room(request: ChatRequest, model: ModelConfig) -> int:
    """What the prompt surely leaves of the window for an answer, and never less than a short one."""
    prompt = total(request.messages) + sum(map(_schema_size, request.tools))
    return max(_LEAST_ANSWER, model.context_window - prompt)


def refused(tokens: int, model: ModelConfig) -> ContextLengthExceeded:
    """The refusal that is an upstream's, with the numbers."""
    return ContextLengthExceeded.of(tokens, model.context_window)


def after_too_long(state: AgentState, request: ChatRequest | None, context: AgentContext) -> AgentState:
    """What follows from "too long": where an upstream said it, a kept conversation's turn tries with less.

    Our own count errs on the safe side, so either the model's window is smaller than the configuration says,
    or its tokenizer is one of a kind.
    """
    shrunk = state["shrunk"] + 1
    if request is None:
        return AgentState(shrunk=MOST_SHRUNK + 1)
    sent = total(request.messages)
    if context.memory is None or shrunk > MOST_SHRUNK:
        model = context.parts.catalog.models[state["route"].model]
        return AgentState(shrunk=MOST_SHRUNK + 1, failure=refused(sent, model))
    log.warning("prompt.longer_than_estimated", model=request.model, estimated_tokens=sent)
    return AgentState(room=int(sent * _SHRINK), shrunk=shrunk)


async def _condensed(
    memory: Memory, context: AgentContext, history: Messages, room: int, fixed: int
) -> Messages:
    """The newest exchanges, after notes were made of all before them; the last one stays if it can."""
    allowed = max(_LEAST_NOTES, min(_MOST_NOTES, room // _NOTES_SHARE))
    left = room - fixed - allowed - total(notes.shown("-"))
    kept = newest_exchanges(history, left // 2)
    if not kept:
        last = max((at for at, m in enumerate(history) if m.role == "user"), default=0)
        kept = newest_exchanges(history[last:], left)
    if memory.crowded:
        few = len(history) <= KEPT_ROWS  # the branch is long of questions that were never answered
        kept = () if few else newest_exchanges(kept[-KEPT_ROWS:], room)
        memory.moved = True
    gone = history[: len(history) - len(kept)]
    if gone:
        text = await new_notes(context, memory.notes, gone, allowed) if memory.summarises else None
        memory.cover(len(gone), text)
    return kept


def _room(state: AgentState, model: ModelConfig, tools: Sequence[ToolSpec]) -> int:
    """Tokens that messages may take: of the window, without the tools' schemas and an answer."""
    turn = state["turn"]
    room = model.context_window - _answer_room(turn, model.context_window)
    room -= sum(map(_schema_size, tools))
    least = state["room"]
    return room if least is None else min(room, least)


def _schema_size(tool: ToolSpec) -> int:
    """Tokens that the definition of a tool takes at most."""
    schema = orjson.dumps(tool.parameters).decode()
    return most_tokens(tool.name) + most_tokens(tool.description) + most_tokens(schema)


def _answer_room(turn: Turn, window: int) -> int:
    wished = turn.sampling.max_tokens
    return wished or max(_LEAST_ANSWER, min(_MOST_ANSWER, window // _ANSWER_SHARE))
