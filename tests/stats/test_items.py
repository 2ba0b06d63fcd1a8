"""Item statistics: the worked example, R's psych, loops, recovery, edges."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, ndtr

from harness.errors import DesignError
from harness.stats.items import analyse_items, discriminations, reliability

nan = math.nan
GOLDEN = Path(__file__).parents[1] / "golden"

WORKED = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0], [1, 1, 0]], dtype=float)
"""Five models, three items: worked by hand from the paper's definitions."""

LSAT7 = (
    "00000:12 00001:19 00010:1 00011:7 00100:3 00101:19 00110:3 00111:17 01000:10 "
    "01001:5 01010:3 01011:7 01100:7 01101:23 01110:8 01111:28 10000:7 10001:39 "
    "10010:11 10011:34 10100:14 10101:51 10110:15 10111:90 11000:6 11001:25 11010:7 "
    "11011:35 11100:18 11101:136 11110:32 11111:308"
)
"""Patterns of right answers and their counts; Bock and Lieberman, 1970."""


def lsat7():
    pairs = [pair.split(":") for pair in LSAT7.split()]
    rows = np.array([[int(c) for c in pattern] for pattern, _ in pairs], dtype=float)
    return np.repeat(rows, [int(n) for _, n in pairs], axis=0)


def simulate(n_models, n_items, rng):
    """Return answers under a two-parameter model."""
    a, difficulty = rng.lognormal(0, 0.4, n_items), rng.normal(size=n_items)
    p = expit(a * (rng.normal(size=(n_models, 1)) - difficulty))
    return (rng.random(p.shape) < p).astype(float)


def test_discrimination_of_the_worked_example():
    found = analyse_items(WORKED)

    assert found.difficulty == pytest.approx([0.8, 0.6, 0.2])
    assert found.point_biserial == pytest.approx([0.784465, 0.880705, 0.686406], 1e-6)
    assert found.item_rest == pytest.approx([0.534522, 0.645497, 0.375], 1e-6)


def test_point_biserial_is_not_metabench_s():
    """The textbook's (m1 - m0) / s sqrt(pq); metabench takes m1 less the mean of all.

    That is smaller by the share of wrong answers, which favours hard items.
    """
    found = analyse_items(WORKED)
    total = WORKED.mean(1)
    for item, r in zip(WORKED.T, found.point_biserial, strict=True):
        right, wrong = total[item == 1].mean(), total[item == 0].mean()
        p, sd = item.mean(), total.std()
        theirs = (right - total.mean()) / sd * math.sqrt(p * (1 - p))

        assert r == pytest.approx((right - wrong) / sd * math.sqrt(p * (1 - p)))
        assert theirs == pytest.approx(r * (1 - p))


