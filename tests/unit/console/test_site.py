"""Serving the console: pages, static files, caching, and the API's 404 for all other paths."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from gateway.console.fallback import POLICY, ConsoleFallback
from gateway.console.site import ConsoleSite
from gateway.core.settings import Settings
from gateway.middleware import install_middleware
from gateway.routers.errors import install_error_handlers

INDEX = b'<html><head><base href="./" /></head><body></body></html>'
SCRIPT = b"console.log(1);" * 200


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    files = {
        "index.html": INDEX,
        "icon.svg": b"<svg/>",
        "manifest.webmanifest": b"{}",
        ".built.json": b"{}",
        "assets/app-1a2b.js": SCRIPT,
        "assets/app-1a2b.js.gz": gzip.compress(SCRIPT),
        "assets/app-1a2b.js.br": b"brotli's",
        "docs/swagger-ui-bundle.js": b"swagger",
    }
    for name, content in files.items():
        path = tmp_path / "dist" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "secret.txt").write_text("outside")
    return tmp_path / "dist"


def application(site: ConsoleSite | None) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.get("/api/models")
    async def models() -> dict[str, str]:
        return {}

    app.router.default = ConsoleFallback(app.router.default, site)
    install_error_handlers(app)
    install_middleware(app, Settings(_env_file=None))  # type: ignore[call-arg]
    return app


def client(site: ConsoleSite | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(application(site)), base_url="http://gateway")


@pytest.fixture
async def http(dist: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client(ConsoleSite.load(dist)) as http_client:
        yield http_client


@pytest.mark.parametrize(
    ("path", "base"),
    [("/", "./"), ("/sign-in", "./"), ("/c/42", "../"), ("/account/", "../"), ("/admin/users/7", "../../")],
)
async def test_pages_have_a_base_relative_to_the_root(http: httpx.AsyncClient, path: str, base: str) -> None:
    response = await http.get(path)
    assert response.status_code == 200
    assert f'<base href="{base}"' in response.text
    assert response.headers["content-security-policy"] == POLICY
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["content-type"] == "text/html; charset=utf-8"


async def test_hashed_files_are_immutable_and_sent_in_the_best_accepted_encoding(
    http: httpx.AsyncClient,
) -> None:
    responses = {
        accepted: await http.get("/assets/app-1a2b.js", headers={"accept-encoding": accepted})
        for accepted in ("gzip, deflate, br", "gzip", "identity")
    }
    assert [response.headers.get("content-encoding") for response in responses.values()] == [
        "br",
        "gzip",
        None,
    ]
    assert responses["gzip"].content == SCRIPT == responses["identity"].content
    for response in responses.values():
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert response.headers["vary"] == "accept-encoding"
        assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert len({response.headers["etag"] for response in responses.values()}) == 3


async def test_missing_files_and_api_paths_get_the_json_404(http: httpx.AsyncClient) -> None:
    for path in (
        *("/assets/gone.js", "/assets/app-1a2b.js.gz", "/favicon.ico", "/robots.txt", "/.built.json.bak"),
        *(
            "/api/nothing",
            "/v1/nothing",
            "/health/nothing",
            "/metrics/x",
            "/openapi.json/x",
            "/docs/nothing.js",
        ),
        *("/../secret.txt", "/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt"),
    ):
        response = await http.get(path)
        assert response.status_code == 404, path
        assert response.json()["error"]["code"] == "not_found", path
        assert "outside" not in response.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_do_not_fall_back_to_the_console(http: httpx.AsyncClient, method: str) -> None:
    assert (await http.request(method, "/c/42")).status_code == 404
    assert (await http.request(method, "/api/models")).status_code == 405


async def test_a_matching_etag_gets_304(http: httpx.AsyncClient) -> None:
    first = await http.get("/c/1")
    again = await http.get("/c/2", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await http.get("/", headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200, "another depth has another base"


async def test_head_has_no_body(http: httpx.AsyncClient) -> None:
    response = await http.head("/")
    assert (response.status_code, response.content) == (200, b"")


async def test_without_a_build_the_page_explains_how_to_build_and_the_api_works() -> None:
    async with client(None) as http:
        response = await http.get("/")
        assert response.status_code == 503
        assert "make console" in response.text
        assert (await http.head("/")).status_code == 200
        assert (await http.get("/c/42")).status_code == 404
        assert (await http.get("/api/models")).status_code == 200
        docs = await http.get("/docs")
        assert docs.status_code == 200
        assert "openapi.json" in docs.text
        assert (await http.get("/docs/swagger-ui-bundle.js")).status_code == 404


@pytest.mark.parametrize(("path", "root"), [("/docs", "./"), ("/docs/", "../")])
async def test_the_api_reference_uses_local_files_and_its_own_policy(
    http: httpx.AsyncClient, path: str, root: str
) -> None:
    response = await http.get(path)
    assert response.status_code == 200
    assert f'src="{root}docs/swagger-ui-bundle.js"' in response.text
    assert f'data-description="{root}openapi.json"' in response.text
    assert "//" not in response.text.replace("<!doctype", ""), "no other origins"
    assert "script-src 'self';" in response.headers["content-security-policy"]
    assert (await http.get("/docs/swagger-ui-bundle.js")).text == "swagger"
    assert (await http.get("/docs/init.js")).headers["content-type"].startswith("text/javascript")
