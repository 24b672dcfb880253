"""Decodes a page by its byte order mark, `Content-Type`, `<meta>` element, or by detection."""

from __future__ import annotations

import codecs
import re

from webencodings import lookup

# webencodings has no text codec for these.
_NOT_TEXT = frozenset({"replacement", "x-user-defined"})
# Labels that are not in the WHATWG standard, or whose codec has a superset that browsers use.
_OTHER_CODECS = {"cp949": "cp949", "gbk": "gb18030"}
_GUESSED_CODECS = [
    "cp949",
    "cp932",
    "gb18030",
    "big5",
    "euc_jp",
    "cp1251",
    "cp1252",
    "cp1250",
    "koi8_r",
    "cp1253",
]
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_META_CHARSET = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w.:-]{1,40})", re.I
)
_CHARSET_PARAMETER = re.compile(r"charset\s{0,9}=\s{0,9}[\"']?([\w.:-]{1,40})", re.I)
_HEAD_BYTES = 4096
_SAMPLE_BYTES = 16 * 1024
# Without escape, which ISO-2022-JP uses.
_CONTROL_CHARACTERS = bytes(set(range(0x20)) - set(b"\t\n\r\x0c\x08\x1b")) + b"\x7f"


def decode(body: bytes, content_type: str, *, truncated: bool = False) -> str:
    """Decode a page; invalid bytes become U+FFFD. May take 100 ms of CPU time.

    Args:
        truncated: the body may end within a character.
    """
    for mark, codec in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, "replace")
    declared = _declared_codec(body, content_type)
    # Other encodings are hardly ever valid UTF-8, and many servers declare everything as Latin-1.
    if (not body.isascii() or declared is None) and _is_utf_8(body, truncated):
        return body.decode("utf-8", "replace")
    if declared is None or declared == "utf-8":
        return _decode_guessing(body)
    return body.decode(declared, "replace")


def _declared_codec(body: bytes, content_type: str) -> str | None:
    if (label := _CHARSET_PARAMETER.search(content_type)) and (codec := _codec_of(label[1])):
        return codec
    if found := _META_CHARSET.search(body[:_HEAD_BYTES]):
        codec = _codec_of(found[1].decode("ascii", "replace"))
        # The label was found as ASCII, so the page is not UTF-16.
        return "utf-8" if codec is not None and codec.startswith("utf-16") else codec
    return None


def _codec_of(label: str) -> str | None:
    """Return Python's codec for a label, read as browsers do; None if it is unknown."""
    encoding = lookup(label)
    name = encoding.codec_info.name if encoding is not None else label.lower()
    if name in _OTHER_CODECS:
        return _OTHER_CODECS[name]
    return None if encoding is None or name in _NOT_TEXT else name


def _is_utf_8(body: bytes, truncated: bool) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        return truncated and error.start >= len(body) - 3
    return True


def _decode_guessing(body: bytes) -> str:
    from charset_normalizer import from_bytes

    text = body.decode("utf-8", "replace")
    if text.count("\ufffd") * 100 < len(text):
        return text  # a few stray bytes
    sample = body[:_SAMPLE_BYTES]
    if len(body) > _SAMPLE_BYTES:
        sample = sample.rpartition(b"<")[0] or sample  # do not end within a character
    best = from_bytes(sample, cp_isolation=_GUESSED_CODECS).best()
    return body.decode(best.encoding if best else "cp1252", "replace")


def is_binary(body: bytes) -> bool:
    """Whether the content is binary, judged by the control characters at its beginning."""
    head = body[:_HEAD_BYTES]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    controls = len(head) - len(head.translate(None, _CONTROL_CHARACTERS))
    return controls > max(4, len(head) // 50)
