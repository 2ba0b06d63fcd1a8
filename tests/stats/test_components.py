"""Variance components: others' figures, recovery, coverage, properties, edges."""

import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from stats.seed_designs import (
    coverage,
    golden,
    is_sound,
    made_table,
    normal_scores,
    probit_scores,
    probit_variances,
)

from harness.errors import DesignError
from harness.stats.components import (
    mean_seed_components,
    seed_components,
)
from harness.stats.series import last_seed_sd, seed_sd

nan = math.nan
DATA = Path(__file__).parents[3] / "shared" / "data"
SYNTAXGYM = DATA / "syntaxgym_seeds" / "sg_results_long.parquet"

# P. E. Shrout and J. L. Fleiss, Psychol. Bull. 86 (1979), table 2: 6 targets, 4 judges.
SHROUT = np.array(
    [
        [9, 2, 5, 8],
        [6, 1, 3, 2],
        [8, 4, 6, 8],
        [7, 1, 2, 6],
        [10, 5, 6, 9],
        [6, 2, 4, 7],
    ],
    dtype=float,
)


def codes(result):
    return [caution.code for caution in result.cautions]


@pytest.mark.parametrize(
    ("table", "scores"), [("shrout", SHROUT), ("made", made_table())]
)
def test_iccs_and_their_intervals_are_psych_s(table, scores):
    found = seed_components(scores)

    for name, estimate in [
        ("ICC2", found.icc_single),
        ("ICC2k", found.icc_mean),
        ("ICC3k", found.seed_share),
    ]:
        value, low, high = (float(text) for text in golden(table, "psych")[name])
        assert estimate.value == pytest.approx(value, abs=1e-12)
        assert estimate.interval == (
            pytest.approx(low, abs=1e-9),
            pytest.approx(high, abs=1e-9),
        )


def test_shrout_and_fleiss_table_4():
    """ICC(2,1) is 0.29 and ICC(3,4) 0.91, to the two digits they printed."""
    found = seed_components(SHROUT)

    assert found.icc_single.value == pytest.approx(0.29, abs=0.005)
    assert found.seed_share.value == pytest.approx(0.91, abs=0.005)


def test_components_are_lme4_s():
    theirs = {k: float(v[0]) for k, v in golden("shrout", "lme4").items()}
    found = seed_components(SHROUT)

    for estimate, name in [
        (found.seed, "seed"),
        (found.item, "item"),
        (found.residual, "Residual"),
    ]:
        assert estimate.value == pytest.approx(theirs[name], abs=1e-6)


def test_components_with_repeats_are_lme4_s():
    theirs = {k: float(v[0]) for k, v in golden("made", "lme4").items()}
    found = seed_components(made_table())

    for estimate, name in [
        (found.seed, "seed"),
        (found.item, "item"),
        (found.interaction, "cell"),
        (found.error, "Residual"),
    ]:
        assert estimate.value == pytest.approx(theirs[name], abs=1e-6)


@pytest.mark.slow
def test_components_are_statsmodels_reml():
    sm = pytest.importorskip("statsmodels.formula.api")
    scores = normal_scores(
        np.random.default_rng(3),
        n_seeds=6,
        n_items=12,
        seed=0.1,
        item=0.2,
        residual=0.05,
    )[0]
    seed, item = np.indices(scores.shape)
    frame = pd.DataFrame(
        {"score": scores.ravel(), "seed": seed.ravel(), "item": item.ravel(), "one": 1}
    )
    fit = sm.mixedlm(
        "score ~ 1",
        frame,
        groups="one",
        vc_formula={"seed": "0 + C(seed)", "item": "0 + C(item)"},
    ).fit()

    found = seed_components(scores)
    item_variance, seed_variance = fit.vcomp
    assert found.seed.value == pytest.approx(seed_variance, abs=1e-4)
    assert found.item.value == pytest.approx(item_variance, abs=1e-4)
    assert found.residual.value == pytest.approx(fit.scale, abs=1e-4)


