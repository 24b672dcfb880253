"""`gateway serve`: engines, schema, first account, web server, banner; and everything down again."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import typer
import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess

from gateway.cli.accounts import FirstAccount, create_first_account
from gateway.cli.banner import banner, credentials
from gateway.cli.environment import hand_over, read_settings
from gateway.cli.errors import OperatorError
from gateway.cli.migrations import upgrade
from gateway.cli.models import needs_local_model
from gateway.core.logging import configure_logging
from gateway.core.settings import Settings
from gateway.embedded.engines import Engines

# Streams get 25 s to finish after SIGTERM; then uvicorn cuts what is left.
GRACEFUL_SHUTDOWN_SECONDS: Final = 30
# Longer than a proxy in front keeps an idle connection, so that it never sends into a closing one.
KEEP_ALIVE_SECONDS: Final = 75
# The first banner tells a newcomer what answers, so it waits for that; later ones hardly.
WAIT_FOR_LOCAL_MODEL_SECONDS: Final = {"first": 15.0, "later": 1.5}


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived while nobody else was listening for it."""


def serve(host: str, port: int, workers: int, data_dir: Path | None) -> int:
    """Run until a signal says to stop; returns the exit code."""
    settings = read_settings(data_dir)
    if "LOG_FORMAT" not in os.environ and sys.stdout.isatty():
        os.environ["LOG_FORMAT"] = "console"  # a person reads along
        settings = Settings()
    configure_logging(settings)
    listener = listen(host, port)
    engines = Engines(
        settings.data_dir,
        database_url=settings.database_url.get_secret_value(),
        redis_url=settings.redis_url.get_secret_value(),
    )
    with signals_raise():
        if os.environ.get("STOP_WITH_PARENT"):
            threading.Thread(target=stop_with_parent, args=(os.getppid(),), daemon=True).start()
        try:
            engines.start()
            settings, first = prepare(settings, engines)
            return run(listener, workers, settings, first, local=engines.local_model_url)
        except Terminated:
            return 0
        except KeyboardInterrupt:
            return 130
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # engines stop in good order, however often one asks
            listener.close()
            engines.stop()


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address, before anything is started for it.

    Raises:
        OperatorError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"Cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}. Stop what uses"
            " it, or choose another port with --port (or PORT)."
        ) from None
    listener.set_inheritable(True)
    return listener


def prepare(settings: Settings, engines: Engines) -> tuple[Settings, FirstAccount | None]:
    """Schema, first account and, where no provider answers, the small local model."""
    settings = hand_over(
        settings, engines.data_dir, database_url=engines.database_url, redis_url=engines.redis_url
    )
    local = needs_local_model(settings)  # first, because a mistake in the configuration shows here
    if local:
        url = engines.start_local_model()
        settings = hand_over(
            settings,
            engines.data_dir,
            database_url=engines.database_url,
            redis_url=engines.redis_url,
            local_model_url=url,
        )
    upgrade(engines.database_url)
    return settings, create_first_account(settings)


def run(
    listener: socket.socket, workers: int, settings: Settings, first: FirstAccount | None, *, local: str
) -> int:
    """Serve on the socket; the banner comes when the first request could be answered."""
    config = uvicorn.Config(
        "gateway.cli.worker:create_app",
        factory=True,
        workers=workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # whom to believe is a setting of ours
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
    )
    herald = Herald(address_of(listener), first, local)
    herald.start()
    try:
        if workers > 1:
            Multiprocess(config, sockets=[listener]).run()
            return 0 if herald.said else 1
        server = uvicorn.Server(config)
        with signals_pass():
            server.run(sockets=[listener])
        return 0 if server.started else 1
    finally:
        herald.hush()


def address_of(listener: socket.socket) -> str:
    """The URL that reaches the socket from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Herald(threading.Thread):
    """Waits until the gateway is ready, then prints the banner."""

    def __init__(self, address: str, first: FirstAccount | None, local_model_url: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._first = first
        self._local_model_url = local_model_url
        self._over = threading.Event()
        self.said = False

    def run(self) -> None:
        while not self._answers(f"{self._address}/health/ready"):
            if self._over.wait(0.05):
                return
        local = self._local_model_answers() if self._local_model_url else None
        if not self._over.is_set():
            typer.echo(banner(self._address, self._first, local_model=local))
            self.said = True

    def hush(self) -> None:
        """The gateway ends. Credentials that nobody has seen are printed now, or they would be lost."""
        self._over.set()
        self.join()
        if self._first is not None and not self.said:
            typer.echo(credentials(self._first))

    def _local_model_answers(self) -> bool:
        deadline = time.monotonic() + WAIT_FOR_LOCAL_MODEL_SECONDS["first" if self._first else "later"]
        while not self._answers(f"{self._local_model_url}/models"):
            if time.monotonic() > deadline or self._over.wait(0.05):
                return False
        return True

    def _answers(self, url: str) -> bool:
        try:
            with DIRECT.open(url, timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def stop_with_parent(parent: int) -> None:
    """`make` that was killed cannot pass a signal on: the system gives us another parent, and we stop."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


# A proxy of the environment has no business between this machine and itself.
DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def signals_raise() -> Iterator[None]:
    """While engines start, SIGTERM and SIGHUP interrupt as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if before[number] is not signal.SIG_IGN:  # `nohup`
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_pass() -> Iterator[None]:
    """uvicorn stops on a signal and then raises it again for whoever was there before: for nobody."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    hang_up = signal.getsignal(signal.SIGHUP)
    if hang_up is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGHUP, hang_up)
