"""Subsets on models they were not chosen by: controls, recovery, leaks, edges."""

import json
import math

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kendalltau
from stats.subset_designs import training_runs

from harness.errors import DesignError
from harness.stats.adaptive import adaptive_test
from harness.stats.intervals import mean_intervals
from harness.stats.ranks import monotonicity
from harness.stats.series import seed_sd
from harness.stats.subsets.calibrate import calibrate
from harness.stats.subsets.evaluate import METHODS, evaluate_subsets
from harness.stats.subsets.held_out import HeldOut
from harness.stats.subsets.quality import MEASURES

DRAWN = {"random": ("weighted",)}

QUICK = {"confidence_level": 0.8, "n_draws": 50}
"""Few draws are enough for a low level."""


@pytest.fixture(scope="module")
def runs():
    """Ten models of two seeds and three checkpoints, 300 items."""
    return training_runs(10, 2, 3, 300, rng=np.random.default_rng(21))


@pytest.fixture(scope="module")
def evaluation(runs):
    scores, who = runs
    return evaluate_subsets(scores, [15, 60], **who, rng=1)


def row(evaluation, method, estimator="weighted", n_items=60):
    (found,) = (
        r
        for r in evaluation.rows
        if (r.method, r.estimator, r.n_items) == (method, estimator, n_items)
    )
    return found


def training_run(who):
    """Labels of training runs, to hold out in place of models."""
    return list(zip(who["models"], who["train_seeds"], strict=True))


def held_out(who, groups=None, rng=1):
    return HeldOut.of(
        who["models"],
        who["train_seeds"],
        who["steps"],
        groups,
        np.random.default_rng(rng),
    )


def test_the_reference_is_the_full_set(runs, evaluation):
    scores, _ = runs
    full = row(evaluation, "full", n_items=300)
    table = scores.mean(1).reshape(10, 2, 3)
    low, high = mean_intervals(scores)
    last = table[:, :, -1].mean(1)

    assert evaluation.rows[0] is full
    assert full.bias.value == full.mae.value == full.half_width.value == 0
    assert full.coverage.value == full.rank_correlation.value == 1
    assert full.seed_sd.value == pytest.approx(
        np.mean([seed_sd(each).value for each in table])
    )
    assert full.monotonicity.value == pytest.approx(
        monotonicity(table.reshape(20, 3)).value
    )
    assert full.item_half_width.value == pytest.approx(np.mean(high - low) / 2)
    assert len(set(last)) == 10
    assert math.isnan(full.beats_random)


def test_rank_correlation_is_scipy_s_tau_b(runs):
    _, who = runs
    split = held_out(who)
    rng = np.random.default_rng(3)
    for _ in range(20):
        x, y = rng.integers(0, 4, (2, len(split.group))).astype(float)
        by_model = [v.reshape(10, 2, 3)[:, :, -1].mean(1) for v in (x, y)]

        assert split.rank_correlation(x, y) == pytest.approx(
            kendalltau(*by_model).statistic
        )


def test_rows_are_all_pairs_at_all_sizes(evaluation):
    frame = evaluation.to_frame()
    pairs = [(m, e) for m, each in METHODS.items() for e in each]

    assert len(frame) == 1 + 2 * len(pairs)
    assert frame.columns.tolist() == [
        *("method", "estimator", "n_items", "share", "n_draws"),
        *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
        *("beats_random", "cautions"),
    ]
    assert frame["share"].tolist()[1 :: len(pairs)] == [0.05, 0.2]
    assert set(frame.loc[frame["n_draws"] == 200, "method"]) == {"random", "stratified"}
    text = json.dumps(evaluation.to_dict(), allow_nan=False)
    assert len(json.loads(text)["rows"]) == len(frame)


def test_random_subsets_are_the_control(evaluation):
    """No bias; E of a subset holds the luck of its items, as in the paper's table 3."""
    random, full = row(evaluation, "random"), row(evaluation, "full", n_items=300)

    assert random.bias.interval.low < 0 < random.bias.interval.high
    assert abs(random.bias.value) < 0.01
    assert random.mae.interval.low < random.mae.value < random.mae.interval.high
    assert random.seed_sd.value > 1.3 * full.seed_sd.value
    assert random.monotonicity.value < full.monotonicity.value
    assert 0.93 < random.coverage.value < 0.97
    assert random.item_half_width.value > random.half_width.value
    assert row(evaluation, "random", n_items=15).mae.value > random.mae.value


