"""The fewest items that will do: planted worlds, fresh models, the search held out."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from stats.subset_designs import answers, item_model, training_runs

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.subsets.choose import choose_subset
from harness.stats.subsets.estimate import estimate_full
from harness.stats.subsets.evaluate import evaluate_subsets
from harness.stats.subsets.stable import Tolerances, select_stable

QUICK = {"confidence_level": 0.8, "n_draws": 50}
"""Few draws are enough for a low level."""

ANYTHING = Tolerances(
    max_error=1,
    max_extra_sd=99,
    max_monotonicity_loss=2,
    min_rank_agreement=-1,
)


def codes(found):
    return [c.code for c in found.cautions]


@pytest.fixture(scope="module")
def runs():
    """Eight models of two seeds and two checkpoints, 60 items."""
    return training_runs(8, 2, 2, 60, rng=np.random.default_rng(21))


@pytest.fixture(scope="module")
def found(runs):
    scores, who = runs
    loose = Tolerances(max_error=0.06, max_extra_sd=0.6, max_monotonicity_loss=0.3)
    sizes = [9, 24, 42]
    return select_stable(scores, **who, sizes=sizes, tolerances=loose, rng=0, **QUICK)


@pytest.fixture
def copies():
    """Eight models; each of 12 questions is there five times over."""
    scores, who = training_runs(8, 2, 2, 12, rng=np.random.default_rng(2))
    return np.repeat(scores, 5, axis=1), who


def test_redundant_items_are_seen_through_and_one_of_each_is_enough(copies):
    scores, who = copies
    found = select_stable(scores, **who, sizes=[6, 12], rng=1, **QUICK)

    assert (found.chosen.method, found.chosen.n_items) == ("anchors-correct", 12)
    assert sorted(found.subset.items // 5) == list(range(12))
    assert found.n_random is None
    assert found.held_out.mae.value == pytest.approx(0, abs=1e-12)
    assert found.held_out.beats_random == 1
    assert found.control.mae.value > 0.05
    assert found.found == (("anchors-correct", 12),) * 5
    assert codes(found) == []


def test_where_items_say_nothing_of_each_other_random_ones_are_taken():
    """Coins: chosen items are as good as any, and the simplest way is preferred."""
    rng = np.random.default_rng(6)
    _, who = training_runs(10, 2, 1, 2, rng=rng)
    scores = rng.integers(0, 2, (20, 60)).astype(float)
    loose = replace(ANYTHING, max_error=0.09)
    found = select_stable(
        scores, **who, sizes=[8, 20], tolerances=loose, rng=1, **QUICK
    )

    assert (found.chosen.method, found.chosen.n_items) == ("random", 20)
    assert found.n_random == 20
    assert "no-better-than-random" in codes(found)
    assert 0.2 < found.held_out.beats_random < 0.8


def test_items_that_all_have_right_need_not_be_asked():
    """Of 100 items 80 are right for all: strata give them their share, and no luck."""
    hard, who = training_runs(8, 2, 2, 20, rng=np.random.default_rng(4))
    scores = np.hstack([np.ones((len(hard), 80)), hard])
    found = select_stable(scores, **who, n_items=25, sizes=[25], rng=1, **QUICK)

    assert found.chosen.method == "stratified"
    assert np.count_nonzero(found.subset.items >= 80) in (4, 5, 6)
    assert found.held_out.mae.value < 0.8 * found.control.mae.value


@pytest.fixture(scope="module")
def odd_one():
    """Five usual models and an odd one.

    Each of 6 questions is there four times, for usual models alike; the odd one has
    the first two right and the others wrong.
    """
    rng = np.random.default_rng(0)
    usual = np.repeat(rng.integers(0, 2, (10, 6)), 4, axis=1)
    odd = np.tile([1, 1, 0, 0], (10, 6))
    return select_stable(
        np.vstack([usual, odd]).astype(float),
        models=[*"aabbccddee", *["odd"] * 10],
        train_seeds=[0, 1] * 5 + list(range(10)),
        steps=[0] * 20,
        sizes=[6],
        methods=["anchors-correct"],
        tolerances=replace(ANYTHING, max_error=0.03),
        rng=0,
        **QUICK,
    )


def test_a_search_knows_nothing_of_the_models_that_judge_it(odd_one):
    """Usual models alone find one of each question; with the odd one none does."""
    assert sorted(method for method, _ in odd_one.found) == [
        "anchors-correct",
        *["random"] * 5,
    ]


def test_items_are_chosen_without_the_models_that_judge_them(odd_one):
    """The odd one has right what the others chose, and half of all: it is 0.5 off.

    Anchors of all models would have half of each, and be less off than random items.
    """
    lost = odd_one.held_out.mae.value - odd_one.control.mae.value

    assert lost > (0.5 - 0.2) / 6
    assert odd_one.held_out.beats_random < 0.2


def test_what_is_told_of_held_out_models_holds_for_fresh_ones():
    """Other models that are asked the same items: their error is what was foretold."""
    rng = np.random.default_rng(8)
    items = item_model(1.5 * rng.lognormal(0, 0.3, 120), rng.normal(0, 1.2, 120))
    known, fresh = (answers(items, rng.normal(0, 1, n), rng=rng) for n in (16, 1000))
    found = select_stable(
        known,
        models=[f"m{i}" for i in range(16)],
        train_seeds=[0] * 16,
        steps=[0] * 16,
        n_items=30,
        sizes=[30],
        rng=0,
        **QUICK,
    )
    error = np.abs(fresh[:, found.subset.items].mean(1) - fresh.mean(1)).mean()

    assert found.held_out.mae.value == pytest.approx(error, rel=0.25)


def test_the_chosen_row_is_the_smallest_that_misses_nothing(found):
    full, *rows = found.frontier.rows
    meets = [row for row, lost in zip(rows, found.missed[1:], strict=True) if not lost]
    smallest = [r for r in meets if r.n_items == min(m.n_items for m in meets)]
    best = min(row.mae.value for row in smallest)

    assert found.chosen in smallest
    assert found.chosen.mae.value <= 1.1 * best
    assert found.subset.n_items == found.chosen.n_items
    assert found.chosen.seed_sd.value <= 1.6 * full.seed_sd.value
    assert found.chosen.rank_correlation.value >= 0.9
    assert found.missed[0] == ()
    assert found.missed[1] == (
        "max_error",
        "max_extra_sd",
        "max_monotonicity_loss",
        "min_rank_agreement",
    )
    assert {row.estimator for row in rows} == {"plain"}


def test_fidelity_is_what_was_held_out_with_chance_and_all_items_beside(found):
    told = found.fidelity()
    full = found.frontier.rows[0]

    assert told["held_out"] == "model"
    assert told["mae"] == {
        "value": found.held_out.mae.value,
        "low": found.held_out.mae.interval.low,
        "high": found.held_out.mae.interval.high,
        "random": found.control.mae.value,
        "all_items": 0,
    }
    assert told["seed_sd"]["all_items"] == full.seed_sd.value
    assert told["beats_random"] == found.held_out.beats_random


def test_the_frontier_is_the_evaluation_of_plain_means(runs, found):
    scores, who = runs
    alone = evaluate_subsets(
        scores,
        [24],
        **who,
        methods={"anchors-correct": ("plain",)},
        rng=1,
        **QUICK,
    )
    rows = [r for r in found.frontier.rows if r.n_items == 24]

    assert [r.method for r in rows] == ["random", "stratified", "anchors-correct"]
    assert alone.rows[2].estimator == "plain"
    assert rows[0].mae.value == pytest.approx(alone.rows[1].mae.value, rel=0.15)


def test_a_plain_mean_is_the_mean_and_has_the_interval_of_a_draw(runs):
    scores, _ = runs
    drawn = choose_subset(scores, 12, method="random", rng=1)
    chosen = choose_subset(scores, 12, method="anchors-correct", rng=1)
    plain, weighted = (
        estimate_full(scores[:, drawn.items], drawn, estimator=e)
        for e in ("plain", "weighted")
    )
    anchors = estimate_full(scores[:, chosen.items], chosen, estimator="plain")

    np.testing.assert_allclose(plain.low, weighted.low)
    np.testing.assert_array_equal(anchors.values, scores[:, chosen.items].mean(1))
    assert np.isnan(anchors.low).all()
    assert anchors.cautions[0].code == "no-interval"


def test_the_nested_error_is_that_of_a_plain_loop(copies):
    """With one way and one size it is that way, chosen without each part."""
    scores, who = copies
    scores = scores[:, ::2]
    options = {"n_items": 10, "sizes": [10], "methods": ["anchors-correct"], **QUICK}
    found = select_stable(scores, **who, rng=3, **options)
    models = np.array(who["models"])
    full = scores.mean(1)

    assert all(method in ("random", "anchors-correct") for method, _ in found.found)
    assert {n for _, n in found.found} == {10}
    assert found.held_out.n_items == found.control.n_items == 10
    assert found.held_out.method == "search"
    assert found.control.mae.value == pytest.approx(
        np.mean(
            [
                np.abs(scores[:, pick].mean(1) - full)[models == m].mean()
                for m in set(who["models"])
                for pick in (
                    np.random.default_rng(s).choice(30, 10, replace=False)
                    for s in range(400)
                )
            ]
        ),
        rel=0.1,
    )


@pytest.mark.slow
def test_what_is_held_out_is_on_average_what_fresh_models_find():
    """Coins, of which each search takes what luck favours; 200 models never seen."""
    nested, fresh = [], []
    for seed in range(10):
        rng = np.random.default_rng([3, seed])
        scores = rng.integers(0, 2, (6, 60)).astype(float)
        found = select_stable(
            scores,
            models=list("abcdef"),
            train_seeds=[0] * 6,
            steps=[0] * 6,
            n_items=12,
            sizes=[12],
            methods=["anchors-correct"],
            rng=seed,
            **QUICK,
        )
        other = rng.integers(0, 2, (200, 60)).astype(float)
        error = other[:, found.subset.items].mean(1) - other.mean(1)
        nested.append(found.held_out.mae.value)
        fresh.append(np.abs(error).mean())
    difference = np.subtract(nested, fresh)

    assert abs(difference.mean()) < 3 * difference.std(ddof=1) / math.sqrt(10)


def test_no_size_may_be_enough(runs):
    scores, who = runs
    strict = Tolerances(max_error=0.0001)
    found = select_stable(
        scores, **who, sizes=[6, 12], methods=[], tolerances=strict, rng=0, **QUICK
    )

    assert found.chosen is found.subset is found.n_random is None
    assert {n for _, n in found.found} == {12}
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["chosen"] is document["subset"] is None
    assert document["tolerances"]["max_error"] == 0.0001


def test_a_size_that_is_asked_for_is_taken_and_judged(runs):
    scores, who = runs
    found = select_stable(
        scores, **who, n_items=7, sizes=[12], methods=[], rng=0, **QUICK
    )

    assert found.chosen.n_items == found.subset.n_items == 7
    assert [row.n_items for row in found.frontier.rows] == [60, 7, 12]
    assert {n for _, n in found.found} == {7}
    assert codes(found).count("tolerances-missed") == 2


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("max_error", lambda row, full: row.mae.value),
        ("max_extra_sd", lambda row, full: row.seed_sd.value / full.seed_sd.value - 1),
        (
            "max_monotonicity_loss",
            lambda row, full: full.monotonicity.value - row.monotonicity.value,
        ),
        ("min_rank_agreement", lambda row, full: row.rank_correlation.value),
    ],
)
def test_each_tolerance_is_a_bound_of_its_own(found, name, loss):
    full, *rows = found.frontier.rows
    for row in rows:
        value = loss(row, full)
        sign = -1 if name.startswith("min") else 1
        at, beyond = (
            replace(ANYTHING, **{name: value + sign * by}) for by in (1e-9, -1e-9)
        )

        assert at.missed(row, full) == ()
        assert beyond.missed(row, full) == (name,)


def test_sizes_are_shares_of_all_items_where_none_are_given(runs):
    scores, who = runs
    found = select_stable(scores, **who, n_items=5, methods=[], rng=0, **QUICK)

    assert [row.n_items for row in found.frontier.rows] == [
        *(60, 3, 5, 6, 9, 12, 18, 24, 30, 42)
    ]


def test_a_measure_that_is_not_there_is_not_judged(runs):
    scores, who = runs
    rows = [i for i, step in enumerate(who["steps"]) if step == 0][::2]
    found = select_stable(
        scores[rows],
        models=[who["models"][i] for i in rows],
        train_seeds=[0] * 8,
        steps=[None] * 8,
        sizes=[30],
        methods=[],
        rng=0,
        **QUICK,
    )
    texts = [c.text for c in found.cautions if c.code == "tolerance-not-judged"]

    assert [text.split()[0] for text in texts] == [
        "max_extra_sd",
        "max_monotonicity_loss",
    ]
    assert "max_extra_sd" not in found.missed[1]


def test_ranks_that_the_subset_loses_are_missed(found):
    """All items rank the models, a subset ties them: that is lost, not unjudged."""
    full, row, *_ = found.frontier.rows
    tied = replace(row.rank_correlation, value=math.nan, cautions=(Caution("x", "y"),))

    assert ANYTHING.missed(replace(row, rank_correlation=tied), full) == (
        "min_rank_agreement",
    )
    assert ANYTHING.missed(row, replace(full, rank_correlation=tied)) == ()


def test_two_models_leave_none_to_search_on(runs):
    scores, who = runs
    rows = [i for i, m in enumerate(who["models"]) if m in ("m0", "m1")][::4]
    found = select_stable(
        scores[rows],
        models=["m0", "m1"],
        train_seeds=[0, 0],
        steps=[0, 0],
        sizes=[30],
        tolerances=ANYTHING,
        rng=0,
        **QUICK,
    )

    assert found.held_out is found.control is None
    assert found.fidelity() == {}
    assert found.found == ()
    assert "search-not-held-out" in codes(found)
    assert found.subset.n_items == 30
    json.dumps(found.to_dict(), allow_nan=False)


def test_searches_that_disagree_are_told(runs):
    """Two kinds of models: one is foretold by few items, the other by more."""
    scores, who = runs
    found = select_stable(
        scores,
        **who,
        sizes=[3, 12, 48],
        methods=[],
        tolerances=replace(ANYTHING, min_rank_agreement=0.85),
        rng=0,
        **QUICK,
    )
    sizes = [n for _, n in found.found]

    assert max(sizes) >= 2 * min(sizes)
    assert "sizes-differ" in codes(found)


def test_items_that_not_all_have_scored_are_left_out_and_places_hold(runs):
    scores, who = runs
    holed = np.insert(scores, 5, np.nan, axis=1)
    names = [f"i{j}" for j in range(61)]
    options = {"sizes": [20], "methods": [], "tolerances": ANYTHING, "rng": 0, **QUICK}
    found = select_stable(holed, **who, item_ids=names, **options)
    whole = select_stable(scores, **who, **options)

    assert "items-not-shared" in codes(found)
    assert 5 not in found.subset.items
    assert found.subset.item_ids == tuple(f"i{j}" for j in found.subset.items)
    shifted = whole.subset.items + (whole.subset.items >= 5)
    assert found.subset.items.tolist() == shifted.tolist()


def test_items_that_no_mean_represents_are_refused(runs):
    scores, who = runs
    with pytest.raises(DesignError) as caught:
        select_stable(scores, **who, methods=["information"], rng=0)

    assert caught.value.code == "unknown-method"


def test_one_training_run_judges_nothing(runs):
    scores, _ = runs
    with pytest.raises(DesignError) as caught:
        select_stable(
            scores[:3], models=["m"] * 3, train_seeds=[0] * 3, steps=[0, 1, 2], rng=0
        )

    assert caught.value.code == "too-few-respondents"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_error", -1),
        ("max_error", float("nan")),
        ("max_extra_sd", float("inf")),
        ("max_monotonicity_loss", float("nan")),
        ("min_rank_agreement", 2),
        ("min_rank_agreement", float("nan")),
    ],
)
def test_tolerances_that_nothing_can_meet_or_miss_are_refused(name, value):
    with pytest.raises(DesignError) as caught:
        Tolerances(**{name: value})

    assert caught.value.code == "bad-tolerance"
