"""Components of repeated answers: others' figures, coverage, properties, edges."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from stats.seed_designs import coverage, golden, is_sound, made_table, repeated_scores

from harness.errors import DesignError
from harness.stats.repeats import (
    predicted_se,
    repeat_components,
    variance_over_repeats,
)

nan = math.nan
DATA = Path(__file__).parents[3] / "shared" / "data"
EVALPERF = DATA / "evalperf_passrate" / "evalperf_items.parquet"


def test_components_of_repeats_are_lme4_s_and_psych_s():
    found = repeat_components(made_table()[1])

    theirs = golden("repeats", "lme4")
    assert found.item.value == pytest.approx(float(theirs["item"][0]), abs=1e-6)
    assert found.repeat.value == pytest.approx(float(theirs["Residual"][0]), abs=1e-6)
    theirs = golden("repeats", "psych")
    assert found.icc_single.value == pytest.approx(float(theirs["ICC1"][0]), abs=1e-12)
    assert found.icc_mean.value == pytest.approx(float(theirs["ICC1k"][0]), abs=1e-12)


def test_two_passes_keep_a_small_variance_beside_a_large_mean():
    # More cells than are squared at a time, the last of them too few to fill a part.
    scores = np.random.default_rng(5).normal(size=(3, 1_000, 7)) + 1e4
    found = variance_over_repeats(scores, scores.mean(-1))
    by_loop = [[np.var(cell, ddof=1) for cell in row] for row in scores]

    assert found == pytest.approx(np.array(by_loop), rel=1e-12)


def test_miller_s_factor_of_repeats():
    """Uniform difficulty: (1 + 2/K) / 3 of the variance with one answer."""
    scores = repeated_scores(
        np.random.default_rng(4), n_items=40_000, n_repeats=4, a=1, b=1
    )[0]
    found = repeat_components(scores)

    assert found.item.value == pytest.approx(1 / 12, abs=0.002)
    assert found.repeat.value == pytest.approx(1 / 6, abs=0.002)
    one = predicted_se(found, n_items=100, n_repeats=1)
    for k in (2, 4, 6):
        ratio = (predicted_se(found, n_items=100, n_repeats=k) / one) ** 2
        assert ratio == pytest.approx((1 + 2 / k) / 3, abs=0.01)
    assert predicted_se(found, n_items=400, n_repeats=1) == pytest.approx(one / 2)


def test_the_design_that_was_run_predicts_its_own_standard_error():
    scores = made_table()[0]
    found = repeat_components(scores)

    assert predicted_se(found, n_items=8, n_repeats=3) == pytest.approx(
        scores.mean(1).std(ddof=1) / math.sqrt(8)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b"), [(1, 1), (0.5, 0.5), (8, 2)])
def test_repeat_components_cover(a, b):
    mean = a / (a + b)
    item = mean * (1 - mean) / (a + b + 1)
    repeat = mean * (1 - mean) - item
    scores = repeated_scores(
        np.random.default_rng(11), n_items=120, n_repeats=5, a=a, b=b, n_tables=1500
    )

    truths = {
        "item": item,
        "repeat": repeat,
        "icc_single": item / (item + repeat),
        "icc_mean": item / (item + repeat / 5),
    }
    for name, truth in truths.items():
        covered = coverage(
            [getattr(repeat_components(table), name).interval for table in scores],
            truth,
        )
        assert 0.92 <= covered <= 0.98, name


def test_few_items_that_make_the_variance_are_told(codes):
    """One item is wrong twice, 100 once: that one makes the variance of items."""
    scores = np.ones((3_000, 2))
    scores[:100, 0] = 0
    scores[100] = 0
    found = repeat_components(scores)
    even = np.repeat(np.arange(3_000) % 2.0, 2).reshape(-1, 2)
    even[::3, 0] = 1

    for estimate in (found.item, found.icc_single, found.icc_mean):
        assert codes(estimate) == ["few-items"]
    assert all(not e.cautions for e in repeat_components(even).estimates)


def test_repeats_without_variation(codes):
    same = repeat_components(np.ones((4, 3)))
    assert (same.item.value, same.repeat.value) == (0, 0)
    assert codes(same.icc_single) == ["constant-over-items"]

    alike = repeat_components(np.array([[0, 1.0], [1, 0]]))
    assert alike.item.value == pytest.approx(-0.25)
    assert codes(alike) == ["negative-component"]
    assert math.isnan(predicted_se(alike, n_items=2, n_repeats=10))


def test_items_with_the_same_mean_have_no_icc_of_means(codes):
    found = repeat_components(np.array([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2]]))

    assert found.item.value == pytest.approx(-found.repeat.value / 3)
    assert math.isnan(found.icc_mean.value)
    assert codes(found.icc_mean) == ["constant-over-items"]
    assert is_sound(found.icc_single)


def test_few_items_that_differ_are_told_of_each_component(codes):
    """A rounding error between items of the same answers would hide that they do."""
    scores = np.ones((200, 2))
    scores[:3] = scores[3, 0] = 0
    found = repeat_components(scores)

    assert codes(found.item) == ["one-score-prevails"]
    assert codes(found.repeat) == ["near-the-edge"]


tables = st.tuples(st.integers(3, 59), st.integers(2, 5)).flatmap(
    lambda shape: st.sampled_from(
        [
            st.sampled_from([0.0, 1.0]),
            st.floats(-1, 1).map(lambda x: round(x, 9)),
            st.integers(0, 3).map(lambda x: x / 10),
            st.sampled_from([0.3, 0.3 + 1e-15, 0.3 + 1e-12, 0.3 + 1e-10]),
            st.sampled_from([1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
        ]
    ).flatmap(lambda elements: arrays(np.float64, shape, elements=elements))
)
"""Items by repeats: right and wrong, continuous, with ties, nearly constant."""


@given(tables, st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.99]))
def test_every_value_lies_in_its_interval_or_there_is_a_reason(table, level):
    for estimate in repeat_components(table, confidence_level=level).estimates:
        assert is_sound(estimate), estimate


@pytest.mark.parametrize(
    ("scores", "code"),
    [
        (np.ones((5, 1)), "too-few-replicates"),
        (np.ones((1, 5)), "too-few-items"),
        (np.array([[1, nan], [0, 1]]), "missing-scores"),
    ],
)
def test_what_cannot_be_split_is_refused(scores, code):
    with pytest.raises(DesignError) as caught:
        repeat_components(scores)

    assert caught.value.code == code


def test_ways_out():
    found = repeat_components(np.array([[0, 1.0], [1, 0]]))

    assert found.to_dict()["cautions"][0]["code"] == "negative-component"
    assert list(found.to_frame()["quantity"]) == [e.quantity for e in found.estimates]


@pytest.mark.skipif(not EVALPERF.exists(), reason="the EvalPerf extract is not here")
def test_evalperf_answers():
    """A hundred answers to 118 items: halves predict wholes, for 31 models."""
    frame = pd.read_parquet(EVALPERF)
    frame = frame[frame["n_samples"] == 100]
    errors = []
    for _, part in frame.groupby("model"):
        n_right = part["n_correct"].to_numpy()[:, None]
        scores = (np.arange(100) < n_right).astype(float)
        found = repeat_components(scores)
        p = n_right[:, 0] / 100

        assert found.repeat.value == pytest.approx(np.mean(p * (1 - p)) * 100 / 99)
        total = np.mean(p) * (1 - np.mean(p))
        assert found.item.value + found.repeat.value == pytest.approx(total, rel=0.02)
        draws = np.random.default_rng(16).permuted(scores, axis=1)
        fewer = draws[:, :90].reshape(118, 9, 10).mean(-1).std(0, ddof=1)
        predicted = predicted_se(found, n_items=118, n_repeats=10)
        errors.append(fewer.mean() / math.sqrt(118) / predicted - 1)
    assert len(errors) == 31
    assert np.abs(errors).max() < 0.05
