"""What all bodies of the wire share: no unknown fields, and text that every later layer can carry."""

from __future__ import annotations

from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Body(BaseModel):
    """A request's body; unknown fields are refused, and no value shows in a validation error's text."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class View(BaseModel):
    """An answer's body, made from the attributes of a domain object."""

    model_config = ConfigDict(from_attributes=True)


def storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("NUL characters cannot be stored.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("Half of a surrogate pair is no text.") from None
    return text


# Text that a request brings; constraints go before it: `Annotated[str, StringConstraints(…), Storable]`.
Storable = AfterValidator(storable)


class ErrorDetail(BaseModel):
    """The inside of every error (CONTRACT §5)."""

    type: str
    code: str = Field(description="stable, for programs")
    message: str = Field(description="a sentence, for people")
    param: str | None = Field(description="path of the offending field")
    request_id: str | None
    message_id: UUID | None = Field(None, description="of `turn_in_progress`: the answer being written")


class ErrorBody(BaseModel):
    """The one shape of an error."""

    error: ErrorDetail
