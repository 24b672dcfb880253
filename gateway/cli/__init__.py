"""The command line: `gateway serve`, and what an operator does beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv

from gateway.cli.errors import FriendlyErrors

DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where embedded engines keep data (default: DATA_DIR or .gateway)."),
]

app = typer.Typer(
    cls=FriendlyErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One self-hosted door to every language model.",
)
admin = typer.Typer(no_args_is_help=True, help="Administrators.")
keys = typer.Typer(no_args_is_help=True, help="API keys.")
app.add_typer(admin, name="admin")
app.add_typer(keys, name="keys")


def _show_version(asked: bool) -> None:
    if asked:
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
    """One self-hosted door to every language model."""
    # Before the commands' options are read, since HOST and PORT may stand there too.
    load_dotenv(".env")


# Each command imports its own module: `--help` need not load a web server.


@app.command()
def serve(
    host: Annotated[str, typer.Option(envvar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535, help="0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer requests.")] = 1,
    data_dir: DataDirOption = None,
) -> None:
    """Start the gateway, with engines of its own where DATABASE_URL or REDIS_URL is not set."""
    from gateway.cli.serve import serve as run

    raise typer.Exit(run(host, port, workers, data_dir))


@app.command()
def migrate(
    data_dir: DataDirOption = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to try again while other sessions lock the tables.")
    ] = 600,
) -> None:
    """Bring the database to the newest schema."""
    from gateway.cli.environment import command_settings
    from gateway.cli.migrations import upgrade

    with command_settings(data_dir) as settings:
        revision = upgrade(settings.database_url.get_secret_value(), wait)
        typer.echo(f"The database is at revision {revision}.")


@admin.command("create")
def admin_create(
    email: Annotated[str, typer.Option(help="The administrator's e-mail address.")],
    password: Annotated[
        str, typer.Option(envvar="ADMIN_PASSWORD", help="Left out, one is made and printed.")
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
    email: Annotated[
        str, typer.Option(help="The account's e-mail address; it need not be an administrator's.")
    ],
    password: Annotated[
        str, typer.Option(envvar="NEW_PASSWORD", help="Left out, one is made and printed.")
    ] = "",
    data_dir: DataDirOption = None,
) -> None:
    """Set the password of an account that has lost it; its sessions end."""
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
    """Create an API key; it is shown only once."""
    from gateway.cli.accounts import create_key
    from gateway.cli.environment import command_settings

    with command_settings(data_dir) as settings:
        secret = create_key(settings, user, name)
    typer.echo(f"API key: {secret}")


@app.command()
def doctor(data_dir: DataDirOption = None) -> None:
    """Check everything the gateway stands on, and say how to mend what is wrong."""
    from gateway.cli.doctor import run_checks

    raise typer.Exit(run_checks(data_dir))
