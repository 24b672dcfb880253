"""Last line of defence: masks known formats of secrets in log lines."""

from __future__ import annotations

import re

MASK = "[redacted]"

# Substring checks are far cheaper than the pattern, and a line without any of these cannot match it.
_MARKERS = ("gw_", "sk-", "rt_", "pr_", "eyJ", "AIza", "@", "earer ", "asic ", "uthorization", "UTHORIZATION")
_SECRET = re.compile(
    r"\b(?:gw_|sk-|rt_|pr_)[A-Za-z0-9_-]{8,}"  # our API keys, vendors' keys, refresh and reset tokens
    r"|\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)+"  # JSON Web Tokens
    r"|\bAIza[A-Za-z0-9_-]{20,}"  # Google's keys
    r"|(?<=[Bb]earer )[^\s\"'\\,]{4,}|(?<=[Bb]asic )[A-Za-z0-9+/=]{4,}"
    r"|(?<=://)[^\s/:@\"']{0,64}:[^\s/@\"']{1,256}(?=@)"  # user:password@ of a database's address
    r"|(?i:(?<=authorization)[\"'\\]{0,2}\s{0,2}[:=]\s{0,2}[\"'\\]{0,2}(?!bearer |basic )[^\s\"'\\,]{4,})"
)


def redact(line: str) -> str:
    """Replace every known format of a secret by `MASK`. Valid JSON stays valid."""
    for marker in _MARKERS:
        if marker in line:
            return _SECRET.sub(_mask, line)
    return line


def _mask(match: re.Match[str]) -> str:
    found = match.group()
    if found[0] in "\"'\\ :=":  # keep the punctuation between `authorization` and its value
        value = found.lstrip("\"'\\ :=")
        return found[: len(found) - len(value)] + MASK
    return MASK
