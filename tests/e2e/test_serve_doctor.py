"""`gateway doctor`, `migrate` and `admin create` on an empty database."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engines import database_url_for, execute_on_server
from tests.support.gateway_process import run_gateway

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def empty_database() -> Iterator[str]:
    name = f"gateway_doctor_{secrets.token_hex(4)}"
    execute_on_server(f'CREATE DATABASE "{name}"')
    yield database_url_for(name)
    execute_on_server(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_doctor_reports_what_is_missing_until_it_is_fixed(
    tmp_path: Path, empty_database: str, redis_url: str
) -> None:
    given = {"DATABASE_URL": empty_database, "REDIS_URL": redis_url}
    ill = run_gateway("doctor", cwd=tmp_path, **given)
    assert ill.returncode == 1
    assert "Run `gateway migrate`" in ill.stdout

    migrated = run_gateway("migrate", cwd=tmp_path, **given)
    assert migrated.returncode == 0, migrated.stderr
    well = run_gateway("doctor", cwd=tmp_path, **given)
    assert well.returncode == 0, well.stdout
    assert "FAIL" not in well.stdout
    assert "valkey 9" in well.stdout

    made = run_gateway("admin", "create", "--email", "operator@example.test", cwd=tmp_path, **given)
    assert "admin password: " in made.stdout, made.stderr
    again = run_gateway("admin", "create", "--email", "operator@example.test", cwd=tmp_path, **given)
    assert again.returncode == 1
    assert "already" in again.stderr
    nobody = run_gateway("keys", "create", "--user", "no@example.test", "--name", "x", cwd=tmp_path, **given)
    assert nobody.returncode == 1
    assert "There is no account" in nobody.stderr


def test_doctor_names_engines_that_cannot_be_reached(tmp_path: Path) -> None:
    nowhere = {
        "DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    done = run_gateway("doctor", cwd=tmp_path, **nowhere)
    assert done.returncode == 1
    assert "DATABASE_URL" in done.stdout
    assert "REDIS_URL" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
