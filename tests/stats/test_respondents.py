"""Who answered, of all models: rows and columns of what they share."""

import math

import numpy as np
import pandas as pd
import pytest

from harness.stats.respondents import respondents
from harness.stats.tables import score_tables

nan = math.nan


@pytest.fixture
def two_models(simulated):
    small = simulated({(1, 10): [1, 0, 1], (1, 20): [1, 1, 1]}, model="small")
    large = simulated({(7, 20): [0, 1, 1, 1], (9, 20): [0, 0, 1, 0]}, model="large")
    return pd.concat([small, large], ignore_index=True)


def test_checkpoints_of_all_models_stand_in_one_table(two_models):
    (who,) = respondents(score_tables(two_models))

    assert who.models == ("large", "large", "small", "small")
    assert who.train_seeds == (7, 9, 1, 1)
    assert who.steps == (20, 20, 10, 20)
    assert who.item_indexes == (0, 1, 2, 3)
    assert who.metric == "acc"
    np.testing.assert_array_equal(
        who.scores, [[0, 1, 1, 1], [0, 0, 1, 0], [1, 0, 1, nan], [1, 1, 1, nan]]
    )
    np.testing.assert_array_equal(who.runs, [0, 1, 2, 2])
    assert who.n_runs == 3


def test_the_grid_pads_models_that_have_fewer_seeds_and_steps(two_models):
    grid, models, steps = respondents(score_tables(two_models))[0].grid()

    assert models == ("large", "small")
    assert steps == (10, 20)
    assert grid.shape == (2, 2, 2, 4)
    np.testing.assert_array_equal(grid[0, :, 1], [[0, 1, 1, 1], [0, 0, 1, 0]])
    np.testing.assert_array_equal(grid[1, 0, 0], [1, 0, 1, nan])
    assert np.isnan(grid[1, 1]).all()
    assert np.isnan(grid[0, :, 0]).all()


def test_the_continuous_metric_is_asked_for_by_name(two_models):
    (who,) = respondents(score_tables(two_models), kind="continuous")

    assert who.metric == "prob_correct"
    assert 0 < who.scores[0, 0] < 1


def test_conditions_without_a_continuous_metric_are_left_out(simulated):
    frame = simulated({(1, 10): [1, 0]}).assign(output_type="generate_until")

    assert respondents(score_tables(frame), kind="continuous") == ()


def test_of_several_settings_those_count_that_most_models_share(simulated):
    cells = {(1, 10): [1, 0, 1]}
    frame = pd.concat(
        [
            simulated(cells, model="a", dtype="bfloat16"),
            simulated(cells, model="a", dtype="float32"),
            simulated(cells, model="b", dtype="float32"),
        ]
    )

    (who,) = respondents(score_tables(frame))

    assert who.models == ("a", "b")
    assert "mixed-settings" in [caution.code for caution in who.cautions]
    assert "settings-differ" not in [caution.code for caution in who.cautions]


def test_models_under_different_settings_are_told(simulated):
    cells = {(1, 10): [1, 0, 1]}
    frame = pd.concat(
        [
            simulated(cells, model="a", dtype="bfloat16"),
            simulated(cells, model="b", dtype="float32"),
        ]
    )

    (who,) = respondents(score_tables(frame))

    assert who.models == ("a", "b")
    assert [caution.code for caution in who.cautions] == ["settings-differ"]
