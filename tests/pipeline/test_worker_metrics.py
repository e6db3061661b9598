"""Counting costs nothing where there is no Ray. What Ray exports: test_ray_cluster.py."""

import sys

from pipelines import metrics


def test_without_ray_nothing_is_counted(monkeypatch):
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr(metrics, "_counter", None)  # would raise
    metrics.file_done("failed", 1.0, "silent")
    metrics.queued(3)
    with metrics.batch():
        pass
    assert not metrics.counting()
    assert "ray" not in sys.modules
