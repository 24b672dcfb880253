"""Serves the console for GET requests that no route matches; everything else gets the API's 404."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.console.site import ConsoleSite, StaticFile

# No inline scripts or styles, no other origins, no HTML from strings. Setting style properties is allowed.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'; trusted-types 'none'; require-trusted-types-for 'script'"
)
# Swagger UI injects style elements.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Unknown paths below these prefixes get the API's 404 instead of the console.
_API_PREFIXES = ("api", "v1", "v1beta", "v2", "openai", "health", "metrics", "openapi.json")
_HERE = Path(__file__).parent


class ConsoleFallback:
    """The router's default application: the console is tried only after all routes."""

    def __init__(self, not_found: ASGIApp, site: ConsoleSite | None) -> None:
        self._not_found = not_found
        self._site = site
        self._unbuilt = (_HERE / "unbuilt.html").read_bytes()
        self._docs = (_HERE / "docs.html").read_bytes()
        self._docs_script = (_HERE / "docs.js").read_bytes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._not_found(scope, receive, send)
            return
        response = self._respond(Request(scope))
        await (response or self._not_found)(scope, receive, send)

    def _respond(self, request: Request) -> Response | None:
        path: str = request.scope["path"]
        first, _, rest = path.removeprefix("/").partition("/")
        if first in _API_PREFIXES:
            return None
        if first == "docs":
            return self._docs_response(request, rest)
        if self._site is None:
            return self._not_built_response(request.method) if path == "/" else None
        found = self._site.get_asset(path.removeprefix("/"), request.headers.get("accept-encoding", ""))
        if found is not None:
            return _file_response(found, request, POLICY)
        if "." in path.rpartition("/")[2] or first == "assets":
            return None  # a missing file must not be answered with a page
        return _file_response(self._site.get_index(_requested_path(request)), request, POLICY)

    def _docs_response(self, request: Request, rest: str) -> Response | None:
        """Swagger UI from the console's build; without a build, a page that links to the OpenAPI document."""
        if rest == "":
            # Relative URLs of `/docs/` start one level deeper than those of `/docs`.
            has_trailing_slash = _requested_path(request).endswith("/")
            body = self._docs.replace(b'"./', b'"../') if has_trailing_slash else self._docs
            return _html_response(body, DOCS_POLICY)
        if rest == "init.js":
            return Response(self._docs_script, media_type="text/javascript", headers=_headers(DOCS_POLICY))
        if self._site is None:
            return None
        found = self._site.get_asset(f"docs/{rest}", request.headers.get("accept-encoding", ""))
        return None if found is None else _file_response(found, request, DOCS_POLICY)

    def _not_built_response(self, method: str) -> Response:
        # HEAD is used as a liveness probe, and the API is available.
        status = 200 if method == "HEAD" else 503
        policy = "default-src 'none'; style-src 'none'; frame-ancestors 'none'"
        return _html_response(self._unbuilt, policy, status=status)


def _requested_path(request: Request) -> str:
    """The path as the client sent it; the middleware has removed trailing slashes from the scope's path."""
    record = request.scope["state"].get("request_record")
    return str(record.path if record is not None else request.scope["path"])


def _html_response(body: bytes, policy: str, status: int = 200) -> Response:
    return Response(body, status, media_type="text/html", headers=_headers(policy))


def _headers(policy: str) -> dict[str, str]:
    return {"content-security-policy": policy, "cache-control": "no-cache"}


def _file_response(file: StaticFile, request: Request, policy: str) -> Response:
    headers = {
        "content-security-policy": policy,
        "cache-control": "public, max-age=31536000, immutable" if file.immutable else "no-cache",
        "etag": file.etag,
        "vary": "accept-encoding",
        "content-type": file.content_type,
    }
    if file.encoding is not None:
        headers["content-encoding"] = file.encoding
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers)
