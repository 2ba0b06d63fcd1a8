"""Does a gate see an error rate that rises, and let one pass that falls?"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from harness.gate.judge import judge
from harness.stats.scores import score_responses

N = 12


@pytest.fixture
def rates(nights):
    """Return a maker of nights of an error rate, the last of which differs."""

    def make(last: float, metric: str = "wer,none", **columns):
        levels = np.random.default_rng(5).normal(0.5, 0.02, N)
        levels[-1] -= last
        scored = score_responses(nights({"a": levels}), ["acc"])
        errors = 1 - scored["acc"]
        return scored.drop(columns="acc").assign(
            output_type="generate_until",
            choice_logprobs=None,
            metrics=[[(metric, error)] for error in errors],
            **columns,
        )

    return make


@pytest.mark.parametrize(
    ("metric", "said"), [("wer,none", None), ("toxicity,none", '["toxicity"]')]
)
@pytest.mark.parametrize(("last", "state"), [(0.9, "regression"), (-0.9, "improved")])
def test_more_errors_are_a_regression_and_fewer_are_none(
    rates, policy, marks, last, state, metric, said
):
    result = judge(
        rates(last, metric, lower_is_better=said),
        policy=policy(),
        marks=marks(),
        on=dt.date(2026, 3, 1),
    )
    (cell,) = result.cells

    assert cell.state == state
    assert cell.metric == f"{metric} (negated: less is better)"
    assert (cell.against_baseline.difference.value < 0) == (last > 0)
    assert cell.against_history.is_below == (last > 0)