def test_where_items_have_structure_chosen_subsets_beat_random_ones():
    """15 of 300 items that follow a 2PL model, judged on 60 models held out."""
    scores, who = training_runs(
        60, 2, 1, 300, rng=np.random.default_rng(0), steepness=2.5
    )
    found = evaluate_subsets(scores, [15], **who, rng=1)
    random, full = row(found, "random", n_items=15), row(found, "full", n_items=300)

    for method, estimator in [
        ("anchors-correct", "weighted"),
        ("anchors-irt", "weighted"),
        ("anchors-irt", "p-irt"),
        ("anchors-irt", "gp-irt"),
        ("information", "p-irt"),
    ]:
        chosen = row(found, method, estimator, 15)

        assert chosen.beats_random > 0.9
        assert chosen.mae.value < 0.85 * random.mae.value
        assert chosen.rank_correlation.value > random.rank_correlation.value
        assert chosen.coverage.value > 0.9
        # As in the paper, E is none the less larger than that of the full set.
        assert chosen.seed_sd.value > 1.3 * full.seed_sd.value


def test_where_items_have_none_anchors_do_not():
    """Coins: whoever answered right says nothing of the next; uneven weights harm."""
    rng = np.random.default_rng(6)
    _, who = training_runs(10, 2, 3, 2, rng=rng)
    scores = rng.integers(0, 2, (60, 300)).astype(float)
    found = evaluate_subsets(
        scores,
        [30],
        **who,
        methods={"anchors-correct": ("weighted",), "stratified": ("weighted",)},
        rng=1,
    )

    assert row(found, "anchors-correct", n_items=30).beats_random < 0.9
    assert 0.3 < row(found, "stratified", n_items=30).beats_random < 0.7


def test_no_group_is_on_both_sides(runs):
    _, who = runs
    by_run, by_model = held_out(who, groups=training_run(who)), held_out(who)

    for split, n_groups in ((by_run, 20), (by_model, 10)):
        assert split.n_groups == n_groups
        assert split.n_folds == 5
        assert all(
            len(set(split.fold[split.group == group])) == 1 for group in range(n_groups)
        )
        assert np.bincount(split.fold).tolist() == [12] * 5
    # Seeds of a model go together as far as they can.
    assert all(len(set(by_run.fold[by_run.model == m])) == 1 for m in range(10))


def test_what_the_held_out_answer_does_not_choose_their_items(runs):
    """Rows of one fold change; the others of it are estimated as before."""
    scores, who = runs
    options = {"methods": {"anchors-correct": ("weighted",)}, "rng": 1, **QUICK}
    before = evaluate_subsets(scores, [20], **who, **options)
    fold = before.fold[0]
    changed = scores.copy()
    changed[0] = np.random.default_rng(1).integers(0, 2, 300)
    after = evaluate_subsets(changed, [20], **who, **options)
    one, two = (row(e, "anchors-correct", n_items=20).values for e in (before, after))

    assert np.array_equal(one[fold, 1:], two[fold, 1:])
    assert not np.array_equal(
        np.delete(one, fold, 0)[:, 1:], np.delete(two, fold, 0)[:, 1:]
    )


def test_fidelity_tells_each_respondent_s_full_score_and_estimate(runs, evaluation):
    scores, _ = runs
    frame = evaluation.fidelity_frame()
    part = frame[(frame["method"] == "information") & (frame["n_items"] == 60)]
    held = part[part["is_held_out"]]
    error = held["value"] - held["full"]

    assert len(part) == 5 * 60
    assert sorted(held["respondent"]) == list(range(60))
    assert np.allclose(part["full"], scores.mean(1)[part["respondent"]])
    assert error.groupby(held["group"]).mean().mean() == pytest.approx(
        row(evaluation, "information", "p-irt").bias.value
    )
    assert np.all(part["low"] < part["high"])


def test_errors_follow_the_scale_of_the_scores_and_ranks_do_not_move(runs):
    scores, who = runs
    one, two = (
        row(
            evaluate_subsets(y, [20], **who, methods=DRAWN, rng=1, **QUICK),
            "random",
            n_items=20,
        )
        for y in (scores, 3 * scores - 7)
    )

    for name in ("bias", "mae", "seed_sd"):
        assert getattr(two, name).value == pytest.approx(3 * getattr(one, name).value)
    for name in ("monotonicity", "rank_correlation"):
        assert getattr(two, name).value == pytest.approx(getattr(one, name).value)


