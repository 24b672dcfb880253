"""Request bodies that no route may accept; `secret-marker` must not be echoed."""

from __future__ import annotations

from gateway.core.json_body import MAX_DEPTH

HOSTILE_JSON: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  ",
    "garbage": b"{secret-marker",
    "trailing": b'{"a": 1} secret-marker',
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "overflow": b'{"a": 1e999}',
    "negative overflow": b'{"a": -1e999}',
    "lone high surrogate": rb'{"a": "\ud800"}',
    "lone low surrogate": rb'{"a": "\udc00 secret-marker"}',
    "surrogate in a key": rb'{"\ud800": 1}',
    "surrogates the wrong way round": rb'{"a": "\udc00\ud800"}',
    "encoded surrogate": b'{"a": "\xed\xa0\x80"}',
    "escaped NUL": rb'{"a": "x\u0000y"}',
    "escaped NUL in a key": rb'{"a\u0000": 1}',
    "escaped NUL behind an escaped backslash": rb'{"a": "\\\u0000"}',
    "raw NUL": b'{"a": "\x00"}',
    "control character": b'{"a": "\x01"}',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "10,000 deep in objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "900 deep": b"[" * 900 + b"]" * 900,
    "one too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "deep beside shallow": b"[1, " + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"]",
    "millions of lists": b"[" + b"[]," * 1_000_000 + b"0]",
    "single quotes": b"{'a': 1}",
    "comment": b'{"a": 1} // x',
}
