"""Resources that do not exist, or whose current state conflicts with the request."""

from __future__ import annotations

from uuid import UUID

from gateway.core.exceptions.base import GatewayError


class NotFound(GatewayError):
    status = 404
    type = "not_found_error"
    code = "not_found"
    default_message = "It does not exist, or belongs to another account."


class UnsupportedEndpoint(NotFound):
    """An endpoint of a provider's API that the gateway does not implement."""

    code = "unsupported_endpoint"
    default_message = "This endpoint is not supported. GET /docs lists the supported ones."
    retryable = False


class ModelNotFound(NotFound):
    code = "model_not_found"
    default_message = "No model or alias has this name. GET /v1/models lists them."


class Conflict(GatewayError):
    status = 409
    type = "conflict_error"
    code = "conflict"
    default_message = "The request conflicts with the current state."


class EmailTaken(Conflict):
    code = "email_taken"
    default_message = "An account with this e-mail address already exists."


class LastAdmin(Conflict):
    code = "last_admin"
    default_message = "The last active admin cannot be changed or deleted."


class TurnInProgress(Conflict):
    code = "turn_in_progress"
    default_message = "A turn of this conversation is still running. Wait for it or cancel it."

    def __init__(
        self, message: str | None = None, *, param: str | None = None, message_id: UUID | None = None
    ) -> None:
        """`message_id` is the answer that is being written, if it is known."""
        super().__init__(message, param=param)
        if message_id is not None:
            self.details["message_id"] = str(message_id)
