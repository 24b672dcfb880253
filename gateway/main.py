"""The application: `create_app()` and its lifespan, nothing else."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

import structlog
from fastapi import FastAPI

from gateway.core import lazy_otel_sdk  # noqa: F401 - before those who would load it

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

# Where a proxy in front has other workers to turn to: how long requests are still served as usual, each
# answer closing its connection, and how long turns are admitted after the listener has been closed.
CLOSE_LISTENER_AFTER_SECONDS = 0.5
ADMIT_AFTER_CLOSE_SECONDS = 1.0
# After so many new objects the garbage collector walks them.
GC_THRESHOLD = 10_000


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI application; settings are read from the environment where none are given.

    Raises:
        SecretFileError: a `NAME_FILE` of the environment cannot be read.
        WeakSecret: production without a secret that deserves the name.
    """
    if settings is None:
        load_secret_files(os.environ)
        settings = Settings()
    if settings.environment == "production":
        check_jwt_secret(settings.jwt_secret.get_secret_value())
    configure_logging(settings)
    if settings.log_prompts:
        log.warning("prompts_are_logged", why="LOG_PROMPTS=true")
    if configure_tracing():
        log.info("tracing", content_captured=captures_content())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        def adopt(container: Container) -> None:
            app.state.container = container

        # Heard before the configuration is read: a later signal means a file that may be newer.
        with handle_sighup() as hang_ups:
            async with open_gateway(settings, adopt) as (container, app.state.reloads):
                await _persist_environment_keys(container)
                restore = _drain_on_signal(app, container)
                hang_ups.start(app.state.reloads.reload_on_signal)
                before = gc.get_threshold()
                _freeze_gc()
                try:
                    yield
                finally:
                    gc.unfreeze()
                    gc.set_threshold(*before)
                    restore()
        # After the turns have ended, whose spans these are; it may have to wait for a collector.
        await asyncio.to_thread(stop_tracing)

    app = FastAPI(
        title="LLM Gateway",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # `document` serves it
        summary="One self-hosted door to every language model.",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    routers.include_all(app)
    app.router.default = ConsoleFallback(app.router.default, ConsoleSite.load())
    install_error_handlers(app)
    install_middleware(app, settings)
    install_openapi(app)
    return app


async def _persist_environment_keys(container: Container) -> None:
    try:
        await container.accounts.environment_keys.persist()
    except Unavailable:
        # The gateway starts without its database, and these keys are refused like all others until then.
        log.warning("environment_keys_not_written")


def _freeze_gc() -> None:
    """Keep what start-up made out of every later collection.

    The libraries' modules are some hundred thousand objects that never die; walking them again and again
    took a tenth of the processor under load. Each collection stops all requests for as long as it walks the
    objects made since the last one: 130 ms for 100,000 of them, 7 ms for 10,000.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


def _drain_on_signal(app: FastAPI, container: Container) -> Callable[[], None]:
    """Begin draining in the signal handler: the lifespan's own end comes only after connections close.

    The server stops when the running turns have ended, and refuses new ones with 503 meanwhile. Where a
    proxy in front has other workers to turn to (`SHUTDOWN_LISTENING=false`), the listener is closed first
    and turns are admitted until no request can be on its way any more: a rolling restart refuses nothing. A
    second signal does not wait.
    """
    loop = asyncio.get_running_loop()
    undo: list[tuple[signal.Signals, Any]] = []
    leaving: list[asyncio.Task[None]] = []

    async def leave(stop: Callable[[], None]) -> None:
        if container.settings.shutdown_listening:
            container.tasks.begin_draining()
            await container.tasks.wait_idle()
            stop()
            return
        await asyncio.sleep(CLOSE_LISTENER_AFTER_SECONDS)
        stop()
        await asyncio.sleep(ADMIT_AFTER_CLOSE_SECONDS)
        container.tasks.begin_draining()

    def begin(stop: Callable[[], None]) -> None:
        if app.state.leaving:
            container.tasks.begin_draining()
            stop()
        else:
            app.state.leaving = True
            leaving.append(loop.create_task(leave(stop)))

    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def handle(signum: int, frame: FrameType | None, before: Any = before) -> None:
            def stop() -> None:
                if callable(before):
                    before(signum, None)

            loop.call_soon_threadsafe(begin, stop)

        try:
            signal.signal(number, handle)
        except ValueError:
            # Not the main thread (a test's server): its owner ends the lifespan, which drains as well.
            return lambda: None
        undo.append((number, before))

    def restore() -> None:
        for number, before in undo:
            signal.signal(number, before)

    return restore
