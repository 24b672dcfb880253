"""Base class of all configuration sections."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError

# The database, Valkey and timers accept no larger numbers.
MAX_NUMBER = 10**12


class ConfigModel(BaseModel):
    """A configuration section; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _check_upper_bound(cls, value: Any) -> Any:
        if isinstance(value, int | float | Decimal) and value > MAX_NUMBER:
            raise PydanticCustomError("too_large", "this number exceeds {most}", {"most": f"{MAX_NUMBER:,}"})
        return value
