"""OpenTelemetry's SDK stays unloaded until it is wanted; redis-py and langsmith load it where they can.

To be imported before they are. It costs a tenth of a second and 5 MB in every worker.
"""

from __future__ import annotations

import sys
from typing import Any

_NAME = "opentelemetry.sdk"
_modules: dict[str, Any] = sys.modules
# What Python takes for a module that is not there.
_modules.setdefault(_NAME, None)


def allow_sdk_import() -> None:
    """Let it be imported from here on."""
    if _modules.get(_NAME, _modules) is None:
        del _modules[_NAME]
