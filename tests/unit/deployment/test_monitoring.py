"""monitoring/: queries use existing metrics, and the dashboards are up to date with their script."""

from __future__ import annotations

import re
import shutil
import subprocess
from types import ModuleType
from typing import Any

import pytest
import yaml
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from gateway.core.metrics import registry as metrics
from tests.support.paths import PROJECT
from tests.support.scripts import load_script

RULES = PROJECT / "monitoring" / "prometheus" / "alerts.yml"
PROMTOOL = shutil.which("promtool")
# Words with an underscore; label values, matchers and labels are removed before.
_WORDS = re.compile(r"\b[a-z][a-z0-9_]*_[a-z0-9_]+\b")
_EXTERNAL_METRICS = {"process_resident_memory_bytes"}


def exposed() -> set[str]:
    """Return every sample name of `/metrics`."""
    found: set[str] = set()
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            ends = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(
                family.type, ("",)
            )
            found |= {family.name + end for end in ends}
            assert (family.type == "histogram") == isinstance(metric, Histogram)
    return found


def named(query: str) -> set[str]:
    """Return the metrics of a query, without label values, matchers and labels of aggregations."""
    query = re.sub(r"\{[^}]*\}", "", query)
    query = re.sub(r"\b(by|without|on|ignoring) ?\([^)]*\)", "", query)
    return {word for word in _WORDS.findall(query) if word not in ("histogram_quantile", "rate_interval")}


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("dashboards")


def test_the_dashboards_are_up_to_date(script: ModuleType) -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in script.TARGET.glob("*.json")}
    made = {name: script.rendered(name) for name in script.DASHBOARDS}
    assert files == made, "run `python scripts/dashboards.py`"


def test_every_dashboard_query_uses_existing_metrics(script: ModuleType) -> None:
    known = exposed() | _EXTERNAL_METRICS
    for name in script.DASHBOARDS:
        for panel in script.dashboard(name)["panels"]:
            for target in panel["targets"]:
                names = named(target["expr"])
                assert names <= known, (name, panel["title"])
                assert names or "up{" in target["expr"]


def test_every_alert_uses_existing_metrics_and_names_an_action() -> None:
    known = exposed()
    for rule in alerts():
        assert named(rule["expr"]) <= known, rule["alert"]
        assert {"summary", "action"} <= set(rule["annotations"]), rule["alert"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")


def test_every_alert_is_documented() -> None:
    page = (PROJECT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in alerts() if rule["alert"] not in page] == []


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: apt-get install prometheus)")
def test_promtool_accepts_configuration_and_rules() -> None:
    config = PROJECT / "monitoring" / "prometheus" / "prometheus.yml"
    done = subprocess.run(
        [str(PROMTOOL), "check", "config", str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