def test_random_items_can_be_read_with_the_model_too(runs):
    """Then the luck of many draws is judged against that of the plain mean."""
    scores, who = runs
    methods = {"random": ("weighted", "p-irt")}
    found = evaluate_subsets(scores, [20], **who, methods=methods, rng=1, **QUICK)
    plain, predicted = (row(found, "random", e, 20) for e in ("weighted", "p-irt"))

    assert plain.n_draws == predicted.n_draws == 50
    assert math.isnan(plain.beats_random)
    assert predicted.mae.value < plain.mae.value
    assert predicted.beats_random > 0.8


def test_draws_do_not_depend_on_what_else_is_asked(runs):
    scores, who = runs
    alone = evaluate_subsets(scores, [20], **who, methods=DRAWN, rng=4, **QUICK)
    among = evaluate_subsets(
        scores, [5, 20], **who, methods={"stratified": ("weighted",)}, rng=4, **QUICK
    )

    assert row(alone, "random", n_items=20).mae == row(among, "random", n_items=20).mae
    other = evaluate_subsets(scores, [20], **who, methods=DRAWN, rng=5, **QUICK)
    assert row(other, "random", n_items=20).mae != row(alone, "random", n_items=20).mae


def test_options_change_the_numbers(runs):
    scores, who = runs
    methods = {"stratified": ("weighted",)}
    base = {"sizes": [20], "methods": methods, "rng": 4, **who, **QUICK}

    def frame(**options):
        return evaluate_subsets(scores, **{**base, **options}).to_frame()

    usual = frame()
    for options in (
        {"groups": training_run(who)},
        {"strata": ["a", "b", "c"] * 100},
        {"n_draws": 51},
        {"confidence_level": 0.7},
    ):
        assert not frame(**options).equals(usual)


def test_few_groups_are_held_out_one_by_one_and_have_no_interval(codes):
    scores, who = training_runs(3, 2, 3, 80, rng=np.random.default_rng(2))
    found = evaluate_subsets(
        scores,
        [20],
        **who,
        groups=training_run(who),
        methods={"anchors-correct": ("weighted",)},
        rng=1,
    )
    random = row(found, "random", n_items=20)

    assert found.n_folds == found.n_groups == 6
    assert "few-groups" in codes(found)
    for each in found.rows:
        assert all(math.isnan(e.interval.low) for e in each.estimates)
    assert codes(random.seed_sd) == ["one-seed"]
    assert random.mae.value > 0
    assert random.seed_sd.n == 6


def test_one_checkpoint_and_one_model_are_told(codes):
    scores, who = training_runs(1, 10, 1, 80, rng=np.random.default_rng(2))
    found = evaluate_subsets(scores, [20], **who, methods=DRAWN, rng=1)
    random = row(found, "random", n_items=20)

    assert codes(random.monotonicity) == ["one-checkpoint"]
    assert codes(random.rank_correlation) == ["one-model"]
    assert random.seed_sd.value > 0


def test_scores_that_cannot_be_calibrated_leave_what_needs_no_calibration(runs, codes):
    scores, who = runs
    found = evaluate_subsets(scores - 2, [20], **who, rng=1, **QUICK)
    anchors = row(found, "anchors-correct", n_items=20)
    lost = row(found, "anchors-irt", "p-irt", n_items=20)

    assert anchors.mae.value > 0
    assert codes(anchors.half_width) == ["scores-not-bounded"]
    assert [codes(e) for e in lost.estimates] == [["scores-not-bounded"]] * 8
    assert math.isnan(lost.beats_random)
    assert row(found, "stratified", n_items=20).half_width.value > 0
    assert json.dumps(found.to_dict(), allow_nan=False)


ANCHORS = {"anchors-irt": ("weighted", "p-irt", "gp-irt")}


def test_six_runs_leave_too_few_to_validate_by(codes):
    scores, who = training_runs(6, 1, 4, 60, rng=np.random.default_rng(2))
    found = evaluate_subsets(scores, [20], **who, methods=ANCHORS, rng=1, **QUICK)

    assert {"few-groups", "no-validation"} <= set(codes(found))
    assert codes(row(found, "anchors-irt", "gp-irt", 20).mae) == ["no-validation"]
    assert row(found, "anchors-irt", "p-irt", 20).mae.value > 0


