"""Subsets of SyntaxGym, which nobody here made: 254 training runs, 842 items."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.stats.subsets.evaluate import evaluate_subsets

DATA = Path(__file__).parents[3] / "shared" / "data" / "syntaxgym_seeds"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the extract of SyntaxGym's results is not here"
)


@pytest.fixture(scope="module")
def table():
    long = pd.read_parquet(DATA / "sg_results_long.parquet")
    long["name"] = long["suite"] + "/" + long["item"].astype(str)
    return long.pivot_table(
        index=["arch", "corpus", "seed"], columns="name", values="correct"
    )


def evaluated(table, **options):
    runs = table.index.to_frame(index=False)
    models = (runs["arch"] + " " + runs["corpus"]).tolist()
    return evaluate_subsets(
        table.to_numpy(dtype=float),
        [50],
        models=models,
        train_seeds=pd.factorize(runs["seed"])[0].tolist(),
        steps=[None] * len(runs),
        groups=models,
        strata=[name.split("/")[0] for name in table.columns],
        rng=1,
        **options,
    ).to_frame()


def measure(frame, name, method, estimator="weighted"):
    at = (frame["method"] == method) & (frame["estimator"] == estimator)
    return frame.loc[at, name].item()


def test_neural_models_are_told_apart_by_fifty_items_better_than_by_luck(table):
    """42 runs of 21 models: choice helps the mean, and E stays above the full set's.

    But by adaptive tests, whose abilities are shrunken towards the mean.
    """
    is_neural = ~table.index.get_level_values("arch").str.contains("gram")
    frame = evaluated(table[is_neural])

    assert is_neural.sum() == 42
    assert np.array_equal(frame["n_items"], [842, *[50] * 8])
    assert 0.93 < measure(frame, "coverage", "random") < 0.97
    assert measure(frame, "beats_random", "stratified") > 0.7
    assert measure(frame, "beats_random", "anchors-correct") > 0.9
    fixed = frame[~frame["method"].isin(["full", "adaptive"])]
    assert (fixed["seed_sd"] > measure(frame, "seed_sd", "full")).all()
    assert (frame["rank_correlation"][1:] > 0.6).all()


@pytest.mark.slow
def test_a_single_ability_does_not_describe_n_gram_models(table):
    """200 of 254 are n-grams: items chosen for one ability mislead, and say so."""
    frame = evaluated(table)

    assert measure(frame, "coverage", "information", "p-irt") < 0.85
    assert "low-coverage" in measure(frame, "cautions", "information", "p-irt")
    assert measure(frame, "beats_random", "information", "p-irt") < 0.5
    assert measure(frame, "beats_random", "stratified") > 0.8
    assert measure(frame, "coverage", "stratified") > 0.95
