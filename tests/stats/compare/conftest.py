"""Responses of several models at several tasks, as a store would give them."""

import numpy as np
import pandas as pd
import pytest

from harness.stats.compare.results import Choice
from harness.stats.compare.table import compare


@pytest.fixture
def answered(simulated):
    """Return a maker of responses: scores by model and task, (seeds, items) each."""

    def make(scores, **columns):
        rng = np.random.default_rng(1)
        parts = [
            simulated(
                {(seed, 100): row for seed, row in enumerate(np.atleast_2d(table))},
                rng=rng,
                model=model,
                task=task,
                task_digest=task,
                weights_digest=model,
            )
            for (model, task), table in scores.items()
        ]
        frame = pd.concat(parts, ignore_index=True)
        frame["prompt_digest"] = frame["task"] + frame["item_id"]
        frame["item_id"] = frame["task"] + frame["item_id"]
        return frame.assign(**columns)

    return make


@pytest.fixture
def compared():
    """Return a comparison of all models of some responses, in order of their names."""

    def run(responses, *names, **options):
        names = names or sorted(responses["model"].unique())
        return compare(responses, [Choice(name=n, model=n) for n in names], **options)

    return run


@pytest.fixture
def right():
    """Return a maker of right and wrong answers."""

    def make(seed, p, *, n_items=200, n_seeds=1):
        rng = np.random.default_rng(seed)
        return (rng.random((n_seeds, n_items)) < p).astype(float)

    return make
