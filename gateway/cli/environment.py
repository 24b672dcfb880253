"""Settings and engines of a command, and their export to the application."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import load_dotenv
from pydantic import ValidationError

from gateway.cli.errors import OperatorError
from gateway.core.bundled_files import bundled_files_dir
from gateway.core.logging.setup import configure_logging
from gateway.core.security.jwt_secret import WeakSecret, check_jwt_secret
from gateway.core.security.secret_files import SecretFileError, load_secret_files
from gateway.core.settings import Settings
from gateway.embedded.data_dir import DataDir
from gateway.embedded.engines import engines_for_command


def read_settings(data_dir: Path | None = None) -> Settings:
    """Read the settings from the environment and `.env`; `--data-dir` overrides both.

    Raises:
        OperatorError: a setting is invalid; values are not shown.
    """
    if data_dir is not None:
        os.environ["DATA_DIR"] = str(data_dir)
    load_dotenv(".env")  # the provider configuration and libraries read the environment, not `Settings`
    try:
        load_secret_files(os.environ)
    except SecretFileError as error:
        raise OperatorError(str(error)) from None
    if "PROVIDER_CONFIG" not in os.environ and not Settings.model_fields["provider_config"].default.exists():
        os.environ["PROVIDER_CONFIG"] = str(bundled_files_dir() / "provider_config.yaml")
    try:
        settings = Settings()
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, detail['loc'])).upper()}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False, include_input=False)
        )
        raise OperatorError("These settings are invalid: " + "; ".join(problems)) from None
    if settings.environment == "production":
        try:
            check_jwt_secret(settings.jwt_secret.get_secret_value())
        except WeakSecret as error:
            raise OperatorError(str(error)) from None
    return settings


def export_settings(
    settings: Settings, data_dir: DataDir, *, database_url: str, redis_url: str, local_model_url: str = ""
) -> Settings:
    """Export the engines' addresses to this process's environment, for workers.

    Returns the new settings.
    """
    os.environ["DATABASE_URL"] = database_url
    os.environ["REDIS_URL"] = redis_url
    if local_model_url:
        os.environ["LOCAL_MODEL_URL"] = local_model_url
    if not settings.jwt_secret.get_secret_value():
        os.environ["JWT_SECRET"] = data_dir.secret("jwt_secret")
    return Settings()


def configure_command_logging(settings: Settings) -> None:
    """Log only warnings, to standard error: standard output is the command's result."""
    configure_logging(settings.model_copy(update={"log_level": "WARNING"}), stream=sys.stderr.buffer)


@contextmanager
def command_settings(data_dir: Path | None) -> Iterator[Settings]:
    """Yield the settings of a short command, with its engines running.

    The engines are those of the environment, those of the gateway that runs on the data directory, or ones
    started for this command.
    """
    settings = read_settings(data_dir)
    configure_command_logging(settings)
    urls = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    with engines_for_command(settings.data_dir, database_url=urls[0], redis_url=urls[1]) as found:
        yield export_settings(
            settings,
            found.data_dir,
            database_url=found.database_url,
            redis_url=found.redis_url,
            local_model_url=settings.local_model_url or found.local_model_url,
        )
