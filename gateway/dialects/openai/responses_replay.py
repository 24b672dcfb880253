"""A stored response as a stream of events, from its beginning, also while it is still being answered."""

from __future__ import annotations

from gateway.core.exceptions import GatewayError
from gateway.dialects.openai.client_tools import client_tools
from gateway.dialects.openai.responses import OF_A_CHAT, stored
from gateway.dialects.openai.responses_stream import ResponsesEncoder
from gateway.domain.conversation import StoredMessage
from gateway.domain.events import ChatEvent, TextDelta, TextReplaced, ToolCallDelta, TurnFailed
from gateway.domain.kept_messages import kept_calls
from gateway.services.responses import StoredResponse


class ResponseReplay:
    """Encodes a turn's events, and makes up from the stored message for those that are not kept any more."""

    def __init__(self, response: StoredResponse) -> None:
        parameters = response.parameters or OF_A_CHAT
        self._question = response.question
        self._encoder = ResponsesEncoder(
            response.answer.id,
            parameters,
            tools=bool(client_tools(parameters.get("tools") or ()).tools),
            created=response.answer.created_at.timestamp(),
            model=response.answer.model or "",
        )
        self._said = ""
        self._calls: set[int] = set()

    def encode(self, event: ChatEvent | StoredMessage) -> bytes:
        """The bytes for an event; the stored message is the last one of a turn that has ended."""
        match event:
            case StoredMessage():
                return self._ended(event)
            case TextReplaced(text=text):
                return self._up_to(text)
            case TextDelta(text=text):
                self._said += text
            case ToolCallDelta(index=index):
                self._calls.add(index)
        return self._encoder.encode(event) or b""

    def failed(self, error: GatewayError, request_id: str) -> bytes:
        """What ends a stream that cannot go on."""
        return self._encoder.encode(TurnFailed(error, request_id)) or b""

    def _up_to(self, text: str) -> bytes:
        """What brings the reader from what was said to `text`."""
        rest = text[len(self._said) :] if text.startswith(self._said) else ""
        if not rest:
            return b""
        self._said = text
        return self._encoder.encode(TextDelta(rest)) or b""

    def _ended(self, message: StoredMessage) -> bytes:
        frames = self._up_to(message.content)
        for at, call in enumerate(kept_calls(message.tool_calls)):
            if at not in self._calls:
                delta = ToolCallDelta(at, call.id, call.name, call.arguments)
                frames += self._encoder.encode(delta) or b""
        return frames + self._encoder.finish(stored(message, self._question))
