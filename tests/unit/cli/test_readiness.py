"""Two programs that start at the same time may bind to one port.

Only one can listen.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway.cli.accounts import FirstAccount
from gateway.cli.readiness import ReadinessAnnouncer
from gateway.cli.serve import bind

FIRST = FirstAccount("a@example.org", "password", "gw_ours")


class Ready(BaseHTTPRequestHandler):
    """A gateway that is ready."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        return


@pytest.fixture
def bound() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets of one address: ours, and the one of a program that started at the same time."""
    ours = bind("127.0.0.1", 0)
    theirs = bind("127.0.0.1", ours.getsockname()[1])
    yield ours, theirs
    ours.close()
    theirs.close()


def answer_on(listener: socket.socket) -> HTTPServer:
    server = HTTPServer(listener.getsockname(), Ready, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize("closed", [False, True], ids=["before it listens", "after it could not listen"])
def test_no_banner_if_another_gateway_listens_on_the_port(
    bound: tuple[socket.socket, socket.socket], capsys: pytest.CaptureFixture[str], closed: bool
) -> None:
    ours, theirs = bound
    other = answer_on(theirs)
    stopped = threading.Event()
    herald = ReadinessAnnouncer(ours, FIRST, "", stop=stopped.set)
    if closed:  # as uvloop leaves it
        ours.close()
    herald.start()
    assert stopped.wait(60)
    herald.join(60)
    other.shutdown()
    assert herald.address_taken
    assert not herald.announced
    assert "gw_ours" not in capsys.readouterr().out


def test_banner_is_printed_when_our_own_socket_answers(
    bound: tuple[socket.socket, socket.socket], capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = bound
    theirs.close()
    stopped = threading.Event()
    herald = ReadinessAnnouncer(ours, FIRST, "", stop=stopped.set)
    herald.start()
    other = answer_on(ours)
    herald.join(60)
    other.shutdown()
    assert herald.announced
    assert not stopped.is_set()
    assert "gw_ours" in capsys.readouterr().out
