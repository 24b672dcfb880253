"""Application factory that uvicorn calls in each worker process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait
from typing import Final

from fastapi import FastAPI

from gateway.core.security import process_environment

EXIT_GRACE_SECONDS: Final = 5.0


def create_app() -> FastAPI:
    """Create the application; a worker also exits with the process that started it."""
    parent = multiprocessing.parent_process()
    process_environment.hide_environment()  # a worker has its own copy of the environment
    if parent is not None:
        threading.Thread(target=_exit_with_parent, args=(parent.sentinel,), daemon=True).start()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the application handles it
    from gateway.main import create_app as create

    return create()


def _exit_with_parent(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    # The embedded engines stop as well, so waiting longer would save nothing.
    threading.Event().wait(EXIT_GRACE_SECONDS)
    os._exit(1)
