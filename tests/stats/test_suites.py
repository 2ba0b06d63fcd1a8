"""Tasks that can be averaged, and the signal and noise of their mean."""

import numpy as np
import pandas as pd
import pytest

from harness.stats.respondents import respondents
from harness.stats.signal import signal_noise
from harness.stats.signal_table import signal_table
from harness.stats.suites import suites
from harness.stats.tables import score_tables

STEPS = (0, 10, 20, 30, 40, 50)


def responses(simulated, task, *, models=("m", "n", "o"), seeds=(1, 2), steps=STEPS):
    rng = np.random.default_rng([len(task), len(steps)])
    frames = []
    for place, model in enumerate(models):
        rate = 0.3 + 0.15 * place
        cells = {
            (seed, step): (rng.random(30) < rate).astype(int)
            for seed in seeds[: 1 if model == "n" else None]
            for step in steps
        }
        frames.append(simulated(cells, model=model, task=task, rng=rng))
    return pd.concat(frames)


def rows_of(*frames):
    return signal_table(respondents(score_tables(pd.concat(frames))))[0]


def test_the_mean_of_tasks_is_one_task(simulated):
    rows = rows_of(*(responses(simulated, name) for name in ("a", "bb", "ccc")))

    (suite,), left_out = suites(rows)

    assert left_out == ()
    assert suite.tasks == rows
    assert suite.runs == (("m", 1), ("m", 2), ("n", 1), ("o", 1), ("o", 2))
    assert suite.steps == STEPS[-5:]
    for chosen in ([1], [0, 2], [0, 1, 2]):
        alone = signal_noise(np.mean([rows[k].scores for k in chosen], axis=0))
        found = suite.signal_noise(chosen)
        assert found.signal.value == pytest.approx(alone.signal.value)
        assert found.noise.value == pytest.approx(alone.noise.value)
        assert found.snr.value == pytest.approx(alone.snr.value)
    # What equal models would show depends on their number alone.
    equals = {suite.signal_noise([k]).snr_of_equals for k in range(3)}
    assert len(equals) == 1
    wide = suite.signal_noise([0, 1], confidence_level=0.99)
    other = suite.signal_noise([0, 1], entropy=1)
    assert wide.snr.interval.low < suite.signal_noise([0, 1]).snr.interval.low
    assert other.snr.interval != suite.signal_noise([0, 1]).snr.interval


def test_runs_by_a_loop(simulated):
    rows = rows_of(responses(simulated, "a"), responses(simulated, "bb"))

    (suite,), _ = suites(rows, n_last=3)

    assert suite.scores.shape == (2, 5, 3)
    for task, row in enumerate(rows):
        who = row.who
        for r, (model, seed) in enumerate(suite.runs):
            for t, step in enumerate(suite.steps):
                at = list(zip(who.models, who.train_seeds, who.steps, strict=True))
                own = who.scores[at.index((model, seed, step))]
                assert suite.scores[task, r, t] == pytest.approx(own.mean())


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"models": ("m",)}, "signal needs at least 2 models, has 1"),
        ({"steps": STEPS[:1]}, "noise needs at least 2 checkpoints, has 1"),
        ({"models": ("m", "n")}, "no other task has its metric, models, seeds"),
        ({"seeds": (1, 3)}, "no other task has its metric, models, seeds"),
        ({"steps": STEPS[:-1]}, "no other task has its metric, models, seeds"),
    ],
)
def test_others_are_left_out_with_the_reason(simulated, other, reason):
    like = [responses(simulated, name) for name in ("a", "bb")]
    rows = rows_of(*like, responses(simulated, "odd", **other))

    (suite,), ((row, told),) = suites(rows)

    assert [row.who.task for row in suite.tasks] == ["a", "bb"]
    assert row.who.task == "odd"
    assert told.startswith(reason)


def test_a_missing_checkpoint_leaves_a_task_out(simulated):
    whole, part = responses(simulated, "a"), responses(simulated, "bb")
    gone = (part["model"] == "n") & (part["step"] == 50)

    found, left_out = suites(rows_of(whole, part[~gone]))

    assert found == ()
    reasons = {row.who.task: reason for row, reason in left_out}
    assert reasons["bb"] == "1 of its 5 runs lack some of the last 5 checkpoints"
    assert reasons["a"].startswith("no other task")


def test_an_earlier_missing_checkpoint_does_not_matter(simulated):
    whole, part = responses(simulated, "a"), responses(simulated, "bb")
    gone = (part["model"] == "n") & (part["step"] == 0)

    assert len(suites(rows_of(whole, part[~gone]))[0]) == 1


def test_two_metrics_are_two_suites(simulated):
    tables = score_tables(
        pd.concat([responses(simulated, "a"), responses(simulated, "bb")])
    )
    people = (*respondents(tables), *respondents(tables, kind="continuous"))

    found, _ = suites(signal_table(people)[0])

    assert [suite.metric for suite in found] == ["acc", "prob_correct"]
