"""An operator's mistake is one sentence on standard error and exit code 1, never a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from gateway.embedded.errors import EngineError


class OperatorError(Exception):
    """Something that the operator can mend; the message says what and how."""


class SpokenErrors(TyperGroup):
    """The top of the command line: turns the errors that have words into their words."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (OperatorError, EngineError) as error:
            sentence = str(error)
        except Exception as error:
            sentence = words_for(error)
            if not sentence:
                raise
        typer.echo(sentence, err=True)
        raise typer.Exit(1)


def words_for(error: Exception) -> str:
    """What to tell an operator about an error from below; empty where it is a fault of the program."""
    # Imported only when something went wrong: each of these costs time.
    import asyncpg
    import redis
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    from gateway.core.exceptions import GatewayError, Unavailable
    from gateway.domain.catalog_file import ConfigError
    from gateway.providers.chat.registry import ProviderMisconfigured
    from gateway.tools.registry import ToolConfigurationError

    if isinstance(error, Unavailable):
        return "The database cannot be reached; `gateway doctor` says more."
    if isinstance(error, GatewayError | ConfigError | ProviderMisconfigured | ToolConfigurationError):
        return str(error)
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError | SQLAlchemyError):
        return f"The database at DATABASE_URL cannot be used: {brief(cause)}"
    if isinstance(error, redis.RedisError):
        return f"Valkey at REDIS_URL cannot be used: {brief(error)}"
    return ""


def brief(error: BaseException) -> str:
    """The first line of an error's text, with its kind where it says nothing."""
    first, _, _ = str(error).partition("\n")
    return first.strip() or type(error).__name__