def test_p1_s_worked_example():
    """Two seeds, two items, two repeats by hand: MS .5, .5, 0, .25."""
    found = seed_components(np.array([[[1, 1], [0, 1]], [[0, 1], [0, 0]]]))

    assert found.seed.value == pytest.approx(0.125)
    assert found.interaction.value == pytest.approx(-0.125)
    assert found.item.value == pytest.approx(0.125)
    assert found.error.value == pytest.approx(0.25)


def test_the_interval_of_the_seed_variance_by_its_definition():
    from scipy.stats import chi2, f

    found = seed_components(SHROUT, confidence_level=0.9)
    ms_seed, ms_residual = 4 * SHROUT.mean(1).var(ddof=1), found.residual.value
    ends = [
        (ms_seed - f.ppf(p, 5, 15) * ms_residual) * 5 / (4 * chi2.ppf(p, 5))
        for p in (0.95, 0.05)
    ]

    assert found.seed.interval == (pytest.approx(ends[0]), pytest.approx(ends[1]))
    assert found.corrected_sd.value == pytest.approx(math.sqrt(found.seed.value))
    assert found.corrected_sd.interval.high == pytest.approx(math.sqrt(ends[1]))
    assert found.seed_share.confidence_level == 0.9


def plain_components(scores):
    """Return seed, item and residual by loops over pairs of seeds and of items."""
    n_seeds, n_items = scores.shape
    seeds, items = range(n_seeds), range(n_items)

    def covariance(x, y):
        return sum((x - x.mean()) * (y - y.mean())) / (len(x) - 1)

    item = np.mean(
        [covariance(scores[a], scores[b]) for a in seeds for b in seeds if a != b]
    )
    seed = np.mean(
        [covariance(scores[:, i], scores[:, j]) for i in items for j in items if i != j]
    )
    within = np.mean([covariance(scores[a], scores[a]) for a in seeds])
    return seed, item, within - item


tables = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=7),
    elements=st.integers(0, 20).map(lambda x: x / 20),
)


def values(found):
    return [found.seed.value, found.item.value, found.residual.value]


@given(tables)
def test_components_are_covariances_of_seeds_and_of_items(table):
    assert values(seed_components(table)) == pytest.approx(
        plain_components(table), abs=1e-12
    )


@given(tables, st.randoms(use_true_random=False))
def test_order_of_seeds_and_items_does_not_matter(table, random):
    shuffled = table[random.sample(range(len(table)), len(table))]
    shuffled = shuffled[:, random.sample(range(table.shape[1]), table.shape[1])]

    for one, other in zip(
        seed_components(shuffled).estimates,
        seed_components(table).estimates,
        strict=True,
    ):
        # A root makes 1e-9 of a rounding error.
        assert one.value == pytest.approx(other.value, abs=1e-8, nan_ok=True)


@given(tables, st.sampled_from([0.25, -3.0]), st.sampled_from([0.5, 2.0]))
def test_shift_and_scale(table, shift, scale):
    moved, found = seed_components(table * scale + shift), seed_components(table)

    assert values(moved) == pytest.approx(
        [scale**2 * value for value in values(found)], abs=1e-12
    )
    assert moved.seed_share.value == pytest.approx(
        found.seed_share.value, abs=1e-9, nan_ok=True
    )


@given(tables)
def test_the_parts_add_up_to_the_observed_variance_of_seed_means(table):
    found = seed_components(table)
    observed = table.mean(1).var(ddof=1)

    assert found.seed.value + found.residual.value / table.shape[1] == pytest.approx(
        observed, abs=1e-12
    )
    if not math.isnan(found.seed_share.value):
        assert found.seed_share.value * observed == pytest.approx(
            found.seed.value, abs=1e-12
        )


@given(tables)
def test_identical_repeats_are_no_error_and_change_nothing_else(table):
    found = seed_components(np.repeat(table[:, :, None], 3, axis=2))

    assert values(found) == pytest.approx(values(seed_components(table)), abs=1e-12)
    assert found.error.value == pytest.approx(0, abs=1e-15)
    assert found.interaction.value == pytest.approx(found.residual.value, abs=1e-12)


