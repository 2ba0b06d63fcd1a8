"""Facts about public evaluation results that anyone can look up."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.stats.decisions import decision_accuracy
from harness.stats.ranks import monotonicity, rank_correlations
from harness.stats.signal import signal_noise
from harness.stats.variation import total_variation

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the extracts of public results are not here"
)


@pytest.fixture(scope="module")
def accuracies():
    frame = pd.read_parquet(DATA / "pythia_evals" / "pythia_evals.parquet")
    frame = frame[(frame["num_fewshot"] == 0) & (frame["metric"] == "acc")]
    return frame[frame["suite"].str.contains("v1")]


def curve(accuracies, size, task):
    part = accuracies[(accuracies["size"] == size) & (accuracies["task"] == task)]
    return part.groupby("step")["value"].mean().sort_index().to_numpy()[None]


@pytest.mark.parametrize("size", ["1b", "2.8b", "12b"])
@pytest.mark.parametrize("task", ["lambada_openai", "arc_easy", "piqa"])
def test_pythia_of_1b_and_up_is_close_to_monotone(accuracies, size, task):
    (rho,) = rank_correlations(curve(accuracies, size, task), method="spearman")

    assert rho > 0.9


def test_small_pythia_and_hard_tasks_are_not(accuracies):
    (lambada,) = rank_correlations(curve(accuracies, "70m", "lambada_openai"))
    (wsc,) = rank_correlations(curve(accuracies, "70m", "wsc"))

    assert lambada < 0.5
    assert abs(wsc) < 0.5


def sizes_by_step(accuracies, task, *, deduped=False):
    """Return zero-shot accuracies, a row for each of eight sizes; and the steps."""
    part = accuracies[
        (accuracies["task"] == task)
        & (accuracies["deduped"] == deduped)
        & (accuracies["variant"] == "zero-shot")
    ]
    table = part.pivot_table(index="params", columns="step", values="value")
    return table.to_numpy(), table.columns.to_numpy()


def test_the_smallest_pythia_unlearns_lambada(accuracies):
    """.228 at step 43,000, .185 at 143,000: near-monotone before, falling after."""
    scores, steps = sizes_by_step(accuracies, "lambada_openai")
    smallest = scores[:1]

    assert smallest[0, steps == 43_000].item() == pytest.approx(0.228, abs=5e-4)
    assert smallest[0, -1] == pytest.approx(0.185, abs=5e-4)
    before = monotonicity(smallest, steps=steps, last=33_000)
    after = monotonicity(smallest, steps=steps, first=43_000)
    assert before.value > 0.7
    assert after.value < -0.7


def test_all_sizes_at_once_are_each_by_itself(accuracies):
    scores, _ = sizes_by_step(accuracies, "arc_easy")

    assert scores.shape == (8, 27)
    at_once = rank_correlations(scores[:, None])
    np.testing.assert_array_equal(
        at_once, [rank_correlations(row[None]) for row in scores]
    )


def test_signal_over_noise_tells_pythia_s_tasks_apart(accuracies):
    """lambada, arc_easy and piqa see size; logiqa hardly does."""
    snr = {
        task: signal_noise(
            sizes_by_step(accuracies, task)[0][:, None], signal="rel-std", rng=1
        ).snr
        for task in ("lambada_openai", "arc_easy", "piqa", "logiqa")
    }

    logiqa = snr.pop("logiqa")
    assert all(found.value > 5 * logiqa.value for found in snr.values())
    assert all(found.interval.low > logiqa.interval.high for found in snr.values())


def test_wsc_moves_to_and_fro(accuracies):
    wsc, lambada = (
        total_variation(sizes_by_step(accuracies, task)[0][3:]).value
        for task in ("wsc", "lambada_openai")
    )

    assert wsc > 10 * lambada


def test_pythia_s_sizes_are_ordered_alike_by_two_corpora(accuracies):
    """Trained on the Pile and on its deduplication: easy tasks agree on every pair."""
    decided = {}
    for task in ("lambada_openai", "arc_easy", "piqa", "logiqa"):
        plain, deduped = (
            sizes_by_step(accuracies, task, deduped=flag)[0][:, -1]
            for flag in (False, True)
        )
        decided[task] = decision_accuracy(plain, deduped)

    assert decided.pop("logiqa").interval.low < 0.5
    for found in decided.values():
        assert found.value == 1
        assert found.interval.low > 0.5


@pytest.fixture(scope="module")
def bigscience():
    """Five models of 1.3B parameters: accuracy by run and step, for each task."""
    frame = pd.read_parquet(DATA / "bigscience" / "tr3_tr12_checkpoints.parquet")
    frame = frame[frame["metric"] == "acc"]
    return {
        task: part.pivot(index="run", columns="step", values="value").to_numpy()
        for task, part in frame.groupby("task")
    }


def test_dense_checkpoints_with_gaps_agree_with_scipy(bigscience):
    from scipy.stats import kendalltau, spearmanr

    gaps = 0
    for scores in bigscience.values():
        taus = rank_correlations(scores)
        rhos = rank_correlations(scores, method="spearman")
        for row, tau, rho in zip(scores, taus, rhos, strict=True):
            y = row[~np.isnan(row)]
            gaps += len(row) - len(y)
            x = range(len(y))
            assert tau == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)
            assert rho == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)

    assert gaps > 1000


def test_hellaswag_rises_with_training_and_wic_does_not(bigscience):
    assert (rank_correlations(bigscience["hellaswag"]) > 0.9).all()
    for task in ("wic", "wsc", "wnli"):
        assert abs(monotonicity(bigscience[task]).value) < 0.1


def test_what_still_learns_is_not_taken_for_noise(bigscience):
    """Over the last 30 checkpoints hellaswag rises still; wic's moves are noise."""
    hellaswag, wic = (
        signal_noise(bigscience[task][:, None], n_last=30, rng=1)
        for task in ("hellaswag", "wic")
    )

    assert "still-moving" in [c.code for c in hellaswag.noise.cautions]
    assert "still-moving" not in [c.code for c in wic.noise.cautions]
    assert "signal-within-noise" in [c.code for c in wic.snr.cautions]
