"""Equal models compared with each other: false alarms at the rate that is known."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.calibration import FEW_PAIRS, a_a, calibration_table
from harness.stats.compare.difference import Answers, Items, p_values, pair_moments
from harness.stats.facets import facet_scores
from harness.stats.intervals import wilson_interval
from harness.stats.pairs import paired_difference


@pytest.fixture
def sampled(simulated):
    """Return a maker of repeats of items with given chances, one model's."""

    def make(chance, n_repeats, rng, *, seed=1, **columns):
        parts = [
            simulated(
                {(seed, 100): (rng.random(len(chance)) < chance).astype(int)},
                rng=rng,
                repeat=k,
                sampled=True,
                attempt_id=f"{seed} {sorted(columns.items())}",
                **columns,
            )
            for k in range(n_repeats)
        ]
        return pd.concat(parts, ignore_index=True)

    return make


def test_each_pair_is_tested_as_two_models_are(sampled):
    """All pairs of 5 repeats by hand, each by McNemar's test."""
    rng = np.random.default_rng(1)
    frame = sampled(rng.beta(1, 1, 60), 5, rng)
    (found,) = a_a(frame)
    (table,) = facet_scores(frame)
    scores = table.tensor("item")
    pairs = [
        paired_difference(scores[:, j], scores[:, i])
        for i in range(5)
        for j in range(i)
    ]
    p = [pair.p_value for pair in pairs]

    assert found.draws == "repeats"
    assert found.n_pairs == 10
    np.testing.assert_allclose(found.p_values, np.sort(p), rtol=1e-6)
    assert sorted(zip(found.p_values, np.abs(found.differences), strict=True)) == [
        pytest.approx(own)
        for own in sorted((pair.p_value, abs(pair.difference.value)) for pair in pairs)
    ]


def test_the_rate_is_that_of_the_pairs_with_a_cautious_interval(sampled):
    rng = np.random.default_rng(2)
    parts = [
        sampled(rng.beta(1, 1, 80), 8, rng, seed=seed, task=task)
        for seed in (1, 2, 3)
        for task in ("a", "b")
    ]
    together, first, second = a_a(pd.concat(parts))

    assert (together.task, first.task, second.task) == (None, "a", "b")
    assert together.n_pairs == 6 * 28
    assert together.n_false == first.n_false + second.n_false
    assert together.rate.value == together.n_false / together.n_pairs
    # Six checkpoints and tasks with 4 pairs each that have no repeat in common.
    assert together.rate.n == 24
    low, high = wilson_interval(np.array(together.rate.value), 24)
    assert together.rate.interval == pytest.approx((float(low), float(high)))
    assert together.band == pytest.approx(math.sqrt(math.log(40) / 48))
    assert together.nominal == pytest.approx(0.05)
    assert not together.is_inflated
    assert json.loads(json.dumps(together.to_dict()))["rate"]["n"] == 24
    assert together.to_frame().loc[0, ["draws", "n_pairs"]].tolist() == ["repeats", 168]


@pytest.mark.slow
def test_the_interval_holds_the_rate_that_is_known():
    """40 stores of 6 checkpoints × 8 repeats of scores whose test is exact at 5 %."""
    from harness.stats.calibration import _row, _Set

    rng = np.random.default_rng(3)
    inside, rates = 0, []
    for _ in range(40):
        sets = []
        for one in range(6):
            draws = [Answers(scores=row[None]) for row in rng.normal(size=(8, 100))]
            moments = pair_moments(draws, Items(n=100))
            pairs = np.stack([p_values(moments), moments.difference])
            sets.append((_Set((one,), 4, moments), pairs))
        labels = dict.fromkeys(
            ("task", "formulation", "num_fewshot", "generation", "metric")
        )
        found = _row("repeats", labels, sets, 0.95, ())
        rates.append(found.rate.value)
        inside += found.rate.interval.low <= 0.05 <= found.rate.interval.high

    assert np.mean(rates) == pytest.approx(0.05, abs=0.015)
    assert inside >= 36


def test_a_test_that_is_no_test_is_found_out(simulated):
    """A few-shot seed that is kinder than others is a false alarm over items alone."""
    rng = np.random.default_rng(4)
    parts = []
    for seed in range(8):
        kind = 0.35 + 0.06 * seed
        for k in range(4):
            right = (rng.random(200) < kind).astype(int)
            parts.append(
                simulated(
                    {(1, 100): right},
                    rng=rng,
                    num_fewshot=5,
                    fewshot_seed=seed,
                    repeat=k,
                    sampled=True,
                    attempt_id=f"a{seed}",
                )
            )
    repeats, seeds = a_a(pd.concat(parts))

    assert (repeats.draws, seeds.draws) == ("repeats", "few-shot seeds")
    assert repeats.n_pairs == 8 * 6
    assert not repeats.is_inflated
    assert seeds.n_pairs == 28
    assert seeds.rate.n == 4
    assert seeds.is_inflated