def test_components_of_checkpoints_are_averaged():
    rng = np.random.default_rng(5)
    scores = rng.random((4, 3, 9))
    found = mean_seed_components(scores)
    each = [values(seed_components(scores[:, t])) for t in range(3)]

    assert values(found) == pytest.approx(np.mean(each, axis=0))
    observed = np.mean(scores.mean(-1).var(axis=0, ddof=1))
    assert found.seed.value + found.residual.value / 9 == pytest.approx(observed)
    assert (found.n_steps, found.n_seeds, found.n_items) == (3, 4, 9)


def test_one_checkpoint_is_its_own_average():
    one, mean = seed_components(SHROUT), mean_seed_components(SHROUT[:, None])

    assert one == mean


@pytest.mark.parametrize("seed", [0.0, 0.0004, 0.01])
def test_recovers_the_components_it_was_given(seed):
    """The mean of 300 estimates is within 4 standard errors of the truth."""
    truth = seed, 0.09, 0.04
    scores = normal_scores(
        np.random.default_rng(6),
        n_seeds=8,
        n_items=50,
        seed=truth[0],
        item=truth[1],
        residual=truth[2],
        n_tables=300,
    )
    found = np.array([values(seed_components(table)) for table in scores])

    error = found.mean(0) - truth
    assert (np.abs(error) < 4 * found.std(0, ddof=1) / math.sqrt(300)).all()


def test_recovers_the_components_of_right_and_wrong():
    *truth, _ = probit_variances(0.3, 0.03, 0.5)
    scores = probit_scores(
        np.random.default_rng(7),
        n_seeds=6,
        n_items=80,
        mean=0.3,
        seed_sd=0.03,
        item_share=0.5,
        n_tables=400,
    )
    found = np.array([values(seed_components(table)) for table in scores[:, :, 0]])

    error = found.mean(0) - truth
    assert (np.abs(error) < 4 * found.std(0, ddof=1) / math.sqrt(400)).all()


def intervals(scores, name, split=seed_components):
    return [getattr(split(table), name).interval for table in scores]


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [2, 3, 10])
@pytest.mark.parametrize(
    ("mean", "seed_sd", "n_items"),
    [
        (0.5, 0.0, 500),
        (0.25, 0.002, 500),
        (0.5, 0.02, 500),
        (0.97, 0.005, 3000),
        (0.02, 0.003, 5000),
    ],
)
def test_seed_variance_and_share_cover(n_seeds, mean, seed_sd, n_items):
    seed, _, residual, _ = probit_variances(mean, seed_sd, 0.6)
    rng = np.random.default_rng(8)
    scores = [
        probit_scores(
            rng, n_seeds=n_seeds, n_items=n_items, mean=mean, seed_sd=seed_sd
        )[0, :, 0]
        for _ in range(800)
    ]

    share = seed / (seed + residual / n_items)
    for name, truth in (("seed", seed), ("seed_share", share)):
        assert 0.93 - 0.014 <= coverage(intervals(scores, name), truth) <= 0.97 + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [2, 10])
def test_item_and_residual_variance_cover(n_seeds):
    _, item, residual, _ = probit_variances(0.6, 0.01, 0.6)
    scores = probit_scores(
        np.random.default_rng(9),
        n_seeds=n_seeds,
        n_items=300,
        mean=0.6,
        seed_sd=0.01,
        n_tables=1500,
    )[:, :, 0]

    for name, truth in (("item", item), ("residual", residual)):
        assert 0.92 <= coverage(intervals(scores, name), truth) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [1.0, 0.5, 0.0])
def test_averaged_seed_variance_covers(correlation):
    """At least 93 % however the checkpoints of a run depend; 97 at most if fully."""
    seed, *_ = probit_variances(0.5, 0.02, 0.6)
    scores = probit_scores(
        np.random.default_rng(10),
        n_seeds=4,
        n_items=200,
        mean=0.5,
        seed_sd=0.02,
        n_tables=800,
        n_steps=5,
        step_correlation=correlation,
    )

    covered = coverage(intervals(scores, "seed", mean_seed_components), seed)
    assert covered >= 0.93
    assert correlation < 1 or covered <= 0.97 + 0.01


