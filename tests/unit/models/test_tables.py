"""Rules for every table."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import DateTime, Float, Table

import gateway.models
from gateway.models.base import Base
from tests.support.paths import PROJECT

for file in sorted(Path(gateway.models.__path__[0]).glob("[a-z]*.py")):
    import_module(f"gateway.models.{file.stem}")

TABLES = list(Base.metadata.tables.values())
# A set by nature; workers of a parallel run must agree on an order.
MAPPERS = sorted(Base.registry.mappers, key=lambda mapper: mapper.class_.__name__)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_times_have_a_zone_and_money_is_not_a_float(table: Table):
    for column in table.columns:
        assert not isinstance(column.type, Float)
        if isinstance(column.type, DateTime):
            assert column.type.timezone


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_constraint_has_a_name_that_migrations_can_drop(table: Table):
    assert all(constraint.name for constraint in table.constraints)


@pytest.mark.parametrize("mapper", MAPPERS, ids=lambda mapper: mapper.class_.__name__)
def test_no_table_has_lazy_relationships(mapper):
    assert all(relationship.lazy == "raise" for relationship in mapper.relationships)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_foreign_key_is_indexed(table: Table):
    # Without one, deleting a row reads the whole table that points at it.
    leading = {next(iter(index.columns)).name for index in table.indexes}
    leading |= {next(iter(table.primary_key.columns)).name}
    assert {key.parent.name for key in table.foreign_keys} <= leading


def test_env_py_knows_every_table():
    environment = (PROJECT / "alembic" / "env.py").read_text()
    modules = {mapper.class_.__module__.rsplit(".", 1)[1] for mapper in Base.registry.mappers}
    assert all(module in environment for module in modules)
