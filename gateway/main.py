"""The application: `create_app()`, its lifespan and its shutdown."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import FrameType
from typing import Any

import structlog
from fastapi import FastAPI

from gateway.core import lazy_otel_sdk  # noqa: F401 - before the modules that import it

# isort: split

from gateway import routers
from gateway.bootstrap.container import Container
from gateway.bootstrap.reload import open_gateway
from gateway.console.fallback import ConsoleFallback
from gateway.console.site import ConsoleSite
from gateway.core.exceptions import Unavailable
from gateway.core.logging.setup import configure_logging
from gateway.core.security.jwt_secret import check_jwt_secret
from gateway.core.security.secret_files import load_secret_files
from gateway.core.settings import Settings
from gateway.core.sighup import handle_sighup
from gateway.core.tracing import captures_content, configure_tracing, stop_tracing
from gateway.core.version import VERSION
from gateway.middleware import install_middleware
from gateway.routers.errors import install_error_handlers
from gateway.routers.openapi import install_openapi

log = structlog.get_logger(__name__)

# If a proxy can send requests to other workers: how long requests are served as usual, except that each
# response closes its connection, and how long turns are accepted after the listener has closed.
CLOSE_LISTENER_AFTER_SECONDS = 0.5
ADMIT_AFTER_CLOSE_SECONDS = 1.0
# The garbage collector runs after this many new objects.
GC_THRESHOLD = 10_000


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI application; by default, settings are read from the environment.

    Raises:
        SecretFileError: a `NAME_FILE` of the environment cannot be read.
        WeakSecret: the secret is too weak for production.
    """
    if settings is None:
        load_secret_files(os.environ)
        settings = Settings()
    if settings.environment == "production":
        check_jwt_secret(settings.jwt_secret.get_secret_value())
    configure_logging(settings)
    if settings.log_prompts:
        log.warning("prompts.logged", why="LOG_PROMPTS=true")
    if configure_tracing():
        log.info("tracing.enabled", content_captured=captures_content())
    app = FastAPI(
        title="LLM Gateway",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # `install_openapi` serves it
        summary="One self-hosted API for every language model.",
        lifespan=lambda app: _lifespan(app, settings),
        redirect_slashes=False,
    )
    routers.include_all(app)
    app.router.default = ConsoleFallback(app.router.default, ConsoleSite.load())
    install_error_handlers(app)
    install_middleware(app, settings)
    install_openapi(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    def activate(container: Container) -> None:
        app.state.container = container

    # Signals are received before the configuration is read: a later one means a file that may be newer.
    with handle_sighup() as sighup:
        async with open_gateway(settings, activate) as (container, app.state.reloads):
            await _persist_environment_keys(container)
            restore_signals = GracefulShutdown(app, container).install()
            sighup.start(app.state.reloads.reload_on_signal)
            gc_threshold = gc.get_threshold()
            freeze_gc()
            try:
                yield
            finally:
                gc.unfreeze()
                gc.set_threshold(*gc_threshold)
                restore_signals()
    # Last, when the spans of all turns have ended. It may have to wait for the collector.
    await asyncio.to_thread(stop_tracing)


async def _persist_environment_keys(container: Container) -> None:
    try:
        await container.accounts.environment_keys.persist()
    except Unavailable:
        # The gateway starts without its database; until that is back, these keys are rejected like others.
        log.warning("environment_keys.not_persisted")


def freeze_gc() -> None:
    """Exclude the objects made at startup from garbage collection.

    The libraries' modules are hundreds of thousands of objects that are never freed; scanning them again and
    again took a tenth of the CPU under load. A collection stops all requests while it scans the objects made
    since the last one: 130 ms for 100,000 of them, 7 ms for 10,000.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


class GracefulShutdown:
    """Starts draining in the signal handler: the lifespan ends only after all connections have closed.

    The server stops once the running turns have ended, and rejects new ones with 503 meanwhile. If a proxy
    can send requests to other workers (`SHUTDOWN_LISTENING=false`), the listener is closed first, and turns
    are accepted until no request can be on its way any more: a rolling restart rejects nothing. A second
    signal stops the server at once.
    """

    def __init__(self, app: FastAPI, container: Container) -> None:
        self._app = app
        self._container = container
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None

    def install(self) -> Callable[[], None]:
        """Handle SIGTERM and SIGINT.

        Returns a function that restores the previous handlers.
        """
        previous: list[tuple[signal.Signals, Any]] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            try:
                signal.signal(number, partial(self._on_signal, handler))
            except ValueError:
                # Not the main thread (a server in a test): its owner ends the lifespan, which drains as well.
                return lambda: None
            previous.append((number, handler))

        def restore() -> None:
            for number, handler in previous:
                signal.signal(number, handler)

        return restore

    def _on_signal(self, handler: Any, number: int, frame: FrameType | None) -> None:
        def stop() -> None:
            if callable(handler):
                handler(number, None)

        self._loop.call_soon_threadsafe(self._begin, stop)

    def _begin(self, stop: Callable[[], None]) -> None:
        if self._draining is not None:
            self._container.tasks.begin_draining()
            stop()
        else:
            self._app.state.closing_connections = True
            self._draining = self._loop.create_task(self._drain(stop))

    async def _drain(self, stop: Callable[[], None]) -> None:
        tasks = self._container.tasks
        if self._container.settings.shutdown_listening:
            tasks.begin_draining()
            await tasks.wait_idle()
            stop()
            return
        await asyncio.sleep(CLOSE_LISTENER_AFTER_SECONDS)
        stop()
        await asyncio.sleep(ADMIT_AFTER_CLOSE_SECONDS)
        tasks.begin_draining()
