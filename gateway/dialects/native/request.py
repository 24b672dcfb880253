"""Bodies of the native API, parsed into turns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from gateway.core.ids import parse_id
from gateway.dialects.base import parse_body
from gateway.domain.messages import Message
from gateway.domain.requests import ConversationTarget, Sampling, Turn
from gateway.schemas.base import Body, Metadata, bounded_list

# In place of a message id: the question has no parent, like an edited first question.
ROOT = "root"
MAX_TOOLS = 128


class RegenerateBody(Body):
    """Parameters for regenerating an answer; omitted fields default as in a turn."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)

    model: Annotated[str | None, Field(max_length=200, description="A model, an alias or `auto`.")] = None
    temperature: Annotated[float | None, Field(ge=0, le=2, strict=False)] = None
    max_tokens: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    system: Annotated[str | None, Field(max_length=100_000)] = None
    tools: Annotated[
        Literal["auto", "none"]
        | Annotated[list[Annotated[str, Field(max_length=200)]], bounded_list(MAX_TOOLS)],
        Field(description="`auto`, `none`, or the names of the tools that may be used."),
    ] = "auto"
    on_busy: Annotated[
        Literal["refuse", "queue"],
        Field(description="If the conversation has a running turn: 409 at once, or wait for it."),
    ] = "refuse"


class TurnBody(RegenerateBody):
    """One turn; omitted fields default to the conversation's settings, then the gateway's."""

    message: Annotated[str, Field(min_length=1, max_length=1_000_000, description="The question.")]
    conversation_id: Annotated[str | None, Field(description="Omitted: a new conversation starts.")] = None
    parent_id: Annotated[
        str | None,
        Field(description="The parent message; default: the head. `root`: none, to edit the first question."),
    ] = None
    cache: Annotated[
        bool | None,
        Field(description="`false`: bypass the caches; `true`: use them even if `temperature` is omitted."),
    ] = None
    metadata: Metadata = Field(default_factory=dict)


def parse_turn(body: bytes, request_id: str, *, stream: bool) -> Turn:
    """Parse a turn of a persisted conversation.

    Raises:
        ValidationFailed: the body is not valid.
        NotFound: an id is malformed.
    """
    parsed = parse_body(TurnBody, body)
    as_root = parsed.parent_id == ROOT
    return Turn(
        request_id=request_id,
        messages=(Message("user", parsed.message),),
        model=parsed.model,
        sampling=Sampling(temperature=parsed.temperature, max_tokens=parsed.max_tokens),
        conversation=ConversationTarget(
            id=parse_id(parsed.conversation_id) if parsed.conversation_id is not None else None,
            parent_id=None if parsed.parent_id is None or as_root else parse_id(parsed.parent_id),
            as_root=as_root,
            system=parsed.system,
            metadata=parsed.metadata,
            on_busy=parsed.on_busy,
        ),
        gateway_tools=_gateway_tools(parsed),
        use_cache=parsed.cache,
        stream=stream,
    )


def parse_regenerate(message_id: str, body: bytes, request_id: str, *, stream: bool) -> Turn:
    """Parse a request for another answer.

    `message_id` is the question or an answer to it.

    Raises:
        ValidationFailed: the body is not valid.
        NotFound: an id is malformed.
    """
    regenerate_of = parse_id(message_id)
    parsed = parse_body(RegenerateBody, body or b"{}")
    return Turn(
        request_id=request_id,
        messages=(),
        model=parsed.model,
        sampling=Sampling(temperature=parsed.temperature, max_tokens=parsed.max_tokens),
        conversation=ConversationTarget(
            regenerate_of=regenerate_of, system=parsed.system, on_busy=parsed.on_busy
        ),
        gateway_tools=_gateway_tools(parsed),
        use_cache=False,
        stream=stream,
    )


def _gateway_tools(body: RegenerateBody) -> tuple[str, ...] | None:
    if isinstance(body.tools, list):
        return tuple(body.tools)
    return () if body.tools == "none" else None
