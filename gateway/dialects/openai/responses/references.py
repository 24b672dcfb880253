"""Resolves `item_reference`s: input items that refer to stored responses by id."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.core.exceptions import NotFound
from gateway.dialects.openai.client_tools import client_tools
from gateway.dialects.openai.responses.body import InputItem
from gateway.dialects.openai.responses.input import input_items, item_type
from gateway.dialects.openai.responses.output import from_stored
from gateway.dialects.openai.responses.reasoning import encode_reasoning, stored_reasoning
from gateway.domain.conversations.stored_messages import vendor_from_storage
from gateway.services.chat.stored_responses import StoredResponse

_ID = re.compile(r"(msg|fc|ctc|item|rs)_([0-9a-f]{32})_[0-9]{1,6}")
# Reasoning is stored only if its vendor requires it with tool calls.
_REASONING_PREFIX = "rs_"


def referenced_ids(items: Sequence[InputItem]) -> frozenset[UUID]:
    """Return the ids of the stored messages that the input refers to."""
    matches = (_ID.fullmatch(item.id or "") for item in items if item_type(item) == "item_reference")
    return frozenset(UUID(match[2]) for match in matches if match is not None)


def resolve_references(items: Sequence[InputItem], stored: Mapping[str, dict[str, Any]]) -> list[InputItem]:
    """Replace references in the input by the stored items.

    A stream may have sent the text of an answer in several items; it is stored as one, which replaces all of
    them.

    Raises:
        NotFound: no such item is stored for this account; `param` is the path of the reference.
    """
    resolved_items: list[InputItem] = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        if item_type(item) != "item_reference":
            resolved_items.append(item)
            continue
        id_ = item.id or ""
        stored_item = stored.get(id_)
        if stored_item is None and id_.startswith(_REASONING_PREFIX):
            continue
        if stored_item is None and (match := _ID.fullmatch(id_)) is not None and match[1] == "msg":
            stored_item = stored.get(f"msg_{match[2]}_0")
        if stored_item is None:
            raise NotFound(
                "No stored item has this id. Send items of responses that are not stored in full.",
                param=f"input.{index}.id",
            )
        if stored_item["id"] not in seen:
            seen.add(stored_item["id"])
            resolved_items.append(InputItem.model_validate(stored_item))
    return resolved_items


def stored_items(exchanges: Sequence[StoredResponse]) -> dict[str, dict[str, Any]]:
    """Return the items of stored questions and answers by id."""
    items: list[dict[str, Any]] = []
    for exchange in exchanges:
        question = exchange.question
        if question is not None:
            tools = client_tools(exchange.parameters.get("tools") or ())
            items += input_items(exchange.messages, question.id, tools)
        items += from_stored(exchange.answer, question)["output"]
        if thoughts := stored_reasoning(vendor_from_storage(exchange.answer.tool_calls)):
            encrypted = {"summary": [], "encrypted_content": encode_reasoning(thoughts)}
            items.append({"id": f"rs_{exchange.answer.id.hex}_0", "type": "reasoning", **encrypted})
    return {item["id"]: item for item in items}