def test_where_some_have_no_estimate_no_measure_is_of_the_others(codes):
    """Parts of 2 of 9 runs leave 7 to calibrate by, 2 of them kept back; of 8, 6."""
    for n_models, is_whole in ((9, True), (8, False)):
        scores, who = training_runs(n_models, 1, 2, 60, rng=np.random.default_rng(2))
        found = evaluate_subsets(scores, [20], **who, methods=ANCHORS, rng=1, **QUICK)
        mixed = row(found, "anchors-irt", "gp-irt", 20)
        held = mixed.values[found.fold, np.arange(len(scores))]

        assert np.isfinite(held).any()
        assert np.isfinite(held).all() == is_whole
        if is_whole:
            assert mixed.coverage.value > 0
            continue
        assert all(math.isnan(e.value) for e in mixed.estimates)
        assert {tuple(codes(e)) for e in mixed.estimates} == {("no-validation",)}
        assert math.isnan(mixed.beats_random)


def test_models_are_held_out_where_there_are_several_else_runs(codes):
    several = training_runs(3, 2, 2, 60, rng=np.random.default_rng(2))
    alone = training_runs(1, 6, 2, 60, rng=np.random.default_rng(2))

    for (scores, who), groups, unit, n_groups, text in (
        (several, None, "model", 3, None),
        (several, training_run(several[1]), "run", 6, "of 3 of 3 models"),
        (several, [0] * 6 + [1] * 6, "group", 2, "of 1 of 3 models"),
        (alone, None, "run", 6, "of 1 of 1 models"),
    ):
        found = evaluate_subsets(
            scores, [20], **who, groups=groups, methods=DRAWN, rng=1, **QUICK
        )

        assert (found.unit, found.n_groups) == (unit, n_groups)
        assert found.to_dict()["held_out"] == unit
        assert ("seeds-on-both-sides" in codes(found)) == (text is not None)
        assert text is None or any(text in c.text for c in found.cautions)


def test_two_models_are_calibrated_by_their_five_seeds(codes):
    """Runs count as respondents; how wrong it is on models takes another to tell."""
    scores, who = training_runs(2, 5, 3, 80, rng=np.random.default_rng(2))
    found = evaluate_subsets(scores, [20], **who, methods=ANCHORS, rng=1, **QUICK)
    known = found.fold != 0
    labels = np.arange(30)[known] // 3
    model = calibrate(scores[known], groups=[0] * 15, runs=labels.tolist())

    assert (found.n_groups, model.n_runs, model.n_groups) == (2, 5, 1)
    assert "no-validation" in codes(model)
    assert math.isnan(model.validation_error)
    assert row(found, "anchors-irt", "p-irt", 20).mae.value > 0
    assert codes(row(found, "anchors-irt", "gp-irt", 20).mae) == ["no-validation"]


def with_profiles(n_models, n_seeds, n_items, rng):
    """Return answers of models to each of which other items are hard."""
    model, seed = np.indices((n_models, n_seeds)).reshape(2, -1)
    ability = rng.normal(0, 0.8, n_models)[model] + rng.normal(0, 0.1, len(model))
    hard = rng.normal(0, 1, n_items) + rng.normal(0, 3, (n_models, n_items))
    p = expit(ability[:, None] - hard[model])
    who = {
        "models": [f"m{m}" for m in model],
        "train_seeds": seed.tolist(),
        "steps": [None] * len(model),
    }
    return (rng.random(p.shape) < p) * 1.0, who


@pytest.mark.slow
def test_seeds_on_both_sides_flatter_items_chosen_by_profiles_of_their_models():
    """30 of 400 items, 3 models of 10 seeds: the verdict is another on new models."""
    beats = []
    for number in range(6):
        scores, who = with_profiles(3, 10, 400, np.random.default_rng(number))
        options = {"methods": {"anchors-correct": ("weighted",)}, "rng": 1, **QUICK}
        both = [
            evaluate_subsets(scores, [30], **who, groups=groups, **options)
            for groups in (training_run(who), None)
        ]
        beats.append([row(e, "anchors-correct", n_items=30).beats_random for e in both])
    by_run, by_model = np.mean(beats, axis=0)

    assert by_run > 0.6
    assert by_model < 0.3


def test_intervals_of_a_model_that_does_not_fit_are_told(codes):
    """Twenty copies of a steep item look informative, and all say the same."""
    rng = np.random.default_rng(12)
    scores, who = training_runs(12, 2, 2, 300, rng=rng, steepness=0.7)
    level = scores[:, 20:].mean(1)
    luck = rng.normal(0, 0.5 * level.std(), 48)
    scores[:, :20] = (level + luck > np.median(level))[:, None]
    found = evaluate_subsets(
        scores, [10], **who, methods={"information": ("p-irt",)}, rng=1
    )

    coverage = row(found, "information", "p-irt", 10).coverage
    assert coverage.value < 0.9
    assert codes(coverage) == ["low-coverage"]


