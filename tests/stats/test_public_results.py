"""Facts about public evaluation results that anyone can look up."""

from pathlib import Path

import pandas as pd
import pytest

from harness.stats.ranks import rank_correlations

DATA = Path(__file__).parents[3] / "shared" / "data" / "pythia_evals"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the extract of EleutherAI/pythia's results is not here"
)


@pytest.fixture(scope="module")
def accuracies():
    frame = pd.read_parquet(DATA / "pythia_evals.parquet")
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
