"""Bodies of `/api/v1/llm/generate`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from gateway.schemas.base import Body, Storable, View
from gateway.schemas.conversation import UsageOut

_Name = Annotated[str, Field(min_length=1, max_length=100), Storable]


class GenerateIn(Body):
    """`payload` is an object or a text.

    The role's prompt determines which fields it needs.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)

    role: _Name
    task: _Name | None = None
    payload: dict[str, Any] | Annotated[str, Field(max_length=1_000_000), Storable]
    mode: Literal["live", "mock", "final"] | None = Field(
        None, description="`mock` calls no model, `final` the best one; default: the gateway's mode"
    )


class GenerateOut(View):
    """The same fields and types in every mode, for every provider."""

    role: str
    task: str | None
    mode: Literal["live", "mock", "final"]
    model: str
    provider: str
    content: str
    data: dict[str, Any] | None = Field(description="the object, if the role has a schema")
    usage: UsageOut
    cost_usd: str
    request_id: str
