"""Clustered standard errors: a worked example, statsmodels, a plain loop, edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DesignError
from harness.stats.clusters import (
    CLUSTER_KINDS,
    cluster_df,
    clustered_se,
    count_clusters,
    effective_clusters,
)

SCORES = np.array([1.0, 1, 1, 0, 0, 1])
CLUSTERS = [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("kind", "expected"), [("miller", 0.296065), ("cr0", 0.283279), ("cr1", 0.346944)]
)
def test_clusters_of_three_two_and_one(kind, expected):
    """Right [1, 1, 1], [0, 0] and [1]: residual sums 1, -4/3 and 1/3 of 6 items."""
    assert clustered_se(SCORES, CLUSTERS, kind=kind) == pytest.approx(
        expected, abs=5e-7
    )


def test_cr1_agrees_with_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    clusters = rng.integers(0, 40, 500)
    scores = rng.random(500) + rng.random(40)[clusters]
    fit = sm.OLS(scores, np.ones(500)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}
    )

    assert clustered_se(scores, clusters) == pytest.approx(fit.bse[0], rel=1e-10)


@pytest.mark.parametrize("kind", CLUSTER_KINDS)
def test_a_plain_loop_gives_the_same(kind):
    rng = np.random.default_rng(2)
    clusters = rng.integers(0, 9, 60)
    table = rng.random((2, 3, 60))
    found = clustered_se(table, clusters, kind=kind)

    for index in np.ndindex(2, 3):
        scores = table[index]
        n, n_clusters, mean = 60, len(set(clusters.tolist())), scores.mean()
        cross = square = 0.0
        for i in range(n):
            square += (scores[i] - mean) ** 2
            for j in range(n):
                if i != j and clusters[i] == clusters[j]:
                    cross += (scores[i] - mean) * (scores[j] - mean)
        variance = {
            "miller": square / (n - 1) / n + cross / n**2,
            "cr0": (square + cross) / n**2,
            "cr1": (square + cross) / n**2 * n_clusters / (n_clusters - 1),
        }[kind]
        assert found[index] == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_clusters_of_one_item_are_no_clusters():
    scores = np.random.default_rng(3).random(30)

    plain = scores.std(ddof=1) / math.sqrt(30)
    assert clustered_se(scores, range(30), kind="cr1") == pytest.approx(plain)
    assert clustered_se(scores, range(30), kind="miller") == pytest.approx(plain)
    assert clustered_se(scores, range(30), kind="cr0") < plain


def test_copies_of_items_in_their_clusters_tell_nothing_new():
    scores = np.random.default_rng(4).random(30)
    once = clustered_se(scores, range(30))

    copies = clustered_se(np.repeat(scores, 10), np.repeat(range(30), 10))
    assert copies == pytest.approx(float(once))


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=2, max_size=30),
    st.randoms(use_true_random=False),
)
def test_names_and_order_of_clusters_do_not_matter(items, random):
    scores, clusters = np.array([s for s, _ in items]), [c for _, c in items]
    order = random.sample(range(len(items)), len(items))
    names = [f"passage {7 - clusters[i]}" for i in order]

    np.testing.assert_allclose(
        clustered_se(scores[order], names),
        clustered_se(scores, clusters),
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "clusters", [[10**9, 10**9, 5, 5, 7, 7], [-1, -1, 0, 0, 1, 1], list("aabbcc")]
)
def test_clusters_have_any_labels(clusters):
    expected = clustered_se(SCORES, [0, 0, 1, 1, 2, 2])

    assert clustered_se(SCORES, clusters) == pytest.approx(float(expected))


def test_numbers_without_items_are_no_clusters():
    few = np.array([0, 0, 3, 3, 9, 9])

    assert count_clusters(few) == 3
    assert clustered_se(SCORES, few) == clustered_se(SCORES, few // 3)


def test_effective_clusters():
    """Kish: sizes 3, 2 and 1 tell as much as 36 / 14 clusters of one size."""
    assert effective_clusters(CLUSTERS) == pytest.approx(36 / 14)
    assert effective_clusters([1, 1, 2, 2, 3, 3]) == pytest.approx(3)
    assert effective_clusters([]) == 0


def test_degrees_of_freedom_of_copies_and_of_independent_items():
    """Copies: v = m^2 of m items; independent: v = m. Of sizes 3, 2 and 1."""
    codes = np.array(CLUSTERS)
    copies = np.array([1.0, 1, 1, 0, 0, 0])
    # Residuals that sum to 0 in each cluster: no correlation, or a negative one.
    apart = np.array([0, 0.5, 1, 0, 1, 0.5])

    assert cluster_df(copies, codes) == pytest.approx(14**2 / (81 + 16 + 1) - 1)
    assert cluster_df(apart, codes) == pytest.approx(36 / 14 - 1)
    assert cluster_df(np.zeros(6), codes) == pytest.approx(14**2 / 98 - 1)
    rng = np.random.default_rng(1)
    assert cluster_df(rng.random(60), np.arange(60) // 4) == pytest.approx(14)
    assert cluster_df(rng.random(60), np.arange(60)) == pytest.approx(59)


def test_one_cluster_has_no_standard_error():
    assert np.isnan(clustered_se(SCORES, [4] * 6))
    assert clustered_se(SCORES, [4] * 6, kind="cr0") == pytest.approx(0)


@pytest.mark.parametrize("kind", CLUSTER_KINDS)
def test_no_items_and_one_item_have_no_standard_error(kind):
    assert np.isnan(clustered_se(np.empty((2, 0)), [], kind=kind)).all()
    one = clustered_se(np.array([0.3]), [0], kind=kind)
    assert np.isnan(one) or (kind == "cr0" and one == 0)


@pytest.mark.parametrize(
    ("clusters", "options", "code"),
    [
        ([0, 0, 1], {}, "unequal-lengths"),
        ([[0, 0, 0, 1, 1, 2]], {}, "unequal-lengths"),
        (["a", None, "b", "b", None, "c"], {}, "missing-clusters"),
        (CLUSTERS, {"kind": "cr9"}, "unknown-method"),
    ],
)
def test_what_are_no_clusters_is_refused(clusters, options, code):
    clusters = np.array(clusters, dtype=object if None in clusters else None)

    with pytest.raises(DesignError) as caught:
        clustered_se(SCORES, clusters, **options)

    assert caught.value.code == code
