"""Bytes of a page to text, by what it says of itself: a mark at its start, header, `<meta>`, or a guess."""

from __future__ import annotations

import codecs
import re

# What pages are really written in, as browsers read the labels. No other codec is tried: some of Python's
# take quadratic time, and some are no character sets.
_CODECS_BY_LABEL = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "iso-8859-9": "cp1254",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "cp949": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
    "utf-16": "utf-16-le",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    **{f"windows-125{n}": f"cp125{n}" for n in range(9)},
    **{f"iso-8859-{n}": f"iso8859_{n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
}
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
# Escape is a part of ISO-2022-JP.
_CONTROL_CHARACTERS = bytes(set(range(0x20)) - set(b"\t\n\r\x0c\x08\x1b")) + b"\x7f"


def decode(body: bytes, content_type: str, *, truncated: bool = False) -> str:
    """Text without errors: what does not fit its character set becomes U+FFFD. May take 100 ms; no I/O.

    Args:
        cut: the body may end within a character.
    """
    for mark, codec in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, "replace")
    declared = _declared_codec(body, content_type)
    # Text of another set is hardly ever valid UTF-8, and servers that declare everything Latin-1 are many.
    if (not body.isascii() or declared is None) and _is_utf_8(body, truncated):
        return body.decode("utf-8", "replace")
    if declared is None or declared == "utf-8":
        return _decode_guessing(body)
    return body.decode(declared, "replace")


def _declared_codec(body: bytes, content_type: str) -> str | None:
    if (label := _CHARSET_PARAMETER.search(content_type)) and (
        codec := _CODECS_BY_LABEL.get(label[1].lower())
    ):
        return codec
    if found := _META_CHARSET.search(body[:_HEAD_BYTES]):
        codec = _CODECS_BY_LABEL.get(found[1].decode("ascii", "replace").lower())
        # It was read as ASCII, so it cannot be UTF-16.
        return "utf-8" if codec is not None and codec.startswith("utf-16") else codec
    return None


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
        sample = sample.rpartition(b"<")[0] or sample  # not in the middle of a character
    best = from_bytes(sample, cp_isolation=_GUESSED_CODECS).best()
    return body.decode(best.encoding if best else "cp1252", "replace")


def is_binary(body: bytes) -> bool:
    """Whether this is no text, whatever its header says: by the control characters at its beginning."""
    head = body[:_HEAD_BYTES]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    controls = len(head) - len(head.translate(None, _CONTROL_CHARACTERS))
    return controls > max(4, len(head) // 50)
