"""Checks that Valkey or Redis at REDIS_URL is reachable and accepts all commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from gateway.cache import health_check
from gateway.cli.checks.finding import Finding
from gateway.cli.errors import first_line
from gateway.core.service_urls import normalize_valkey_url

_SECONDS = 3.0


def check_valkey(url: str) -> Finding:
    """Read its version and try each kind of command once."""
    try:
        with redis.Redis.from_url(
            normalize_valkey_url(url), socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
        ) as client:
            client.execute_command(*health_check.HEALTH_CHECK_COMMAND)
            return Finding("valkey", True, f"{_server_name(client)} is reachable.")
    except redis.ResponseError as error:
        code = health_check.error_code(error)
        return Finding("valkey", False, f"It answers with errors ({code}). {health_check.remedy_for(code)}")
    except (redis.RedisError, OSError, ValueError) as error:
        return Finding(
            "valkey",
            False,
            f"It is unreachable ({first_line(error)}). Check that it is running at REDIS_URL.",
        )


def _server_name(client: redis.Redis) -> str:
    try:
        info: Mapping[str, Any] = client.info("server")
    except redis.ResponseError:  # INFO is an administrative command, which the user may lack
        return "It"
    name = info.get("server_name", "redis")
    return f"{name} {info.get('valkey_version', info['redis_version'])}"