def test_without_repeats_interaction_and_error_are_one():
    found = seed_components(SHROUT)

    assert codes(found.interaction) == codes(found.error) == ["one-repeat"]
    assert math.isnan(found.error.value)


def test_a_negative_component_is_returned_as_it_came_out():
    found = seed_components(np.array([[0, 1, 1, 0.0], [1, 0, 0, 1], [0, 1, 0, 0]]))

    # By hand: MS_seed is 1/12, MS_res 5/12.
    assert found.seed.value == pytest.approx(-1 / 12)
    assert math.isnan(found.corrected_sd.value)
    assert found.corrected_sd.interval == (
        0,
        pytest.approx(math.sqrt(found.seed.interval.high)),
    )
    assert "negative-component" in codes(found)
    assert codes(found.corrected_sd).count("negative-component") == 1


@pytest.mark.parametrize("split", [seed_components, mean_seed_components])
def test_seeds_with_equal_means_have_a_variance_but_no_share(split):
    """Its unbiased value is negative; what has no SD over seeds has no root either."""
    scores = np.array([[0, 1, 1, 0.0], [1, 0, 0, 1]])
    found = split(scores if split is seed_components else scores[:, None])

    assert found.seed.value == pytest.approx(-found.residual.value / 4)
    assert math.isnan(found.seed.interval.low)
    assert math.isnan(found.seed.interval.high)
    assert codes(found.seed)[:2] == ["constant-over-seeds", "negative-component"]
    for estimate in (
        found.seed_share,
        found.corrected_sd,
        found.icc_single,
        found.icc_mean,
    ):
        assert math.isnan(estimate.value)
        assert codes(estimate)[0] == "constant-over-seeds"


@given(tables)
def test_no_sd_over_seeds_no_split_of_it(table):
    found = seed_components(table)
    spread = last_seed_sd(table.mean(1))

    is_negative = found.seed.value < 0
    assert math.isnan(found.corrected_sd.value) == (
        is_negative or math.isnan(spread.value)
    )
    assert math.isnan(found.seed_share.value) == math.isnan(spread.value)


def test_means_that_nearly_tie_have_no_interval_that_leaves_the_value_out():
    scores = np.array([[0, 1, 0.5, 0], [1, 0, 0, 0.5]])
    scores[0, 0] += 1e-4
    found = seed_components(scores)

    assert found.seed.value == pytest.approx(-found.residual.value / 4)
    for estimate in (found.seed, found.corrected_sd):
        assert math.isnan(estimate.interval.low)
        assert "value-outside-interval" in codes(estimate)
    assert is_sound(found.seed_share)


def test_a_low_level_has_no_interval_where_it_leaves_the_value_out():
    scores = np.random.default_rng(17).random((2, 40)) + np.array([[0], [0.3]])
    share = seed_components(scores, confidence_level=0.1).seed_share

    assert codes(share)[0] == "value-outside-interval"
    assert math.isnan(share.interval.low)


def test_a_seed_variance_whose_interval_is_negative_has_no_root():
    """MS_seed is .01 of MS_res: below the lower end of F, above a tie."""
    scores = np.random.default_rng(18).permuted(
        np.tile(np.arange(30.0), (6, 1)), axis=1
    )
    scores[0] += 0.7
    found = seed_components(scores)

    assert found.seed.interval.low <= found.seed.value <= found.seed.interval.high < 0
    assert math.isnan(found.corrected_sd.value)
    assert math.isnan(found.corrected_sd.interval.high)
    assert codes(found.corrected_sd)[0] == "negative-component"


def test_an_icc_of_means_beyond_its_pole_is_not_defined():
    """By hand: MS .04, 0 and 1, so seed -.48, item -.5, residual 1."""
    found = seed_components(np.array([[0.1, 1.1], [0.9, -0.1]]))

    assert found.seed.value == pytest.approx(-0.48)
    assert found.item.value == pytest.approx(-0.5)
    assert found.icc_single.value < -1
    assert math.isnan(found.icc_mean.value)
    assert codes(found.icc_mean)[0] == "negative-component"


