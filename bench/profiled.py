"""Run the gateway's command line with a profiler (`-m bench.profiled MODE FILE serve …`).

SIGUSR1 starts profiling, SIGUSR2 stops it and writes FILE. MODE is `sample` (samples the stack every few
milliseconds of CPU time, with little overhead) or `calls` (cProfile: counts every call, and overstates small
functions).
"""

from __future__ import annotations

import cProfile
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Protocol

# CPU time; Linux rounds it up to its tick, usually 4 ms.
_EVERY_SECONDS = 0.001


class Profiler(Protocol):
    def start(self) -> None: ...

    def stop(self, output: Path) -> None: ...


class Sampler:
    """Samples the main thread's stack: `own` counts the top function, `under` every function on it."""

    def __init__(self) -> None:
        self._own: Counter[str] = Counter()
        self._under: Counter[str] = Counter()
        self._samples = 0

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _EVERY_SECONDS, _EVERY_SECONDS)

    def stop(self, output: Path) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        found = {"samples": self._samples, "own": self._own, "under": self._under}
        output.with_suffix(".part").write_text(json.dumps(found))
        output.with_suffix(".part").rename(output)

    def _sample(self, number: int, frame: FrameType | None) -> None:
        self._samples += 1
        if frame is not None:
            self._own[_name(frame)] += 1
        seen = set()
        while frame is not None:
            seen.add(_name(frame))
            frame = frame.f_back
        self._under.update(seen)


def _name(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}"


class Calls:
    """Profiles the main thread with cProfile."""

    def __init__(self) -> None:
        self._profile = cProfile.Profile()

    def start(self) -> None:
        self._profile.enable()

    def stop(self, output: Path) -> None:
        self._profile.disable()
        self._profile.dump_stats(output.with_suffix(".part"))
        output.with_suffix(".part").rename(output)


def main() -> None:
    """Install the signal handlers, then run `gateway`."""
    mode, output = sys.argv[1], Path(sys.argv[2])
    sys.argv = ["gateway", *sys.argv[3:]]
    profiler: Profiler = Sampler() if mode == "sample" else Calls()
    signal.signal(signal.SIGUSR1, lambda *_: profiler.start())
    signal.signal(signal.SIGUSR2, lambda *_: profiler.stop(output))
    from gateway.cli import app

    app()


if __name__ == "__main__":
    main()
