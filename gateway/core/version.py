"""Version of the running gateway."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _read() -> str:
    try:
        return version("llm-gateway")
    except PackageNotFoundError:  # running from a checkout that was not installed
        return "0"


VERSION: Final = _read()
