"""The folder in which the workers of one gateway count together, so that each shows the sum of all."""

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
    """Name an empty folder to the workers that begin after this; it is gone afterwards.

    `DATA_DIR/metrics` belongs to one gateway at a time. Where another one on the same DATA_DIR has it, this
    one takes a temporary folder: replicas share the directory of their pictures, but never their counts.
    """
    given = os.environ.get(VARIABLE)
    if given:
        yield Path(given)
        return
    lock = _acquire_lock(data_dir / "metrics.lock")
    folder = data_dir / "metrics" if lock is not None else Path(tempfile.mkdtemp(prefix="gateway-metrics-"))
    try:
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)  # of a gateway that was killed
            folder.mkdir(parents=True)
        os.environ[VARIABLE] = str(folder)
        yield folder
    finally:
        os.environ.pop(VARIABLE, None)
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _acquire_lock(path: Path) -> int | None:
    """A descriptor that holds the lock until it is closed; None where another process has it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a DATA_DIR that cannot be written to
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
