"""Files and sounds of a body, which only providers that speak OpenAI's API take."""

from __future__ import annotations

from typing import Any

from gateway.core.exceptions import UnsupportedParameter
from gateway.domain.messages import RawPart


def raw_part(kind: str, content: Any, path: str) -> RawPart:
    """A part `file` or `input_audio` of chat completions with its content.

    Raises:
        UnsupportedParameter: it has none, or names a file: the vendor's files are of the operator's account,
            and a client of the gateway has none there.
    """
    place = f"{path}.type"
    if not isinstance(content, dict) or not content:
        raise UnsupportedParameter("A part of this type needs its content.", param=place)
    if content.get("file_id") is not None:
        raise UnsupportedParameter("Files are given by file_data here, not by file_id.", param=place)
    return RawPart(kind, {kind: content}, place)
