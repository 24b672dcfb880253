"""Tracebacks with locations and exception types, but without user content."""

from __future__ import annotations

import traceback

# Messages of these types come from code. Others (KeyError, database and parser errors) quote the offending
# value, which may be a secret or user content.
_SAFE_TYPES = (
    AttributeError,
    AssertionError,
    ImportError,
    NameError,
    NotImplementedError,
    RuntimeError,
    TypeError,
)
_MAX_FRAMES = 40


def format_exception(error: BaseException) -> str:
    """Format the error and its causes, first cause first.

    Contains frames and class names; messages only if they cannot contain user content.
    """
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain and len(chain) < 8:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n".join(_format_one(one) for one in reversed(chain))


def _format_one(error: BaseException) -> str:
    lines = [
        f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
        for frame in traceback.extract_tb(error.__traceback__, limit=-_MAX_FRAMES)
    ]
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return "\n".join(["Traceback (most recent call last):", *lines, f"{name}{_safe_message(error)}"])


def _safe_message(error: BaseException) -> str:
    code = getattr(error, "sqlstate", None)
    if isinstance(code, str):
        return f" (sqlstate {code[:5]})"
    is_safe = type(error).__module__ == "builtins" and isinstance(error, _SAFE_TYPES)
    if is_safe or _is_gateway_error(error):
        return f": {error}"
    return ""


def _is_gateway_error(error: BaseException) -> bool:
    """Check whether the gateway defines the error class and words its messages."""
    return type(error).__module__.partition(".")[0] == "gateway"
