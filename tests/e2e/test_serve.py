"""`gateway serve` from an empty folder: banner, child processes, exit."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess, run_gateway
from tests.support.processes import descendants, wait_ended

pytestmark = pytest.mark.timeout(180)

ONE_MODEL = "providers: {mock: {type: mock}}\nmodels: {mock: {provider: mock, model: mock}}"


SECRETS = {
    "JWT_SECRET": "plover-quartz-sphinx-" + "7" * 40,
    "GATEWAY_API_KEYS": "heliotrope-cormorant-service-key",
    "SMTP_PASSWORD": "albatross-mail-password",
}


def get(url: str, key: str = "") -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.status, response.read()


def environment_of(pid: int) -> str:
    """What the system shows others of a process's environment."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def line_after(label: str, text: str) -> str:
    found = re.search(rf"^{re.escape(label)}: (.+)$", text, re.MULTILINE)
    assert found is not None, text
    return found[1]


def test_first_start_sigterm_sigkill_and_sigint(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with GatewayProcess("--data-dir", str(data), cwd=tmp_path) as served:
        first = served.wait_for_banner()
        key = line_after("API key", first)
        assert line_after("admin e-mail", first) == "admin@gateway.localhost"
        assert f"curl -N {served.address}/v1/chat/completions" in first
        assert "SmolLM2" in first
        assert get(f"{served.address}/health/ready")[0] == 200
        assert get(f"{served.address}/v1/models", key)[0] == 200
        body = json.dumps(
            {"email": "admin@gateway.localhost", "password": line_after("admin password", first)}
        )
        login = urllib.request.Request(
            f"{served.address}/api/auth/login", body.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(login, timeout=30) as response:
            assert "access_token" in json.load(response)

        second = run_gateway("serve", "--port", "0", "--data-dir", str(data), cwd=tmp_path)
        assert second.returncode == 1
        assert f"Another gateway (pid {served.pid})" in second.stderr
        assert "Traceback" not in second.stderr
        made = run_gateway(
            *("keys", "create", "--user", "admin@gateway.localhost", "--name", "another"),
            *("--data-dir", str(data)),
            cwd=tmp_path,
        )
        assert get(f"{served.address}/v1/models", line_after("API key", made.stdout))[0] == 200

        family = descendants(served.pid)
        assert len(family) > 6
        assert served.stop(signal.SIGTERM) == 0
        assert wait_ended(family, 0) == set()
    assert stat.S_IMODE((data / "jwt_secret").stat().st_mode) == 0o600

    with GatewayProcess("--data-dir", str(data), "--workers", "2", cwd=tmp_path, **SECRETS) as served:
        later = served.wait_for_banner()
        assert "admin password:" not in later
        assert "gw_" not in later
        assert get(f"{served.address}/v1/models", key)[0] == 200
        assert get(f"{served.address}/v1/models", SECRETS["GATEWAY_API_KEYS"])[0] == 200
        family = descendants(served.pid)
        assert len(family) > 6
        if sys.platform == "linux":
            shown = "".join(environment_of(pid) for pid in (served.pid, *(pid for pid, _ in family)))
            assert [name for name, secret in SECRETS.items() if secret in shown] == []
        served.stop(signal.SIGKILL)
        assert wait_ended(family) == set()

    with GatewayProcess("--data-dir", str(data), cwd=tmp_path) as served:
        served.wait_for_banner()
        assert get(f"{served.address}/v1/models", key)[0] == 200
        family = descendants(served.pid)
        assert served.stop(signal.SIGINT) in (0, 130)
        assert wait_ended(family, 0) == set()
        assert "Traceback" not in served.output + served.errors


def test_external_engines_are_used_and_none_is_embedded(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "GENERATOR_MODE": "mock"}
    data = tmp_path / "data"
    with GatewayProcess("--data-dir", str(data), cwd=tmp_path, **given) as served:
        served.wait_for_banner()
        assert get(f"{served.address}/health/ready")[0] == 200
        assert descendants(served.pid) == set()
        assert served.stop(signal.SIGTERM) == 0
    assert {path.name for path in data.iterdir()} <= {"jwt_secret", "lock"}


def test_a_taken_port_is_reported_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_gateway("serve", "--port", port, "--data-dir", str(tmp_path / "data"), cwd=tmp_path)
    assert done.returncode == 1
    assert port in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_production_refuses_a_weak_secret(tmp_path: Path) -> None:
    secret = "change-me-" * 5
    done = run_gateway("serve", "--port", "0", cwd=tmp_path, ENVIRONMENT="production", JWT_SECRET=secret)
    assert done.returncode == 1
    assert "JWT_SECRET" in done.stderr
    assert secret not in done.stderr


def test_a_configuration_error_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "provider_config.yaml").write_text("mode: live\nprovidres: {}\n")
    done = run_gateway("serve", "--port", "0", "--data-dir", str(tmp_path / "data"), cwd=tmp_path)
    assert done.returncode == 1
    assert "provider_config.yaml:2" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("sections", "environment", "words"),
    [
        (f"{ONE_MODEL}\ntools: {{enabled: [nonesuch]}}", {}, "'nonesuch'"),
        pytest.param("providers: {m: {type: litellm}}", {}, "type: openai", marks=pytest.mark.slow),
        pytest.param(
            ONE_MODEL, {"ALL_PROXY": "socks5://127.0.0.1:1080"}, "ALL_PROXY", marks=pytest.mark.slow
        ),
    ],
)
def test_a_component_that_cannot_be_built_is_reported_in_one_sentence(
    tmp_path: Path,
    database_url: str,
    redis_url: str,
    sections: str,
    environment: dict[str, str],
    words: str,
) -> None:
    (tmp_path / "provider_config.yaml").write_text(f"mode: mock\n{sections}\n")
    given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, **environment}
    done = run_gateway("serve", "--port", "0", "--data-dir", str(tmp_path / "data"), cwd=tmp_path, **given)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    doctor = run_gateway("doctor", "--data-dir", str(tmp_path / "data"), cwd=tmp_path, **given)
    assert doctor.returncode == 1
    assert any(line.startswith("FAIL") and words in line for line in doctor.stdout.splitlines())


def test_an_unwritable_data_directory_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run_gateway("serve", "--port", "0", "--data-dir", str(tmp_path / "file" / "data"), cwd=tmp_path)
    assert done.returncode == 1
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr
