"""Shared folder in which the workers of one gateway aggregate their metrics."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_metrics_dir(data_dir: Path) -> Iterator[Path]:
    """Set an empty metrics folder for workers started afterwards; deleted on exit.

    `DATA_DIR/metrics` belongs to one gateway at a time. If another gateway on the same DATA_DIR uses it, this
    one uses a temporary folder: replicas share their images' directory, but never their metrics.
    """
    configured = os.environ.get(VARIABLE)
    if configured:
        yield Path(configured)
        return
    lock = _acquire_lock(data_dir / "metrics.lock")
    folder = data_dir / "metrics" if lock is not None else Path(tempfile.mkdtemp(prefix="gateway-metrics-"))
    try:
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)  # left by a killed gateway
            folder.mkdir(parents=True)
        os.environ[VARIABLE] = str(folder)
        yield folder
    finally:
        os.environ.pop(VARIABLE, None)
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _acquire_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock until closed.

    None if another process has it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # DATA_DIR is not writable
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
