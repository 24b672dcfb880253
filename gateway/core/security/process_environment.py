"""Keeps this process's environment, which holds secrets, from other processes of the same user.

Every process may read `/proc/<pid>/environ` of another process of its user, and an MCP server or an embedded
engine is one. So the process is marked as not dumpable (which also closes its memory to them), the text that
the system shows is blanked out, and children get no more of the environment than they need.
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
# Where the environment lies in memory: fields 50 and 51 of proc(5)'s `stat`, counted from behind the name.
_ENV_START_FIELD, _ENV_END_FIELD = 47, 48
_SAFE_NAMES = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "SYSTEMROOT"}
)
# Libraries' places, numbers of threads and devices: what an engine's speed may depend on.
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
    """What a child that is given no secret may have of the environment."""
    return {
        name: value
        for name, value in environ.items()
        if name in _SAFE_NAMES or name.startswith(_SAFE_PREFIXES)
    }


def hide_environment() -> None:
    """Close this process to others of its user; on other systems than Linux nothing is shown anyway."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[_ENV_START_FIELD]), int(fields[_ENV_END_FIELD])
    if not 0 < start < end:
        return  # a kernel that does not tell
    # First the C library gets copies of its own, or it would read what is blanked out.
    for name, value in list(os.environ.items()):
        os.environ[name] = value
    ctypes.memset(start, 0, end - start)


@contextmanager
def secrets_removed() -> Iterator[None]:
    """Start children in here without secrets in their environment."""
    environment = dict(os.environ)
    for name in environment.keys() - without_secrets(environment).keys():
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(environment)
