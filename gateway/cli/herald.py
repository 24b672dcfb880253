"""Watches the gateway come up, and prints the banner when the first request could be answered."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from typing import Final

import typer

from gateway.cli.accounts import FirstAccount
from gateway.cli.banner import banner, credentials

# The first banner tells a newcomer what answers, so it waits for that; later ones hardly.
WAIT_FOR_LOCAL_MODEL_SECONDS: Final = {"first": 15.0, "later": 1.5}
# A proxy of the environment has no business between this machine and itself.
DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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
