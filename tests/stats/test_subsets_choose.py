"""Choosing items: k-means against scipy, greedy against all subsets, edges."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stats.subset_designs import answers, calibration, item_model

from harness.errors import DesignError
from harness.stats.irt.information import item_information
from harness.stats.subsets.choose import METHOD_NAMES, choose_subset


@pytest.fixture
def table():
    rng = np.random.default_rng(7)
    items = item_model(rng.lognormal(0, 0.3, 60), rng.normal(0, 1.2, 60))
    ability = rng.normal(0, 1, 40)
    return answers(items, ability, rng=rng), calibration(items, ability=ability)


@pytest.mark.parametrize("method", METHOD_NAMES)
@pytest.mark.parametrize("n_items", [1, 7, 60])
def test_a_subset_has_distinct_items_and_weights_that_sum_to_one(
    table, method, n_items
):
    scores, known = table
    found = choose_subset(scores, n_items, method=method, calibration=known, rng=1)

    assert found.n_items == n_items == len(set(found.items.tolist()))
    assert found.weights.sum() == pytest.approx(1)
    assert np.all(found.weights > 0)
    assert np.all(np.diff(found.items) > 0)
    assert found.item_ids == tuple(str(i) for i in found.items)
    assert found.n_items_total == 60
    assert len(found.fitted_on) == (0 if method == "random" else 40)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_all_items_weigh_the_same(table, method):
    scores, known = table
    found = choose_subset(scores, 60, method=method, calibration=known, rng=1)

    assert found.weights == pytest.approx(np.full(60, 1 / 60))


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_the_same_stream_chooses_the_same_items(table, method):
    scores, known = table
    one, two = (
        choose_subset(scores, 9, method=method, calibration=known, rng=3)
        for _ in range(2)
    )

    assert np.array_equal(one.items, two.items)
    assert np.array_equal(one.weights, two.weights)


def test_names_of_items_and_respondents_are_kept(table):
    scores, _ = table
    found = choose_subset(
        scores,
        2,
        method="stratified",
        item_ids=[f"q{i}" for i in range(60)],
        respondents=[f"r{i}" for i in range(40)],
        rng=1,
    )

    assert found.item_ids == tuple(f"q{i}" for i in found.items)
    assert found.fitted_on[:2] == ("r0", "r1")
    assert found.to_dict()["item_ids"] == list(found.item_ids)
    assert found.to_frame().columns.tolist() == ["item", "item_id", "weight"]


def test_anchors_are_the_middles_of_separate_clusters():
    """Three clusters of 2, 3 and 5 items: their masses, and their middle items."""
    difficulty = [-3.1, -2.9, 0, 0.1, 0.2, 3, 3.1, 3.2, 3.3, 3.4]
    known = calibration(item_model(np.ones(10), difficulty))
    found = choose_subset(
        np.zeros((1, 10)), 3, method="anchors-irt", calibration=known, rng=1
    )

    assert found.weights.tolist() == [0.2, 0.3, 0.5]
    assert found.items[1:].tolist() == [3, 7]


def test_items_that_nobody_can_tell_apart_are_still_different_items():
    """Two kinds of items, five anchors: two centres have no item of their own."""
    scores = np.tile([[1.0, 1, 0, 0, 0, 0, 0, 0], [0.0, 0, 1, 1, 1, 1, 1, 1]], (2, 1))
    found = choose_subset(scores, 5, method="anchors-correct", rng=1)

    assert len(set(found.items.tolist())) == 5
    assert found.weights[found.items < 2].sum() == pytest.approx(0.25)


def test_k_means_is_as_tight_as_scipy_s(table):
    from scipy.cluster.vq import kmeans2

    scores, _ = table
    points = scores.T
    ours = []
    theirs = []
    for k in range(5):
        found = choose_subset(scores, 10, method="anchors-correct", rng=k)
        centre = points[found.items]
        distance = ((points[:, None] - centre) ** 2).sum(-1)
        ours.append(distance.min(1).sum())
        centroids, labels = kmeans2(points, 10, minit="++", seed=k, missing="raise")
        distance = ((points[:, None] - centroids) ** 2).sum(-1)
        nearest = np.array(
            [np.where(labels == c, distance[:, c], np.inf).argmin() for c in range(10)]
        )
        distance = ((points[:, None] - points[nearest]) ** 2).sum(-1)
        theirs.append(distance.min(1).sum())

    assert np.mean(ours) < 1.03 * np.mean(theirs)


def test_clusters_that_have_not_settled_are_still_clusters(table, monkeypatch):
    monkeypatch.setattr("harness.stats.subsets.choose.MAX_ROUNDS", 1)
    found = choose_subset(table[0], 10, method="anchors-correct", rng=1)

    assert found.n_items == 10
    assert found.weights.sum() == pytest.approx(1)


def test_greedy_information_is_near_the_best_of_all_subsets():
    """Of 120 triples; the bound of Nemhauser et al. is 63 %, and it does better."""
    rng = np.random.default_rng(5)
    items = item_model(rng.lognormal(0, 0.4, 10), rng.normal(0, 1.5, 10))
    ability = rng.normal(0, 1, 200)
    known = calibration(items, ability=ability)
    quantiles = np.quantile(ability, (np.arange(20) + 0.5) / 20)
    information = item_information(items, quantiles)

    def worth(chosen):
        return sum(
            np.log(1 + sum(information[q, j] for j in chosen)) for q in range(20)
        )

    chosen = choose_subset(
        np.zeros((1, 10)), 3, method="information", calibration=known
    ).items
    greedy = []
    for _ in range(3):
        rest = [j for j in range(10) if j not in greedy]
        greedy.append(max(rest, key=lambda j: worth([*greedy, j])))
    best = max(map(worth, itertools.combinations(range(10), 3)))

    assert sorted(greedy) == chosen.tolist()
    assert worth(chosen) > 0.95 * best


def test_strata_are_cut_by_label_and_then_by_difficulty():
    """12 items of two subtasks, 8 and 4, in four blocks of 3; one block has both."""
    scores = np.vstack([np.arange(12) >= k for k in range(13)]).astype(float)
    labels = ["b"] * 4 + ["a"] * 8
    rng = np.random.default_rng(2)
    blocks = [{4, 5, 6}, {7, 8, 9}, {10, 11, 0}, {1, 2, 3}]
    draws = [
        choose_subset(scores, 4, method="stratified", strata=labels, rng=rng)
        for _ in range(50)
    ]

    assert all(len(b & set(d.items.tolist())) == 1 for d in draws for b in blocks)
    assert {i for d in draws for i in d.items.tolist()} == set(range(12))
    without = choose_subset(scores, 4, method="stratified", rng=1).items
    assert [
        len({3 * k, 3 * k + 1, 3 * k + 2} & set(without.tolist())) for k in range(4)
    ] == [1] * 4


@pytest.mark.parametrize("method", ["random", "stratified"])
def test_a_drawn_subset_is_unbiased_for_any_model(method):
    """Mean of 2,000 draws, with weights, against the full mean; 61 into 7 is uneven."""
    rng = np.random.default_rng(11)
    known, unseen = rng.random((5, 61)), rng.random(61) ** 3
    found = []
    for _ in range(2000):
        subset = choose_subset(known, 7, method=method, rng=rng)
        found.append(unseen[subset.items] @ subset.weights)

    error = np.mean(found) - unseen.mean()
    assert abs(error) < 4 * np.std(found, ddof=1) / np.sqrt(len(found))


@given(st.integers(1, 25), st.integers(0, 10**6))
def test_anchors_are_distinct_and_weigh_all_whatever_the_answers(n_items, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 2, (3, 25)).astype(float)
    found = choose_subset(scores, n_items, method="anchors-correct", rng=rng)

    assert len(set(found.items.tolist())) == n_items
    assert found.weights.sum() == pytest.approx(1)


def test_a_calibration_is_made_where_none_is_given(table):
    scores, _ = table
    found = choose_subset(scores, 5, method="anchors-irt", rng=1)

    assert found.n_items == 5


@pytest.mark.parametrize("n_items", [0, -1, 61])
def test_impossible_sizes_are_refused(table, n_items):
    with pytest.raises(DesignError, match="at most all 60") as caught:
        choose_subset(table[0], n_items, method="random")

    assert caught.value.code == "subset-size"


def test_unknown_methods_and_missing_scores_are_refused(table):
    scores = table[0].copy()
    with pytest.raises(DesignError, match="stratified") as caught:
        choose_subset(scores, 3, method="best")
    assert caught.value.code == "unknown-method"

    scores[3, 4] = np.nan
    with pytest.raises(DesignError) as caught:
        choose_subset(scores, 3, method="anchors-correct")
    assert caught.value.code == "missing-scores"
