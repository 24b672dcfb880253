"""What every dialect does: parse a body, encode the events of an answer."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.core.json_body import parse_json
from gateway.dialects.errors import validation_error
from gateway.domain.events import ChatEvent

B = TypeVar("B", bound=BaseModel)


class StreamEncoder(Protocol):
    """Encodes the events of one stream into bytes; holds the state of that stream."""

    def encode(self, event: ChatEvent) -> bytes | None:
        """Return the bytes for `event`, or None if this dialect does not show it.

        Raises:
            GatewayError: the turn ended in a way that this dialect can only express as an HTTP status; never
                after bytes were returned.
        """


def parse_body(model: type[B], body: bytes) -> B:
    """Validate a JSON body.

    Raises:
        ValidationFailed: `param` is the path of the first invalid field; the input is not echoed.
    """
    data = parse_json(body)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise validation_error(error.errors(include_url=False, include_input=False)) from None