def test_items_that_not_all_have_scored_are_left_out(runs, codes):
    scores, who = runs
    gaps = scores.copy()
    gaps[3, 7] = gaps[9, 7] = gaps[4, 100] = np.nan
    options = {"methods": {"stratified": ("weighted",)}, "rng": 1, **QUICK}
    strata = [str(j % 5) for j in range(300)]
    kept = np.delete(np.arange(300), [7, 100])
    found = evaluate_subsets(gaps, [20], **who, strata=strata, **options)
    same = evaluate_subsets(
        scores[:, kept], [20], **who, strata=[strata[j] for j in kept], **options
    )

    assert found.n_items_total == 298
    assert codes(found) == ["items-not-shared"]
    assert found.to_frame().equals(same.to_frame())


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"sizes": [0]}, "subset-size"),
        ({"sizes": [301]}, "subset-size"),
        ({"groups": ["all"] * 60}, "too-few-respondents"),
        ({"steps": [1] * 60}, "duplicate-checkpoint"),
        ({"steps": [1] * 59}, "unequal-lengths"),
        ({"groups": ["one"]}, "unequal-lengths"),
        ({"strata": ["one"]}, "unequal-lengths"),
        ({"n_draws": 199}, "too-few-resamples"),
        ({"n_draws": 10**12}, "bad-count"),
        ({"confidence_level": 95}, "bad-confidence-level"),
        ({"methods": {"best": ("weighted",)}}, "unknown-method"),
        ({"methods": {"random": ("best",)}}, "unknown-method"),
    ],
)
def test_what_cannot_be_used_is_refused(runs, options, code):
    scores, who = runs
    with pytest.raises(DesignError) as caught:
        evaluate_subsets(scores, **{"sizes": [20], "methods": DRAWN, **who, **options})

    assert caught.value.code == code


def test_adaptive_tests_are_replayed_on_those_held_out(runs):
    """By hand, for one fold: observed answers, and expected ones of the rest."""
    scores, who = runs
    methods = {"adaptive": ("p-irt",)}
    found = evaluate_subsets(scores, [15], **who, methods=methods, rng=1, **QUICK)
    quality = row(found, "adaptive", "p-irt", 15)
    out = np.flatnonzero(found.fold == 0)
    known = found.fold != 0

    labels = np.arange(len(scores))[known] // 3
    model = calibrate(
        scores[known], groups=found.groups[known].tolist(), runs=labels.tolist()
    )
    test = adaptive_test(model.items, scores[out], max_items=15)
    for place, respondent in enumerate(out):
        expected = model.items.probabilities(test.ability[[place], -1])[0]
        asked = test.item[place]
        expected[asked] = scores[respondent, asked]
        assert quality.values[0, respondent] == pytest.approx(expected.mean())
    assert quality.n_draws == 1


def test_where_items_have_structure_adaptive_tests_beat_random_items():
    scores, who = training_runs(
        60, 1, 1, 300, rng=np.random.default_rng(8), steepness=2.5
    )

    found = evaluate_subsets(
        scores, [15], **who, methods={"adaptive": ("p-irt",)}, rng=1, **QUICK
    )

    adaptive = row(found, "adaptive", "p-irt", 15)
    assert adaptive.beats_random > 0.9
    assert adaptive.mae.value < row(found, "random", n_items=15).mae.value
    assert adaptive.coverage.value > 0.6


def test_adaptive_tests_need_a_calibration(codes):
    scores, who = training_runs(3, 1, 1, 40, rng=np.random.default_rng(2))

    found = evaluate_subsets(
        scores, [10], **who, methods={"adaptive": ("p-irt",)}, rng=1, **QUICK
    )

    assert codes(row(found, "adaptive", "p-irt", 10).mae) == ["too-few-respondents"]


def test_the_rank_of_two_models_is_told_to_be_coarse(codes):
    scores, who = training_runs(2, 5, 1, 60, rng=np.random.default_rng(4))

    found = evaluate_subsets(scores, [20], **who, methods=DRAWN, rng=1, **QUICK)

    assert "few-models" in codes(row(found, "random", n_items=20).rank_correlation)
