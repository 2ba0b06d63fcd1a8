"""Spread of templates: published constants, simulated truth, a plain loop, edges."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DesignError
from harness.stats.components import seed_components
from harness.stats.templates.spread import (
    normal_range,
    range_of_some,
    spread_of_means,
    template_spread,
)


def answers(rng, n_templates, n_items, sd, shape=()):
    """0/1 answers of templates whose true means differ by `sd`, and those means."""
    means = 0.5 + rng.normal(0, sd, (*shape, n_templates))
    items = rng.uniform(-0.3, 0.3, (*shape, 1, n_items))
    p = np.clip(means[..., None] + items, 0, 1)
    return (rng.random(p.shape) < p) * 1.0, means


def test_the_mean_range_is_the_constant_of_control_charts():
    """D. C. Montgomery, *Introduction to Statistical Quality Control*, table VI."""
    d2 = {2: 1.128, 3: 1.693, 5: 2.326, 10: 3.078, 25: 3.931}
    for n, known in d2.items():
        assert normal_range(n) == pytest.approx(known, abs=5e-4)
    assert normal_range(1) == pytest.approx(0, abs=1e-12)


def test_the_range_of_some_is_the_mean_over_all_choices():
    means = np.random.default_rng(1).random(9)

    for n in range(1, 10):
        plain = np.mean([np.ptp(some) for some in itertools.combinations(means, n)])
        assert range_of_some(means, n) == pytest.approx(plain, abs=1e-12)


def test_the_range_of_many_does_not_overflow():
    means = np.linspace(0, 1, 1_001)

    assert range_of_some(means, 500) == pytest.approx(1.002 * 499 / 501)


def test_a_range_of_more_than_there_are_is_refused():
    with pytest.raises(DesignError, match="choose 1 to 3") as e:
        range_of_some(np.array([0.1, 0.2, 0.3]), 4)
    assert e.value.code == "too-few-replicates"


def test_spread_is_that_of_the_means_and_components_those_of_seeds():
    scores = answers(np.random.default_rng(2), 6, 200, 0.1)[0]
    found, parts = template_spread(scores), seed_components(scores)

    means = scores.mean(1)
    assert found.spread.value == means.max() - means.min()
    assert (found.best, found.worst) == (means.argmax(), means.argmin())
    assert found.template_variance.quantity == "template_variance"
    assert found.template_variance.value == parts.seed.value
    assert found.template_variance.interval == parts.seed.interval
    assert found.corrected_sd.value == math.sqrt(parts.seed.value)
    assert found.corrected_spread.value == pytest.approx(
        found.spread.value * math.sqrt(parts.seed_share.value)
    )
    noise = math.sqrt(parts.residual.value / 200)
    assert found.spread_of_equals == pytest.approx(2.534 * noise, rel=1e-3)
    assert "seed" not in " ".join(e.method for e in found.estimates)


def test_chance_s_range_is_that_of_answers_exchanged_between_templates():
    """Within an item templates are exchangeable if all are equally good."""
    rng = np.random.default_rng(3)
    scores = answers(rng, 8, 150, 0.0)[0]
    shuffled = rng.permuted(np.tile(scores, (400, 1, 1)), axis=1)
    ranges = np.ptp(shuffled.mean(-1), axis=1)

    assert template_spread(scores).spread_of_equals == pytest.approx(
        ranges.mean(), rel=0.05
    )


def test_exchanging_makes_chance_of_what_templates_do():
    rng = np.random.default_rng(3)
    scores = answers(rng, 8, 150, 0.2)[0]
    shuffled = rng.permuted(np.tile(scores, (400, 1, 1)), axis=1)
    ranges = np.ptp(shuffled.mean(-1), axis=1)

    found = template_spread(scores)
    d = normal_range(8)
    alike = (found.spread_of_equals / d) ** 2 + found.template_variance.value / 150
    assert ranges.mean() == pytest.approx(d * np.sqrt(alike), rel=0.03)
    assert ranges.mean() > 1.03 * found.spread_of_equals


def test_the_correction_takes_off_the_bias_of_the_spread():
    rng = np.random.default_rng(4)
    raw, corrected = [], []
    for _ in range(200):
        scores, means = answers(rng, 20, 200, 0.05)
        found = template_spread(scores)
        raw.append(found.spread.value - np.ptp(means))
        corrected.append(found.corrected_spread.value - np.ptp(means))

    assert np.mean(raw) > 0.03
    assert abs(np.nanmean(corrected)) < np.mean(raw) / 4


def test_repeats_are_averaged():
    rng = np.random.default_rng(5)
    scores = rng.random((4, 30, 3))
    found = template_spread(scores)

    assert found.n_repeats == 3
    assert found.spread.value == pytest.approx(np.ptp(scores.mean((1, 2))))
    of_means = template_spread(scores.mean(-1))
    assert found.template_variance.value == pytest.approx(
        of_means.template_variance.value
    )


def test_templates_that_differ_less_than_chance_have_no_corrected_sd():
    rng = np.random.default_rng(8)
    scores = np.stack([rng.permutation(np.arange(60) < 30 + k) for k in (0, 1, 4)])
    found = template_spread(scores * 1.0)

    assert found.template_variance.value < 0
    for estimate in (found.corrected_sd, found.corrected_spread):
        assert math.isnan(estimate.value)
        assert "negative-component" in {c.code for c in estimate.cautions}
    assert found.corrected_sd.interval.low == 0 < found.corrected_sd.interval.high
    assert "negative-component" in {c.code for c in found.cautions}
    assert found.to_dict()["corrected_sd"]["value"] is None


def test_templates_that_tie_have_no_share():
    found = template_spread(np.tile([1.0, 0.0, 1.0], (4, 1)))

    assert found.spread.value == 0
    assert math.isnan(found.template_share.value)
    assert {c.code for c in found.template_share.cautions} >= {
        "constant-over-templates"
    }


def test_means_alone_give_a_variance_less_binomial_noise():
    means = np.array([0.3, 0.5, 0.6, 0.4])
    found = spread_of_means(means, 51)

    noise = np.mean(means * (1 - means)) / 50
    assert found.template_variance.value == pytest.approx(means.var(ddof=1) - noise)
    assert found.template_share.value == pytest.approx(1 - noise / means.var(ddof=1))
    assert found.spread_of_equals == pytest.approx(2.0588 * math.sqrt(noise), rel=1e-4)
    assert "items-of-their-own" in {c.code for c in found.template_variance.cautions}


def test_the_variance_of_means_is_unbiased_for_items_of_their_own():
    rng = np.random.default_rng(6)
    p = np.clip(rng.normal(0.5, 0.05, (1_000, 40)), 0, 1)
    means = rng.binomial(100, p) / 100
    found = [spread_of_means(row, 100).template_variance for row in means]

    assert np.mean([f.value for f in found]) == pytest.approx(0.05**2, rel=0.04)
    held = [f.interval.low <= 0.05**2 <= f.interval.high for f in found]
    assert 0.91 < np.mean(held) < 0.97


def test_means_that_tie_or_differ_too_little_say_so():
    same = spread_of_means(np.full(5, 0.5), 100)
    near = spread_of_means(np.linspace(0.49, 0.51, 30), 100)

    assert math.isnan(same.template_share.value)
    assert math.isnan(same.corrected_sd.value)
    assert math.isnan(near.corrected_sd.value)
    assert "negative-component" in {c.code for c in near.corrected_sd.cautions}
    assert math.isnan(near.corrected_sd.interval.high)
    assert near.template_variance.value < 0


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: template_spread(np.zeros((1, 5))), "too-few-replicates"),
        (lambda: template_spread(np.zeros((3, 1))), "too-few-items"),
        (lambda: template_spread(np.full((3, 4), np.nan)), "missing-scores"),
        (
            lambda: template_spread(np.zeros((3, 4)), confidence_level=2),
            "bad-confidence-level",
        ),
        (lambda: spread_of_means(np.array([0.5]), 10), "too-few-replicates"),
        (lambda: spread_of_means(np.array([0.5, 0.4]), 1), "too-few-items"),
        (lambda: spread_of_means(np.array([0.5, np.nan]), 9), "missing-scores"),
        (lambda: spread_of_means(np.array([0.5, 40]), 9), "scores-not-bounded"),
    ],
)
def test_what_cannot_be_told_is_refused(call, code):
    with pytest.raises(DesignError) as e:
        call()
    assert e.value.code == code


def test_a_spread_is_a_table():
    found = template_spread(answers(np.random.default_rng(7), 5, 40, 0.2)[0])

    assert list(found.to_frame()["quantity"]) == [
        "spread",
        "corrected_spread",
        "template_variance",
        "corrected_sd",
        "template_share",
    ]


@settings(max_examples=20)
@given(shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
def test_spread_moves_with_the_unit_of_scores(shift, scale):
    scores = np.random.default_rng(9).random((5, 12))
    scores += np.arange(5)[:, None] / 3
    plain, other = template_spread(scores), template_spread(shift + scale * scores)

    for name in ("spread", "corrected_spread", "corrected_sd"):
        known = scale * getattr(plain, name).value
        assert getattr(other, name).value == pytest.approx(known)
    assert other.spread_of_equals == pytest.approx(scale * plain.spread_of_equals)
    assert other.template_share.value == pytest.approx(plain.template_share.value)
