"""What other tools get wrong, on data where ours must be right.

Each peer's formula is written down here as its source has it. `benchmarks/compare.py`
asks the packages themselves.
"""

import math

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binomtest, norm

from harness.stats.compare.difference import Answers, Items, p_values, pair_moments
from harness.stats.compare.results import Choice
from harness.stats.compare.table import compare
from harness.stats.intervals import score_interval
from harness.stats.power.difference import detectable_difference
from harness.stats.resample import bootstrap_mean


def only(comparison):
    (task,) = comparison.tasks
    (row,) = task.differences
    return row


def of_wins(n_better, n_worse, n_equal=100):
    """Two models that differ on so many items."""
    first = np.repeat([0.0, 1.0, 1.0], [n_better, n_worse, n_equal])
    second = np.repeat([1.0, 0.0, 1.0], [n_better, n_worse, n_equal])
    return first, second


def test_lighteval_divides_the_bootstraps_sd_by_the_root_of_resamples():
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 2, 1000).astype(float)
    truth = scores.std(ddof=1) / math.sqrt(1000)
    means = bootstrap_mean(scores, n_resamples=1000, rng=1)

    theirs = means.std(ddof=1) / math.sqrt(1000)  # mean_stderr(replicates)
    assert theirs < truth / 28
    assert_allclose(means.std(ddof=1), truth, rtol=0.08)
    drawn = score_interval(scores, method="percentile", n_resamples=1000, rng=1)
    assert_allclose(drawn.se, truth, rtol=0.08)
    assert_allclose(score_interval(scores).se, truth)


def test_lighteval_averages_the_errors_of_subtasks(answered, compared, right):
    sizes = {f"t{k}": n for k, n in enumerate([50, 100, 200, 400])}
    scores = {
        (m, t): right([k, n], 0.5, n_items=n)
        for k, m in enumerate("ab")
        for t, n in sizes.items()
    }
    comparison = compared(answered(scores))
    ses = [row.difference.se for row in comparison.differences]
    (row,) = comparison.average.differences

    theirs = np.mean(ses)
    assert theirs > 1.8 * row.difference.se
    assert_allclose(row.difference.se, math.sqrt(sum(se**2 for se in ses)) / 4)


@pytest.mark.parametrize(
    ("n_better", "n_worse", "exact"),
    [(1, 0, 1.0), (2, 0, 0.5), (3, 0, 0.25), (5, 0, 0.0625), (6, 1, 0.125)],
)
def test_olmo_eval_is_sure_after_one_win(answered, compared, n_better, n_worse, exact):
    first, second = of_wins(n_better, n_worse)
    row = only(compared(answered({("a", "t"): first, ("b", "t"): second})))

    rate, n = n_better / (n_better + n_worse), n_better + n_worse
    se = math.sqrt(rate * (1 - rate) / n)  # Wald's, of the contested win rate
    theirs = 2 * norm.sf(abs(rate - 0.5) / se) if se else 0.0
    assert theirs < 0.05
    assert_allclose(row.p_value, exact)
    assert_allclose(row.p_value, binomtest(n_better, n).pvalue)
    assert row.verdict == "unclear"
    assert row.corrected.low <= 0 <= row.corrected.high


def test_olmo_eval_corrects_no_pair_of_many():
    rng = np.random.default_rng(2)
    alike = [Answers(scores=rng.integers(0, 2, (1, 500)) * 1.0) for _ in range(20)]
    names = [f"m{k}" for k in range(20)]
    p = p_values(pair_moments(alike, Items(n=500)))

    assert (p < 0.05).sum() >= 3  # theirs: false findings among equals
    frame = pd.concat(
        [_responses(n, a.scores[0]) for n, a in zip(names, alike, strict=True)]
    )
    (task,) = compare(frame, [Choice(name=n, model=n) for n in names]).tasks
    assert np.nanmin(task.pairs.p_adjusted) > 0.05
    assert {(r.low, r.high) for r in task.ranks} == {(1, 20)}


def test_nemo_cannot_pass_a_small_benchmark(answered, compared):
    rng = np.random.default_rng(3)
    first = rng.integers(0, 2, 1000).astype(float)
    second = first.copy()
    flipped = rng.choice(1000, 20, replace=False)
    second[flipped[:10]], second[flipped[10:]] = 1, 0
    first[flipped[:10]], first[flipped[10:]] = 0, 1
    responses = answered({("a", "t"): first, ("b", "t"): second})
    row = only(compared(responses, delta=0.05))

    n_apart, max_drop = 20, 0.05
    theirs = 2.8 / math.sqrt(n_apart)
    assert theirs > 2 * max_drop  # so they call it inconclusive
    assert 2.8 / math.sqrt(783) > 2 * max_drop  # as up to 783 discordant pairs
    assert row.verdict == "no worse"
    d = second - first
    assert_allclose(
        row.smallest_detectable, detectable_difference(d.var(ddof=1), 0, 1000), rtol=0.1
    )
    assert row.smallest_detectable < max_drop


