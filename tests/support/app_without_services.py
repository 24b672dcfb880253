"""The application with a container without services: routes that need one answer 503."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal
from uuid import uuid4

from fastapi import FastAPI

from gateway.core.exceptions import Unavailable
from gateway.core.settings import Settings
from gateway.domain.accounts.principal import Principal
from gateway.main import create_app


class AcceptingAuthenticator:
    """Accepts every caller, so that hostile bodies are read."""

    def __init__(self, kind: Literal["user", "api_key"]) -> None:
        self._kind = kind

    async def authenticate(self, headers: object, counts: str = "read") -> Principal:
        return Principal(uuid4(), self._kind, "admin")

    def enforce_rate_limit(self, principal: Principal) -> None:
        return None


class NoServices:
    """A group of services in which every service is unavailable, except those set as attributes."""

    def __getattr__(self, name: str) -> Any:
        raise Unavailable


class ContainerWithoutServices(NoServices):
    """A container without services: a body that passes validation is answered with 503."""

    def __init__(self, path: str) -> None:
        self.accounts = NoServices()
        self.accounts.authenticator = AcceptingAuthenticator("api_key" if path.startswith("/v1/") else "user")
        self.references = SimpleNamespace(acquire=lambda: None, release=lambda: None)


def app_without_services(path: str) -> FastAPI:
    """The application for requests to `path`, from an administrator or, under `/v1`, with a key."""
    app = create_app(Settings())
    app.state.container = ContainerWithoutServices(path)
    return app
