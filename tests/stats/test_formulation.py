"""Choice against cloze: by hand, the paper's case simulated, coverage, edges."""

import json
import math

import numpy as np
import pytest

from harness.errors import DesignError
from harness.stats.formulation import compare_formulations, correlation_over_models
from harness.stats.series import last_seed_sd, seed_sd, signal_to_noise

nan = math.nan
STEPS = [100, 200, 300, 400]


def answers(curve, n_items, rng, *, n_seeds=3):
    """Return answers of as many seeds, right as often as `curve` says."""
    shape = n_seeds, len(curve), n_items
    return (rng.random(shape) < np.array(curve)[:, None]).astype(float)


def test_difference_by_hand():
    """By letter right on items 1 and 2, by text on item 1: (0 + 1 + 0 + 0) / 4."""
    choice = np.array([[[1.0, 1, 0, 0]]])
    cloze = np.array([[[1.0, 0, 0, 0]]])
    found = compare_formulations(choice, cloze, steps=[100])

    assert found.difference.value == 0.25
    assert found.difference.se == pytest.approx(0.25)
    assert found.choice.mean.value == 0.5
    assert found.cloze.mean.value == 0.25
    assert found.difference.n == found.n_items == 4


def test_difference_is_paired():
    """Its error is that of a paired t test of scipy, not of two separate means."""
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(1)
    skill = rng.random(500)
    choice, cloze = ((rng.random(500) < skill - d).astype(float) for d in (0, 0.1))
    found = compare_formulations(choice[None, None], cloze[None, None], steps=[1])
    theirs = ttest_rel(choice, cloze)
    low, high = theirs.confidence_interval()

    assert found.difference.value / found.difference.se == pytest.approx(
        theirs.statistic
    )
    assert found.difference.interval == pytest.approx((low, high), abs=1e-3)


def test_the_paper_s_finding():
    """A model too small to answer by letter: at chance, while by text it learns."""
    rng = np.random.default_rng(2)
    steps = list(range(1000, 22_000, 1000))
    choice = answers([0.2586] * 21, 3000, rng, n_seeds=5)
    cloze = answers(np.linspace(0.26, 0.3747, 21), 3000, rng, n_seeds=5)
    found = compare_formulations(choice, cloze, steps=steps, chance=0.25)

    assert abs(found.choice.monotonicity.value) < 0.3
    assert found.cloze.monotonicity.value > 0.8
    assert found.difference.interval.high < -0.08
    assert math.isnan(found.crossing.value)
    assert abs(found.choice.snr_above_chance.value) < found.cloze.snr_above_chance.value


def test_the_parts_are_those_of_series():
    rng = np.random.default_rng(3)
    choice, cloze = (answers([0.3, 0.4, 0.5, 0.6], 50, rng) for _ in "ab")
    found = compare_formulations(choice, cloze, steps=STEPS, chance=0.25)
    curve = cloze.mean(-1)

    assert found.cloze.seed_sd == seed_sd(curve)
    assert found.cloze.seed_sd_last == last_seed_sd(curve[:, -1])
    assert found.cloze.snr == signal_to_noise(curve[:, -1], n_items=50)
    assert found.cloze.snr_above_chance == signal_to_noise(
        curve[:, -1], above=0.25, n_items=50, quantity="snr_above_chance"
    )
    assert found.correlation.value == pytest.approx(
        np.corrcoef(choice.mean(-1).ravel(), curve.ravel())[0, 1]
    )
    assert (found.n_seeds, found.steps) == (3, tuple(STEPS))


def test_each_option_changes_its_number():
    rng = np.random.default_rng(4)
    choice, cloze = (answers([0.3, 0.4, 0.35, 0.6], 50, rng) for _ in "ab")

    def cloze_part(**options):
        return compare_formulations(choice, cloze, steps=STEPS, **options).cloze

    plain = cloze_part()
    assert cloze_part(ddof=0).seed_sd.value < plain.seed_sd.value
    assert (
        cloze_part(rank_method="spearman").monotonicity.value
        != plain.monotonicity.value
    )
    assert cloze_part(confidence_level=0.5).mean.interval.low > plain.mean.interval.low
    assert cloze_part(bounds=(0.6, 1)).mean.interval.low == 0.6
    assert math.isnan(plain.snr_above_chance.value)


def sure(*signs, n_items=40):
    """Return one seed's (choice, cloze) whose difference has these signs for sure."""
    gap = np.array(signs, dtype=float)[:, None] * (np.arange(n_items) < n_items - 2)
    return (gap > 0)[None].astype(float), (gap < 0)[None].astype(float)


