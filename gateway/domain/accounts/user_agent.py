"""Readable device names from `User-Agent` headers."""

from __future__ import annotations

import re

# The first match is used: browsers also name the browsers they derive from.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,39}")
UNKNOWN_DEVICE = "Unknown device"


def device_name(user_agent: str | None) -> str:
    """Return a name such as `Firefox on Linux`, or the program's, as `python-httpx`."""
    if not user_agent:
        return UNKNOWN_DEVICE
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), None)
    program = next((name for mark, name in _BROWSERS if f"{mark}/" in user_agent), None)
    if program is None and (product := _PRODUCT.match(user_agent)) is not None:
        program = None if product[0] == "Mozilla" else product[0]
    if program and system:
        return f"{program} on {system}"
    return program or system or UNKNOWN_DEVICE
