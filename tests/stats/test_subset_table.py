"""Subsets of each task, from tables of scores."""

import json

import numpy as np
import pandas as pd
import pytest

from harness.stats.respondents import respondents
from harness.stats.subset_table import subset_table
from harness.stats.subsets.evaluate import evaluate_subsets
from harness.stats.tables import score_tables
from harness.streams import stream

METHODS = {"stratified": ("weighted",)}


@pytest.fixture
def people(simulated):
    rng = np.random.default_rng(3)
    frames = []
    for place, model in enumerate(("m", "n", "o")):
        cells = {
            (seed, step): (rng.random(30) < 0.2 + 0.1 * place + step / 50).astype(int)
            for seed in range(4)
            for step in (0, 10, 20)
        }
        frames.append(simulated(cells, model=model, rng=rng))
    return respondents(score_tables(pd.concat(frames)))


def test_a_row_is_the_evaluation_of_its_respondents(people):
    (row,), refused = subset_table(people, [5, 10], methods=METHODS)

    (who,) = people
    alone = evaluate_subsets(
        who.scores,
        [5, 10],
        models=who.models,
        train_seeds=who.train_seeds,
        steps=who.steps,
        methods=METHODS,
        rng=stream(0, "subsets of task"),
    )
    assert refused == ()
    pd.testing.assert_frame_equal(row.evaluation.to_frame(), alone.to_frame())
    assert {one.method for one in row.evaluation.rows} == {
        "full",
        "random",
        "stratified",
    }
    json.dumps(row.to_dict(), allow_nan=False)


def test_options_reach_the_evaluation(people):
    def mae(**options):
        (row,), _ = subset_table(people, [10], methods=METHODS, **options)
        return row.evaluation

    assert mae().to_frame().equals(mae().to_frame())
    assert not mae(entropy=1).to_frame().equals(mae().to_frame())
    assert mae().n_groups == mae(hold_out="model").n_groups == 3
    assert mae(hold_out="run").n_groups == 12
    assert mae(n_draws=400).rows[1].n_draws == 400
    assert mae(confidence_level=0.9).confidence_level == 0.9


def test_one_model_is_judged_by_runs_unless_models_are_asked_for(simulated):
    rng = np.random.default_rng(3)
    cells = {(seed, 0): rng.integers(0, 2, 30) for seed in range(4)}
    people = respondents(score_tables(simulated(cells, model="m", rng=rng)))
    (row,), _ = subset_table(people, [10], methods=METHODS)
    rows, ((_, error),) = subset_table(people, [10], methods=METHODS, hold_out="model")

    assert row.evaluation.unit == "run"
    assert "seeds-on-both-sides" in [c.code for c in row.cautions]
    assert rows == ()
    assert error.code == "too-few-respondents"


def test_a_size_that_a_task_does_not_have_is_refused_for_that_task(people, simulated):
    (rows, refused) = subset_table(people, [31], methods=METHODS)

    assert rows == ()
    assert [(who.task, error.code) for who, error in refused] == [
        ("task", "subset-size")
    ]
