"""Runs of one checkpoint that nothing tells apart: told, and repeats of each other."""

import numpy as np
import pandas as pd
import pytest

from harness.stats.calibration import a_a
from harness.stats.collapse import collapse
from harness.stats.reruns import as_repeats, is_again, rerun_cautions

RIGHT = np.arange(40) % 2


@pytest.fixture
def run(simulated):
    """Return a maker of one run: its name, and scores of its items."""

    def make(attempt, scores, **columns):
        frame = simulated({(1, 100): scores}, rng=np.random.default_rng(3), **columns)
        return frame.assign(attempt_id=attempt)

    return make


def test_runs_with_other_answers_are_told_with_their_difference(run):
    both = pd.concat([run("a", RIGHT), run("b", np.ones(40))], ignore_index=True)
    trials = pd.DataFrame({"attempt_id": ["a", "b"], "location": ["r1.csv", "r2.csv"]})
    (caution,) = rerun_cautions(both, trials=trials)

    assert is_again(both).all()
    assert caution.code == "several-runs"
    assert caution.text.startswith(
        "m: 2 runs with other answers (r1.csv, r2.csv), which no seed tells apart, are "
        "averaged; they differ by 0.5 at task;"
    )
    (without,) = rerun_cautions(both)
    assert "other answers, which" in without.text


def test_of_several_tasks_the_most_different_is_named(run):
    frame = pd.concat(
        [
            run("a", RIGHT, task="t"),
            run("b", RIGHT[::-1], task="t"),
            run("c", RIGHT, task="u"),
            run("d", np.ones(40), task="u"),
        ],
        ignore_index=True,
    )
    (caution,) = rerun_cautions(frame)

    assert "differ by 0.5 at u, most at u of 2 tasks;" in caution.text


@pytest.mark.parametrize(
    "other",
    [{"sample_seed": 7}, {"fewshot_seed": 7}, {"repeat": 1}, {"dtype": "bfloat16"}],
)
def test_runs_that_something_tells_apart_are_none(run, other):
    both = pd.concat([run("a", RIGHT), run("b", np.ones(40), **other)])

    assert not is_again(both).any()
    assert rerun_cautions(both) == ()
    assert as_repeats(both) is both


def test_copies_and_runs_of_other_items_are_none(run):
    both = pd.concat([run("a", RIGHT), run("b", RIGHT)], ignore_index=True)
    halves = both[(both["attempt_id"] == "a") == (both["item_index"] < 20)]

    assert rerun_cautions(collapse(both)[0]) == ()
    assert rerun_cautions(both) == ()  # the same scores, where copies are left
    assert not is_again(halves).any()


def test_what_has_no_such_metric_is_not_told(run):
    both = pd.concat([run("a", RIGHT), run("b", np.ones(40))], ignore_index=True)
    none = both.assign(
        output_type="unknown", choice_logprobs=None, metrics=[{"score": 1.0}] * 80
    )

    assert rerun_cautions(none, kind="continuous") == ()


def test_runs_are_repeats_of_each_other(run):
    both = pd.concat([run("a", RIGHT), run("b", np.ones(40))], ignore_index=True)
    apart = as_repeats(both)

    assert apart.groupby("attempt_id")["repeat"].unique().map(list).to_dict() == {
        "a": [0],
        "b": [1],
    }
    (row,) = a_a(both)
    assert (row.draws, row.n_pairs, row.n_false) == ("repeats", 1, 1)
