"""Share what all gateways of one test process build alike: half of a start.

Certificate authorities, the embedding table and FastAPI's routes do not depend on the configuration.
"""

from __future__ import annotations

import functools
import os
import ssl
from typing import Any

import httpx
import httpx2
from fastapi import FastAPI
from starlette.routing import BaseRoute

from gateway.core.security.passwords import PasswordHasher


def share_tls_context() -> None:
    """Share one default TLS context: httpx reads 200 kB of certificates for each client."""
    for library in (httpx, httpx2):
        module: Any = library._transports.default
        module.create_ssl_context = _cached_ssl_context(module.create_ssl_context)


def share_routes_and_embedder() -> None:
    """Share the route objects and the embedding table between applications."""
    from gateway import routers
    from gateway.providers.local.wordllama import WordLlamaEmbedder

    routers.include_all = _cached_routes(routers.include_all)
    load: Any = functools.cache(WordLlamaEmbedder.load)
    WordLlamaEmbedder.load = staticmethod(load)  # type: ignore[method-assign, assignment]


def use_cheap_password_hashes() -> None:
    """Hash passwords of gateways with little memory and one pass: a hash is 25 ms of CPU otherwise.

    `tests/unit/core/security/test_passwords.py` checks the real parameters.
    """
    from gateway.bootstrap import shared

    shared.PasswordHasher = cheap_password_hasher  # type: ignore[misc, assignment]


def cheap_password_hasher() -> PasswordHasher:
    return PasswordHasher(memory_kib=64, passes=1)


def _cached_ssl_context(create: Any) -> Any:
    @functools.cache
    def usual(*environment: str | None) -> ssl.SSLContext:
        context: ssl.SSLContext = create()
        return context

    def create_ssl_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        if verify is True and cert is None and trust_env:
            return usual(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        context: ssl.SSLContext = create(verify=verify, cert=cert, trust_env=trust_env)
        return context

    return create_ssl_context


def _cached_routes(include_all: Any) -> Any:
    included: list[BaseRoute] = []

    def include(app: FastAPI) -> None:
        if included:
            app.router.routes.extend(included)
            return
        before = len(app.router.routes)
        include_all(app)
        included.extend(app.router.routes[before:])

    return include
