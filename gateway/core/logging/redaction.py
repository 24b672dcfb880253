"""The last line of defence: known shapes of secrets are blanked out of a finished log line."""

from __future__ import annotations

import re

MASK = "[redacted]"

# A line with none of these holds no known shape; looking for them is far cheaper than the pattern.
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
    """`line` with every known shape of a secret replaced by `MASK`; JSON stays JSON."""
    for marker in _MARKERS:
        if marker in line:
            return _SECRET.sub(_mask, line)
    return line


def _mask(match: re.Match[str]) -> str:
    found = match.group()
    if found[0] in "\"'\\ :=":  # what stands between `authorization` and its value is punctuation to keep
        value = found.lstrip("\"'\\ :=")
        return found[: len(found) - len(value)] + MASK
    return MASK
