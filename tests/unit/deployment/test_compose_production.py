"""docker-compose.prod.yml: replicas behind TLS, read-only containers, secrets only in files."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.support.paths import PROJECT

COMPOSE = PROJECT / "docker-compose.prod.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return loaded


def test_replicas_run_behind_tls_after_a_migration(services: dict[str, Any]) -> None:
    assert services["gateway"]["deploy"]["replicas"] >= 2
    assert services["gateway"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["command"] == ["gateway", "migrate"]
    assert services["migrate"]["restart"] == "no"
    assert services["nginx"]["command"][2].endswith("/nginx-tls.conf")


def test_containers_are_read_only_without_privileges_and_not_root(services: dict[str, Any]) -> None:
    image = (PROJECT / "gateway" / "Dockerfile").read_text()
    assert re.search(r"^USER gateway$", image, re.M)
    for name, service in services.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name != "postgres":  # its entry point changes the owner of the data, then the user
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name


def test_every_long_running_service_has_limits_a_health_check_and_restarts(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name == "migrate":
            continue
        limits = service["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory"}, name
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name


def test_secrets_come_only_from_files(services: dict[str, Any]) -> None:
    declared = yaml.safe_load(COMPOSE.read_text())["secrets"]
    for name, service in services.items():
        given = set(service.get("secrets", ()))
        assert given <= set(declared), name
        for variable, value in service.get("environment", {}).items():
            if value == "":  # overrides .env, so that the file is used
                assert service["environment"][f"{variable}_FILE"].startswith("/run/secrets/"), variable
            elif re.search(r"(_KEY|_PASSWORD|_SECRET|DATABASE_URL)$", variable):
                pytest.fail(f"{name}: {variable} is a secret in the environment")
            if variable.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in given, variable


def test_only_nginx_is_published(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for port in service.get("ports", ()):
            assert name == "nginx" or port.startswith("127.0.0.1:"), name


def test_every_mount_exists(services: dict[str, Any]) -> None:
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = re.sub(r"^\$\{\w+:-(.+?)\}", r"\1", volume).split(":")[0]
            if source.startswith("."):
                assert (PROJECT / source).exists(), source


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_docker_compose_accepts_the_file() -> None:
    command = ["docker-compose", "--file", str(COMPOSE), "config", "--quiet"]
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin:/usr/local/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
