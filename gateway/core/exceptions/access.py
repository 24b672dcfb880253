"""Missing or invalid credentials, and missing permissions."""

from __future__ import annotations

from gateway.core.exceptions.base import GatewayError


class AuthenticationFailed(GatewayError):
    status = 401
    type = "authentication_error"
    code = "invalid_credentials"
    default_message = "The credentials are missing or wrong."


class TokenExpired(AuthenticationFailed):
    code = "token_expired"
    default_message = "The access token has expired. Refresh it or sign in again."


class TokenInvalid(AuthenticationFailed):
    code = "token_invalid"
    default_message = "The token is not valid."


class TokenReused(AuthenticationFailed):
    code = "token_reused"
    default_message = "This refresh token was already used, so the session has been revoked. Sign in again."


class InvalidApiKey(AuthenticationFailed):
    code = "invalid_api_key"
    default_message = "The API key is not valid."


class PermissionDenied(GatewayError):
    status = 403
    type = "permission_error"
    code = "forbidden"
    default_message = "This account is not allowed to do that."


class ScopeMissing(PermissionDenied):
    code = "scope_missing"
    default_message = "The API key lacks the scope that this route requires."


class ModelNotAllowed(PermissionDenied):
    code = "model_not_allowed"
    default_message = "The API key is not allowed to use this model."


class AccountDisabled(PermissionDenied):
    code = "account_disabled"
    default_message = "This account is disabled."
