"""Gateways that share DATA_DIR never mix their metrics."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.cli.worker_metrics import VARIABLE, shared_metrics_dir


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_second_gateway_on_the_same_directory_uses_its_own_folder(tmp_path: Path) -> None:
    with shared_metrics_dir(tmp_path) as first:
        (first / "counter_1.db").write_text("10")
        del os.environ[VARIABLE]  # as the environment of another process
        with shared_metrics_dir(tmp_path) as second:
            assert second != first
            assert os.environ[VARIABLE] == str(second)
            assert list(second.iterdir()) == []
            (second / "counter_1.db").write_text("5")
            assert (first / "counter_1.db").read_text() == "10"
        assert not second.exists()
        assert (first / "counter_1.db").read_text() == "10"
    assert not first.exists()


def test_metrics_of_a_killed_gateway_are_not_counted_again(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "counter_1.db").write_text("10")
    with shared_metrics_dir(tmp_path) as folder:
        assert folder == tmp_path / "metrics"
        assert list(folder.iterdir()) == []


def test_folder_set_by_the_operator_is_used_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with shared_metrics_dir(tmp_path / "data") as folder:
        assert folder == tmp_path
    assert tmp_path.exists()
