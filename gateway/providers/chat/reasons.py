"""What a provider said about a failure, without keys and without what its request held."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from gateway.core.exceptions import GatewayError, UpstreamRejected
from gateway.core.redaction import MASK, redact
from gateway.domain.catalog import ProviderConfig
from gateway.domain.messages import Message, TextPart

MAX_REASON = 300
# Words are compared as the vendor's message has them; a longer one is no word but data.
_LONGEST_WORD = 48
# The message is cut before it is searched, so that the cost has a bound.
_MAX_SEARCHED = 1200
# More input than this is not searched: the provider's words are withheld instead.
_MAX_INPUT = 4 * 1024 * 1024
_SHORTEST_SECRET = 6
_WORD = re.compile(r"[^\W_]+(?:[-_.@][^\W_]+)*")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s\"'<>]{1,256}")
_ACCOUNT = re.compile(r"\b(?:org|proj|acct|user|key|req|tenant)[-_][A-Za-z0-9]{6,}")
_SPACES = re.compile(r"\s+")
# Plain words of this length or more, and shorter ones with a digit, are not echoed where the input has them.
_LONG_WORD, _SHORT_WORD = 8, 4
# So many words in a row that the input has are an echo, however short each is.
_RUN = 3


def explain(error: GatewayError, config: ProviderConfig, inputs: Iterable[str]) -> None:
    """Make what the provider said safe to keep; a refusal of the request also says it to the caller.

    Args:
        config: of the provider, for its own secrets. inputs: the texts that the request held.
    """
    refusal = error.upstream
    if refusal is None:
        return
    reason = redacted(refusal.reason, list(secrets_of(config)), list(inputs))
    error.upstream = replace(refusal, reason=reason)
    if isinstance(error, UpstreamRejected):
        error.param = error.param or refusal.param
        if reason:
            error.message = f"{error.default_message} It says: {reason}"


def status_and_reason(error: GatewayError) -> tuple[int | None, str]:
    """The provider's HTTP status, where it gave one, and why the call failed: its words, else the error's."""
    reply = error.upstream
    if reply is None:
        return None, error.message
    return reply.status, reply.reason or error.message


def redacted(text: str, secrets: Sequence[str], inputs: Sequence[str]) -> str:
    """At most 300 characters of `text`, one line, without secrets, addresses, account ids and input."""
    if not text or sum(map(len, inputs)) > _MAX_INPUT:
        return ""
    text = text[:_MAX_SEARCHED]
    for secret in secrets:
        text = text.replace(secret, MASK)
    text = _ACCOUNT.sub(MASK, _ADDRESS.sub(MASK, redact(text)))
    text = _SPACES.sub(" ", _without_input(text, inputs)).strip()
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1].rstrip() + "…"


def texts_of(messages: Iterable[Message]) -> Iterator[str]:
    """The texts of messages and of their tool calls' arguments."""
    for message in messages:
        if isinstance(message.content, str):
            yield message.content
        else:
            yield from (part.text for part in message.content if isinstance(part, TextPart))
        yield from (call.arguments for call in message.tool_calls)


def secrets_of(config: ProviderConfig) -> Iterator[str]:
    """The provider's key, and the values of headers that the configuration adds."""
    values = [config.api_key]
    for option in ("headers", "default_headers"):
        headers = config.options.get(option)
        values += headers.values() if isinstance(headers, dict) else ()
    return (str(value) for value in values if value and len(str(value)) >= _SHORTEST_SECRET)


def _without_input(text: str, inputs: Sequence[str]) -> str:
    words = list(_WORD.finditer(text))
    hidden = [_is_echo(match.group(), inputs) for match in words]
    for first in range(len(words) - _RUN + 1):
        run = words[first : first + _RUN]
        if any(text[run[0].start() : run[-1].end()] in given for given in inputs):
            hidden[first : first + _RUN] = [True] * _RUN
    pieces: list[str] = []
    at = 0
    for match, hide in zip(words, hidden, strict=True):
        pieces.append(text[at : match.start()])
        if not hide:
            pieces.append(match.group())
        elif not pieces or not pieces[-1].isspace() or len(pieces) < 2 or pieces[-2] != MASK:
            pieces.append(MASK)
        else:
            pieces.pop()  # one mark for several words in a row
        at = match.end()
    return "".join([*pieces, text[at:]])


def _is_echo(word: str, inputs: Sequence[str]) -> bool:
    if len(word) > _LONGEST_WORD:
        return True
    telling = (
        len(word) >= _LONG_WORD
        or (len(word) >= _SHORT_WORD and any(character.isdigit() for character in word))
        or (len(word) > 1 and not word.isascii())
    )
    return telling and any(word in given for given in inputs)
