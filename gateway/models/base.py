"""What all tables share: names of constraints, types of columns, the id and the time of creation."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, MetaData, Numeric, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from gateway.core.ids import new_id

# Alembic can only drop and compare constraints whose names are the same everywhere.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# US dollars with ten decimals: a single token of a cheap model is not rounded away.
Money = Numeric(20, 10)

BigInt = Annotated[int, mapped_column(BigInteger)]


class Base(DeclarativeBase):
    """Declarative base; tables have no relationships, repositories join by name."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a class attribute
        str: Text(),
        UUID: Uuid(as_uuid=True),
        datetime: DateTime(timezone=True),
        Decimal: Money,
        dict[str, Any]: JSONB(),
        list[str]: JSONB(),
        list[Any]: JSONB(),
    }


class HasId:
    """A UUIDv7 primary key, made by the application."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)


class HasCreatedAt:
    """The time of insertion by the database's clock, UTC with a zone."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
