"""What another design would show, could find, and would cost."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.ledger.ledger import variance_ledger
from harness.stats.pairs import noise_split
from harness.stats.power.cost import (
    Cost,
    best_design,
    cheapest_design,
    design_of,
    gains,
    measured_cost,
)
from harness.stats.power.difference import (
    detectable_difference,
    items_needed,
    noncentrality,
)
from harness.stats.power.noise import (
    Noise,
    Source,
    noise_between_models,
    noise_of_difference,
    noise_of_score,
)

SDS = {
    ("item",): 0.3,
    ("train_seed",): 0.03,
    ("template",): 0.04,
    ("item", "train_seed"): 0.15,
    ("item", "template"): 0.1,
    ("train_seed", "template"): 0.02,
    ("item", "train_seed", "template"): 0.1,
    ("item", "train_seed", "template", "repeat"): 0.2,
}
"""A world: standard deviation of each effect."""

FACETS = ("item", "train_seed", "template", "repeat")
NOW = dict(zip(FACETS, (80, 4, 4, 2), strict=True))


def simulated(rng, counts=NOW, *, fixed: dict | None = None):
    """Draw scores of a crossed design; `fixed` are effects that stay as they are."""
    shape = tuple(counts[facet] for facet in FACETS)
    total = np.zeros(shape)
    for facets, sd in SDS.items():
        own = tuple(n if f in facets else 1 for f, n in zip(FACETS, shape, strict=True))
        drawn = sd * rng.normal(size=own)
        total = total + ((fixed or {}).get(facets, drawn))
    return total


def ledger_of(scores, names=FACETS, **options):
    codes = np.indices(scores.shape).reshape(len(names), -1)
    return variance_ledger(
        scores.ravel(), dict(zip(names, codes, strict=True)), **options
    )


def exact(counts=NOW, of="score", correlation=0.0) -> Noise:
    """The noise of the world itself, without error of estimation."""
    own = {"train_seed", "repeat"}
    times = {
        facets: 1 if of == "score" else 2 * (1 if own & {*facets} else 1 - correlation)
        for facets in SDS
    }
    return Noise(
        of=of,
        sources=tuple(
            Source(
                name=" × ".join(facets),
                facets=facets,
                variance=times[facets] * sd**2,
                low=math.nan,
                high=math.nan,
            )
            for facets, sd in SDS.items()
        ),
        counts=counts,
        fixed=(),
        unknown=(),
        confidence_level=0.95,
    )


COST = Cost(load=5.0, item=0.001, answer=0.01, levels={"train_seed": 60.0})


# ---- Miller's formulas -------------------------------------------------------------


def test_miller_s_examples():
    """E. Miller (2024): omega^2 = 1/9, then sigma^2 = 1/6 of each of two models."""
    assert items_needed(1 / 9, 0, 0.03) == pytest.approx(968.997, abs=5e-4)
    once = detectable_difference(1 / 9, 1 / 3, 198)
    ten = detectable_difference(1 / 9, 1 / 3, 198, n_repeats=10)
    assert (round(100 * once, 2), round(100 * ten, 2)) == (13.27, 7.57)


def test_items_and_difference_are_inverse():
    n = items_needed(0.2, 0.3, 0.05, n_repeats=3, power=0.9, confidence_level=0.99)
    back = detectable_difference(
        0.2, 0.3, n, n_repeats=3, power=0.9, confidence_level=0.99
    )

    assert back == pytest.approx(0.05)
    assert items_needed(0.2, 0.3, 0.0) == math.inf


def test_variances_below_zero_have_no_difference():
    assert math.isnan(detectable_difference(-1.0, 0.5, 10))
    assert math.isnan(items_needed(-1.0, 0.5, 0.1))


def test_noncentrality_is_that_of_scipy_s_distribution():
    from scipy.stats import nct, norm, t

    for df in (1.0, 2.5, 9.0, 400.0):
        found = float(noncentrality(df, 0.8, 0.95))
        assert nct.sf(t.ppf(0.975, df), df, found) == pytest.approx(0.8, abs=1e-6)

    many, none = noncentrality([1e9, 0.0], 0.9, 0.99)
    assert many == pytest.approx(norm.ppf(0.995) + norm.ppf(0.9))
    assert none == math.inf


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("bad-count", lambda: detectable_difference(1.0, 1.0, 0)),
        ("bad-count", lambda: items_needed(1.0, 1.0, 0.1, n_repeats=0)),
        ("bad-power", lambda: items_needed(1.0, 1.0, 0.1, power=0.2)),
        (
            "bad-confidence-level",
            lambda: items_needed(1.0, 1.0, 0.1, confidence_level=2.0),
        ),
        ("bad-count", lambda: exact().se({"item": 0})),
        ("unknown-facet", lambda: exact().se({"colour": 3})),
        ("unknown-facet", lambda: noise_of_score(LEDGER, fixed=["colour"])),
        ("bad-correlation", lambda: noise_of_difference(LEDGER, correlation=1.5)),
        ("bad-target", lambda: cheapest_design(exact(), COST)),
        ("bad-target", lambda: cheapest_design(exact(), COST, se=0.0)),
        ("bad-target", lambda: cheapest_design(exact(), COST, se=0.1, difference=0.1)),
        ("no-timings", lambda: measured_cost(TIMES, of={"task": "v"})),
    ],
)
def test_what_cannot_be_used_is_refused(code, call):
    with pytest.raises(DesignError) as caught:
        call()

    assert caught.value.code == code


LEDGER = ledger_of(simulated(np.random.default_rng(11)))

TIMES = pd.DataFrame(
    {
        "task": ["t", "t", "t", "u"],
        "num_fewshot": [0, 5, 0, 0],
        "load_seconds": [4.0, 0.0, 6.0, 5.0],
        "build_seconds": [1.0, 1.0, 0.0, 7.0],
        "seconds": [10.0, 6.0, 12.0, 77.0],
        "n_items": [100, 100, 50, 3],
        "repeats": [2, 2, 1, 1],
    }
)


# ---- another design ----------------------------------------------------------------


def test_a_prediction_is_the_ledger_s():
    noise = noise_of_score(LEDGER)
    for counts in ({}, {"item": 1000.0}, {"train_seed": 9, "template": 2, "repeat": 5}):
        expected = LEDGER.predicted_variance(counts)
        assert noise.variance(counts) == pytest.approx(expected, rel=1e-12)
        assert noise.se(counts).value == pytest.approx(math.sqrt(expected), rel=1e-12)
    fixed = noise_of_score(LEDGER, fixed=["item"])
    assert fixed.variance() == pytest.approx(
        LEDGER.predicted_variance(fixed=["item"]), rel=1e-12
    )
    assert noise.se().n == 2


def test_sources_are_a_table():
    noise = noise_of_difference(LEDGER, correlation=0.5)
    frame = noise.to_frame()

    assert len(frame) == len(noise.sources)
    assert frame["contribution"].sum() == pytest.approx(noise.variance())
    assert set(frame["of"]) == {"difference"}
    assert "item train_seed" in set(frame["facets"])


def test_a_prediction_of_an_uneven_design_is_the_ledger_s():
    rng = np.random.default_rng(5)
    scores = simulated(rng)[..., 0]
    scores[rng.random(scores.shape) < 0.2] = np.nan
    ledger = ledger_of(scores, FACETS[:3])

    assert noise_of_score(ledger).variance({"item": 300}) == pytest.approx(
        ledger.predicted_variance({"item": 300}), rel=1e-12
    )


def test_counts_may_be_arrays():
    n = np.array([10.0, 100.0])
    noise = exact()

    assert noise.variance({"item": n}) == pytest.approx(
        [noise.variance({"item": 10}), noise.variance({"item": 100})]
    )
    assert noise.df({"item": n}) == pytest.approx(
        [noise.df({"item": 10}), noise.df({"item": 100})]
    )


def test_a_difference_from_one_model_is_the_sum_of_what_does_not_cancel():
    noise = noise_of_difference(LEDGER, correlation=0.25)
    by_hand = sum(
        effect.contribution
        * (2 if {"train_seed", "repeat"} & {*effect.facets} else 1.5)
        for effect in LEDGER.effects
    )

    assert noise.variance() == pytest.approx(by_hand)
    alike = noise_of_difference(LEDGER, correlation=1.0)
    assert ("item",) not in {s.facets for s in alike.sources if s.variance}


def test_two_models_show_what_they_share():
    """Paired by items and repeats it is the noise of `noise_split`, over items."""
    rng = np.random.default_rng(3)
    items = rng.normal(0, 0.3, (200, 1))
    two = [
        items + rng.normal(0, 0.1, (200, 1)) + rng.normal(0, 0.2, (200, 4))
        for _ in range(2)
    ]
    split = noise_split(*two)
    noise = noise_between_models(ledger_of(np.array(two), ("model", "item", "repeat")))

    assert noise.variance() == pytest.approx(
        (split.data + split.prediction / 4) / 200, rel=1e-9
    )
    many = noise.detectable({"item": 1e5, "repeat": 7})
    assert many.value == pytest.approx(
        detectable_difference(split.data, split.prediction, 100_000, n_repeats=7),
        rel=1e-4,
    )


def test_seeds_of_several_models_are_their_own():
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(3, 5, 60))
    scores += rng.normal(size=(3, 5, 1)) + rng.normal(size=(1, 1, 60))
    names = ("model", "train_seed", "item")
    ledger = ledger_of(scores, names, within={"train_seed": ["model"]})
    noise = noise_between_models(ledger)

    assert {frozenset(s.facets) for s in noise.sources} == {
        frozenset({"train_seed"}),
        frozenset({"item"}),
        frozenset({"item", "train_seed"}),
    }
    assert dict(noise.counts) == {"train_seed": 5, "item": 60}


def test_repeats_of_one_seed_are_each_model_s_own():
    """``2 (1 - rho) item / n + 2 repeat / (n K)``: no seeds to say that repeats are."""
    rng = np.random.default_rng(12)
    scores = rng.normal(0, 0.3, (300, 1)) + rng.normal(0, 0.2, (300, 4))
    ledger = ledger_of(scores, ("item", "repeat"))
    noise = noise_of_difference(ledger, correlation=0.3)
    item, repeat = (ledger.effects[i].variance.value for i in range(2))

    assert noise.variance() == pytest.approx(
        2 * 0.7 * item / 300 + 2 * repeat / (300 * 4), rel=1e-12
    )
    assert noise.df({"item": 5, "repeat": 3}) == pytest.approx(
        (1.4 * item / 5 + 2 * repeat / 15) ** 2
        / ((1.4 * item / 5) ** 2 / 4 + (2 * repeat / 15) ** 2 / (2 * 5 * 2))
    )


def test_facets_of_one_level_are_told_and_cannot_grow():
    ledger = ledger_of(simulated(np.random.default_rng(2))[:, :, :1, 0], FACETS[:3])
    noise = noise_of_score(ledger)

    assert noise.unknown == ("template",)
    with pytest.raises(DesignError) as caught:
        noise.se({"template": 2})
    assert caught.value.code == "facet-not-estimated"
    assert noise.se({"template": 1}).value == noise.se().value


def test_nothing_is_left_where_all_is_fixed():
    found = noise_of_score(LEDGER, fixed=FACETS).se()

    assert math.isnan(found.value)
    assert found.cautions[0].code == "no-noise"
    assert math.isnan(noise_of_score(LEDGER, fixed=FACETS).detectable().value)


def test_components_that_add_up_to_nothing_have_no_error():
    noise = exact()
    less = Noise(
        of="score",
        sources=(Source(name="item", facets=("item",), variance=-1, low=-2, high=1),),
        counts=noise.counts,
        fixed=(),
        unknown=(),
        confidence_level=0.95,
    )

    assert less.se().cautions[0].code == "negative-component"
    assert math.isnan(gains(less, COST)[0].narrower_by)


def test_what_could_not_be_told_is_named():
    noise = exact()
    lost = Noise(
        of="score",
        sources=(*noise.sources, Source(name="x", facets=("item",), **NOTHING)),
        counts=noise.counts,
        fixed=(),
        unknown=(),
        confidence_level=0.95,
    )

    (caution,) = lost.se().cautions
    assert (caution.code, "tell x;" in caution.text) == ("confounded-effects", True)


NOTHING = {"variance": math.nan, "low": math.nan, "high": math.nan}


def test_a_negative_component_is_told():
    rng = np.random.default_rng(0)
    ledger = ledger_of(rng.normal(size=(30, 3, 3)), FACETS[:3])
    noise = noise_of_score(ledger)

    assert min(s.variance for s in noise.sources) < 0
    assert "negative-component" in {c.code for c in noise.se().cautions}


def test_one_level_leaves_a_test_nothing_to_go_by():
    noise = exact()

    assert noise.df({"train_seed": 1}) == 0
    found = noise.detectable({"train_seed": 1})
    assert math.isnan(found.value)
    assert found.cautions[0].code == "one-level-each"
    assert not math.isnan(noise.detectable({"repeat": 1}).value)


def test_power_and_level_change_what_is_found():
    noise = exact()
    usual = noise.detectable().value

    assert noise.detectable(power=0.9).value > usual
    assert noise_of_score(LEDGER).to_dict()["counts"] == NOW


@pytest.mark.slow
def test_predicted_and_realised_errors_agree():
    """Ledgers of small designs predict large ones, and the other way round.

    Realised is the SD of the mean over new draws of everything random; predictions are
    averaged as variances, as which they are unbiased.
    """
    rng = np.random.default_rng(7)
    designs = [
        {"item": 20, "train_seed": 3, "template": 3, "repeat": 2},
        {"item": 60, "train_seed": 6, "template": 2, "repeat": 1},
        {"item": 40, "train_seed": 2, "template": 8, "repeat": 3},
    ]
    noises = [noise_of_score(ledger_of(simulated(rng, designs[0]))) for _ in range(300)]
    for counts in designs:
        means = np.array([simulated(rng, counts).mean() for _ in range(2000)])
        predicted = np.array([noise.variance(counts) for noise in noises])
        error = predicted.std() / math.sqrt(len(predicted))
        realised = means.var(ddof=1)
        assert abs(predicted.mean() - realised) < 4 * math.hypot(
            error, realised * math.sqrt(2 / len(means))
        )
        assert exact(counts).variance() == pytest.approx(realised, rel=0.12)


@pytest.mark.slow
def test_predicted_and_realised_errors_of_a_difference_agree():
    """Two models on the same items and templates, with seeds and repeats of their own.

    Half of the variance of what is shared is the same for both.
    """
    rng = np.random.default_rng(8)
    counts = {"item": 20, "train_seed": 3, "template": 3, "repeat": 2}
    other = {"item": 40, "train_seed": 4, "template": 2, "repeat": 1}
    shared = [f for f in SDS if not {"train_seed", "repeat"} & {*f}]

    def pair(counts):
        common = {}
        for facets in shared:
            own = tuple(counts[f] if f in facets else 1 for f in FACETS)
            common[facets] = SDS[facets] * rng.normal(size=own) * math.sqrt(0.5)
        return np.array(
            [
                simulated(
                    rng,
                    counts,
                    fixed={
                        f: c + SDS[f] * math.sqrt(0.5) * rng.normal(size=c.shape)
                        for f, c in common.items()
                    },
                )
                for _ in range(2)
            ]
        )

    names = ("model", *FACETS)
    within = {"train_seed": ["model"]}
    noises = [
        noise_between_models(ledger_of(pair(counts), names, within=within))
        for _ in range(200)
    ]
    for design in (counts, other):
        means = np.array(
            [np.diff(pair(design).mean((1, 2, 3, 4))) for _ in range(2000)]
        )
        realised = float(means.var(ddof=1))
        predicted = np.array([noise.variance(design) for noise in noises])
        error = predicted.std() / math.sqrt(len(predicted))
        assert abs(predicted.mean() - realised) < 4 * math.hypot(
            error, realised * math.sqrt(2 / len(means))
        )
        truth = exact(design, "difference", correlation=0.5)
        assert truth.variance() == pytest.approx(realised, rel=0.12)


@pytest.mark.slow
def test_intervals_of_predictions_cover():
    """At the nominal level or above it, whether the design is the one run or not."""
    rng = np.random.default_rng(9)
    counts = {"item": 40, "train_seed": 4, "template": 4, "repeat": 2}
    noises = [noise_of_score(ledger_of(simulated(rng, counts))) for _ in range(300)]
    for design in (counts, {"item": 400, "train_seed": 8}):
        truth = math.sqrt(exact(counts).variance(design))
        ends = np.array([noise.se(design).interval for noise in noises])
        covers = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        assert covers.mean() > 0.93


@pytest.mark.slow
def test_what_is_detectable_is_found_as_often_as_said():
    """A t test on means over seeds, whose noise is all there is."""
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(10)
    noise = Noise(
        of="difference",
        sources=(
            Source(
                name="train_seed",
                facets=("train_seed",),
                variance=2.0,
                low=math.nan,
                high=math.nan,
            ),
        ),
        counts={"train_seed": 4},
        fixed=(),
        unknown=(),
        confidence_level=0.95,
    )
    delta = noise.detectable().value
    a, b = rng.normal(delta, 1, (4, 4000)), rng.normal(0, 1, (4, 4000))
    found = (ttest_ind(a, b).pvalue < 0.05).mean()

    assert noise.df() == 6
    assert found == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 4000))


# ---- costs -------------------------------------------------------------------------


def test_costs_are_the_store_s_own_timings():
    """28 s in all, 10 of them in two loads, 2 in building 250 items."""
    found = measured_cost(TIMES, of={"task": "t"})

    assert found == {"load": 5.0, "item": 2 / 250, "answer": pytest.approx(16 / 450)}
    assert measured_cost(TIMES.assign(load_seconds=0.0), of={"task": "t"})["load"] == 0


def test_costs_are_those_of_the_same_question():
    """Prompts with examples are longer: theirs are not the costs of those without."""
    without = measured_cost(TIMES, of={"task": "t", "num_fewshot": 0})
    examples = measured_cost(TIMES, of={"task": "t", "num_fewshot": 5})

    assert without == {"load": 5.0, "item": 1 / 150, "answer": 11 / 250}
    assert examples == {"load": 5.0, "item": 1 / 100, "answer": 5 / 200}


def test_only_what_is_not_stored_costs():
    now = {"item": 10, "train_seed": 2, "template": 3, "repeat": 1}
    seconds = COST.seconds

    assert seconds(now, now) == 0
    # 2 checkpoints are loaded, 3 prompts each for 5 items.
    assert seconds({"item": 15}, now) == pytest.approx(10 + 30 * 0.001 + 30 * 0.01)
    # Another answer to each of 60 prompts, which are put anew.
    assert seconds({"repeat": 2}, now) == pytest.approx(10 + 60 * 0.001 + 60 * 0.01)
    # One more training, its one load and its 30 answers: the others are as they were.
    assert seconds({"train_seed": 3}, now) == pytest.approx(
        60 + 5 + 30 * 0.001 + 30 * 0.01
    )
    # All three are loaded where each is asked more.
    assert seconds({"train_seed": 3, "item": 15}, now) == pytest.approx(
        60 + 15 + 75 * 0.001 + 75 * 0.01
    )
    many = seconds({"train_seed": np.array([2, 3, 4])}, now)
    assert many == pytest.approx([0, 65.33, 130.66])


def test_levels_that_are_no_whole_numbers_cost_nothing_by_rounding():
    """Means of uneven designs: 0.1 more or less is no answer to be bought."""
    now = {"item": 10.7, "train_seed": 7 / 3, "template": 1.1, "repeat": 1.3}

    assert COST.seconds(now, now) == 0
    more = COST.seconds({"train_seed": 10 / 3}, now)
    answers = 10.7 * 1.1 * 1.3
    assert more == pytest.approx(60 + 5 + 10.7 * 1.1 * 0.001 + answers * 0.01)


LIMITS = {"item": 150, "train_seed": 7, "template": 6, "repeat": 4}


def every_design(limits):
    for counts in itertools.product(
        *(range(NOW[facet], limits[facet] + 1) for facet in FACETS)
    ):
        yield dict(zip(FACETS, counts, strict=True))


@pytest.mark.parametrize("goal", ["se", "difference"])
def test_the_cheapest_design_is_the_cheapest_of_all(goal):
    """A plain loop over every design beside the search."""
    limits = {"item": 90, "train_seed": 6, "template": 5, "repeat": 3}
    noise = exact(of="difference", correlation=0.5)

    def value(counts):
        if goal == "se":
            return noise.se(counts).value
        return noise.detectable(counts).value

    target = 0.9 * value({})
    fit = [d for d in every_design(limits) if value(d) <= target]
    least = min(float(COST.seconds(d, NOW)) for d in fit)
    found = cheapest_design(noise, COST, limits=limits, **{goal: target})

    assert found is not None
    assert found.seconds == pytest.approx(least)
    assert value(found.counts) <= target
    assert all(found.counts[facet] <= limits[facet] for facet in FACETS)


def test_a_design_that_is_sure_enough_costs_nothing():
    found = cheapest_design(exact(), COST, se=1.0)

    assert found is not None
    assert (found.counts, found.seconds) == (NOW, 0.0)


def test_no_design_within_the_limits_is_none():
    assert cheapest_design(exact(), COST, se=0.001, limits=LIMITS) is None
    assert cheapest_design(exact(), COST, difference=0.001, limits=LIMITS) is None
    fixed = noise_of_score(LEDGER, fixed=["item", "train_seed", "template", "repeat"])
    assert cheapest_design(fixed, COST, se=0.001) is None


def test_items_that_are_fixed_stay_as_many():
    noise = noise_of_score(LEDGER, fixed=["item"])
    target = 0.8 * noise.se().value
    found = cheapest_design(noise, COST, se=target)

    assert "item" not in noise.facets
    assert found is not None
    assert found.counts["item"] == 80


def test_the_best_design_for_a_budget_is_the_best_of_all():
    limits = {"item": 95, "train_seed": 6, "template": 5, "repeat": 3}
    for budget in (0.0, 30.0, 150.0):
        found = best_design(exact(), COST, seconds=budget, limits=limits)
        least = min(
            exact().variance(design)
            for design in every_design(limits)
            if COST.seconds(design, NOW) <= budget
        )

        assert found.seconds <= budget
        assert found.se.value == pytest.approx(math.sqrt(least))


def test_items_alone_are_searched_too():
    """One seed and one template: Miller's n, but for t instead of z."""
    variance = 0.25
    noise = Noise(
        of="difference",
        sources=(
            Source(
                name="item",
                facets=("item",),
                variance=variance,
                low=math.nan,
                high=math.nan,
            ),
        ),
        counts={"item": 50.0},
        fixed=(),
        unknown=(),
        confidence_level=0.95,
    )
    found = cheapest_design(noise, COST, difference=0.05)
    z = items_needed(variance, 0.0, 0.05)

    assert found is not None
    assert z < found.counts["item"] < z + 5
    assert cheapest_design(noise, COST, difference=0.05, limits={"item": z}) is None
    best = best_design(noise, COST, seconds=5 + 0.011 * 30)
    assert best.counts["item"] == 80


