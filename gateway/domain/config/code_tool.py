"""The code tool."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class CodeConfig(ConfigModel):
    """Limits of one run of code, concurrent runs, and the queue for them.

    The queue alternates between accounts; each may have `waiting_per_account` waiting runs. `require_bwrap`
    refuses to run code where only the plain process is available as the second layer.
    """

    seconds: Annotated[float, Field(gt=0, le=20)] = 5
    memory_mb: Annotated[int, Field(ge=8, le=1024)] = 64
    processes: Annotated[int, Field(ge=1, le=32)] = 2
    waiting_per_account: Annotated[int, Field(ge=1, le=1000)] = 32
    queue_seconds: Annotated[float, Field(gt=0, le=30)] = 10
    require_bwrap: bool = False
