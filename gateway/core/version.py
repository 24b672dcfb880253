"""The version of the gateway that runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _read() -> str:
    try:
        return version("llm-gateway")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


VERSION: Final = _read()