def test_few_degrees_of_freedom_take_more_items_than_z_would():
    """Items and seeds: what the seeds leave is little, so that t asks for much."""
    noise = Noise(
        of="difference",
        sources=tuple(
            Source(name=f, facets=(f,), variance=v, low=math.nan, high=math.nan)
            for f, v in (("item", 1.0), ("train_seed", 0.003))
        ),
        counts={"item": 10.0, "train_seed": 3.0},
        fixed=(),
        unknown=(),
        confidence_level=0.95,
    )
    dear = Cost(load=0.0, item=0.0, answer=1.0, levels={"train_seed": 1e6})
    found = cheapest_design(noise, dear, difference=0.15)

    assert found is not None
    n_items = found.counts["item"]
    assert found.counts["train_seed"] == 3
    assert noise.detectable({"item": n_items}).value <= 0.15
    assert noise.detectable({"item": n_items - 1}).value > 0.15
    assert n_items > items_needed(1.0, 0.0, 0.15)
    assert cheapest_design(noise, dear, difference=0.15, limits={"item": n_items})
    less = {"item": n_items - 1, "train_seed": 3}
    assert cheapest_design(noise, dear, difference=0.15, limits=less) is None


def test_no_design_is_chosen_for_a_variance_below_zero():
    """More than 100 items would leave less than nothing, by a component below 0."""
    noise = Noise(
        of="difference",
        sources=tuple(
            Source(name=f, facets=(f,), variance=v, low=math.nan, high=math.nan)
            for f, v in (("item", 1.0), ("train_seed", -0.03))
        ),
        counts={"item": 10.0, "train_seed": 3.0},
        fixed=(),
        unknown=(),
        confidence_level=0.95,
    )
    for goal in ({"se": 0.1}, {"difference": 0.1}):
        found = cheapest_design(noise, COST, limits={"item": 1000}, **goal)
        assert found is None or found.se.value > 0
    best = best_design(noise, COST, seconds=1e4, limits={"item": 1000})
    assert best.se.value > 0


def test_interactions_left_in_the_residual_are_told():
    noise = noise_of_score(ledger_of(simulated(np.random.default_rng(5)), order=2))

    assert {c.code for c in noise.cautions} >= {"pooled-interactions"}


def test_gains_are_the_most_first_and_within_the_limits():
    found = gains(exact(), COST, {"item": 100, "template": 5, "repeat": 2})

    assert {g.facet: g.n_added for g in found} == {
        "item": 20,
        "train_seed": 2,
        "template": 1,
    }
    shares = [gain.narrower_by for gain in found]
    assert shares == sorted(shares, reverse=True)
    (items,) = (gain for gain in found if gain.facet == "item")
    ratio = exact().variance({"item": 100}) / exact().variance()
    assert items.narrower_by == pytest.approx(1 - math.sqrt(ratio))
    assert items.to_dict()["design"]["counts"]["item"] == 100


def test_a_design_has_what_it_comes_to():
    found = design_of(noise_of_score(LEDGER), COST, {"item": 160}, power=0.9)

    assert found.counts == {**NOW, "item": 160}
    assert found.se == noise_of_score(LEDGER).se({"item": 160})
    assert found.detectable.method.endswith("power 0.9")
    assert found.to_dict()["seconds"] == found.seconds > 0
