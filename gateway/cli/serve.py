"""`gateway serve`: starts and stops engines, schema, first account and server."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Final

import structlog
import uvicorn

from gateway.cli.accounts import FirstAccount, create_first_account
from gateway.cli.checks import valkey
from gateway.cli.environment import export_settings, read_settings
from gateway.cli.errors import OperatorError
from gateway.cli.migrations import upgrade
from gateway.cli.models import needs_local_model
from gateway.cli.readiness import ReadinessAnnouncer
from gateway.cli.signals import (
    Terminated,
    ignore_reraised_signals,
    interrupt_on_signals,
    stop_with_parent,
    terminal_watcher,
)
from gateway.cli.supervisor import Supervisor
from gateway.cli.worker_metrics import shared_metrics_dir
from gateway.core.logging.setup import configure_logging
from gateway.core.security import process_environment
from gateway.core.settings import Settings
from gateway.embedded.engines import EmbeddedEngines

log = structlog.get_logger(__name__)

# Added to the grace period of running turns, before uvicorn closes remaining connections.
SHUTDOWN_MARGIN_SECONDS: Final = 5
# Longer than a proxy in front keeps idle connections, so that it never uses a closing one.
KEEP_ALIVE_SECONDS: Final = 75
# A worker that does not respond for this long is killed, with all of its streams, and replaced. An overloaded
# or suspended machine may not respond for longer than uvicorn's default of 5 s.
WORKER_TIMEOUT_SECONDS: Final = 30


def serve(host: str, port: int, workers: int, data_dir: Path | None) -> int:
    """Run until a signal stops it; returns the exit code."""
    process_environment.hide_environment()
    settings = read_settings(data_dir)
    if "LOG_FORMAT" not in os.environ and sys.stdout.isatty() and settings.environment == "development":
        os.environ["LOG_FORMAT"] = "console"  # readable in a terminal
        settings = Settings()
    configure_logging(settings)
    raise_file_limit()
    listener = bind(host, port)
    engines = EmbeddedEngines(
        settings.data_dir,
        database_url=settings.database_url.get_secret_value(),
        redis_url=settings.redis_url.get_secret_value(),
    )
    terminal_closed = terminal_watcher()
    with interrupt_on_signals():
        if os.environ.get("STOP_WITH_PARENT"):
            threading.Thread(target=stop_with_parent, args=(os.getppid(),), daemon=True).start()
        try:
            engines.start()
            settings, first = prepare(settings, engines)
            return run(
                listener,
                workers,
                settings,
                first,
                local=engines.local_model_url,
                terminal_closed=terminal_closed,
            )
        except Terminated:
            return 0
        except KeyboardInterrupt:
            return 130
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                # Further signals must not interrupt the engines' shutdown.
                signal.signal(number, signal.SIG_IGN)
            listener.close()
            engines.stop()


def raise_file_limit() -> None:
    """Raise the soft limit of file descriptors to the hard limit: a stream needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    with contextlib.suppress(ValueError, OSError):  # macOS reports "unlimited" but rejects it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket to the address before anything is started for it.

    Raises:
        OperatorError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"Cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}. Stop "
            f"the program that"
            " uses it, or choose another port with --port (or PORT)."
        ) from None
    listener.set_inheritable(True)
    return listener


def _address_taken(host: str, port: int) -> OperatorError:
    """Return the error for an address taken between our `bind` and `listen`."""
    return OperatorError(
        f"Cannot listen on {host} port {port}: another program that started at the same time listens there."
        " Stop it, or choose another port with --port (or PORT)."
    )


def prepare(settings: Settings, engines: EmbeddedEngines) -> tuple[Settings, FirstAccount | None]:
    """Migrate, create the first account and start the local model if needed."""
    settings = export_settings(
        settings, engines.data_dir, database_url=engines.database_url, redis_url=engines.redis_url
    )
    local = needs_local_model(settings)  # first, because it reports configuration errors
    if local:
        url = engines.start_local_model()
        settings = export_settings(
            settings,
            engines.data_dir,
            database_url=engines.database_url,
            redis_url=engines.redis_url,
            local_model_url=url,
        )
    upgrade(engines.database_url)
    _warn_if_valkey_unusable(engines.redis_url)
    return settings, create_first_account(settings)


def _warn_if_valkey_unusable(url: str) -> None:
    """Log a warning if Valkey is down or refuses commands.

    The gateway runs without it.
    """
    found = valkey.check_valkey(url)
    if not found.ok:
        log.warning("valkey.unusable", reason=found.message)


def run(
    listener: socket.socket,
    workers: int,
    settings: Settings,
    first: FirstAccount | None,
    *,
    local: str,
    terminal_closed: Callable[[], bool],
) -> int:
    """Serve on the socket; the banner is printed when the gateway is ready.

    SIGHUP reloads the provider configuration, or stops the gateway if its terminal was closed.
    """
    config = uvicorn.Config(
        "gateway.cli.worker:create_app",
        factory=True,
        workers=workers,
        loop="uvloop",
        http="gateway.cli.http_protocol:BoundedProtocol",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # trusted proxies are a setting of the gateway
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_worker_healthcheck=WORKER_TIMEOUT_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_seconds) + SHUTDOWN_MARGIN_SECONDS,
    )
    address = listener.getsockname()[:2]
    herald = ReadinessAnnouncer(listener, first, local)
    herald.start()
    try:
        if workers > 1:
            with process_environment.secrets_removed():
                resource_tracker.ensure_running()  # otherwise a worker would start it, with its environment
            with shared_metrics_dir(settings.data_dir):
                Supervisor(config, [listener], terminal_closed).run()
            return 0 if herald.announced else 1
        server = uvicorn.Server(config)
        with ignore_reraised_signals(terminal_closed):
            server.run(sockets=[listener])
        return 0 if server.started else 1
    finally:
        herald.cancel()
        if herald.address_taken:
            raise _address_taken(*address)
