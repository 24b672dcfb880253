"""Keeps OpenTelemetry's SDK unloaded until tracing is configured.

redis-py and langsmith import the SDK wherever it is installed, which costs a tenth of a second and 5 MB in
every worker. Import this module before they are imported.
"""

from __future__ import annotations

import sys
from typing import Any

_NAME = "opentelemetry.sdk"
_modules: dict[str, Any] = sys.modules
# None in `sys.modules` makes an import raise ModuleNotFoundError.
_modules.setdefault(_NAME, None)


def allow_sdk_import() -> None:
    """Allow the import from here on."""
    if _modules.get(_NAME, _modules) is None:
        del _modules[_NAME]