@pytest.mark.parametrize(
    ("signs", "value", "interval"),
    [
        ((-1, -1, 1, 1), 300, (300, 300)),
        ((1, -1, 1, 1), 300, (300, 300)),
        ((-1, 1, -1, 1), 400, (400, 400)),
        ((-1, 0, 1, 1), 300, (200, 300)),
    ],
)
def test_crossing_by_hand(signs, value, interval, codes):
    found = compare_formulations(*sure(*signs), steps=STEPS).crossing

    assert found.value == value
    assert found.interval == interval
    assert codes(found) == []


def test_never_above_is_not_crossed(codes):
    found = compare_formulations(*sure(1, 1, 1, -1), steps=STEPS).crossing

    assert math.isnan(found.value)
    assert codes(found) == ["not-crossed"]


def test_above_from_the_first_step(codes):
    found = compare_formulations(*sure(1, 1, 1, 1), steps=STEPS).crossing

    assert (found.value, found.interval) == (100, (100, 100))
    assert codes(found) == ["above-throughout"]
    whole = compare_formulations(*sure(1, 1, 1, 1), steps=STEPS)
    assert whole.to_dict()["crossing"]["high"] == 100


def test_a_crossing_that_is_not_sure_has_an_open_end():
    """Of 40 items one more by letter: above, but not surely."""
    choice, cloze = sure(-1, -1, -1, 0)
    choice[0, 3, 0] = 1
    found = compare_formulations(choice, cloze, steps=STEPS)

    assert found.crossing.value == 400
    assert found.crossing.interval == (400, math.inf)
    assert found.to_dict()["crossing"]["high"] is None
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.slow
def test_the_interval_of_the_crossing_covers_it():
    """Curves that cross between steps 11 and 12 of 20; paired answers."""
    n_items = 300
    rng = np.random.default_rng(9)
    steps = list(range(1, 21))
    hits, widths = [], []
    for _ in range(200):
        skill = rng.beta(2, 3, n_items)
        slope = np.linspace(-0.15, 0.12, 20)
        draw = rng.random((2, 20, n_items))
        cloze = draw[0] < skill
        choice = draw[1] < np.clip(skill + slope[:, None], 0, 1)
        found = compare_formulations(
            choice[None].astype(float), cloze[None].astype(float), steps=steps
        ).crossing
        if not math.isnan(found.value):
            low, high = found.interval
            hits.append(low <= 12 <= high)
            widths.append(min(high, 20) - low)

    assert len(hits) > 190
    assert np.mean(hits) > 0.93
    assert np.mean(widths) < 12


def test_gaps_are_left_out_of_both(codes):
    rng = np.random.default_rng(5)
    choice, cloze = (answers([0.3, 0.4, 0.5, 0.6], 50, rng) for _ in "ab")
    whole = compare_formulations(choice[:, :, 1:], cloze[:, :, 1:], steps=STEPS)
    choice[:, 1] = nan
    cloze[0, 2, 0] = nan
    found = compare_formulations(choice, cloze, steps=STEPS)

    assert codes(found) == ["checkpoints-differ", "items-not-shared"]
    assert found.n_items == 49
    assert found.steps == (100, 300, 400)
    assert found.difference == whole.difference


def test_seeds_that_end_earlier_are_told(codes):
    rng = np.random.default_rng(6)
    choice, cloze = (answers([0.3, 0.4, 0.5, 0.6], 50, rng) for _ in "ab")
    choice[0, 3] = cloze[0, 3] = nan
    found = compare_formulations(choice, cloze, steps=STEPS)

    assert codes(found) == ["unequal-last-steps"]
    assert found.choice.mean.value == pytest.approx(choice[:, 2].mean())
    assert found.crossing.n == 50


def test_one_seed_and_equal_answers(codes):
    ones = np.ones((1, 1, 1))
    found = compare_formulations(ones, ones / 2, steps=[1])

    assert "constant-over-items" in codes(found.difference)
    assert math.isnan(found.difference.se)
    assert codes(found.cloze.seed_sd) == ["one-seed"]
    assert codes(found.cloze.monotonicity) == ["one-checkpoint"]
    assert codes(found.correlation) == ["few-models"]
    assert found.crossing.interval == (1, math.inf)


def test_a_frame_of_all_estimates():
    rng = np.random.default_rng(7)
    choice, cloze = (answers([0.3, 0.4, 0.5, 0.6], 50, rng) for _ in "ab")
    found = compare_formulations(choice, cloze, steps=STEPS)
    frame = found.to_frame()

    assert frame.groupby("formulation")["quantity"].count().to_dict() == {
        "choice": 6,
        "cloze": 6,
        "both": 4,
    }


