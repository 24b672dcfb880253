"""Keeps this process's environment, which contains secrets, from other processes.

Every process may read `/proc/<pid>/environ` of other processes of its user, and MCP servers and embedded
engines are such processes. The process is therefore marked as not dumpable (which also protects its memory),
the environment text that the kernel exposes is erased, and child processes inherit only harmless variables.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PR_SET_DUMPABLE: Final = 4
# Address range of the environment: fields 50 and 51 of `stat` in proc(5), counted after the process name.
_ENV_START_FIELD, _ENV_END_FIELD = 47, 48
_SAFE_NAMES = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "SYSTEMROOT"}
)
# Library paths, thread counts and devices, on which an engine's performance may depend.
_SAFE_PREFIXES = (
    *(
        "LC_",
        "LD_LIBRARY_",
        "DYLD_",
        "OMP_",
        "GOMP_",
        "KMP_",
        "OPENBLAS_",
        "MKL_",
        "GGML_",
        "LLAMA_",
        "CUDA_",
    ),
    *("HIP_", "ROCR_", "VK_", "MALLOC_", "ORT_", "PYTHON"),
)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a child process may inherit."""
    return {
        name: value
        for name, value in environ.items()
        if name in _SAFE_NAMES or name.startswith(_SAFE_PREFIXES)
    }


def hide_environment() -> None:
    """Protect this process's environment and memory from other processes."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[_ENV_START_FIELD]), int(fields[_ENV_END_FIELD])
    if not 0 < start < end:
        return  # this kernel does not expose the addresses
    # Make the C library copy the values first; otherwise it would read the erased text.
    for name, value in list(os.environ.items()):
        os.environ[name] = value
    ctypes.memset(start, 0, end - start)


@contextmanager
def secrets_removed() -> Iterator[None]:
    """Remove secrets from the environment inside the block."""
    environment = dict(os.environ)
    for name in environment.keys() - without_secrets(environment).keys():
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(environment)
