"""Routes for a user's conversations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from gateway.core.body_limit import MEDIUM_BODY
from gateway.core.ids import parse_id
from gateway.domain.accounts.principal import Principal
from gateway.domain.conversations.models import BranchMessage
from gateway.routers.body import StrictJsonRoute, body_limit
from gateway.routers.dependencies import document_errors, get_container, require_user
from gateway.routers.pagination import Cursor, Limit
from gateway.schemas.base import Storable
from gateway.schemas.conversation import (
    BranchMessageOut,
    ConversationCreate,
    ConversationListed,
    ConversationOut,
    ConversationPage,
    ConversationPatch,
    ConversationRead,
    MessageOut,
    MessagePage,
)
from gateway.services.chat.conversations import ConversationService

router = APIRouter(prefix="/api/conversations", tags=["conversations"], route_class=StrictJsonRoute)

SearchText = Annotated[
    str, Query(max_length=200, description="The words to search for, as they are."), Storable
]
User = Annotated[Principal, Depends(require_user)]


def _service(request: Request) -> ConversationService:
    return get_container(request).chat.conversations


Service = Annotated[ConversationService, Depends(_service)]


@router.post("", status_code=201, responses=document_errors(401, 403, 404, 422))
@body_limit(MEDIUM_BODY)
async def create_conversation(body: ConversationCreate, user: User, service: Service) -> ConversationOut:
    """Create a conversation without messages."""
    conversation = await service.create(
        user.user_id, user.tier, title=body.title, model=body.model, system=body.system
    )
    return ConversationOut.model_validate(conversation)


@router.get("", responses=document_errors(401, 403, 422))
async def list_conversations(
    user: User, service: Service, q: SearchText = "", cursor: Cursor = None, limit: Limit = 20
) -> ConversationPage:
    """List my conversations, last changed first; `q` searches titles and messages."""
    page = await service.list_conversations(user.user_id, cursor=cursor, limit=limit, query=q)
    items = [ConversationListed.model_validate(item) for item in page.items]
    return ConversationPage(items=items, next_cursor=page.next_cursor)


@router.get("/{conversation_id}", response_model=ConversationRead, responses=document_errors(401, 403, 404))
async def read_conversation(conversation_id: str, user: User, service: Service) -> Response:
    """Return a conversation with the selected branch, oldest message first."""
    conversation, batches = await service.read(user.user_id, parse_id(conversation_id))
    head = ConversationOut.model_validate(conversation).model_dump_json().encode()
    # The first batch is read before anything is sent, so that early errors get their own status.
    first: list[BranchMessage] = await anext(batches, [])
    return StreamingResponse(_stream_conversation(head, first, batches), media_type="application/json")


async def _stream_conversation(
    head: bytes, first: list[BranchMessage], batches: AsyncGenerator[list[BranchMessage], None]
) -> AsyncIterator[bytes]:
    """Yield the JSON of a `ConversationRead`, one batch of messages at a time."""
    async with aclosing(batches):
        yield head[:-1] + b',"messages":[' + _messages(first)
        started = bool(first)
        async for batch in batches:
            if batch:
                yield (b"," if started else b"") + _messages(batch)
                started = True
    yield b"]}"


def _messages(batch: list[BranchMessage]) -> bytes:
    return ",".join(BranchMessageOut.of_branch(message).model_dump_json() for message in batch).encode()


@router.patch("/{conversation_id}", responses=document_errors(401, 403, 404, 422))
@body_limit(MEDIUM_BODY)
async def change_conversation(
    conversation_id: str, body: ConversationPatch, user: User, service: Service
) -> ConversationOut:
    """Change the title, model or system prompt, or select the branch to read."""
    conversation = await service.update(user.user_id, user.tier, parse_id(conversation_id), body.changes())
    return ConversationOut.model_validate(conversation)


@router.delete("/{conversation_id}", status_code=204, responses=document_errors(401, 403, 404))
async def delete_conversation(conversation_id: str, user: User, service: Service) -> None:
    """Delete a conversation with all its messages; its usage records stay."""
    await service.delete(user.user_id, parse_id(conversation_id))


@router.get("/{conversation_id}/messages", responses=document_errors(401, 403, 404, 422))
async def list_messages(
    conversation_id: str, user: User, service: Service, cursor: Cursor = None, limit: Limit = 50
) -> MessagePage:
    """List the messages of every branch, in the order they were written."""
    page = await service.list_messages(user.user_id, parse_id(conversation_id), cursor=cursor, limit=limit)
    items = [MessageOut.of(message) for message in page.items]
    return MessagePage(items=items, next_cursor=page.next_cursor)
