"""Registration and login bodies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from gateway.core.email.addresses import normalize_email
from gateway.core.security.passwords import MAX_LENGTH, MAX_RAW_LENGTH, MIN_LENGTH
from gateway.schemas.base import Body, Storable, View

# Longer values are never valid addresses, passwords or tokens, and are rejected before processing.
_MAX_LENGTH = MAX_RAW_LENGTH

Email = Annotated[
    str,
    StringConstraints(max_length=320),
    AfterValidator(normalize_email),
    Field(json_schema_extra={"format": "email"}),
]
Name = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True), Storable]
# Length counts after normalization: `check_password` validates it; the schema documents the rule.
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
    # The format is not checked: a malformed address has no account, and gets the same response.
    email: Annotated[str, StringConstraints(max_length=_MAX_LENGTH)]
    password: Password


class RefreshBody(Body):
    refresh_token: RefreshSecret


class ForgotPasswordBody(Body):
    # As at login: a malformed address has no account, and the response does not reveal that.
    email: Annotated[str, StringConstraints(max_length=_MAX_LENGTH)]


class ResetPasswordBody(Body):
    token: Annotated[SecretStr, Field(max_length=_MAX_LENGTH)]
    password: NewPassword


class TokenView(View):
    """A session's tokens; the access token expires in `expires_in` seconds."""

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6749's token type, not a secret
    expires_in: int
