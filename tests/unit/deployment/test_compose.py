"""docker-compose.yml, the image and .env.example: complete, and without secrets."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from gateway.core.settings import Settings
from tests.support.paths import PROJECT

COMPOSE = PROJECT / "docker-compose.yml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def test_every_service_is_defined(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {*("postgres", "valkey", "ollama", "ollama-pull", "gateway", "nginx", "adminer")}
    assert re.fullmatch(r"pgvector/pgvector:[\d.]+-pg18", services["postgres"]["image"])
    assert services["valkey"]["image"].startswith("valkey/valkey:9")
    assert services["ollama"]["image"] == services["ollama-pull"]["image"]
    assert services["ollama"]["image"].startswith("ollama/ollama:")
    assert services["nginx"]["image"].startswith("nginx:")
    build = services["gateway"]["build"]
    assert (PROJECT / build["context"] / build["dockerfile"]).is_file()


def test_every_long_running_service_has_a_health_check_and_restarts(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name != "ollama-pull":
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name


def test_every_dependency_and_mount_exists(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for other, wait in service.get("depends_on", {}).items():
            assert wait["condition"] == "service_healthy"
            assert "healthcheck" in compose["services"][other], (name, other)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            known = (PROJECT / source).exists() if source.startswith(".") else source in compose["volumes"]
            assert known, volume


def test_only_nginx_is_published(compose: dict[str, Any]) -> None:
    published = {
        name: service["ports"] for name, service in compose["services"].items() if "ports" in service
    }
    assert set(published) == {"nginx", "adminer"}
    assert compose["services"]["adminer"]["profiles"] == ["tools"], "only for those who ask for it"
    assert all(port.startswith("127.0.0.1:") for port in published["adminer"])


def test_secrets_are_required_and_not_in_the_file() -> None:
    text = COMPOSE.read_text()
    for line in text.splitlines():
        if re.match(r"\s+\w*(PASSWORD|SECRET|API_KEY): ", line):
            assert re.search(r": (\$\{\w+:\?[^}]+\}|\$\{\w+:-\})$", line), line
        assert not re.search(r"://\w+:[^$/]+@", line), line
    assert "${JWT_SECRET:?" in text
    assert "${POSTGRES_PASSWORD:?" in text


def test_the_image_uses_locked_requirements_and_not_root(compose: dict[str, Any]) -> None:
    lines = (PROJECT / compose["services"]["gateway"]["build"]["dockerfile"]).read_text()
    assert "--require-hashes -r requirements.txt" in lines
    assert re.search(r"^USER gateway$", lines, re.M)
    assert re.search(r'^CMD \["gateway", "serve"\]$', lines, re.M)
    allowed = (PROJECT / ".dockerignore").read_text()
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", lines, re.M):
        for name in source.split():
            assert (PROJECT / name).exists(), name
            assert f"!{name}\n" in allowed, name


def test_nginx_forwards_to_the_gateways_container(compose: dict[str, Any]) -> None:
    mounts = dict(volume.split(":")[1::-1] for volume in compose["services"]["nginx"]["volumes"])
    assert mounts["/etc/nginx/gateway/snippets/upstream.conf"] == "./nginx/snippets/upstream-compose.conf"
    upstream = (PROJECT / "nginx" / "snippets" / "upstream-compose.conf").read_text()
    assert "server gateway:8000 resolve" in upstream
    config = compose["services"]["nginx"]["command"][2]
    assert (PROJECT / mounts[config]).is_file()


def test_every_setting_is_in_the_example_and_none_is_set() -> None:
    lines = (PROJECT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
    named = {match[1] for line in lines if (match := re.match(r"#([A-Z_]+)=", line))}
    assert {name.upper() for name in Settings.model_fields} <= named
    config = re.sub(r"^\s*#.*$", "", (PROJECT / "provider_config.yaml").read_text(), flags=re.M)
    used = set(re.findall(r"\$\{([A-Z_]+)", config))
    assert used - {"NAME"} <= named
    for file in (COMPOSE, PROJECT / "docker-compose.prod.yml"):
        assert set(re.findall(r"\$\{([A-Z_]+)", file.read_text())) <= named


# Variables that the compose files set: addresses of other containers, and settings of the image.
FIXED = {
    *(
        "DATABASE_URL",
        "REDIS_URL",
        "JWT_SECRET",
        "DATA_DIR",
        "HOST",
        "PORT",
        "OLLAMA_URL",
        "SHUTDOWN_LISTENING",
    ),
    *("ENVIRONMENT", "LOG_FORMAT"),
}


@pytest.mark.parametrize(
    ("file", "service"),
    [
        ("docker-compose.yml", "gateway"),
        ("docker-compose.prod.yml", "gateway"),
        ("docker-compose.prod.yml", "migrate"),
    ],
)
def test_every_setting_of_the_example_reaches_the_gateway(file: str, service: str) -> None:
    """This includes variables of a custom provider configuration, such as `${VLLM_API_KEY}`."""
    found = yaml.safe_load((PROJECT / file).read_text())["services"][service]
    assert found["env_file"] == [{"path": ".env", "required": False}]
    environment: dict[str, str] = found["environment"]
    lines = (PROJECT / ".env.example").read_text().splitlines()
    named = {match[1] for line in lines if (match := re.match(r"#([A-Z_]+)=", line))}
    named |= {name.upper() for name in Settings.model_fields}
    hidden_from_the_operator = [
        name
        for name in named
        if name in environment
        and not (name in FIXED or f"${{{name}" in str(environment[name]))
        and not {name.removesuffix("_FILE"), f"{name}_FILE"} & environment.keys() - {name}
    ]
    assert hidden_from_the_operator == []
    hidden = {name for name, value in environment.items() if value == ""}
    assert {f"{name}_FILE" for name in hidden} <= environment.keys(), "an empty value hides that of .env"


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.prod.yml"])
def test_images_and_actions_are_pinned_to_exact_versions(file: str) -> None:
    for name, service in yaml.safe_load((PROJECT / file).read_text())["services"].items():
        if "build" not in service:
            assert re.search(r":v?\d+\.\d+\.\d+(-[\w.]+)?$", service["image"]), name
    for line in (PROJECT / "gateway" / "Dockerfile").read_text().splitlines():
        if line.startswith("FROM "):
            assert re.match(r"FROM python:\d+\.\d+\.\d+-slim-\w+( AS \w+)?$", line)
    for workflow in (PROJECT / ".github" / "workflows").glob("*.yml"):
        for used in re.findall(r"uses: (\S+)", workflow.read_text()):
            assert re.search(r"@v\d+\.\d+\.\d+$", used), used


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_docker_compose_accepts_the_file() -> None:
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "POSTGRES_PASSWORD": "test", "JWT_SECRET": "test"}
    command = ["docker-compose", "--file", str(COMPOSE), "config"]
    good = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    del environment["JWT_SECRET"]
    bad = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert bad.returncode != 0
    assert "JWT_SECRET" in bad.stderr
