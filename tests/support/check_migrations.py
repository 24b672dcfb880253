"""Check that the migrations upgrade, downgrade and match the models."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from alembic.config import Config
from alembic.util import CommandError

from alembic import command
from gateway.embedded.postgres import PostgresServer
from tests.support.paths import PROJECT


def main() -> None:
    logging.basicConfig(level=logging.WARNING)  # else alembic.ini would set up a chattier one
    with tempfile.TemporaryDirectory(prefix="gateway-migrations-") as directory:
        postgres = PostgresServer(Path(directory) / "postgres", durable=False)
        postgres.start()
        try:
            config = Config(PROJECT / "alembic.ini")
            config.attributes["database_url"] = postgres.url()
            command.upgrade(config, "head")
            command.downgrade(config, "base")
            command.upgrade(config, "head")
            command.check(config)
        except CommandError as error:
            sys.exit(f"Migrations: {error}")
        finally:
            postgres.stop()
    print("Migrations go up, down and up again, and match the models.")


if __name__ == "__main__":
    main()
