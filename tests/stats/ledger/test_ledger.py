"""The ledger: others' components, recovery, properties, edges."""

import json
import math

import numpy as np
import pytest
from stats.ledger.designs import crossed_codes, normal_scores, some

from harness.errors import DesignError
from harness.stats.components import seed_components
from harness.stats.ledger.ledger import variance_ledger


def codes_of(result):
    return [caution.code for caution in result.cautions]


def test_seeds_and_items_are_seed_components():
    codes = crossed_codes(train_seed=4, item=60, repeat=3)
    scores = normal_scores(
        np.random.default_rng(1),
        codes,
        {("train_seed",): 0.1, ("item",): 0.3, ("train_seed", "item"): 0.1, (): 0.5},
    )
    theirs = seed_components(scores.reshape(4, 60, 3))
    found = variance_ledger(scores, codes)

    for facets, estimate in [
        (["train_seed"], theirs.seed),
        (["item"], theirs.item),
        (["train_seed", "item"], theirs.interaction),
        (["train_seed", "item", "repeat"], theirs.error),
    ]:
        mine = found.effect(*facets).variance
        assert mine.value == pytest.approx(estimate.value, abs=1e-14)
        assert mine.interval == pytest.approx(estimate.interval, abs=1e-13)


def test_a_facet_of_one_level_is_not_estimated():
    codes = crossed_codes(item=30, template=1, train_seed=3, repeat=1)
    scores = normal_scores(np.random.default_rng(2), codes, {("item",): 1, (): 1})
    found = variance_ledger(scores, codes)
    template = found.effect("template")

    assert math.isnan(template.variance.value)
    assert math.isnan(template.contribution)
    assert not template.is_estimated
    assert codes_of(template.variance) == ["one-level"]
    assert codes_of(found.effect("repeat").variance) == ["one-repeat"]
    assert found.effect("item", "train_seed").name == "item × train_seed + error"


def test_contributions_add_up_to_the_variance_of_the_mean():
    codes = crossed_codes(item=30, template=4, train_seed=3, repeat=2)
    scores = normal_scores(np.random.default_rng(3), codes, {("item",): 1, (): 1})
    found = variance_ledger(scores, codes)
    shares = [effect.share for effect in found.effects]

    assert sum(shares) == pytest.approx(1)
    assert found.predicted_variance() == pytest.approx(
        sum(effect.contribution for effect in found.effects)
    )
    assert found.predicted_variance() == pytest.approx(
        sum(
            effect.variance.value / math.prod(found.counts[f] for f in effect.facets)
            for effect in found.effects
        )
    )
    assert found.mean == pytest.approx(scores.mean())


def test_a_d_study_by_hand():
    codes = crossed_codes(item=30, template=4, repeat=2)
    scores = normal_scores(
        np.random.default_rng(4), codes, {("item",): 1, ("template",): 1, (): 1}
    )
    found = variance_ledger(scores, codes)
    item, template, both, repeat = (e.variance.value for e in found.effects)

    assert found.predicted_variance(
        {"item": 100, "template": 10, "repeat": 5}
    ) == pytest.approx(item / 100 + template / 10 + both / 1000 + repeat / 5000)
    assert found.predicted_variance({"item": math.inf}) == pytest.approx(template / 4)
    assert found.predicted_variance({"item": 100}, fixed=["template"]) == pytest.approx(
        item / 100 + both / 400 + repeat / 800
    )


def test_designs_that_nothing_is_known_of_are_refused():
    codes = crossed_codes(item=30, template=1, repeat=2)
    found = variance_ledger(np.random.default_rng(5).random(60), codes)

    assert found.predicted_variance({"template": 1}) > 0
    for counts, code in [
        ({"template": 2}, "facet-not-estimated"),
        ({"prompt": 2}, "unknown-facet"),
        ({"item": 0.5}, "bad-count"),
    ]:
        with pytest.raises(DesignError) as error:
            found.predicted_variance(counts)
        assert error.value.code == code
    with pytest.raises(DesignError) as error:
        found.effect("item", "template")
    assert error.value.code == "unknown-facet"


def test_scores_that_cannot_be_split_are_refused():
    two = np.arange(2)
    for scores, codes, code in [
        ([0.1, 0.2], {"item": [0]}, "unequal-lengths"),
        ([0.1, math.inf], {"item": two}, "missing-scores"),
        ([math.nan, math.nan], {"item": two}, "missing-scores"),
        ([0.1, math.nan], {"item": two}, "too-few-replicates"),
    ]:
        with pytest.raises(DesignError) as error:
            variance_ledger(np.array(scores), codes)
        assert error.value.code == code


def test_what_comes_out_is_json_and_a_frame():
    codes = crossed_codes(item=30, template=1, train_seed=3, repeat=2)
    found = variance_ledger(np.random.default_rng(6).random(180), codes)
    frame = found.to_frame()

    assert json.loads(json.dumps(found.to_dict()))["effects"][-1]["share"] is None
    assert list(frame["effect"]) == [effect.name for effect in found.effects]
    assert len(frame) == 5


def test_missing_answers_are_left_out_whether_nan_or_absent():
    codes = crossed_codes(item=30, template=4)
    scores = np.random.default_rng(7).random(120)
    rows = np.ones(120, dtype=bool)
    rows[[3, 50, 51]] = False
    absent = variance_ledger(scores[rows], some(codes, rows))
    missing = variance_ledger(np.where(rows, scores, np.nan), codes)

    assert absent.to_dict() == missing.to_dict()
    assert absent.method == "Henderson's first method"
    assert codes_of(absent) == ["unbalanced"]
