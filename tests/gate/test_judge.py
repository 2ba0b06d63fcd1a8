"""Is every state told from the others, and does a quiet night stay quiet?"""

from __future__ import annotations

import numpy as np
import pytest

from harness.gate.judge import judge

QUIET = np.random.default_rng(5).normal(0.5, 0.05, (3, 12))


@pytest.fixture
def spoiled(nights):
    """Return twelve nights of three tasks, the last one spoiled at task b."""
    levels = {task: list(row) for task, row in zip("abc", QUIET, strict=True)}
    levels["b"][-1] -= 0.9
    return nights(levels)


def states(result):
    return {cell.task: cell.state for cell in result.cells}


def test_a_spoiled_task_is_named(spoiled, marks, policy):
    result = judge(spoiled, policy=policy(), marks=marks())

    assert states(result)["b"] == "regression"
    assert result.status == "failed"
    assert result.look == 11
