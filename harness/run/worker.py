"""How is one trial done? One worker with one model in memory, in plain Python."""

from __future__ import annotations

import importlib
import os
import socket
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from harness.errors import HarnessError
from harness.records import Checkpoint, Trial
from harness.run.backend import Answers, Backend, Interrupted, Placement

RETRIED = frozenset(
    {"trial-raised", "worker-died", "checkpoint-unreadable", "server-failed"}
)
"""Failures that another try may cure; the others would only be met again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What came of one try at one trial."""

    answers: Answers | None
    """``None`` when the try failed; then `error` says why."""

    partial: Answers | None = None
    """What had been answered before the try failed, if anything."""

    error_code: str | None = None
    error: str | None = None
    host: str = ""
    pid: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)
    started_at: datetime
    finished_at: datetime
    load_seconds: float = 0.0
    """Reading the checkpoint; 0 when it was in memory already."""

    seconds: float = 0.0


class Worker:
    """Keeps one backend with one checkpoint in it, and never raises.

    Parameters
    ----------
    backend : str
        Where the backend's class is, as ``module:Class``; imported here, so that
        the driver need not load what only workers use.
    """

    def __init__(self, backend: str, placement: Placement) -> None:
        module, _, name = backend.partition(":")
        self.backend: Backend = getattr(importlib.import_module(module), name)()
        self.backend.start(placement)
        self.loaded: Checkpoint | None = None

    def pid(self) -> int:
        """Return the process that this worker lives in."""
        return os.getpid()

    def run(self, trial: Trial) -> Outcome:
        """Try `trial` once; a failure becomes an outcome that says why."""
        started_at, began = datetime.now(UTC), time.perf_counter()
        answers, partial, error_code, error = None, None, None, None
        load_seconds = 0.0
        provenance: dict[str, Any] = {}
        try:
            if self.loaded != trial.checkpoint:  # by content: a folder may hold two
                self.loaded = None
                self.backend.load(trial.checkpoint)
                self.loaded = trial.checkpoint
                load_seconds = time.perf_counter() - began
            provenance = self.backend.provenance()
            answers = self.backend.answer(trial)
            provenance = self.backend.provenance()  # of a server, only now
        except Interrupted as raised:
            partial, error_code, error = raised.answers, raised.code, str(raised)
            provenance = self.backend.provenance()
        except HarnessError as raised:
            error_code, error = raised.code, str(raised)
        except (Exception, SystemExit) as raised:  # whatever a task or a model does
            where = traceback.extract_tb(raised.__traceback__)[-1]
            error_code = "trial-raised"
            error = (
                f"{trial}: {type(raised).__name__}: {raised} "
                f"({os.path.basename(where.filename)}:{where.lineno})"  # noqa: PTH119
            )
        return Outcome(
            answers=answers,
            partial=partial,
            error_code=error_code,
            error=error,
            host=socket.gethostname(),
            pid=os.getpid(),
            provenance=provenance,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            load_seconds=load_seconds,
            seconds=time.perf_counter() - began,
        )


def worker_died(trial: Trial, why: str, started_at: datetime) -> Outcome:
    """Return the outcome of a trial whose worker is gone."""
    return Outcome(
        answers=None,
        error_code="worker-died",
        error=f"{trial}: the worker died: {why}",
        started_at=started_at,
        finished_at=datetime.now(UTC),
    )


def run_here(
    trials: Iterable[Trial], *, backend: str, placement: Placement, max_tries: int
) -> Iterator[tuple[Trial, Outcome, int]]:
    """Run trials one after the other in this process; yields outcome and tries.

    The same contract as `harness.run.pool.run_on_ray`, without Ray.
    """
    worker = Worker(backend, placement)
    for trial in trials:
        outcome, tries = worker.run(trial), 1
        while outcome.error_code in RETRIED and tries < max_tries:
            outcome, tries = worker.run(trial), tries + 1
        yield trial, outcome, tries


def tables(outcome: Outcome, trial_id: str, attempt_id: str) -> pa.Table | None:
    """Return the rows of an outcome with the identifiers that the store joins on."""
    if outcome.answers is None:
        return None
    rows = outcome.answers.rows
    n = rows.num_rows
    return rows.append_column(
        "attempt_id", pa.array([attempt_id] * n, pa.string())
    ).append_column("trial_id", pa.array([trial_id] * n, pa.string()))
