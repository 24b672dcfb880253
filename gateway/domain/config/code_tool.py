"""What the code tool may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class CodeConfig(ConfigModel):
    """What one run of code may use, how many run at once, and how long the others wait for their place.

    Places are given to the accounts in turn; of one account at most `waiting_per_account` runs wait.

    `require_bwrap` refuses to run code where only the plain process is there as a second layer.
    """

    seconds: Annotated[float, Field(gt=0, le=20)] = 5
    memory_mb: Annotated[int, Field(ge=8, le=1024)] = 64
    processes: Annotated[int, Field(ge=1, le=32)] = 2
    waiting_per_account: Annotated[int, Field(ge=1, le=1000)] = 32
    queue_seconds: Annotated[float, Field(gt=0, le=30)] = 10
    require_bwrap: bool = False
