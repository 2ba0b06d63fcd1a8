"""Histories made up: responses of one evaluation after the other, and series."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.frames import JOINED
from harness.stats.history.points import History, Point

START = dt.datetime(2026, 3, 1, 2, 0, tzinfo=dt.UTC)

DEFAULTS = {
    "repeat": 0,
    "status": "ok",
    "model": "m",
    "task": "task",
    "template": "default",
    "formulation": "",
    "num_fewshot": 0,
    "fewshot_seed": 0,
    "sample_seed": 0,
    "output_type": "generate_until",
    "sampled": True,
    "generation": "",
    "task_digest": "0123456789",
    "template_digest": "d",
    "dtype": "float32",
    "batch_size": 64,
    "backend": "lm-eval 0.4.13",
}


def night(
    scores, *, step, day=0.0, seed=0, first_item=0, n_items_total=None, **columns
):
    """Return the answers of one trial, with given scores of items."""
    weights = columns.pop("weights_digest", f"w {seed} {step}")
    finished = columns.pop("finished_at", START + dt.timedelta(days=day))
    name = f"{columns} {step} {finished} {seed} {first_item}"
    return [
        {
            **DEFAULTS,
            "attempt_id": name,
            "trial_id": name,
            "train_seed": seed,
            "step": step,
            "item_id": f"i{item}",
            "item_index": item,
            "metrics": [("exact_match,none", float(score))],
            "weights_digest": weights,
            "finished_at": finished,
            "n_items_total": n_items_total or len(scores) + first_item,
            **columns,
        }
        for item, score in enumerate(scores, start=first_item)
    ]


def frame(*nights):
    """Return trials as a store would give them."""
    rows = [row for trial in nights for row in trial]
    return pa.Table.from_pylist(rows, schema=JOINED).to_pandas(
        types_mapper={
            pa.int64(): pd.Int64Dtype(),
            pa.int32(): pd.Int32Dtype(),
            JOINED.field("metrics").type: pd.ArrowDtype(JOINED.field("metrics").type),
        }.get
    )


def history(means, *, n_items=100, weights=None, runs=None, by="step", **fields):
    """Return a history with given scores of points, of one seed and one run."""
    means = np.asarray(means, dtype=float)
    n = len(means)
    steps = [100 * k for k in range(n)]
    spread = np.random.default_rng(n).uniform(-0.1, 0.1, (n, n_items))
    spread -= spread.sum(1, keepdims=True) / max(n_items, 1)
    points = tuple(
        Point(
            place=k,
            model="m",
            when=START + dt.timedelta(days=k),
            step=steps[k],
            train_seeds=(0,),
            score=float(means[k]),
            se_items=0.01,
            n_items=n_items,
        )
        for k in range(n)
    )
    known = {
        "model": "m",
        "task": "task",
        "formulation": "",
        "num_fewshot": 0,
        "template": "default",
        "generation": "",
        "metric": "exact_match",
        "by": by,
        "points": points,
        "train_seeds": (0,),
        "scores": means[:, None] + spread,
        "seed_scores": means[:, None],
        "run_scores": means[:, None, None] if runs is None else np.asarray(runs),
        "weights": np.arange(n)[:, None] if weights is None else np.asarray(weights),
        "item_indexes": tuple(range(n_items)),
        "n_items_total": n_items,
        "chance": 0.0,
    }
    return History(**(known | fields))
