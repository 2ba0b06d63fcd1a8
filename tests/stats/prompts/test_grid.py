"""Mean rewards of system prompts on user prompts, laid out."""

import json

import numpy as np
import pytest

from harness.errors import DesignError
from harness.stats.intervals import score_interval
from harness.stats.prompts.grid import prompt_grid
from harness.stats.prompts.variance import prompt_variance


def rewards(n_system=4, n_user=7, n_responses=5):
    rng = np.random.default_rng(3)
    p = rng.random((n_system, n_user, 1))
    return (rng.random((n_system, n_user, n_responses)) < p).astype(float)


def test_rows_fall_by_their_mean_over_user_prompts():
    given = rewards()
    grid = prompt_grid(given, bounds=(0, 1), confidence_level=0.9)

    means = given.mean(-1)
    assert sorted(grid.system) == [0, 1, 2, 3]
    assert (np.diff(means.mean(1)[grid.system]) <= 0).all()
    np.testing.assert_allclose(grid.means, means[grid.system])
    for place, estimate in zip(grid.system, grid.scores, strict=True):
        own = score_interval(means[place], bounds=(0, 1), confidence_level=0.9)
        assert estimate.value == pytest.approx(own.value)
        assert estimate.interval == pytest.approx(own.interval)


def test_ties_keep_their_order():
    grid = prompt_grid(np.ones((3, 2, 2)))

    assert grid.system.tolist() == [0, 1, 2]


@pytest.mark.parametrize("gaps", [False, True])
def test_variance_of_a_user_prompt_is_that_of_prompt_variance(gaps):
    given = rewards()
    if gaps:
        given[1, 2, 3:] = np.nan
    grid = prompt_grid(given)
    found = prompt_variance(given)

    np.testing.assert_allclose(grid.variance, found.per_prompt, atol=1e-15)
    np.testing.assert_allclose(grid.difficulty, found.difficulty)
    assert grid.fewest_responses == (3 if gaps else 5)
    assert grid.most_responses == 5


def test_of_one_response_the_variance_holds_its_randomness():
    given = rewards(n_responses=1)
    grid = prompt_grid(given)

    np.testing.assert_allclose(grid.variance, given[..., 0].var(0))
    assert grid.fewest_responses == 1
    assert grid.cautions == ()


def test_what_is_missing_is_left_out_and_said():
    given = rewards()
    given[2] = np.nan
    given[0, 3] = np.nan
    grid = prompt_grid(given)

    assert set(grid.system) == {0, 1, 3}
    assert grid.user.tolist() == [0, 1, 2, 4, 5, 6]
    assert [c.code for c in grid.cautions] == [
        "missing-system-prompts",
        "items-not-shared",
    ]


@pytest.mark.parametrize("by", ["difficulty", "variance"])
def test_columns_fall_by_what_orders_them(by):
    grid = prompt_grid(rewards())
    groups = grid.columns(by, 100)

    assert all(len(group) == 1 for group in groups)
    key = getattr(grid, by)[np.concatenate(groups)]
    assert (np.diff(key) <= 0).all()


def test_many_columns_are_groups_alike_in_size():
    grid = prompt_grid(rewards())
    groups = grid.columns("difficulty", 3)

    assert [len(group) for group in groups] == [3, 2, 2]
    one_by_one = np.concatenate(grid.columns("difficulty", 7))
    np.testing.assert_array_equal(np.concatenate(groups), one_by_one)


def test_both_forms_have_each_cell():
    grid = prompt_grid(rewards())
    frame = grid.to_frame()
    plain = json.loads(json.dumps(grid.to_dict()))

    assert len(frame) == 28
    cell = frame[(frame.system_prompt == grid.system[1]) & (frame.user_prompt == 4)]
    assert cell["mean"].item() == grid.means[1, 4]
    assert plain["means"] == grid.means.tolist()
    assert len(plain["scores"]) == 4


def test_one_system_prompt_is_refused():
    with pytest.raises(DesignError, match="2 or more") as error:
        prompt_grid(rewards(n_system=1))
    assert error.value.code == "too-few-replicates"
