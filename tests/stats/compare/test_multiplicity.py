"""Corrections against statsmodels, and intervals that never contradict them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import ndtr, ndtri

from harness.errors import DesignError
from harness.stats.compare.multiplicity import corrected

P = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(p=P, method=st.sampled_from(["holm", "bh"]))
def test_adjusted_p_values_are_those_of_statsmodels(p, method):
    from statsmodels.stats.multitest import multipletests

    adjusted, _ = corrected(np.array(p), correction=method)
    _, expected, *_ = multipletests(p, method={"holm": "holm", "bh": "fdr_bh"}[method])

    assert_allclose(adjusted, expected, atol=1e-12)


@given(p=P, method=st.sampled_from(["holm", "bh", "none"]))
def test_an_interval_leaves_0_out_just_where_the_adjusted_p_is_small(p, method):
    p = np.round(p, 4)
    adjusted, levels = corrected(p, correction=method)

    # An interval whose p-value is p leaves 0 out below level 1 - p.
    clear = np.abs(adjusted - 0.05) > 1e-9
    assert ((p < 1 - levels) == (adjusted < 0.05))[clear].all()


def test_levels_by_hand():
    p = np.array([0.5, 0.001, np.nan, 0.02])

    adjusted, levels = corrected(p)
    assert_allclose(adjusted, [0.5, 0.003, np.nan, 0.04])
    assert_allclose(1 - levels, [0.05, 0.05 / 3, 0.05, 0.025])
    adjusted, levels = corrected(p, correction="bh")
    assert_allclose(adjusted, [0.5, 0.003, np.nan, 0.03])
    assert_allclose(1 - levels, [0.05, 0.1 / 3, 0.05, 0.1 / 3])
    adjusted, levels = corrected(p, correction="none")
    assert_allclose(adjusted, p)
    assert_allclose(levels, 0.95)


def test_holms_intervals_hold_sides_and_not_all_differences():
    rng, true, n = np.random.default_rng(2), 4.0, 2000
    z = true + rng.normal(size=(n, 10))
    wrong = missed = 0
    for row in z:
        _, levels = corrected(2 * ndtr(-np.abs(row)))
        half = -ndtri((1 - levels) / 2)
        wrong += (row + half < 0).any()
        missed += (np.abs(row - true) > half).any()

    assert wrong / n < 0.05
    assert missed / n > 0.15


def test_no_tests_and_no_such_correction():
    adjusted, levels = corrected(np.array([np.nan]))

    assert np.isnan(adjusted).all()
    assert levels == 0.95
    with pytest.raises(DesignError, match="choose one of holm, bh, none") as error:
        corrected(np.ones(2), correction="many")
    assert error.value.code == "unknown-method"
