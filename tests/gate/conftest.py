"""Nights of a training run: answers of one checkpoint after another."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from harness.frames import IDENTITY, JOINED, MARKS, RESPONSES, TRIALS
from harness.gate.policy import Policy
from harness.marks import Mark, Marks
from harness.store import Store

START = dt.datetime(2026, 1, 1, 3, 17, tzinfo=dt.UTC)

SAME = {
    "repeat": 0,
    "status": "ok",
    "model": "m",
    "template": "default",
    "formulation": "cloze",
    "num_fewshot": 0,
    "fewshot_seed": 0,
    "sample_seed": 0,
    "output_type": "multiple_choice",
    "sampled": False,
    "generation": "",
    "template_digest": "d",
    "dtype": "float32",
    "batch_size": 64,
    "backend": "lm-eval 0.4.13",
    "target_index": 0,
    "choice_chars": [4, 5],
    "choice_bytes": [4, 5],
    "choice_tokens": [1, 1],
    "train_seed": 1,
}


def answers(right: np.ndarray, *, task: str, step: int | None, **columns) -> pa.Table:
    """Return a checkpoint's answers to one task, right or wrong as told."""
    n = len(right)
    places = columns.pop("places", range(n))
    values = {
        **SAME,
        "task": task,
        "step": step,
        "attempt_id": f"{task} {step}",
        "trial_id": f"{task} {step}",
        "weights_digest": f"w{step}",
        "task_digest": task,
        "n_items_total": n,
        "finished_at": START + dt.timedelta(days=0 if step is None else step),
        **columns,
    }
    gaps = np.where(right, 1.0, -1.0) * (1 + np.arange(n) % 7)
    made = {
        "item_id": pa.array([f"{task} {i}" for i in places]),
        "item_index": pa.array(list(places), pa.int32()),
        "prompt_digest": pa.array([f"p {task} {i}" for i in places]),
        "choice_logprobs": pa.array(
            np.stack([-10 + gaps, np.full(n, -10.0)], axis=1).tolist()
        ),
    }
    for field in JOINED:
        if field.name not in made:
            value = values.get(field.name)
            made[field.name] = pa.array([value] * n, field.type)
    return pa.table([made[f.name] for f in JOINED], schema=JOINED)


def drawn(rng: np.random.Generator, levels: Sequence[float], n_items: int):
    """Return answers of checkpoints of such levels: items keep their difficulty."""
    difficulty = rng.normal(size=n_items)
    chance = 1 / (1 + np.exp(-(np.asarray(levels)[:, None] - difficulty)))
    return rng.random(chance.shape) < chance


@pytest.fixture
def nights():
    """Return a maker of nights: levels of each task, night by night from step 1."""

    def make(
        levels: Mapping[str, Sequence[float]],
        *,
        n_items: int = 400,
        seed: int = 0,
        **columns,
    ) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        parts = [
            answers(right, task=task, step=step, **columns)
            for task, of_task in levels.items()
            for step, right in enumerate(drawn(rng, of_task, n_items), 1)
        ]
        return pa.concat_tables(parts).to_pandas()

    return make


@pytest.fixture
def marks():
    """Return a maker of marks: a baseline, and acknowledged tasks until a day."""

    def make(step: int | None = 1, *, model: str = "m", acknowledged=()) -> Marks:
        def mark(kind, **said):
            return Mark(
                **{
                    "mark_id": f"{kind} {said}",
                    "kind": kind,
                    "name": "",
                    "model": None,
                    "step": None,
                    "task": None,
                    "reason": "because",
                    "until": None,
                    "author": "a",
                    "set_at": START,
                    **said,
                }
            )

        known = [mark("acknowledged", task=t, until=day) for t, day in acknowledged]
        return Marks((mark("baseline", model=model, step=step), *known))

    return make


@pytest.fixture
def policy():
    """Return a maker of policies; all tasks are critical if nothing is said."""

    def make(**said) -> Policy:
        return Policy.model_validate({"critical": ["*"], "delta": 0.0, **said})

    return make


@pytest.fixture
def stored(tmp_path):
    """Return a maker of a store of such answers; the marks are kept with them."""

    def make(responses: pd.DataFrame, marks: Marks | None = None, failed=()) -> str:
        store = Store.create(tmp_path / "store")
        table = pa.Table.from_pandas(responses, schema=JOINED, preserve_index=False)
        first = table.group_by("attempt_id", use_threads=False).aggregate([])
        places = pc.index_in(first["attempt_id"], value_set=table["attempt_id"])
        rows = [
            {
                **{name: row[name] for name in ("attempt_id", "trial_id", *IDENTITY)},
                "status": "done",
                "repeats": 1,
                "n_items": sum(table["attempt_id"].to_numpy() == row["attempt_id"]),
            }
            for row in table.take(places).to_pylist()
        ]
        rows += [{**rows[0], "status": "failed", **one} for one in failed]
        trials = pa.Table.from_pylist(rows, schema=TRIALS)
        store.append(trials, [table.select(RESPONSES.names)])
        if marks is not None:
            said = [asdict(mark) for mark in marks.marks]
            store.append_marks(pa.Table.from_pylist(said, schema=MARKS))
        return store.path

    return make
