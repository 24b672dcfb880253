"""Shared definitions: constraint names, column types for money and documents."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, MetaData, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

# Alembic can only compare and drop constraints with deterministic names.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# US dollars with ten decimals, so that a single token of a cheap model is not rounded to zero.
Money = Numeric(20, 10)


class Base(DeclarativeBase):
    """Declarative base. Tables have no relationships: repositories join explicitly."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        str: Text(),
        UUID: Uuid(),
        datetime: DateTime(timezone=True),
        Decimal: Money,
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
    }
