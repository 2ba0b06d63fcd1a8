"""Tables of responses for the statistics, as a store would give them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from harness.frames import JOINED

DEFAULTS = {
    "attempt_id": "a",
    "trial_id": "t",
    "item_index": 0,
    "repeat": 0,
    "status": "ok",
    "model": "m",
    "train_seed": 1,
    "step": 100,
    "task": "task",
    "template": "default",
    "formulation": "cloze",
    "num_fewshot": 0,
    "fewshot_seed": 0,
    "sample_seed": 0,
    "output_type": "multiple_choice",
    "sampled": False,
    "generation": "",
    "weights_digest": "w",
    "task_digest": "t",
    "template_digest": "d",
    "dtype": "float32",
    "batch_size": 64,
    "backend": "lm-eval 0.4.13",
}


@pytest.fixture
def joined():
    """Return a maker of joined tables from rows that name only what matters."""

    def make(rows):
        rows = [{**DEFAULTS, **row} for row in rows]
        n_items = len({row["item_id"] for row in rows})
        for row in rows:
            row.setdefault("n_items_total", n_items)
        return pa.Table.from_pylist(rows, schema=JOINED).to_pandas()

    return make


@pytest.fixture
def simulated(joined):
    """Return a maker of choice tasks with the given right answers.

    `is_right` is a mapping of (train_seed, step) to 0/1 scores of the items; the
    likelihood of the right one of two choices goes with it, and with `rng`.
    """

    def make(is_right, *, rng=None, **columns):
        rng = rng or np.random.default_rng(1)
        rows = []
        for (seed, step), scores in is_right.items():
            for item, score in enumerate(scores):
                if np.isnan(score):
                    logprobs = [np.nan, -1.0]
                else:
                    gap = rng.uniform(0.1, 1) * (1 if score else -1)
                    logprobs = [-1.0, -1.0 - gap]
                rows.append(
                    {
                        "train_seed": seed,
                        "step": step,
                        "item_id": f"i{item}",
                        "item_index": item,
                        "choice_logprobs": logprobs,
                        "choice_chars": [4, 5],
                        "choice_bytes": [4, 5],
                        "choice_tokens": [1, 1],
                        "target_index": 0,
                        **columns,
                    }
                )
        return joined(rows)

    return make


@pytest.fixture
def templated(simulated):
    """Return a maker of answers with given scores, templates × repeats × items."""

    def make(scores, *, seeds=(1,), step=10, **columns):
        rng = np.random.default_rng(4)
        parts = [
            simulated(
                dict.fromkeys([(seed, step) for seed in seeds], of_items),
                rng=rng,
                template=f"t{t}",
                template_digest=f"d{t}",
                repeat=k,
                sampled=True,
                **columns,
            )
            for t, of_template in enumerate(scores)
            for k, of_items in enumerate(of_template)
        ]
        return pd.concat(parts)

    return make


@pytest.fixture
def codes():
    """Return a reader of the caution codes of an estimate or a row."""

    def read(result):
        return [caution.code for caution in result.cautions]

    return read
