"""Sweeps without a model: made-up checkpoints, which `FakeBackend` answers for."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import pyarrow as pa
import pytest

from harness.frames import TRIALS
from harness.plan import Plan
from harness.records import Checkpoint, TaskRequest, Trial
from harness.run.backend import Answers, FakeBackend, Placement
from harness.run.worker import Outcome, run_here, tables
from harness.store import Store
from harness.suite import Suite
from harness.sweep import SweepResult, _trial_row, sweep

FAKE = "harness.run.backend:FakeBackend"

N_ITEMS = FakeBackend().n_items

STARTED = datetime.datetime(2026, 11, 20, 3, 17, tzinfo=datetime.UTC)

HOSTILE = "a[red]b\x1b[31mc\nd"
"""A name that is rich markup, an escape sequence and two lines."""


class RaisingBackend(FakeBackend):
    """Raises on the task called ``bad``, and on one of the quickstart's."""

    def answer(self, trial: Trial) -> Answers:
        if trial.info.task in {"bad", "zoo_agreement"}:
            raise ZeroDivisionError(f"on\n{trial.info.task}")
        return super().answer(trial)


@contextmanager
def no_ray() -> Iterator[None]:
    """Let sweeps run their trials in this process, which takes a tenth of the time."""

    def here(trials, *, backend, placement, workers, max_tries, idle):
        return run_here(
            trials, backend=backend, placement=placement, max_tries=max_tries
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.run.pool.cluster", nullcontext)
        patch.setattr("harness.run.pool.run_on_ray", here)
        yield


def fake_checkpoint(model: str = "toy", seed: int | None = 0, step: int | None = 0):
    return Checkpoint(
        model=model,
        train_seed=seed,
        step=step,
        weights_digest=f"{model} {seed} {step}",
        tokenizer_digest="words",
        location=f"/made-up/{model}/{seed}/{step}",
        source=f"runs/{model}/{seed}/{step}",
    )


def fake_plan(
    *, models=("toy",), seeds=(0, 1), steps=(0, 10), tasks=("t1", "t2"), status=None
) -> Plan:
    """Plan every task on every checkpoint, by default eight trials."""
    checkpoints = [
        fake_checkpoint(model, seed, step)
        for model in models
        for seed in seeds
        for step in steps
    ]
    backend = FakeBackend()
    requests = [TaskRequest(task=task) for task in tasks]
    infos = backend.describe(requests)
    trials = tuple(
        Trial(
            checkpoint=checkpoint,
            request=request,
            info=info,
            items=None,
            fewshot_seed=1234,
            sample_seed=0,
            repeats=1,
            dtype="float32",
            batch_size=64,
            max_length=None,
            entropy=0,
            backend=backend.name,
        )
        for checkpoint in checkpoints
        for request, info in zip(requests, infos, strict=True)
    )
    suite = Suite.model_validate(
        {
            "suite": "fake",
            "checkpoints": [{"folder": "runs", "model": "toy"}],
            "tasks": ["t1"],
            "entropy": 2**80,
        }
    )
    return Plan(
        suite=suite,
        trials=trials,
        status=status or {},
        cautions=(),
        seconds_per_request=None,
    )


def here(backend: str = FAKE, max_tries: int = 2):
    """Return what `sweep` needs to run trials in this process."""
    return partial(
        run_here, backend=backend, placement=Placement(), max_tries=max_tries
    )


def run_fake(path, *, execute=None, listen=None, **plan) -> SweepResult:
    """Run what the store at `path` lacks of a plan."""
    store = Store.create(path)
    made = fake_plan(status=store.status(), **plan)
    return sweep(made, store, execute or here(), listen=listen)


def outcome(trial: Trial, *, minute: int = 0, error: str | None = None) -> Outcome:
    """Return what came of a trial, `minute` minutes after the others."""
    moment = STARTED + datetime.timedelta(minutes=minute)
    return Outcome(
        answers=None if error else FakeBackend().answer(trial),
        error_code="trial-raised" if error else None,
        error=error,
        started_at=moment,
        finished_at=moment,
        seconds=2.0,
    )


def commit(store: Store, trial: Trial, attempt_id: str, **came) -> None:
    """Append one attempt; `came` is what `outcome` takes."""
    made = outcome(trial, **came)
    row = _trial_row(fake_plan(), trial, made, 1, attempt_id)
    responses = tables(made, trial.trial_id, attempt_id)
    store.append(
        pa.Table.from_pylist([row], schema=TRIALS),
        [] if responses is None else [responses],
    )
