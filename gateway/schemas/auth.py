"""Bodies of signing up, in and out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from gateway.core.email.addresses import normalize_email
from gateway.core.security.passwords import MAX_LENGTH, MAX_RAW_LENGTH, MIN_LENGTH
from gateway.schemas.base import Body, Storable, View

# Beyond this nothing is an address, a password or a token, and it is refused before anything reads it.
_MAX_LENGTH = MAX_RAW_LENGTH

Email = Annotated[
    str,
    StringConstraints(max_length=320),
    AfterValidator(normalize_email),
    Field(json_schema_extra={"format": "email"}),
]
Name = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True), Storable]
# Its length counts once it is normalised: `check_password` is the judge, and the docs tell its rule.
NewPassword = Annotated[
    SecretStr,
    Field(max_length=_MAX_LENGTH, json_schema_extra={"minLength": MIN_LENGTH, "maxLength": MAX_LENGTH}),
]
Password = Annotated[SecretStr, Field(max_length=_MAX_LENGTH)]
RefreshSecret = Annotated[SecretStr, Field(max_length=_MAX_LENGTH)]


class RegisterBody(Body):
    email: Email
    password: NewPassword
    name: Name = ""


class LoginBody(Body):
    # Not checked for its form: an address that is none has no account, and that is the answer.
    email: Annotated[str, StringConstraints(max_length=_MAX_LENGTH)]
    password: Password


class RefreshBody(Body):
    refresh_token: RefreshSecret


class ForgotPasswordBody(Body):
    # As at sign-in: what is no address has no account, and nobody is told.
    email: Annotated[str, StringConstraints(max_length=_MAX_LENGTH)]


class ResetPasswordBody(Body):
    token: Annotated[SecretStr, Field(max_length=_MAX_LENGTH)]
    password: NewPassword


class TokenView(View):
    """A session's tokens; `expires_in` seconds until the access token is void."""

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6749's word, no secret
    expires_in: int