@pytest.mark.parametrize("n_repeats", [3, 10])
def test_errorbars_takes_identical_repeats_for_items(
    answered, compared, right, n_repeats
):
    first, second = right(4, 0.5)[0], right(5, 0.6)[0]
    once = answered({("a", "t"): first, ("b", "t"): second})
    copies = pd.concat(
        [once.assign(repeat=k) for k in range(n_repeats)], ignore_index=True
    )

    truth = first.std(ddof=1) / math.sqrt(len(first))
    rows = np.repeat(first, n_repeats)
    theirs = rows.std(ddof=1) / math.sqrt(len(rows))
    assert_allclose(theirs, truth / math.sqrt(n_repeats), rtol=0.01)
    one, many = only(compared(once)), only(compared(copies))
    assert_allclose(many.baseline.score.se, truth)
    assert_allclose(many.difference.se, one.difference.se)
    assert many.difference.interval == one.difference.interval


def test_errorbars_keeps_the_newest_of_several_seeds(answered, compared):
    rng = np.random.default_rng(6)
    lucky = {"a": [0.50, 0.50, 0.60], "b": [0.55, 0.55, 0.45]}
    scores = {
        (m, "t"): np.vstack(
            [rng.permutation(np.arange(400) < round(400 * p)) for p in ps]
        )
        * 1.0
        for m, ps in lucky.items()
    }
    row = only(compared(answered(scores)))

    theirs = scores["b", "t"][-1].mean() - scores["a", "t"][-1].mean()
    truth = np.mean(lucky["b"]) - np.mean(lucky["a"])
    assert_allclose(theirs, -0.15, atol=1e-9)
    assert_allclose(row.difference.value, truth, atol=1e-9)
    assert row.baseline.n_seeds == row.candidate.n_seeds == 3
    over_items = row.over_items.high - row.over_items.low
    assert row.difference.interval.high - row.difference.interval.low > 2 * over_items


def test_lm_eval_compares_unpaired_and_misses_what_pairing_finds(answered, compared):
    rng = np.random.default_rng(7)
    first = (rng.random(1000) < 0.6).astype(float)
    second = first.copy()
    wrong = np.flatnonzero(first == 0)
    second[wrong[:20]] = 1
    row = only(compared(answered({("a", "t"): first, ("b", "t"): second})))

    z = (second.mean() - first.mean()) / math.hypot(
        *(x.std(ddof=1) / math.sqrt(1000) for x in (first, second))
    )
    assert 2 * norm.sf(abs(z)) > 0.3  # theirs
    assert row.p_value < 1e-5
    assert row.verdict == "better"


def test_lm_eval_publishes_an_error_of_0(answered, compared):
    none = np.zeros(40)
    row = only(compared(answered({("a", "t"): none, ("b", "t"): none})))

    assert none.std(ddof=1) / math.sqrt(40) == 0  # theirs, so that one is sure
    assert math.isnan(row.baseline.score.se)
    assert row.baseline.score.interval.high > 0.08
    assert row.verdict == "unclear"
    assert row.difference.interval.high > 0.05


def test_lm_evals_error_is_over_documents_and_not_over_seeds(answered, compared):
    rng = np.random.default_rng(8)
    scores = {
        (m, "t"): np.vstack(
            [rng.random(1000) < 0.5 + shift for shift in rng.normal(0, 0.1, 3)]
        ).astype(float)
        for m in "ab"
    }
    row = only(compared(answered(scores)))

    one = scores["a", "t"][0]
    theirs = one.std(ddof=1) / math.sqrt(1000)
    assert row.difference.se > 1.5 * math.sqrt(2) * theirs
    assert "over items (Hall 1992) and training seeds" in row.difference.method


def test_repeats_served_from_a_cache_are_no_answers(answered, compared, right):

    once = answered({("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.5)})
    once = once.assign(sampled=True)
    replayed = pd.concat([once.assign(repeat=k) for k in range(4)], ignore_index=True)
    comparison = compared(replayed)

    (caution,) = comparison.cautions
    assert caution.code == "replayed-repeats"
    assert "6" in caution.text  # three copies on each of two sides
    row = only(comparison)
    assert row.baseline.n_repeats == row.candidate.n_repeats == 1
    assert row.difference == only(compared(once)).difference


def _responses(model, scores):
    """One model's answers to one task of two choices."""
    import pyarrow as pa

    from harness.frames import JOINED

    rows = [
        {
            "attempt_id": model, "trial_id": model, "item_id": f"i{k}",
            "item_index": k, "repeat": 0, "status": "ok", "prompt_digest": f"p{k}",
            "choice_logprobs": [-1.0, -2.0 + 2 * (1 - score) + k / 1e4],
            "target_index": 0, "metrics": [], "model": model, "train_seed": 0,
            "step": 1, "task": "t", "formulation": "", "num_fewshot": 0,
            "template": "default", "generation": "", "fewshot_seed": 0,
            "sample_seed": 0, "output_type": "multiple_choice", "sampled": False,
            "n_items_total": len(scores), "weights_digest": model, "task_digest": "t",
            "template_digest": "d", "dtype": "float32", "batch_size": 1,
            "backend": "b",
        }
        for k, score in enumerate(scores)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=JOINED).to_pandas()
