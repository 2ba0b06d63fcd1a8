"""What evalvar calibrate refuses; sessions of it are in tests/cli/calibrate.txt."""

import pytest

from harness.cli import calibrate as command
from harness.errors import DesignError


def test_tasks_without_a_continuous_metric_are_refused(monkeypatch):
    monkeypatch.setattr(command, "asked_responses", lambda *_: None)
    monkeypatch.setattr(
        "harness.stats.calibration.calibrate", lambda *_, **__: ((), ())
    )

    with pytest.raises(DesignError) as caught:
        command.calibrate("a store", is_continuous=True)

    assert caught.value.code == "unknown-metric"
