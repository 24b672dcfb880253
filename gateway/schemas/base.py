"""Base classes and field types of all bodies: no unknown fields, storable text."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticKnownError

MAX_METADATA_CHARACTERS: Final = 512


class Body(BaseModel):
    """A request body.

    Unknown fields are rejected, and validation errors never contain the input.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    _names: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls._names = frozenset(field.alias or name for name, field in cls.model_fields.items())

    @model_validator(mode="before")
    @classmethod
    def _one_unknown_field(cls, value: Any) -> Any:
        """Keep one unknown field to report.

        An error for each of a million would take gigabytes.
        """
        if cls.model_config.get("extra") != "forbid" or not isinstance(value, dict):
            return value
        unknown = next((name for name in value if name not in cls._names), None)
        if unknown is None:
            return value
        return {name: value[name] for name in (*cls._names, unknown) if name in value}


def max_members(limit: int) -> BeforeValidator:
    """Limit the members of an object before any of them is validated.

    pydantic counts a dictionary only after validating all members, and keeps an error for each.
    """

    def check(value: Any) -> Any:
        if isinstance(value, dict) and len(value) > limit:
            details = {"field_type": "Dictionary", "max_length": limit, "actual_length": len(value)}
            raise PydanticKnownError("too_long", details)
        return value

    return BeforeValidator(check)


def _check_metadata_value(value: Any) -> Any:
    if (len(value) if isinstance(value, str) else len(orjson.dumps(value))) > MAX_METADATA_CHARACTERS:
        raise ValueError(f"A metadata value has at most {MAX_METADATA_CHARACTERS} characters.")
    return value


# Like OpenAI's metadata, except that a value may be any short JSON.
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[Any, AfterValidator(_check_metadata_value)]],
    Field(max_length=16, description="At most 16 pairs; names of 64 characters, values of 512."),
    max_members(16),
]


def bounded_list(max_items: int, min_items: int = 0) -> Any:
    """Constrain a list's length; validation stops at the first invalid item."""
    return Field(min_length=min_items or None, max_length=max_items, fail_fast=True)


class View(BaseModel):
    """A response body, created from the attributes of a domain object."""

    model_config = ConfigDict(from_attributes=True)


def check_storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("NUL characters cannot be stored.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("A lone surrogate is not valid text.") from None
    return text


# Text from a request; constraints go before it: `Annotated[str, StringConstraints(…), Storable]`.
Storable = AfterValidator(check_storable)


class ErrorDetail(BaseModel):
    """The content of every error."""

    type: str
    code: str = Field(description="stable, for programs")
    message: str = Field(description="human-readable message")
    param: str | None = Field(description="path of the invalid field")
    request_id: str | None
    message_id: UUID | None = Field(None, description="for `turn_in_progress`: the answer being written")


class ErrorBody(BaseModel):
    """The shape of every error."""

    error: ErrorDetail
