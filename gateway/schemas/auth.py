"""Bodies of signing up, in and out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from gateway.core.emails import normalise_email
from gateway.core.passwords import MAX_LENGTH, MIN_LENGTH
from gateway.schemas.base import Body, Storable, View

# Beyond this nothing is an address, a password or a token, and it is refused before anything reads it.
_LONGEST = 1024

Email = Annotated[
    str,
    StringConstraints(max_length=320),
    AfterValidator(normalise_email),
    Field(json_schema_extra={"format": "email"}),
]
Name = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True), Storable]
NewPassword = Annotated[SecretStr, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
Password = Annotated[SecretStr, Field(max_length=_LONGEST)]
RefreshSecret = Annotated[SecretStr, Field(max_length=_LONGEST)]


class RegisterBody(Body):
    email: Email
    password: NewPassword
    name: Name = ""


class LoginBody(Body):
    # Not checked for its form: an address that is none has no account, and that is the answer.
    email: Annotated[str, StringConstraints(max_length=_LONGEST)]
    password: Password


class RefreshBody(Body):
    refresh_token: RefreshSecret


class TokenView(View):
    """A session's tokens; `expires_in` seconds until the access token is void."""

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6749's word, no secret
    expires_in: int
