"""Resolves `item_reference`s: items of stored responses that an input names by their ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.core.exceptions import NotFound
from gateway.dialects.openai.client_tools import client_tools
from gateway.dialects.openai.responses import stored
from gateway.dialects.openai.responses_body import InputItem
from gateway.dialects.openai.responses_input import input_items, kind_of
from gateway.dialects.openai.thoughts import carried, stored_thoughts
from gateway.domain.kept_messages import stored_vendor
from gateway.services.responses import StoredResponse

_ID = re.compile(r"(msg|fc|ctc|item|rs)_([0-9a-f]{32})_[0-9]{1,6}")
# Thoughts are stored only where their vendor wants them back with calls.
_THOUGHTS = "rs_"


def referenced(given: Sequence[InputItem]) -> frozenset[UUID]:
    """The stored messages whose items the input refers to."""
    found = (_ID.fullmatch(item.id or "") for item in given if kind_of(item) == "item_reference")
    return frozenset(UUID(match[2]) for match in found if match is not None)


def resolved(given: Sequence[InputItem], known: Mapping[str, dict[str, Any]]) -> list[InputItem]:
    """The input with the items themselves in place of references to them.

    A streamed answer may have sent its text in several items; it is stored as one, which stands for all.

    Raises:
        NotFound: no such item is stored for this account; `param` is the path of the reference.
    """
    items: list[InputItem] = []
    shown: set[str] = set()
    for at, item in enumerate(given):
        if kind_of(item) != "item_reference":
            items.append(item)
            continue
        id_ = item.id or ""
        found = known.get(id_)
        if found is None and id_.startswith(_THOUGHTS):
            continue
        if found is None and (match := _ID.fullmatch(id_)) is not None and match[1] == "msg":
            found = known.get(f"msg_{match[2]}_0")
        if found is None:
            raise NotFound(
                "No stored item has this id; items of unstored responses are sent in full.",
                param=f"input.{at}.id",
            )
        if found["id"] not in shown:
            shown.add(found["id"])
            items.append(InputItem.model_validate(found))
    return items


def items_of(exchanges: Sequence[StoredResponse]) -> dict[str, dict[str, Any]]:
    """The items of stored questions and answers, by id."""
    items: list[dict[str, Any]] = []
    for exchange in exchanges:
        question = exchange.question
        if question is not None:
            tools = client_tools(exchange.parameters.get("tools") or ())
            items += input_items(exchange.messages, question.id, tools)
        items += stored(exchange.answer, question)["output"]
        if thoughts := stored_thoughts(stored_vendor(exchange.answer.tool_calls)):
            sealed = {"summary": [], "encrypted_content": carried(thoughts)}
            items.append({"id": f"rs_{exchange.answer.id.hex}_0", "type": "reasoning", **sealed})
    return {item["id"]: item for item in items}
