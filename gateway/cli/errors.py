"""Turns operator errors into one sentence on standard error and exit code 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from gateway.embedded.errors import EngineError


class OperatorError(Exception):
    """A problem that the operator can fix.

    The message says what happened and what to do.
    """


class FriendlyErrors(TyperGroup):
    """Root command group that prints known errors as sentences instead of tracebacks."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (OperatorError, EngineError) as error:
            sentence = str(error)
        except Exception as error:
            sentence = message_for(error)
            if not sentence:
                raise
        typer.echo(sentence, err=True)
        raise typer.Exit(1)


def message_for(error: Exception) -> str:
    """Return the message for an operator; empty if the error is a bug."""
    # Imported only on errors, because each of these takes time.
    import asyncpg
    import redis
    from sqlalchemy.exc import SQLAlchemyError

    from gateway.core.exceptions import GatewayError, Unavailable
    from gateway.domain.config.loader import ConfigError
    from gateway.providers.registry import ProviderMisconfigured
    from gateway.tools.registry import ToolConfigurationError

    if isinstance(error, Unavailable):
        return "The database cannot be reached. Run `gateway doctor` for details."
    if isinstance(error, GatewayError | ConfigError | ProviderMisconfigured | ToolConfigurationError):
        return str(error)
    for cause in _causes(error):
        if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError):
            detail = f"{_with_period(first_line(cause))}{_database_remedy(cause)}"
            return f"The database at DATABASE_URL cannot be used: {detail}"
    if isinstance(error, SQLAlchemyError):
        return f"The database at DATABASE_URL cannot be used: {first_line(error)}"
    if isinstance(error, redis.RedisError):
        return f"Valkey at REDIS_URL cannot be used: {first_line(error)}"
    return ""


# By prefix of PostgreSQL's SQLSTATE.
_DATABASE_REMEDIES = {
    "28": "Check the user name and the password in DATABASE_URL, and the server's pg_hba.conf.",
    "3D": "Create that database (`createdb`), or correct the name in DATABASE_URL.",
    "42501": "Grant the user CREATE on the database and its schema `public`, or make it their owner.",
    "53300": "Raise max_connections, or lower DATABASE_POOL_SIZE or the number of workers.",
    "57P03": "It is starting or stopping. Try again.",
    "55P03": "Another session holds a lock. End it, or try again when it has finished.",
}


def _database_remedy(cause: BaseException) -> str:
    state = getattr(cause, "sqlstate", None) or ""
    return next((f" {cure}" for code, cure in _DATABASE_REMEDIES.items() if state.startswith(code)), "")


def _with_period(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes; SQLAlchemy wraps the driver's error twice."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = getattr(following, "orig", None) or following.__cause__


def first_line(error: BaseException) -> str:
    """Return the first line of the message, or the class name if it is empty."""
    first, _, _ = str(error).partition("\n")
    return first.strip() or type(error).__name__
