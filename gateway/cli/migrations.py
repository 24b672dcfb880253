"""Runs Alembic's migrations, one revision per transaction."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Final

import structlog
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from alembic import command
from gateway.cli.database import run_query
from gateway.cli.errors import OperatorError
from gateway.core.bundled_files import bundled_files_dir

log = structlog.get_logger(__name__)

# How long to retry a revision while other sessions (a dump, a long query) lock its tables.
WAIT_SECONDS: Final = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
# Between two revisions, turns that waited for the locks of the first can finish.
_PAUSE_BETWEEN_REVISIONS: Final = 1.0
# lock_not_available, deadlock_detected: nothing was changed, and a retry may succeed.
_RETRYABLE_STATES = ("55P03", "40P01")
# Sessions that lock the gateway's tables, longest transaction first.
_LOCK_HOLDERS = """
SELECT DISTINCT a.pid, coalesce(nullif(a.application_name, ''), 'no name') AS name,
       extract(epoch FROM now() - a.xact_start)::int AS seconds
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.granted AND n.nspname = 'public' AND a.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.xact_start < now() - interval '1 second'
ORDER BY seconds DESC LIMIT 3
"""
# A migration that older programs are incompatible with sets the comment `oldest program: NNNN` on this table.
_MINIMUM_PROGRAM = "SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"


def alembic_config(database_url: str) -> Config:
    """Return Alembic's configuration of the installed project for one database."""
    folder = bundled_files_dir()
    if not (folder / "alembic" / "versions").is_dir():
        raise OperatorError(f"The migrations are missing in {folder}. Reinstall the gateway.")
    config = Config(folder / "alembic.ini")
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str, wait: float = WAIT_SECONDS) -> str:
    """Migrate to the latest revision of this program.

    Returns the database's revision.

    Each revision runs in its own transaction, except on an empty database. If other sessions hold locks it is
    retried for `wait` seconds, and no running turn waits for it longer than a moment. A newer schema is left
    unchanged.

    Raises:
        OperatorError: locks were held all the time, or the schema is incompatible with this program.
    """
    config = alembic_config(database_url)
    revision = current_revision(database_url)
    if is_ahead(config, revision):
        check_compatible(database_url, config, revision)
        log.warning("schema.newer_than_program", schema=revision, program=latest_revision(config))
        return revision
    deadline = time.monotonic() + wait
    # Nothing uses an empty database, so all revisions are one step.
    for number, step in enumerate(_pending_revisions(config, revision) if revision else ["head"]):
        if number:
            time.sleep(_PAUSE_BETWEEN_REVISIONS)
        _run_revision(database_url, deadline, step, lambda step=step: command.upgrade(config, step))  # type: ignore[misc]
    return latest_revision(config)


def latest_revision(config: Config) -> str:
    """Return the latest revision of this program."""
    return ScriptDirectory.from_config(config).get_current_head() or ""


def is_ahead(config: Config, revision: str) -> bool:
    """Whether a newer program has migrated the database beyond this one's revisions.

    Raises:
        OperatorError: the revision is unknown and not a later one of this program.
    """
    scripts = ScriptDirectory.from_config(config)
    if not revision or any(script.revision == revision for script in scripts.walk_revisions()):
        return False
    last = latest_revision(config)
    if revision.isdigit() and last.isdigit() and int(revision) > int(last):
        return True
    raise OperatorError(
        f"The database is at revision {revision}, which this program does not know. Check that "
        f"DATABASE_URL is not "
        "the database of another program."
    )


def current_revision(database_url: str) -> str:
    """Return the database's revision; empty before the first migration."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # INFO is only about its internals
    return run_query(
        database_url, lambda connection: MigrationContext.configure(connection).get_current_revision() or ""
    )


def minimum_program_revision(database_url: str) -> str:
    """Return the lowest program revision that can use this schema; empty if any can."""
    comment: str | None = run_query(
        database_url, lambda connection: connection.execute(text(_MINIMUM_PROGRAM)).scalar_one()
    )
    label, _, revision = (comment or "").partition(":")
    return revision.strip() if label == "oldest program" else ""


def check_compatible(database_url: str, config: Config, revision: str) -> None:
    """Check that a newer schema allows this older program.

    Raises:
        OperatorError: it does not.
    """
    oldest = minimum_program_revision(database_url)
    if oldest.isdigit() and int(oldest) > int(latest_revision(config)):
        raise OperatorError(
            f"The schema is at {revision}, which programs older than {oldest} cannot use; this one is at "
            f"{latest_revision(config)}. Start the newer release, "
            "or restore the backup made before the upgrade."
        )


def _pending_revisions(config: Config, revision: str) -> list[str]:
    scripts = ScriptDirectory.from_config(config)
    known = [script.revision for script in scripts.walk_revisions()]
    return list(reversed(known[: known.index(revision)]))


def _run_revision(database_url: str, deadline: float, step: str, work: Callable[[], None]) -> None:
    """Run one revision and retry while locks are held."""
    pause = _FIRST_PAUSE
    while True:
        try:
            work()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _RETRYABLE_STATES:
                raise
            if time.monotonic() + pause > deadline:
                raise OperatorError(_lock_conflict_message(database_url, step)) from None
            log.warning("migration.waiting_for_locks", revision=step, seconds=round(pause, 1))
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            return


def _lock_conflict_message(database_url: str, step: str) -> str:
    def list_holders(connection: Connection) -> str:
        rows = connection.execute(text(_LOCK_HOLDERS)).all()
        return ", ".join(f"{row.name} (pid {row.pid}, {row.seconds} s)" for row in rows)

    holders = run_query(database_url, list_holders)
    by_holders = f" by {holders}" if holders else ""
    return (
        f"Revision {step} could not be applied because its tables are locked{by_holders}. Nothing was "
        f"changed. Wait until "
        "that session ends (a dump?), or end it with pg_terminate_backend; then run `gateway migrate`."
    )
