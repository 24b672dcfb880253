"""Command line: `gateway serve` and the operator's commands.

Business rules live in services.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv

from gateway.cli.errors import FriendlyErrors

DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data directory of embedded engines (default: DATA_DIR or .gateway)."),
]

app = typer.Typer(
    cls=FriendlyErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One self-hosted API in front of every language model.",
)
admin = typer.Typer(no_args_is_help=True, help="Administrators.")
keys = typer.Typer(no_args_is_help=True, help="API keys.")
app.add_typer(admin, name="admin")
app.add_typer(keys, name="keys")


def _show_version(requested: bool) -> None:
    if requested:
        from gateway.core.version import VERSION

        typer.echo(f"llm-gateway {VERSION}")
        raise typer.Exit


@app.callback()
def load_environment(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """One self-hosted API in front of every language model."""
    # Before the options of the command are parsed, because HOST and PORT may be set in `.env`.
    load_dotenv(".env")


# Each command imports its own module, so that `--help` does not load a web server.


@app.command()
def serve(
    host: Annotated[str, typer.Option(envvar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535, help="0 selects a free port.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of worker processes.")] = 1,
    data_dir: DataDirOption = None,
) -> None:
    """Start the gateway. Without DATABASE_URL or REDIS_URL it starts its own engines."""
    from gateway.cli.serve import serve as run

    raise typer.Exit(run(host, port, workers, data_dir))


@app.command()
def migrate(
    data_dir: DataDirOption = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to retry while other sessions lock the tables.")
    ] = 600,
) -> None:
    """Migrate the database to the latest schema."""
    from gateway.cli.environment import command_settings
    from gateway.cli.migrations import upgrade

    with command_settings(data_dir) as settings:
        revision = upgrade(settings.database_url.get_secret_value(), wait)
        typer.echo(f"The database is at revision {revision}.")


@admin.command("create")
def admin_create(
    email: Annotated[str, typer.Option(help="The administrator's e-mail address.")],
    password: Annotated[
        str, typer.Option(envvar="ADMIN_PASSWORD", help="Generated and printed if omitted.")
    ] = "",
    data_dir: DataDirOption = None,
) -> None:
    """Create an administrator."""
    from gateway.cli.accounts import create_admin
    from gateway.cli.environment import command_settings

    with command_settings(data_dir) as settings:
        used = create_admin(settings, email, password)
    typer.echo(f"admin e-mail: {email}")
    if not password:
        typer.echo(f"admin password: {used}")


@admin.command("password")
def admin_password(
    email: Annotated[str, typer.Option(help="E-mail address of any account, administrator or not.")],
    password: Annotated[
        str, typer.Option(envvar="NEW_PASSWORD", help="Generated and printed if omitted.")
    ] = "",
    data_dir: DataDirOption = None,
) -> None:
    """Set an account's password and revoke its sessions."""
    from gateway.cli.accounts import set_password
    from gateway.cli.environment import command_settings

    with command_settings(data_dir) as settings:
        used = set_password(settings, email, password)
    typer.echo(f"e-mail: {email}")
    if not password:
        typer.echo(f"password: {used}")


@keys.command("create")
def keys_create(
    user: Annotated[str, typer.Option(help="The owner's e-mail address.")],
    name: Annotated[str, typer.Option(help="What the key is for.")],
    data_dir: DataDirOption = None,
) -> None:
    """Create an API key and print it once."""
    from gateway.cli.accounts import create_key
    from gateway.cli.environment import command_settings

    with command_settings(data_dir) as settings:
        secret = create_key(settings, user, name)
    typer.echo(f"API key: {secret}")


@app.command()
def doctor(data_dir: DataDirOption = None) -> None:
    """Check everything the gateway depends on, and say how to fix what is wrong."""
    from gateway.cli.doctor import run_checks

    raise typer.Exit(run_checks(data_dir))
