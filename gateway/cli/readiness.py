"""Waits until the gateway is ready and prints the banner."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final

import typer

from gateway.cli.accounts import FirstAccount
from gateway.cli.banner import banner, credentials

# The banner of the first start waits longer, because it says which model is used.
WAIT_FOR_LOCAL_MODEL_SECONDS: Final = {"first": 15.0, "later": 1.5}
# Addresses that reach a socket bound to all addresses.
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
# Connections within this machine must not use a proxy from the environment.
NO_PROXY_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def address_of(listener: socket.socket) -> str:
    """Return the URL that reaches the socket from this machine."""
    host, port = listener.getsockname()[:2]
    host = _LOOPBACK.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_listening(listener: socket.socket) -> bool:
    """Whether the socket accepts connections, in this or another process."""
    try:
        return bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # uvloop closes a socket that it cannot listen on, without raising
        return False


def terminate_self() -> None:
    """Stop the gateway like SIGTERM does."""
    os.kill(os.getpid(), signal.SIGTERM)


class ReadinessAnnouncer(threading.Thread):
    """Thread that waits until the gateway is ready, then prints the banner.

    Two programs that start at the same time may both bind to an address, but only one can listen, and uvloop
    does not report that. So if another program answers before our socket listens, `address_taken` is set and
    `stop` ends the gateway: the other program would receive the key that the banner shows.
    """

    def __init__(
        self,
        listener: socket.socket,
        first: FirstAccount | None,
        local_model_url: str,
        stop: Callable[[], None] = terminate_self,
    ) -> None:
        super().__init__(daemon=True)
        self._listener = listener
        self._address = address_of(listener)
        host, port = listener.getsockname()[:2]
        self._local_address = (_LOOPBACK.get(host, host), port)
        self._first_account = first
        self._local_model_url = local_model_url
        self._cancelled = threading.Event()
        self._stop_gateway = stop
        self.announced = False
        self.address_taken = False

    def run(self) -> None:
        while not (is_listening(self._listener) and self._responds(f"{self._address}/health/ready")):
            if self._other_process_listens():
                self.address_taken = True
                self._stop_gateway()
                return
            if self._cancelled.wait(0.05):
                return
        local = self._local_model_responds() if self._local_model_url else None
        if not self._cancelled.is_set():
            typer.echo(banner(self._address, self._first_account, local_model=local))
            self.announced = True

    def cancel(self) -> None:
        """Stop waiting.

        Prints credentials that were not shown yet, or they would be lost.
        """
        self._cancelled.set()
        self.join()
        if self._first_account is not None and not self.announced:
            typer.echo(credentials(self._first_account))

    def _other_process_listens(self) -> bool:
        """Whether another process listens at our address while our own socket does not."""
        if is_listening(self._listener):
            return False
        try:
            socket.create_connection(self._local_address, timeout=5).close()
        except OSError:
            return False
        return not is_listening(self._listener)

    def _local_model_responds(self) -> bool:
        deadline = (
            time.monotonic() + WAIT_FOR_LOCAL_MODEL_SECONDS["first" if self._first_account else "later"]
        )
        while not self._responds(f"{self._local_model_url}/models"):
            if time.monotonic() > deadline or self._cancelled.wait(0.05):
                return False
        return True

    def _responds(self, url: str) -> bool:
        try:
            with NO_PROXY_OPENER.open(url, timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False