def test_an_interval_of_an_icc_of_means_that_passes_its_pole_has_no_lower_end():
    n_open = 0
    rng = np.random.default_rng(19)
    for _ in range(200):
        found = seed_components(rng.integers(0, 2, (3, 4)) + 0.1 * rng.random((3, 4)))
        low, high = found.icc_mean.interval
        if math.isnan(low):
            continue
        pole = -1 / (found.n_items - 1)
        assert (low == -math.inf) == (found.icc_single.interval.low <= pole)
        assert low <= found.icc_mean.value <= high <= 1
        n_open += low == -math.inf
    assert n_open > 20


small = st.tuples(st.integers(2, 5), st.integers(3, 59)).flatmap(
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
"""Seeds by items: right and wrong, continuous, with ties, nearly constant."""


@given(small, st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.99]))
def test_every_value_lies_in_its_interval_or_there_is_a_reason(table, level):
    for found in (
        seed_components(table, confidence_level=level),
        seed_components(table[..., None] * [1, 1.1, 0.9], confidence_level=level),
        mean_seed_components(table[:, None], confidence_level=level),
        mean_seed_components(
            np.stack([table, table[:, ::-1] ** 2], axis=1), confidence_level=level
        ),
    ):
        for estimate in found.estimates:
            assert is_sound(estimate), estimate


def test_every_value_of_many_random_tables_lies_in_its_interval():
    rng = np.random.default_rng(20)
    for i in range(600):
        shape = rng.integers(2, 6), rng.integers(3, 60)
        table = rng.random(shape) if i % 2 else rng.integers(0, 2, shape).astype(float)
        for estimate in seed_components(table).estimates:
            assert is_sound(estimate), estimate


def test_means_equal_but_for_rounding_are_equal():
    thirds = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])
    assert thirds.mean(1)[0] != thirds.mean(1)[1]

    assert math.isnan(seed_components(thirds).seed_share.value)


@pytest.mark.parametrize("row", [[0, 1, 1, 0.0], [1, 1, 1, 1], [0, 0, 0, 0]])
def test_seeds_that_answer_alike_differ_by_nothing(row):
    found = seed_components(np.array([row, row, row]))

    assert (found.seed.value, found.residual.value) == (0, 0)
    assert math.isnan(found.seed.interval.low)
    assert "constant-over-seeds" in codes(found.seed)
    assert codes(found.residual) == ["constant-over-items"]
    assert math.isnan(found.seed_share.value)


def test_few_items_that_differ_are_told_of_each_component_over_items():
    """A rounding error between items of the same answers would hide that they do."""
    scores = np.ones((2, 200))
    scores[:, :3] = scores[0, 3] = 0
    seeds = seed_components(scores)

    assert codes(seeds.item) == ["one-score-prevails"]
    assert codes(seeds.residual) == ["near-the-edge"]


def test_seeds_apart_by_the_same_on_all_items_are_all_training():
    found = seed_components(np.full((3, 4), 0.5) + np.array([[0.0], [0.1], [0.3]]))

    assert found.seed_share.value == pytest.approx(1)
    assert found.icc_single.value == found.icc_single.interval.low == pytest.approx(1)


def test_a_negative_icc_has_an_interval_about_it():
    rng = np.random.default_rng(13)
    for _ in range(50):
        icc = seed_components(rng.random((4, 6))).icc_single

        assert icc.interval.low <= icc.value <= icc.interval.high


@pytest.mark.parametrize(
    ("n_seeds", "n_apart", "is_few"),
    [(2, 99, True), (2, 100, False), (3, 4, True), (3, 5, False)],
)
def test_few_items_on_which_seeds_differ_are_told(n_seeds, n_apart, is_few):
    scores = np.zeros((n_seeds, 400))
    scores[:, 200:] = 1
    scores[0, :n_apart] = 1

    found = seed_components(scores)
    assert ("few-discordant-items" in codes(found)) == is_few
    assert ("few-discordant-items" in codes(found.seed)) == is_few
    assert "few-discordant-items" not in codes(seed_components(scores + 0.1))