@pytest.mark.parametrize("name", ["lsat7", "attitude"])
def test_r_s_psych_gives_the_same(name):
    """psych's alpha, item-rest (r.drop), biserial, Fisher's and Feldt's intervals."""
    with (GOLDEN / "items_psych.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["table"] == name]
    scores = (
        lsat7()
        if name == "lsat7"
        else pd.read_csv(GOLDEN / "attitude.csv").to_numpy(float)
    )
    found = analyse_items(scores)
    alpha = found.reliability
    ours = {
        "item_total": found.point_biserial,
        "r_drop": found.item_rest,
        "mean": found.difficulty,
        "biserial": found.biserial,
        "low": found.low,
        "high": found.high,
        "alpha": alpha.value,
        "alpha_low": alpha.interval.low,
        "alpha_high": alpha.interval.high,
    }

    assert len(rows) == {"lsat7": 33, "attitude": 38}[name]
    for row in rows:
        value = ours[row["quantity"]]
        value = value[int(row["item"])] if row["item"] else value
        assert value == pytest.approx(float(row["value"]), rel=1e-9), row


def test_no_biserial_of_scores_between_0_and_1():
    scores = np.random.default_rng(1).random((30, 4))
    scores[:, 0] = scores[:, 0] > 0.5
    found = analyse_items(scores)

    assert np.isnan(found.biserial).tolist() == [False, True, True, True]


def loop(scores, weights, *, with_itself):
    out = np.full(scores.shape[1], nan)
    for j in range(scores.shape[1]):
        x, y, w = [], [], []
        for r, row in enumerate(scores):
            others = row.copy()
            if not with_itself:
                others[j] = nan
            if not np.isnan(row[j]) and not np.isnan(others).all():
                x.append(row[j])
                y.append(np.nanmean(others))
                w.append(weights[r])
        if sum(w) > 0:
            cov = np.cov(x, y, aweights=w, ddof=0)
            if min(cov[0, 0], cov[1, 1]) > 1e-20:
                out[j] = cov[0, 1] / math.sqrt(cov[0, 0] * cov[1, 1])
    return out


@pytest.mark.parametrize("with_itself", [False, True])
@pytest.mark.parametrize("n_items", [2, 5, 1030])
def test_a_loop_agrees_with_gaps_and_weights(with_itself, n_items):
    rng = np.random.default_rng(n_items)
    scores = np.round(rng.random((9, n_items)), 1)
    scores[rng.random(scores.shape) < 0.2] = nan
    scores[:, -1] = 1
    weights = rng.integers(0, 3, (2, 9)).astype(float)
    found = discriminations(scores, weights, with_itself=with_itself)

    for row, w in zip(found, weights, strict=True):
        np.testing.assert_allclose(
            row, loop(scores, w, with_itself=with_itself), atol=1e-9
        )


binary_tables = arrays(
    np.float64, st.tuples(st.integers(2, 12), st.integers(2, 8)), elements=st.just(0.0)
).flatmap(
    lambda t: arrays(np.float64, t.shape, elements=st.sampled_from([0.0, 1.0, nan]))
)


@given(binary_tables)
def test_bounds_and_order_of_any_table(scores):
    found = analyse_items(scores)
    r = found.item_rest
    known = ~np.isnan(found.low)

    assert np.all(np.abs(r[~np.isnan(r)]) <= 1)
    assert np.all(found.low[known] <= r[known])
    assert np.all(r[known] <= found.high[known])
    assert not (found.is_all_right & found.is_all_wrong).any()
    json.dumps(found.to_dict(), allow_nan=False)


@given(binary_tables, st.integers(0, 2**31))
def test_respondents_in_another_order_change_nothing(scores, seed):
    order = np.random.default_rng(seed).permutation(len(scores))

    np.testing.assert_allclose(
        analyse_items(scores).item_rest,
        analyse_items(scores[order]).item_rest,
        atol=1e-9,
    )


def test_discrimination_is_recovered():
    """Item-rest correlations rank items of like difficulty as their slopes do."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(6)
    a = rng.lognormal(0, 0.5, 150)
    p = expit(a * rng.normal(size=(600, 1)))
    found = analyse_items((rng.random(p.shape) < p).astype(float))

    assert spearmanr(found.item_rest, a).statistic > 0.9


def test_a_wrong_key_is_surely_negative_and_noise_is_not(codes):
    rng = np.random.default_rng(2)
    scores = simulate(200, 300, rng)
    scores[:, 5] = 1 - scores[:, 5]
    keyed = analyse_items(scores)
    noise = analyse_items((rng.random((200, 300)) < 0.5).astype(float))

    assert np.flatnonzero(keyed.is_surely_negative).tolist() == [5]
    assert codes(keyed) == []
    assert 100 < noise.is_negative.sum() < 200
    assert (noise.high < 0).sum() > 3
    assert noise.is_surely_negative.sum() == 0


def test_negative_items_are_benjamini_and_hochberg_s():
    """By their own recipe: the largest i with p(i) <= i q / m, and all below."""
    rng = np.random.default_rng(7)
    scores = simulate(100, 60, rng)
    scores[:, :20] = 1 - scores[:, :20]
    found = analyse_items(scores, confidence_level=0.9)
    p = ndtr(np.arctanh(found.item_rest) * math.sqrt(97))
    order = np.argsort(p)
    passed = np.flatnonzero(p[order] <= 0.1 * np.arange(1, 61) / 60)

    assert 5 < len(passed) < 20
    assert set(np.flatnonzero(found.is_surely_negative)) == set(order[: passed[-1] + 1])


@pytest.mark.slow
def test_intervals_hold_their_level():
    rng = np.random.default_rng(3)
    truth = simulate(40_000, 40, np.random.default_rng(4))
    (exact,) = discriminations(truth, np.ones((1, len(truth))))
    hits = []
    for _ in range(300):
        found = analyse_items(truth[rng.integers(len(truth), size=60)])
        hits.append((found.low <= exact) & (exact <= found.high))

    assert 0.93 < np.mean(hits) < 0.97


def test_fewer_independent_respondents_widen_the_interval(codes):
    scores = simulate(60, 30, np.random.default_rng(5))
    free = analyse_items(scores)
    bound = analyse_items(scores, n_independent=30)

    assert codes(free) == []
    assert codes(bound) == ["dependent-respondents"]
    assert np.all(bound.high - bound.low > free.high - free.low)
    assert bound.item_rest == pytest.approx(free.item_rest)
    assert bound.reliability.interval.low < free.reliability.interval.low
    assert bound.n_independent == bound.reliability.n == 30


def test_one_training_run_has_no_intervals(codes):
    found = analyse_items(simulate(30, 20, np.random.default_rng(5)), n_independent=1)

    assert codes(found) == ["few-respondents", "dependent-respondents"]
    assert np.isnan(found.low).all()
    assert not found.is_surely_negative.any()
    assert codes(found.reliability) == ["few-respondents"]
    assert math.isnan(found.reliability.interval.low)


def test_a_respondent_without_answers_changes_nothing(codes):
    scores = simulate(30, 20, np.random.default_rng(5))
    absent = np.vstack([scores, np.full((1, 20), nan)])
    found = analyse_items(absent)

    assert found.item_rest == pytest.approx(analyse_items(scores).item_rest)
    assert codes(found.reliability) == ["missing-responses"]


def test_flags_of_constant_and_missing_items(codes):
    scores = simulate(25, 6, np.random.default_rng(8))
    scores[:, 0], scores[:, 1], scores[:, 2] = 1, 0, nan
    scores[3, 1] = nan
    found = analyse_items(scores)

    assert found.is_all_right.tolist() == [True] + [False] * 5
    assert found.is_all_wrong.tolist() == [False, True] + [False] * 4
    assert np.isnan(found.item_rest).tolist() == [True] * 3 + [False] * 3
    assert found.n_answers.tolist() == [25, 24, 0, 25, 25, 25]
    assert math.isnan(found.difficulty[2])
    assert codes(found) == ["missing-responses", "constant-items"]
    assert codes(found.reliability) == ["missing-responses"]
    assert (found.same_responses_as == -1).all()


def test_copies_are_told_from_chance():
    rng = np.random.default_rng(9)
    scores = simulate(60, 400, rng)
    scores[:, 390], scores[:, 391] = scores[:, 17], scores[:, 17]
    few = scores[:6]
    found = analyse_items(scores)

    assert np.flatnonzero(found.same_responses_as >= 0).tolist() == [390, 391]
    assert found.same_responses_as[390:392].tolist() == [17, 17]
    assert len(np.unique(few, axis=1).T) < 100
    assert (analyse_items(few).same_responses_as == -1).all()


def test_checkpoints_of_few_runs_prove_no_copies():
    scores = simulate(60, 400, np.random.default_rng(9))
    scores[:, 390] = scores[:, 17]

    assert (analyse_items(scores, n_independent=6).same_responses_as == -1).all()


def test_items_that_split_models_cleanly_prove_no_copies():
    """Two items that all better models get right are equal without being the same."""
    scores = simulate(60, 200, np.random.default_rng(9))
    scores[:, :2] = (scores[:, 2:].mean(1) > np.median(scores[:, 2:].mean(1)))[:, None]

    assert (analyse_items(scores).same_responses_as == -1).all()


def test_copies_of_continuous_scores_with_gaps():
    rng = np.random.default_rng(10)
    scores = rng.random((12, 50))
    scores[4, 3] = nan
    scores[:, 49] = scores[:, 3]
    found = analyse_items(scores)

    assert np.flatnonzero(found.same_responses_as >= 0).tolist() == [49]
    assert found.same_responses_as[49] == 3


def test_equal_averages_of_repeats_may_be_chance():
    """Scores of 0, 1/2 and 1 at 6 respondents: 90 arrangements at most, 300 items."""
    rng = np.random.default_rng(11)
    found = analyse_items(rng.integers(0, 3, (6, 300)) / 2)

    assert (found.same_responses_as == -1).all()


def test_equal_identities_are_duplicates():
    found = analyse_items(WORKED, item_ids=["a", "b", "a"])
    frame = found.to_frame()

    assert found.same_id_as.tolist() == [-1, -1, 0]
    assert frame["same_id_as"].isna().tolist() == [True, True, False]
    assert frame["item_id"].tolist() == ["a", "b", "a"]
    assert found.to_dict()["items"][0]["same_id_as"] is None
    assert len(frame) == 3


def test_kr20_by_hand():
    """Item variances .16, .24, .16 and totals 2, 1, 3, 0, 2 of variance 1.04."""
    found = reliability(WORKED)

    assert found.value == pytest.approx(1.5 * (1 - 0.56 / 1.04))


@pytest.mark.parametrize(
    ("scores", "code"),
    [
        ([[1, 0, nan], [0, nan, 1]], "missing-responses"),
        ([[1, 0, 1], [0, 1, 1]], "constant-over-respondents"),
    ],
)
def test_reliability_says_when_it_is_not_defined(scores, code, codes):
    found = reliability(np.array(scores, dtype=float))

    assert math.isnan(found.value)
    assert codes(found) == [code]


def test_feldt_s_interval_takes_the_level():
    wide, narrow = (reliability(lsat7(), confidence_level=p) for p in (0.95, 0.5))

    assert wide.interval.low < narrow.interval.low < wide.value
    assert wide.value < narrow.interval.high < wide.interval.high


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (lambda: analyse_items(np.ones((1, 3))), "too-few-respondents", "got 1"),
        (lambda: analyse_items(np.ones((3, 1))), "too-few-items", "got 1"),
        (lambda: reliability(np.ones((3, 1))), "too-few-items", "got 1"),
        (
            lambda: analyse_items(WORKED, item_ids=["a"]),
            "items-differ",
            "1 item ids for 3",
        ),
        (
            lambda: analyse_items(WORKED, n_independent=0),
            "bad-n-independent",
            "0 of 5",
        ),
        (
            lambda: analyse_items(WORKED, confidence_level=1),
            "bad-confidence-level",
            "level is 1",
        ),
        (
            lambda: reliability(WORKED, confidence_level=0),
            "bad-confidence-level",
            "level is 0",
        ),
        (
            lambda: reliability(WORKED, n_independent=6),
            "bad-n-independent",
            "6 of 5",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(call, code, words):
    with pytest.raises(DesignError, match=words) as raised:
        call()

    assert raised.value.code == code
