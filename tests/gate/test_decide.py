"""Does a look keep its level, and do both together, on quiet nights?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.gate.decide import Look, against_baseline, against_history, both
from harness.stats.compare.multiplicity import corrected

N_NIGHTS = 4_000
ALPHA = 0.025


def looks_of(z, *, sds=(1.0, 1.0)):
    first, second = (
        Look(np.array([one]), np.array([sd])) for one, sd in zip(z, sds, strict=True)
    )
    return first, second


@pytest.mark.parametrize("df", [3.0, 9.0, 40.0])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.67, 0.95])
@pytest.mark.parametrize("q", [0.001, 0.05, 0.6])
def test_both_looks_have_the_bivariate_t_integral_of_scipy(df, correlation, q):
    z, t = stats.norm.ppf(q), stats.t.ppf(q, df)
    first, second = looks_of((z, z - 1))

    found = both(first, second, np.sqrt(correlation), df)[0]

    shape = [[1, correlation], [correlation, 1]]
    there = stats.multivariate_t.cdf(
        [t, t], shape=shape, df=df, maxpts=100_000, random_state=1
    )
    assert found == pytest.approx(there, rel=2e-2, abs=2e-5)


def test_both_are_the_normal_integral_where_noise_is_known():
    first, second = looks_of((-1.5, -1.2))

    found = both(first, second, np.sqrt(0.6), 1e9)[0]

    there = stats.multivariate_normal.cdf([-1.2, -1.2], cov=[[1, 0.6], [0.6, 1]])
    assert found == pytest.approx(there, rel=1e-4)


def test_both_are_as_one_where_nothing_else_is_noisy():
    first, second = looks_of((-2.0, -2.0))

    assert both(first, second, 1.0, 20.0)[0] == pytest.approx(
        first.p_value[0], rel=1e-3
    )


def test_the_paired_test_stands_where_noise_is_smaller():
    look = against_baseline([0.04, 0.04], [-0.1, 0.1], 0.05, 0.01, 4)

    assert look.p_value == pytest.approx([0.02, 0.98])
    assert look.sd == pytest.approx([0.05, 0.05])


def test_noise_makes_a_difference_less_surprising():
    look = against_baseline(1e-9, -0.1, 0.01, [0.02, 0.05, 0.5], 9)

    assert look.p_value == pytest.approx(
        stats.t.cdf(-0.1 / (np.sqrt(2) * np.array([0.02, 0.05, 0.5])), 9)
    )
    assert np.all(np.diff(look.p_value) > 0)


def test_no_difference_surprises_nobody():
    assert against_baseline(1.0, 0.0, 0.0, 0.0, np.inf).p_value == pytest.approx(0.5)
    assert against_history(0.5, 0.5, 0.0, 4).p_value == pytest.approx(0.5)
    tiny = against_baseline(0.0, -1.0, 1e-9, 0.0, np.inf)
    assert 0 < tiny.p_value < 1e-100


def test_a_score_is_placed_by_student_s_t():
    look = against_history([0.4, 0.6], 0.5, 0.05, 9)

    assert look.p_value == pytest.approx(stats.t.cdf([-2, 2], 9))


def holm(p_values):
    """Correct the p-values of each row."""
    order = np.argsort(p_values, axis=1)
    ascending = np.take_along_axis(p_values, order, 1)
    factor = np.arange(p_values.shape[1], 0, -1)
    raised = np.minimum(np.maximum.accumulate(ascending * factor, 1), 1)
    out = np.empty_like(raised)
    np.put_along_axis(out, order, raised, 1)
    return out


def test_rows_are_corrected_as_one_by_one():
    p_values = np.random.default_rng(2).random((20, 5)) ** 3

    assert holm(p_values) == pytest.approx(
        np.array([corrected(row)[0] for row in p_values])
    )


def nights(*, n_tasks, n_before=10, loss=0.0, baseline=0.0, se=0.0, seed=1):
    """Return red cells of many nights: noise of SD 1, nothing else between them.

    `loss` is the candidate's at the first task, `baseline` what it has too much.
    """
    rng = np.random.default_rng(seed)
    shape = N_NIGHTS, n_tasks
    before = rng.normal(size=(*shape, n_before))
    score = rng.normal(size=shape)
    score[:, 0] -= loss
    base = rng.normal(size=shape) + baseline
    extra = np.sqrt(max(se**2 - 2, 0))
    difference = score - base + extra * rng.normal(size=shape)
    sd, df = before.std(-1, ddof=1), n_before - 1
    p_value = 2 * stats.norm.sf(np.abs(difference) / max(se, 1e-12))
    first = against_baseline(p_value, difference, max(se, 1e-12), sd, df)
    second = against_history(score, before.mean(-1), sd * np.sqrt(1 + 1 / n_before), df)
    together = both(first, second, sd, float(df))
    adjusted = holm(together)
    is_each = (first.p_value <= 2 * ALPHA) & (second.p_value <= 2 * ALPHA)
    return (adjusted <= ALPHA) & is_each, first.p_value


@pytest.mark.parametrize(
    ("n_tasks", "least"), [(1, 0.012), (2, 0.016), (3, 0.018), (8, 0.018)]
)
def test_quiet_nights_are_red_as_often_as_said(n_tasks, least):
    red, _ = nights(n_tasks=n_tasks)

    # Of one task each look's own level binds before that of both.
    rate = red.any(1).mean()
    assert least < rate < ALPHA + 4 * np.sqrt(ALPHA * (1 - ALPHA) / N_NIGHTS)


@pytest.mark.slow
@pytest.mark.parametrize("se", [1.5, 2.0, 4.0])
def test_where_items_are_the_larger_noise_no_more_nights_are_red(se):
    red, _ = nights(n_tasks=4, se=se)

    assert red.any(1).mean() < ALPHA + 4 * np.sqrt(ALPHA / N_NIGHTS)


def test_history_holds_what_a_lucky_baseline_would_let_through():
    """A baseline set at its best is 2 SDs high: alone it is red every third night."""
    red, alone = nights(n_tasks=5, baseline=2.0)

    by_baseline = holm(alone) <= ALPHA
    assert by_baseline.any(1).mean() > 0.3
    assert red.any(1).mean() < 0.08


@pytest.mark.parametrize(
    ("loss", "n_tasks", "found"),
    [(2, 1, 0.31), (3, 1, 0.60), (2, 5, 0.14), (3, 5, 0.34), (5, 5, 0.81)],
)
def test_a_real_loss_is_found_as_often_as_said(loss, n_tasks, found):
    red, _ = nights(n_tasks=n_tasks, loss=loss)

    assert red[:, 0].mean() == pytest.approx(found, abs=0.03)