def test_seeds_near_the_end_of_the_scale_are_told():
    rng = np.random.default_rng(14)
    design = {"n_seeds": 5, "n_items": 2000, "seed_sd": 0.02}
    near, far = (
        probit_scores(rng, mean=mean, **design)[0, :, 0] for mean in (0.97, 0.5)
    )

    assert "near-bound" in codes(seed_components(near))
    assert "near-bound" not in codes(seed_components(far))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: seed_components(np.ones((1, 5))), "too-few-replicates"),
        (lambda: seed_components(np.ones((5, 1))), "too-few-items"),
        (lambda: seed_components(np.array([[1, nan], [0, 1]])), "missing-scores"),
        (lambda: mean_seed_components(np.ones((1, 2, 5))), "too-few-replicates"),
        (lambda: mean_seed_components(np.ones((2, 2, 1))), "too-few-items"),
        (lambda: mean_seed_components(np.full((2, 2, 2), nan)), "missing-scores"),
    ],
)
def test_what_cannot_be_split_is_refused(call, code):
    with pytest.raises(DesignError) as caught:
        call()

    assert caught.value.code == code


def test_one_seed_is_refused_with_a_way_out():
    with pytest.raises(DesignError, match="add seeds to the suite"):
        seed_components(np.ones((1, 5)))


def test_missing_scores_are_named_by_their_items():
    scores = np.ones((2, 3, 4))
    scores[0, 2, 1] = nan
    with pytest.raises(DesignError, match=r"items \[2\]"):
        seed_components(scores)


def test_ways_out():
    found = seed_components(SHROUT)
    frame = found.to_frame()

    assert list(frame["quantity"]) == [e.quantity for e in found.estimates]
    assert len(frame) == 9
    row = found.to_dict()
    assert row["seed"]["value"] == found.seed.value
    assert row["error"]["value"] is None
    assert (row["n_seeds"], row["n_items"]) == (6, 4)
    assert [c["code"] for c in row["cautions"]] == ["shape-of-seeds"]


@pytest.mark.slow
def test_half_a_million_answers_take_milliseconds():
    """performance.md's size, with room for a busy machine; the goal is 6 ms."""
    scores = np.random.default_rng(15).random((32, 1000, 16))
    seed_components(scores)
    times = []
    for _ in range(15):
        start = time.process_time()
        seed_components(scores)
        times.append(time.process_time() - start)

    assert min(times) < 0.012


@pytest.mark.skipif(not SYNTAXGYM.exists(), reason="the SyntaxGym extract is not here")
def test_syntaxgym_seeds():
    """SD over training seeds is .002 to .057; the largest is training, not items, and
    the smallest is less than items alone would make it."""
    frame = pd.read_parquet(SYNTAXGYM)
    frame = frame[frame["arch"].isin(["vanilla", "rnng", "ordered-neurons", "gpt-2"])]
    found = {}
    for (arch, corpus), part in frame.groupby(["arch", "corpus"]):
        scores = part.pivot_table(
            index="seed", columns=["suite", "item"], values="correct", observed=True
        )
        if len(scores) > 1:
            found[arch, corpus] = (
                seed_sd(scores.mean(axis=1).to_numpy()[:, None]),
                seed_components(scores.to_numpy(dtype=float)),
            )

    sds = [sd.value for sd, _ in found.values()]
    assert len(found) == 12
    assert min(sds) == pytest.approx(0.002, abs=5e-4)
    assert max(sds) == pytest.approx(0.057, abs=5e-4)
    for sd, split in found.values():
        assert split.n_items == 842
        observed = split.seed.value + split.residual.value / 842
        assert math.sqrt(observed) == pytest.approx(sd.value)
    small = found["vanilla", "bllip-sm"][1]
    assert 0.8 < small.seed_share.value < 1
    assert small.seed_share.interval.low > 0.5
    few = found["rnng", "bllip-md"][1]
    assert few.seed.value < 0
    assert "negative-component" in codes(few)
