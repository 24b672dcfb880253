"""What all sections of the configuration have in common."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError

# The database, Valkey and timers take no numbers of more digits, and no limit needs them.
MAX_NUMBER = 10**12


class ConfigModel(BaseModel):
    """Base of every section: an unknown key is a mistake, not a wish."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _check_upper_bound(cls, value: Any) -> Any:
        if isinstance(value, int | float | Decimal) and value > MAX_NUMBER:
            raise PydanticCustomError(
                "too_large", "this number is larger than {most}", {"most": f"{MAX_NUMBER:,}"}
            )
        return value
