"""Which subset scores highest: algorithm 1 itself, brute force, ties, greedy."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stats.prompts.designs import WORKED, binary

from harness.errors import DesignError
from harness.stats.prompts.cells import reward_cells
from harness.stats.prompts.search import best_subset, score_matrix, subset_score
from harness.stats.prompts.variance import prompt_variance


def matrix(rng, n_system, n_user, noise=0.05):
    means = rng.random((n_system, n_user))
    apart = means - means.mean(0)
    return apart.T @ apart / n_system - np.diag(np.full(n_user, noise))


def algorithm_1(chances, subset, m):
    """The paper's score of one subset, term by term."""
    n, k = len(chances), len(subset)
    means = [sum(chances[i][u] for u in subset) / k for i in range(n)]
    grand = sum(means) / n
    seen = sum((x - grand) ** 2 for x in means) / n
    responses = 0.0
    for i in range(n):
        inner = sum(chances[i][u] * (1 - chances[i][u]) for u in subset) / k
        responses += inner / (k * m)
    return seen - (n - 1) / n**2 * responses


def test_the_worked_example():
    for mode, scores in (("p1", (0.03125, 0.046875)), ("unbiased", (0, 0.03125))):
        q = score_matrix(reward_cells(WORKED, mode=mode))
        assert subset_score(q, np.array([0])) == pytest.approx(scores[0])
        assert subset_score(q, np.array([0, 1])) == pytest.approx(scores[1])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_matrix_scores_as_algorithm_1_and_finds_its_best(size):
    rng = np.random.default_rng(1)
    rewards = binary(rng, rng.random((6, 7)), 5)
    q = score_matrix(reward_cells(rewards, mode="p1"))
    chances = rewards.mean(-1)
    subsets = list(combinations(range(7), size))
    scores = [algorithm_1(chances, subset, 5) for subset in subsets]
    found = best_subset(q, size)

    assert subset_score(q, np.array(subsets)) == pytest.approx(scores)
    assert tuple(found.columns) == subsets[int(np.argmax(scores))]
    assert found.score == pytest.approx(max(scores))
    assert (found.method, found.n_subsets) == ("exhaustive", len(subsets))


def test_the_score_is_the_variance_of_that_subset():
    rng = np.random.default_rng(2)
    rewards = binary(rng, rng.random((6, 5)), 4)
    rewards[0, :, 3] = math.nan
    for mode in ("p1", "unbiased"):
        q = score_matrix(reward_cells(rewards, mode=mode))
        found = prompt_variance(rewards, mode=mode, user_prompts=[1, 3, 4])
        assert subset_score(q, np.array([1, 3, 4])) == pytest.approx(
            found.among_system_prompts.value
        )


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_of_equal_scores_the_first_is_taken(size):
    q = np.zeros((6, 6))
    rounding = np.random.default_rng(3).normal(0, 1e-17, (6, 6))

    for table in (q, 0.25 + rounding + rounding.T):
        assert best_subset(table, size).columns.tolist() == list(range(size))
        greedy = best_subset(table, size, budget=1)
        assert greedy.columns.tolist() == list(range(size))


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_greedy_is_never_better_and_no_swap_helps_it(seed, size):
    q = matrix(np.random.default_rng(seed), 6, 8)
    best = best_subset(q, size)
    greedy = best_subset(q, size, budget=1)
    chosen = greedy.columns
    rest = np.setdiff1d(np.arange(8), chosen)
    swaps = [
        np.append(np.delete(chosen, out), into) for out in range(size) for into in rest
    ]

    assert greedy.score <= best.score + 1e-12
    assert max(float(subset_score(q, swap)) for swap in swaps) <= greedy.score + 1e-12
    assert greedy.score == pytest.approx(float(subset_score(q, chosen)))


def test_greedy_mostly_finds_the_best():
    rng = np.random.default_rng(4)
    found = 0
    for _ in range(60):
        q = matrix(rng, 16, 12)
        best, greedy = best_subset(q, 5), best_subset(q, 5, budget=1)
        assert (best.method, greedy.method) == ("exhaustive", "greedy")
        assert greedy.n_subsets > math.comb(12, 2)
        found += greedy.columns.tolist() == best.columns.tolist()

    assert found >= 57


def test_the_order_of_user_prompts_does_not_matter():
    rng = np.random.default_rng(5)
    q = matrix(rng, 10, 9)
    order = rng.permutation(9)
    for budget in (1, 1_000):
        here = best_subset(q, 4, budget=budget)
        there = best_subset(q[order][:, order], 4, budget=budget)
        assert sorted(order[there.columns]) == here.columns.tolist()


def test_how_many_are_added_up_at_a_time_does_not_matter(monkeypatch):
    tables = [matrix(np.random.default_rng(seed), 10, 9) for seed in range(20)]
    at_once = [best_subset(q, 3).columns.tolist() for q in tables]
    monkeypatch.setattr("harness.stats.prompts.search.BLOCK", 40)

    assert [best_subset(q, 3).columns.tolist() for q in tables] == at_once


def test_four_of_thirty_and_two_of_a_thousand_are_all_examined():
    rng = np.random.default_rng(6)
    four = best_subset(matrix(rng, 16, 30), 4)
    two = best_subset(matrix(rng, 32, 1_000), 2)
    many = best_subset(matrix(rng, 16, 64), 16)

    assert (four.method, four.n_subsets) == ("exhaustive", 27_405)
    assert (two.method, two.n_subsets) == ("exhaustive", 499_500)
    assert many.method == "greedy"


def test_all_user_prompts_are_one_subset():
    q = matrix(np.random.default_rng(7), 5, 4)

    assert best_subset(q, 4, budget=0).columns.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [0, 5])
def test_a_size_that_no_subset_has_is_refused(size):
    with pytest.raises(DesignError) as caught:
        best_subset(np.eye(4), size)

    assert caught.value.code == "subset-size"