def test_correlation_over_models_is_scipy_s():
    from scipy.stats import pearsonr

    rng = np.random.default_rng(8)
    x = rng.random(30)
    y = x + rng.normal(0, 0.2, 30)
    found = correlation_over_models(x, y, confidence_level=0.9)
    theirs = pearsonr(x, y)

    assert found.value == pytest.approx(theirs.statistic)
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval(0.9)))
    x[0] = nan
    assert correlation_over_models(x, y).n == 29


@pytest.mark.parametrize(
    ("choice", "cloze", "code", "is_defined"),
    [
        ([0.1, 0.2], [0.1, 0.3], "few-models", False),
        ([0.1, 0.2, nan], [0.1, 0.3, 0.5], "few-models", False),
        ([0.1, 0.1, 0.1], [0.1, 0.3, 0.5], "constant-over-models", False),
        ([0.1, 0.3, 0.2], [0.1, 0.3, 0.5], "few-models", True),
    ],
)
def test_correlations_of_few_models(choice, cloze, code, is_defined, codes):
    found = correlation_over_models(np.array(choice), np.array(cloze))

    assert math.isnan(found.value) != is_defined
    assert math.isnan(found.interval.low)
    assert codes(found) == [code]


@pytest.mark.parametrize(
    "call",
    [
        lambda: compare_formulations(np.ones((1, 1, 2)), np.ones((1, 1, 3)), steps=[1]),
        lambda: compare_formulations(
            np.ones((1, 1, 2)), np.ones((1, 1, 2)), steps=[1, 2]
        ),
        lambda: compare_formulations(
            np.full((1, 1, 2), nan), np.ones((1, 1, 2)), steps=[1]
        ),
        lambda: compare_formulations(
            np.array([[[1, nan]]]), np.array([[[nan, 1]]]), steps=[1]
        ),
        lambda: correlation_over_models(np.ones(3), np.ones(4)),
    ],
)
def test_what_cannot_be_compared_is_refused(call):
    with pytest.raises(DesignError) as raised:
        call()

    assert raised.value.code == "items-differ"


def test_a_confidence_level_that_is_none_is_refused():
    table = np.ones((1, 1, 2))
    for call in (
        lambda: compare_formulations(table, table, steps=[1], confidence_level=1.5),
        lambda: correlation_over_models(np.arange(4), np.ones(4), confidence_level=1.5),
    ):
        with pytest.raises(DesignError) as raised:
            call()

        assert raised.value.code == "bad-confidence-level"


def test_the_difference_for_other_seeds_is_as_wide_as_they_make_it():
    """Without items that differ it is Student's t over seeds, by scipy."""
    from scipy.stats import t

    by_seed = np.array([0.25, 0.5, 0.75, 0.5, 0.25])
    cloze = np.repeat(by_seed[:, None], 40, axis=1)[:, None]
    found = compare_formulations(np.zeros_like(cloze), cloze, steps=[1], rng=1)

    half = t.ppf(0.975, 4) * by_seed.std(ddof=1) / math.sqrt(5)
    wide = found.difference_over_seeds
    assert wide.value == pytest.approx(found.difference.value) == pytest.approx(-0.45)
    low, high = wide.interval
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)


def test_the_difference_of_one_seed_says_nothing_of_others(codes):
    choice, cloze = np.ones((1, 1, 4)), np.array([[[1.0, 0, 0, 1]]])
    found = compare_formulations(choice, cloze, steps=[1], rng=1)

    assert math.isnan(found.difference_over_seeds.value)
    assert codes(found.difference_over_seeds) == ["one-seed"]


def test_the_difference_of_one_item_says_nothing_of_others(codes):
    choice, cloze = np.ones((2, 1, 1)), np.array([[[1.0]], [[0.0]]])
    found = compare_formulations(choice, cloze, steps=[1], rng=1)

    assert codes(found.difference_over_seeds) == ["one-item"]


@pytest.mark.slow
def test_the_difference_for_other_seeds_covers_where_seeds_differ():
    """Five runs whose scores by text differ with an SD of .2 in the truth."""
    rng = np.random.default_rng(11)
    n_sets, held = 300, [0, 0]
    for _ in range(n_sets):
        rate = np.clip(rng.normal(0.5, 0.15, 5), 0.02, 0.98)
        cloze = (rng.random((5, 1, 300)) < rate[:, None, None]).astype(float)
        choice = (rng.random((5, 1, 300)) < 0.25).astype(float)
        found = compare_formulations(choice, cloze, steps=[1], rng=rng)
        for place, estimate in enumerate(
            (found.difference, found.difference_over_seeds)
        ):
            held[place] += estimate.interval.low <= -0.25 <= estimate.interval.high

    assert held[0] / n_sets < 0.6
    assert 0.91 < held[1] / n_sets < 0.99
