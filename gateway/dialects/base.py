"""What a dialect does: parse a client's body into a `Turn`, and encode the events of its answer."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.core.json_body import parse_json
from gateway.dialects.errors import validation_error
from gateway.domain.events import ChatEvent

B = TypeVar("B", bound=BaseModel)


class StreamEncoder(Protocol):
    """Encodes one stream's events into the bytes of its wire; holds that stream's little state."""

    def encode(self, event: ChatEvent) -> bytes | None:
        """The bytes for `event`, None where this dialect does not show it.

        Raises:
            GatewayError: the turn ended in a way that this dialect can only say as a status; never after
                it returned bytes.
        """


def parse_body(model: type[B], body: bytes) -> B:
    """Validate a JSON body.

    Raises:
        ValidationFailed: `param` is the path of the first field that is wrong; the input is not echoed.
    """
    data = parse_json(body)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise validation_error(error.errors(include_url=False, include_input=False)) from None
