"""Crossed, nested, confounded and incomplete designs, and what they leave untold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stats.ledger.designs import crossed_codes, normal_scores, some

from harness.stats.ledger.design import design
from harness.stats.ledger.ledger import variance_ledger


def names(ledger):
    return [effect.name for effect in ledger.effects if effect.is_estimated]


def codes_of(ledger, name):
    found = next(effect for effect in ledger.effects if effect.name == name)
    return [caution.code for caution in found.variance.cautions]


def draws(n, seed=31):
    return np.random.default_rng(seed).random(n)


def test_all_interactions_are_effects_with_balance():
    codes = crossed_codes(a=2, b=3, c=4, d=2)
    found = variance_ledger(draws(48), codes)

    assert len(names(found)) == 15
    assert names(found)[:5] == ["a", "b", "c", "d", "a × b"]
    assert names(found)[-1] == "a × b × c × d + error"
    assert found.order == 4
    assert sum(effect.df for effect in found.effects) == 47


def test_the_order_of_facets_and_of_answers_means_nothing():
    codes = crossed_codes(a=4, b=5, c=6)
    scores = draws(120)
    turned = np.random.default_rng(32).permutation(120)[:100]
    first = variance_ledger(scores[turned], some(codes, turned))
    back = dict(reversed(list(some(codes, np.sort(turned)).items())))
    second = variance_ledger(scores[np.sort(turned)], back)

    for effect in first.effects:
        same = second.effect(*effect.facets).variance
        assert effect.variance.value == pytest.approx(same.value, abs=1e-12)
        assert effect.variance.interval == pytest.approx(same.interval, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    shift=st.floats(-100, 100),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_shift_changes_nothing_and_a_scale_all_alike(shift, scale, seed):
    rng = np.random.default_rng(seed)
    rows = rng.random(90) > 0.2
    codes = some(crossed_codes(a=3, b=5, c=6), rows)
    scores = rng.random(90)[rows]
    first = variance_ledger(scores, codes)
    second = variance_ledger(shift + scale * scores, codes)
    size = 1e-10 * (shift**2 + scale**2)

    for one, other in zip(first.effects, second.effects, strict=True):
        assert other.variance.value == pytest.approx(
            scale**2 * one.variance.value, abs=size
        )


def test_numbers_that_start_anew_are_nested_if_said():
    codes = crossed_codes(task=4, item=6, seed=3)
    scores = draws(72)
    unique = codes | {"item": codes["task"] * 6 + codes["item"]}
    said = variance_ledger(scores, codes, within={"item": ["task"]})
    seen = variance_ledger(scores, unique)

    for one, other in zip(said.effects, seen.effects, strict=True):
        assert one.name == other.name
        assert one.variance.value == pytest.approx(other.variance.value, abs=1e-14)
    assert said.counts == seen.counts
    assert names(seen)[2] == "item in task"
    assert names(variance_ledger(scores, codes))[1] == "item"
    assert seen.counts == {"task": 4, "item": 6, "seed": 3}


def test_a_nested_d_study_draws_new_items_with_new_tasks():
    codes = crossed_codes(task=4, item=6, seed=3)
    codes["item"] = codes["task"] * 6 + codes["item"]
    found = variance_ledger(draws(72), codes)
    item = found.effect("task", "item").variance.value
    task = found.effect("task").variance.value

    assert found.predicted_variance({"seed": math.inf}) == pytest.approx(
        task / 4 + item / 24
    )
    assert found.predicted_variance(
        {"seed": math.inf, "task": 8, "item": 12}
    ) == pytest.approx(task / 8 + item / 96)


def test_tasks_of_unequal_numbers_of_items():
    task = np.repeat([0, 1, 2], [3, 5, 8])
    seed, item = np.indices((4, 16)).reshape(2, -1)
    codes = {"task": task[item], "item": item, "seed": seed}
    found = variance_ledger(draws(64), codes)

    assert found.method == "Henderson's first method"
    assert names(found) == [
        "task",
        "seed",
        "item in task",
        "task × seed",
        "item × seed in task + error",
    ]
    assert found.counts["item"] == pytest.approx(16 / 3)
    assert found.predicted_variance() == pytest.approx(
        sum(effect.contribution for effect in found.effects)
    )


def test_facets_that_change_together_are_one():
    codes = crossed_codes(template=3, item=25)
    codes["train_seed"] = 2 - codes["template"]
    found = variance_ledger(draws(75), codes)

    assert names(found) == ["template", "item", "template × item + error"]
    assert codes_of(found, "train_seed") == ["confounded-facets"]


def test_repeats_are_alike_whatever_their_numbers():
    codes = crossed_codes(item=30, seed=2, repeat=2)
    other = codes | {"repeat": np.arange(120)}
    first = variance_ledger(draws(120), codes)

    assert first.to_dict() == variance_ledger(draws(120), other).to_dict()
    assert first.effects[-1].name == "repeat"
    assert names(variance_ledger(draws(4), {"item": np.zeros(4, int)})) == ["repeat"]


def test_fewer_repeats_of_some_cells():
    codes = crossed_codes(item=30, seed=3, repeat=2)
    rows = np.arange(180) % 20 > 0
    found = variance_ledger(draws(171), some(codes, rows))

    assert names(found)[-1] == "repeat"
    assert found.counts["repeat"] == pytest.approx(171 / 90)


def test_an_order_leaves_larger_interactions_in_the_residual():
    codes = crossed_codes(a=3, b=4, c=5, d=2)
    found = variance_ledger(draws(120), codes, order=2)

    assert found.order == 2
    assert len(names(found)) == 11
    assert found.effects[-1].name == "residual"
    assert codes_of(found, "residual") == ["pooled-interactions"]
    assert found.effects[-1].df == 119 - 10 - 35


def test_interactions_that_few_answers_do_not_tell_are_in_the_residual():
    """A Latin square tells no interaction of its three facets."""
    row, column = np.indices((5, 5)).reshape(2, -1)
    codes = {"row": row, "column": column, "letter": (row + column) % 5}
    found = variance_ledger(draws(25), codes)

    assert names(found) == ["row", "column", "letter", "row × column × letter + error"]
    assert found.method == "ANOVA"
    assert found.effects[-1].df == 12


def test_seeds_that_share_no_item_do_not_tell_their_interaction():
    """Each item asked of one seed alone is nested in it; of that too, one answer."""
    seed = np.repeat([0, 1, 2], 10)
    found = variance_ledger(draws(30), {"seed": seed, "item": np.arange(30)})

    assert names(found) == ["seed", "item in seed + error"]


def test_a_sparse_design_pools_what_it_cannot_tell():
    rows = np.random.default_rng(33).choice(8 * 30 * 6, 60, replace=False)
    codes = some(crossed_codes(a=8, b=30, c=6), rows)
    found = variance_ledger(draws(60), codes)

    assert found.order == 1
    assert names(found) == ["a", "b", "c", "residual"]
    asked = variance_ledger(draws(60), codes, order=2)
    assert "no-interval" in codes_of(asked, "a")


def test_effects_that_the_answers_confound_are_not_estimated():
    codes = {
        "a": np.array([2, 1, 2, 2, 0, 0, 0, 1, 0]),
        "b": np.array([0, 1, 1, 0, 1, 1, 1, 1, 1]),
        "c": np.array([0, 1, 0, 0, 0, 0, 0, 0, 0]),
    }
    asked = variance_ledger(draws(9), codes, order=3)
    given = variance_ledger(draws(9), codes)

    assert codes_of(asked, "a × b") == ["confounded-effects"]
    assert math.isnan(asked.predicted_variance())
    assert asked.to_dict()["effects"][3]["contribution"] is None
    assert given.order == 1
    assert all(effect.is_estimated for effect in given.effects)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 14), order=st.integers(1, 3))
def test_any_answers_have_a_ledger(seed, n, order):
    rng = np.random.default_rng(seed)
    codes = {name: rng.integers(0, rng.integers(1, 5), n) for name in "abc"}
    for found in (
        variance_ledger(rng.random(n), codes),
        variance_ledger(rng.random(n), codes, order=order),
    ):
        for effect in found.effects:
            low, high = effect.variance.interval

            assert not low > effect.variance.value
            assert not high < effect.variance.value
            assert effect.is_estimated or effect.variance.cautions


def test_scores_that_are_all_alike():
    codes = crossed_codes(item=30, seed=3)
    found = variance_ledger(np.full(90, 0.7), codes)

    assert [effect.variance.value for effect in found.effects] == [0, 0, 0]
    assert codes_of(found, "item") == ["constant-over-items"]
    assert codes_of(found, "seed") == ["no-interval"]
    assert math.isnan(found.effects[0].share)
    assert found.predicted_variance() == 0


def test_less_spread_than_others_predict_is_negative():
    """Seeds whose scores add up to the same on each item: means that tie by design."""
    item = np.arange(40) % 2
    scores = np.r_[item, 1 - item].astype(float)
    found = variance_ledger(scores, crossed_codes(seed=2, item=40))

    assert found.effect("seed").variance.value < 0
    assert codes_of(found, "seed")[-1] == "negative-component"


def test_fixed_facets_keep_their_interactions():
    codes = crossed_codes(item=30, template=4)
    found = variance_ledger(draws(120), codes)
    item, template, both = (effect.variance.value for effect in found.effects)

    assert found.predicted_variance(fixed=["template"]) == pytest.approx(
        item / 30 + both / 120
    )
    assert found.predicted_variance(fixed=["item"]) == pytest.approx(
        template / 4 + both / 120
    )


def test_large_and_wide_codes_are_levels_all_the_same():
    codes = crossed_codes(item=30, seed=3)
    wide = {"item": codes["item"] * 10**9, "seed": codes["seed"] - 5}
    first = variance_ledger(draws(90), codes)

    assert first.to_dict() == variance_ledger(draws(90), wide).to_dict()


def test_groups_are_the_same_laid_out_or_searched():
    """Few answers of many levels are sorted, many of few laid out in a table."""
    codes = crossed_codes(a=30, b=40, c=5)
    rows = np.random.default_rng(34).choice(6000, 900, replace=False)
    few = some(codes, rows)
    scores = normal_scores(np.random.default_rng(35), few, {("a",): 1, (): 1})
    found = design(scores, few, {})
    for facets, cells in found.cells.items():
        given_names = found.names_of(facets)
        rows_of = np.column_stack([np.zeros(900), *(few[f] for f in given_names)])
        _, group, counts = np.unique(
            rows_of, axis=0, return_inverse=True, return_counts=True
        )
        sums = np.bincount(group, scores - scores.mean())

        assert cells.counts == pytest.approx(counts)
        assert cells.sums == pytest.approx(sums)
