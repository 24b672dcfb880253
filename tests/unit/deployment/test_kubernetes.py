"""deploy/kubernetes: complete, restricted, drained before termination, and valid for Kubernetes' schemas."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gateway.core.settings import Settings
from tests.support.paths import PROJECT

FOLDER = PROJECT / "deploy" / "kubernetes"


def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in FOLDER.glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            found[document["kind"], document.get("metadata", {}).get("name", "")] = document
    return found


def pods() -> dict[str, dict[str, Any]]:
    return {
        kind: manifest["spec"]["template"]["spec"]
        for (kind, _), manifest in manifests().items()
        if kind in ("Deployment", "Job")
    }


def test_the_kustomization_lists_every_file_except_the_example_and_the_job() -> None:
    named = set(yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"])
    there = {path.name for path in FOLDER.glob("*.yaml")}
    assert named == there - {"kustomization.yaml", "secret.example.yaml", "migration-job.yaml"}


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_pods_meet_the_restricted_standard(kind: str) -> None:
    pod = pods()[kind]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_the_pod_has_probes_and_enough_time_to_drain() -> None:
    pod = pods()["Deployment"]
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert "preStop" in container["lifecycle"]
    assert pod["terminationGracePeriodSeconds"] >= 60
    rollout = manifests()["Deployment", "gateway"]["spec"]["strategy"]["rollingUpdate"]
    assert rollout["maxUnavailable"] == 0


def test_selectors_ports_and_names_match() -> None:
    found = manifests()
    deployment = found["Deployment", "gateway"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert found["Service", "gateway"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget", "gateway"]["spec"]["selector"]["matchLabels"] == labels
    (container,) = deployment["template"]["spec"]["containers"]
    assert [port["targetPort"] for port in found["Service", "gateway"]["spec"]["ports"]] == [
        port["name"] for port in container["ports"]
    ]
    target = found["HorizontalPodAutoscaler", "gateway"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "gateway")


def test_every_variable_is_a_setting_and_no_secret_is_in_the_files() -> None:
    known = {name.upper() for name in Settings.model_fields} | {
        "ADMIN_EMAIL",
        "ADMIN_PASSWORD",
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GOOGLE_API_KEY",
    }
    settings = manifests()["ConfigMap", "gateway"]["data"]
    secret = manifests()["Secret", "gateway"]["stringData"]
    assert set(settings) | set(secret) <= known
    assert not [
        name for name, value in secret.items() if value and name.endswith(("_KEY", "_SECRET", "_PASSWORD"))
    ]


def test_every_manifest_is_valid_for_kubernetes_schemas() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    for (kind, _), manifest in manifests().items():
        if kind != "Kustomization":
            validate.validate(manifest, "1.33", strict=True)
