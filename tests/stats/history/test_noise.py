"""The noise floor: von Neumann, coverage, seeds, repeated runs, what is unknown."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stats.history.designs import history

from harness.errors import DesignError
from harness.stats.history.change import change_points
from harness.stats.history.noise import neighbour_sd, noise_floor, run_sd
from harness.stats.series import seed_sd

nan = math.nan


def codes(found):
    return [caution.code for caution in found.cautions]


# ---- neighbouring checkpoints ----------------------------------------------------


def test_by_hand():
    # Differences 1, -2, 3: (1 + 4 + 9) / (2 * 3).
    found = neighbour_sd(np.array([0.0, 1, -1, 2]))

    assert found.value == pytest.approx(math.sqrt(14 / 6))
    assert found.n == 4
    assert codes(found) == ["few-checkpoints"]


@given(st.integers(2, 12), st.integers(2, 9), st.integers(0, 99))
def test_the_loop_says_the_same(n, last_n, seed):
    y = np.random.default_rng(seed).standard_normal(n)
    window = y[-last_n:]
    total = 0.0
    for before, after in itertools.pairwise(window):
        total += (after - before) ** 2

    assert neighbour_sd(y, last_n=last_n).value == pytest.approx(
        math.sqrt(total / (2 * (len(window) - 1)))
    )


@pytest.mark.parametrize("slope", [0, 0.3])
def test_its_square_is_unbiased_and_its_interval_covers(slope):
    rng = np.random.default_rng(2)
    found = [
        neighbour_sd(rng.standard_normal(10) + slope * np.arange(10))
        for _ in range(2000)
    ]
    squares = np.array([one.value**2 for one in found])

    se = squares.std() / math.sqrt(len(squares))
    assert abs(squares.mean() - 1 - slope**2 / 2) < 4 * se
    held = [one.interval.low <= 1 <= one.interval.high for one in found]
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def test_what_was_not_scored_and_what_is_no_noise_is_passed_over():
    y = np.array([0.0, 1, nan, 0, 9, 8])

    assert neighbour_sd(y, apart=[4]).value == pytest.approx(math.sqrt(3 / 6))
    assert neighbour_sd(y, apart=[2]).value == pytest.approx(
        neighbour_sd(y, apart=[3]).value
    )


@pytest.mark.parametrize("y", [[], [1.0], [nan, 1.0]])
def test_one_checkpoint_tells_nothing(y):
    found = neighbour_sd(np.array(y))

    assert math.isnan(found.value)
    assert codes(found) == ["one-checkpoint"]


def test_noise_over_one_point_is_refused():
    with pytest.raises(DesignError) as caught:
        neighbour_sd(np.arange(9.0), last_n=1)

    assert caught.value.code == "bad-n-last"


# ---- repeated runs ---------------------------------------------------------------


def test_runs_of_the_same_weights_are_pooled():
    # Weights 0 are at two points, with three runs in all; weights 1 were run once.
    runs = np.array([[[0.1, 0.3]], [[0.5, nan]], [[0.8, nan]]])
    weights = np.array([[0], [0], [1]])
    found = run_sd(runs, weights)

    assert found.value == pytest.approx(np.std([0.1, 0.3, 0.5], ddof=1))
    assert found.n == 3


def test_weights_that_nobody_knows_are_each_their_own():
    runs = np.array([[[0.1, 0.3]], [[0.5, 0.9]]])
    found = run_sd(runs, np.full((2, 1), -1))

    assert found.value == pytest.approx(math.sqrt((0.02 + 0.08) / 2))


def test_runs_that_agree_are_a_measurement():
    assert run_sd(np.full((3, 1, 2), 0.4), np.zeros((3, 1), int)).value == 0


def test_the_interval_of_runs_covers():
    rng = np.random.default_rng(5)
    found = [
        run_sd(rng.standard_normal((4, 1, 3)), np.arange(4)[:, None])
        for _ in range(1000)
    ]

    assert np.mean([one.value**2 for one in found]) == pytest.approx(1, abs=0.07)
    held = [one.interval.low <= 1 <= one.interval.high for one in found]
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_one_run_each_tells_nothing():
    found = run_sd(np.zeros((3, 2, 1)), np.arange(6).reshape(3, 2))

    assert math.isnan(found.value)
    assert codes(found) == ["no-reruns"]


# ---- the floor -------------------------------------------------------------------


def with_seeds(n_points=8, n_seeds=4, n_runs=2, seed=1, sds=(0.01, 0.02, 0.004)):
    """Return a history of several seeds and runs, with SDs of each."""
    rng = np.random.default_rng(seed)
    of_point, of_seed, of_run = sds
    runs = 0.5 + of_point * rng.standard_normal((n_points, 1, 1))
    runs = runs + of_seed * rng.standard_normal((n_points, n_seeds, 1))
    runs = runs + of_run * rng.standard_normal((n_points, n_seeds, n_runs))
    by_seed = runs.mean(2)
    return history(
        by_seed.mean(1),
        seed_scores=by_seed,
        run_scores=runs,
        train_seeds=tuple(range(n_seeds)),
        weights=np.arange(n_points * n_seeds).reshape(n_points, n_seeds),
    )


def test_each_is_of_the_point_as_it_stands():
    course = with_seeds()
    found = noise_floor(course)

    assert found.checkpoints.value == neighbour_sd(course.means).value
    assert found.seeds.value == pytest.approx(
        seed_sd(course.seed_scores.T).value / math.sqrt(4)
    )
    assert found.runs.value == pytest.approx(
        run_sd(course.run_scores, course.weights).value / math.sqrt(8)
    )
    assert found.used == "checkpoints"
    assert found.floor == found.checkpoints
    assert found.seeds.interval.low < found.seeds.value < found.seeds.interval.high


def test_the_largest_is_the_floor():
    assert noise_floor(with_seeds(sds=(0, 0.05, 0), seed=2)).used in (
        "checkpoints",
        "seeds",
    )
    course = with_seeds(n_points=1)
    assert noise_floor(course).used == "seeds"
    assert noise_floor(with_seeds(n_points=1, n_seeds=1)).used == "runs"


def test_only_the_last_points_count():
    means = np.concatenate([np.array([0.1, 0.9] * 5), np.full(6, 0.5)])
    means[-3:] += 0.01

    assert noise_floor(history(means), last_n=6).floor.value < 0.01
    assert noise_floor(history(means), last_n=16).floor.value > 0.1


def test_steps_and_blips_are_no_noise():
    rng = np.random.default_rng(1)
    means = np.repeat([0.8, 0.4], 8) + 0.01 * rng.standard_normal(16)
    means[12] = 0.9
    course = history(means)
    change = change_points(means)

    assert change.blips == (12,)
    assert noise_floor(course, last_n=16).floor.value > 0.1
    assert noise_floor(course, last_n=16, change=change).floor.value < 0.015


def test_the_same_checkpoint_twice_is_no_pair_of_neighbours():
    means = [0.5, 0.6, 0.5, 0.6]
    found = noise_floor(history(means, weights=np.zeros((4, 1), int)))

    assert math.isnan(found.checkpoints.value)
    assert found.used == "runs"
    assert found.floor.value == pytest.approx(np.std(means, ddof=1))


@pytest.mark.parametrize("means", [[0.5], []])
def test_where_nothing_is_known_it_says_so(means):
    found = noise_floor(history(means))

    assert found.used == ""
    assert math.isnan(found.floor.value)
    assert codes(found) == codes(found.floor) == ["noise-unknown"]
    assert found.to_dict()["runs"]["value"] is None


def test_a_level_that_is_none_is_refused():
    with pytest.raises(DesignError) as caught:
        noise_floor(history([0.5, 0.6]), confidence_level=1)

    assert caught.value.code == "bad-confidence-level"
