"""Orders that templates reverse: plain counts, scipy's tau and W, chance, edges."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import friedmanchisquare, kendalltau, norm

from harness.errors import DesignError
from harness.stats.pairs import paired_difference
from harness.stats.templates.order import template_order

nan = math.nan


def answers(rng, n_models, n_templates, n_items, *, model=0.05, crossed=0.0):
    p = 0.5 + rng.normal(0, model, (n_models, 1, 1))
    p = p + rng.normal(0, 0.05, (1, n_templates, 1))
    p = p + rng.normal(0, crossed, (n_models, n_templates, 1))
    p = p + rng.uniform(-0.3, 0.3, n_items)
    return (rng.random(p.shape) < np.clip(p, 0, 1)) * 1.0


def plainly(scores, margin=0.0, alpha=0.05):
    """Count the pairs of templates that reverse models 0 and 1, clearly or not."""
    means = scores.mean(-1)
    p = [paired_difference(*scores[:2, t]).p_value for t in range(scores.shape[1])]
    n = n_reversed = n_clearly = 0
    for s, t in itertools.combinations(range(scores.shape[1]), 2):
        first, second = (means[0, x] - means[1, x] for x in (s, t))
        least = round(min(abs(first), abs(second)), 9)
        is_reversed = first * second < 0 and least >= margin
        n += 1
        n_reversed += is_reversed
        n_clearly += is_reversed and max(p[s], p[t]) < alpha
    return n_reversed / n, n_clearly / n


@pytest.mark.parametrize("margin", [0, 0.06])
def test_reversals_are_counted_as_a_loop_counts_them(margin):
    scores = answers(np.random.default_rng(1), 3, 9, 50, model=0, crossed=0.15)
    found = template_order(scores, margin=margin)

    usual, clearly = plainly(scores, margin)
    assert found.reversed[0, 1] == found.reversed[1, 0] == pytest.approx(usual)
    assert found.reversed_clearly[0, 1] == pytest.approx(clearly)
    assert 0 < clearly < usual
    pairs = np.triu_indices(3, 1)
    assert found.reversal.value == pytest.approx(found.reversed[pairs].mean())


def test_against_the_mean_is_the_share_of_templates():
    means = np.array([[0.5, 0.6, 0.4, 0.7], [0.4, 0.5, 0.5, 0.7]])
    found = template_order(means)

    assert found.difference[0, 1] == pytest.approx(0.025)
    assert found.difference[1, 0] == pytest.approx(-0.025)
    assert found.against_mean[0, 1] == 0.25
    assert math.isnan(template_order(means[[0, 0]]).against_mean[0, 1])


def test_tau_and_w_are_scipy_s():
    means = np.random.default_rng(2).integers(0, 8, (6, 7)) / 8
    found = template_order(means)

    taus = [
        kendalltau(means[:, s], means[:, t]).statistic
        for s, t in itertools.combinations(range(7), 2)
    ]
    assert found.tau.value == pytest.approx(np.mean(taus))
    friedman = friedmanchisquare(*means).statistic
    assert found.concordance.value == pytest.approx(friedman / (7 * 5))


def test_jackknives_leave_out_one_template_at_a_time():
    scores = np.random.default_rng(3).random((4, 8))
    found = template_order(scores)

    for name in ("reversal", "tau", "concordance"):
        without = [
            getattr(template_order(np.delete(scores, t, 1)), name).value
            for t in range(8)
        ]
        estimate = getattr(found, name)
        assert estimate.se == pytest.approx(math.sqrt(np.var(without) * 7))
        low, high = estimate.interval
        assert low < estimate.value < high


def test_models_that_templates_move_alike_change_order_as_chance_says():
    rng = np.random.default_rng(4)
    found = [template_order(answers(rng, 2, 20, 200, model=0.02)) for _ in range(60)]

    seen = np.mean([f.reversal.value for f in found])
    assert np.mean([f.reversal_by_chance for f in found]) == pytest.approx(
        seen, abs=0.03
    )


def test_of_models_that_templates_move_apart_more_is_left_than_chance():
    scores = answers(np.random.default_rng(5), 2, 60, 2_000, model=0, crossed=0.1)
    found = template_order(scores)

    assert found.reversed[0, 1] > 0.3
    assert found.by_chance[0, 1] < found.reversed[0, 1] - 0.1
    assert found.without_chance[0, 1] == pytest.approx(found.reversed[0, 1], abs=0.06)


def test_of_means_chance_is_binomial():
    scores = answers(np.random.default_rng(6), 2, 10, 100)
    found = template_order(scores.mean(-1), n_items=100)

    means = scores.mean(-1)
    noise = (means * (1 - means)).mean(1).sum() / 99
    z = found.difference[0, 1] / math.sqrt(noise)
    assert found.by_chance[0, 1] == pytest.approx(2 * norm.cdf(z) * norm.cdf(-z))
    assert found.cautions[0].code == "items-of-their-own"
    assert np.isnan(found.reversed_clearly).all()


def test_of_means_without_a_number_of_items_chance_is_not_known():
    found = template_order(np.random.default_rng(7).random((3, 6)))

    assert math.isnan(found.reversal_by_chance)
    assert [c.code for c in found.cautions] == ["no-items"]
    assert found.to_dict()["reversal_by_chance"] is None


def test_an_order_that_nothing_changes_has_no_interval():
    base = np.array([[0.2], [0.5], [0.9]])
    found = template_order(base + np.linspace(0, 0.05, 6))

    assert found.reversal.value == 0
    assert found.tau.value == pytest.approx(1)
    assert found.concordance.value == pytest.approx(1)
    for estimate in (found.reversal, found.tau, found.concordance):
        assert estimate.cautions[0].code == "constant-over-templates"
        assert math.isnan(estimate.interval.low)


def test_equal_models_never_change_order():
    scores = np.tile(
        np.random.default_rng(8).integers(0, 2, (1, 6, 30)) * 1.0, (2, 1, 1)
    )
    found = template_order(scores)

    assert found.reversed[0, 1] == found.by_chance[0, 1] == 0
    assert found.cautions[0].code == "tied-models"
    assert math.isnan(found.tau.value)
    assert math.isnan(found.concordance.value)
    assert found.tau.cautions[0].code == "tied-models"


def test_few_templates_give_no_interval():
    found = template_order(np.random.default_rng(9).random((3, 3)))

    assert found.tau.cautions[0].code == "few-templates"
    assert math.isnan(found.tau.se)
    assert template_order(np.random.default_rng(9).random((3, 2))).tau.n == 2


@pytest.mark.parametrize(
    ("shape", "options", "code"),
    [
        ((1, 3, 4), {}, "too-few-respondents"),
        ((2, 1, 4), {}, "too-few-replicates"),
        ((2, 3, 1), {}, "too-few-items"),
        ((2, 3), {"n_items": 1}, "too-few-items"),
        ((2, 3, 4), {"names": ["a"]}, "unequal-lengths"),
        ((2, 3, 4), {"confidence_level": 0}, "bad-confidence-level"),
    ],
)
def test_what_is_no_order_is_refused(shape, options, code):
    with pytest.raises(DesignError) as e:
        template_order(np.zeros(shape), **options)
    assert e.value.code == code


def test_missing_and_unbounded_scores_are_refused():
    with pytest.raises(DesignError) as e:
        template_order(np.full((2, 3), nan))
    assert e.value.code == "missing-scores"
    with pytest.raises(DesignError) as e:
        template_order(np.full((2, 3), 40.0), n_items=10)
    assert e.value.code == "scores-not-bounded"


def test_an_order_is_a_table():
    found = template_order(
        answers(np.random.default_rng(10), 3, 5, 40), names=["a", "b", "c"]
    )

    frame = found.to_frame()
    assert list(zip(frame["first"], frame["second"], strict=True)) == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    assert found.to_dict()["reversed"][0][0] is None


@pytest.mark.slow
@pytest.mark.parametrize("n_templates", [10, 30])
def test_intervals_cover(n_templates):
    rng = np.random.default_rng(11)
    model = rng.normal(0, 0.05, (6, 1))

    def drawn(n):
        p = 0.5 + model + rng.normal(0, 0.05, (1, n)) + rng.normal(0, 0.05, (6, n))
        return template_order(rng.binomial(100, np.clip(p, 0, 1)) / 100)

    found, truth = [drawn(n_templates) for _ in range(400)], drawn(2_000)
    for name in ("reversal", "tau"):
        known = getattr(truth, name).value
        ends = [getattr(f, name).interval for f in found]
        assert 0.92 < np.mean([low <= known <= high for low, high in ends]) < 0.98


def test_few_models_leave_the_level_open():
    rng = np.random.default_rng(12)

    (caution,) = template_order(rng.random((4, 8))).tau.cautions
    assert caution.code == "few-models"
    assert template_order(rng.random((5, 8))).tau.cautions == ()


@settings(max_examples=20)
@given(
    means=arrays(
        np.int64, (4, 6), elements=st.integers(0, 10**6), fill=st.nothing(), unique=True
    )
)
def test_without_ties_tau_is_what_reversals_leave(means):
    found = template_order(means / 1e6)

    assert found.tau.value == pytest.approx(1 - 2 * found.reversal.value)
    # Of ranks without ties W is the mean Spearman correlation in another dress.
    ranks = means.argsort(axis=0).argsort(axis=0)
    rho = np.corrcoef(ranks.T)[np.triu_indices(6, 1)].mean()
    assert found.concordance.value == pytest.approx((1 + 5 * rho) / 6)


@settings(max_examples=20)
@given(shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
def test_the_unit_of_scores_does_not_matter(shift, scale):
    scores = np.random.default_rng(13).random((3, 5, 8))
    plain, other = template_order(scores), template_order(shift + scale * scores)

    assert other.reversed == pytest.approx(plain.reversed, nan_ok=True)
    assert other.by_chance == pytest.approx(plain.by_chance, nan_ok=True, abs=1e-6)
    assert other.difference == pytest.approx(scale * plain.difference, nan_ok=True)