def test_halves_of_training_seeds_are_tested_with_seeds_as_draws(simulated):
    rng = np.random.default_rng(5)
    ability = rng.normal(0, 0.15, 5)
    cells = {
        (seed, 100): (rng.random(300) < 0.5 + ability[seed]).astype(int)
        for seed in range(5)
    }
    (found,) = a_a(simulated(cells, rng=rng))
    scores = np.array([*cells.values()], dtype=float)
    halves = [np.roll(scores, -first, axis=0) for first in range(5)]
    p = [
        p_values(
            pair_moments(
                [Answers(scores=rows[:2]), Answers(scores=rows[2:])], Items(n=300)
            )
        )[0]
        for rows in halves
    ]

    assert found.draws == "training seeds"
    np.testing.assert_allclose(found.p_values, np.sort(p))
    assert found.rate.n == 1
    assert len(a_a(simulated(dict([*cells.items()][:4]), rng=rng))[0].p_values) == 2


def test_few_pairs_are_counted_and_have_no_rate(sampled, codes):
    rng = np.random.default_rng(6)
    (found,) = a_a(sampled(rng.beta(1, 1, 60), 3, rng))

    assert found.n_pairs == 3 < FEW_PAIRS
    assert math.isnan(found.rate.value)
    assert codes(found) == ["few-pairs"]
    assert not found.is_inflated


def test_replays_are_no_draws(sampled, codes):
    rng = np.random.default_rng(7)
    frame = sampled(rng.beta(1, 1, 60), 8, rng)
    again = frame[frame["repeat"] == 0]
    frame = pd.concat([frame, *(again.assign(repeat=k) for k in range(8, 12))])
    (found,) = a_a(frame)

    assert found.n_pairs == 28
    assert codes(found) == ["replayed-repeats"]


def test_answers_that_never_differ_are_no_draws(simulated):
    frame = simulated({(1, 100): [1, 0] * 20})
    greedy = [frame.assign(repeat=k, attempt_id="a") for k in range(5)]
    tables = facet_scores(pd.concat(greedy))
    rows, ((table, error),) = calibration_table(tables)

    assert rows == ()
    assert table is tables[0]
    assert error.code == "too-few-replicates"
    assert a_a(pd.concat(greedy)) == ()


def test_seeds_that_all_answer_alike_are_no_draws(simulated):
    """As before training: halves that nothing could tell apart are no pairs."""
    rng = np.random.default_rng(6)
    cells = {(seed, 0): [0] * 60 for seed in range(5)}
    assert a_a(simulated(cells)) == ()

    cells |= {(seed, 100): (rng.random(60) < 0.5).astype(int) for seed in range(5)}
    (found,) = a_a(simulated(cells))
    assert found.n_pairs == 5


def test_few_items_are_not_judged_and_not_calibrated(sampled):
    rng = np.random.default_rng(8)
    tables = facet_scores(sampled(rng.beta(1, 1, 29), 8, rng))
    rows, ((_, error),) = calibration_table(tables)

    assert rows == ()
    assert error.code == "too-few-items"


def test_items_that_some_draw_lacks_are_left_out(sampled):
    rng = np.random.default_rng(9)
    frame = sampled(rng.beta(1, 1, 60), 8, rng)
    gone = (frame["repeat"] == 0) & (frame["item_index"] < 10)
    most = (frame["repeat"] == 0) & (frame["item_index"] < 40)
    (fewer,) = a_a(frame[~gone])
    (whole,) = a_a(frame)

    assert fewer.n_pairs == 28
    assert not np.array_equal(fewer.p_values, whole.p_values)
    assert a_a(frame[~most]) == ()


def test_clusters_are_those_of_the_comparison(sampled):
    rng = np.random.default_rng(10)
    frame = sampled(rng.beta(1, 1, 60), 8, rng)
    passages = frame.assign(cluster="p" + (frame["item_index"] // 5).astype(str))
    (alone,), (clustered,) = a_a(frame), a_a(passages)
    (partly,) = a_a(
        passages.assign(
            cluster=passages["cluster"].where(passages["item_index"] > 0, None)
        )
    )

    assert not np.allclose(alone.p_values, clustered.p_values)
    np.testing.assert_array_equal(alone.p_values, partly.p_values)


def test_the_level_is_that_of_verdicts(sampled):
    rng = np.random.default_rng(11)
    frame = sampled(rng.beta(1, 1, 60), 8, rng)
    (narrow,) = a_a(frame, confidence_level=0.5)
    (wide,) = a_a(frame, confidence_level=0.99)

    assert narrow.n_false == int((narrow.p_values < 0.5).sum())
    assert narrow.n_false > wide.n_false
    assert narrow.nominal == 0.5
    with pytest.raises(DesignError) as caught:
        a_a(frame, confidence_level=1)
    assert caught.value.code == "bad-confidence-level"
