"""Bodies of `/api/v1/media`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from gateway.schemas.base import Body, Storable, View, max_members

_Text = Annotated[str, Field(max_length=10_000), Storable]
_Name = Annotated[str, Field(min_length=1, max_length=200), Storable]
_Scalar = str | int | float | bool


class ImageIn(Body):
    """An image request.

    `workflow` names a file in `workflows/`, for providers that use them.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)

    prompt: Annotated[_Text, Field(min_length=1)]
    negative_prompt: _Text = ""
    width: Annotated[int, Field(ge=1, le=100_000)] | None = None
    height: Annotated[int, Field(ge=1, le=100_000)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    workflow: _Name | None = None
    model: _Name | None = Field(None, description="an image model; default: the configured one")
    provider: _Name | None = Field(None, description="only models of this provider")
    n: Annotated[int, Field(ge=1, le=100)] = 1
    placeholders: Annotated[dict[str, _Scalar], Field(max_length=50), max_members(50)] = Field(
        default_factory=dict, description="values for further placeholders of the workflow"
    )


class ImageOut(View):
    id: UUID
    url: str = Field(description="fetching it needs the account's credential")
    width: int
    height: int
    content_type: str


class ImagesOut(View):
    images: list[ImageOut]
    provider: str
    model: str
    seed: int | None
    cost_usd: str
    request_id: str


class StoredImageOut(ImageOut):
    prompt: str
    model: str
    provider: str
    seed: int | None
    size: int = Field(description="bytes")
    created_at: datetime


class ImagePage(View):
    items: list[StoredImageOut]
    next_cursor: str | None


class GenerationsBody(Body):
    """OpenAI's body of `/v1/images/generations`; unknown fields are rejected by name."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True, strict=True)

    prompt: Annotated[_Text, Field(min_length=1)]
    model: _Name | None = None
    n: Annotated[int, Field(ge=1, le=100)] | None = None
    size: Annotated[str, Field(max_length=20)] | None = None
    response_format: Annotated[str, Field(max_length=20)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None


class GenerationView(View):
    created: int
    data: list[dict[str, Any]]
