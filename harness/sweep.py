"""How is a plan carried out? Plan minus store, run, committed as it comes."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from harness.frames import TRIALS
from harness.plan import Plan, n_answers, n_requests, without
from harness.records import Trial, unicode_of
from harness.run.backend import Placement
from harness.run.worker import Outcome, tables

if TYPE_CHECKING:
    from harness.store import Store

LM_EVAL = "harness.run.lm_eval:LMEvalBackend"

COMMIT_SECONDS = 2.0
"""Finished trials wait at most this long for a commit that takes several."""

Execute = Callable[[Sequence[Trial]], Iterator[tuple[Trial, Outcome, int] | None]]
"""Yields each trial with its outcome and tries, or now and then ``None``: a moment in
which nothing came, and what is finished can be committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a sweep is, after a trial was finished."""

    trial: Trial
    outcome: Outcome
    n_finished: int
    n_total: int
    requests_finished: int
    requests_total: int
    seconds: float
    """Since the sweep began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """What a sweep came to."""

    n_done: int
    n_failed: int
    errors: tuple[str, ...]
    """The first errors met, one line each."""

    n_errors: int
    """Distinct errors, those not in `errors` among them."""

    seconds: float
    forward_seconds: float
    """Inside the models' own forward passes, summed over workers."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "n_done": self.n_done,
            "n_failed": self.n_failed,
            "errors": list(self.errors),
            "n_errors": self.n_errors,
            "seconds": self.seconds,
            "forward_seconds": self.forward_seconds,
        }


class Listener(Protocol):
    """Who hears of progress."""

    def __call__(self, progress: Progress) -> None:
        """Take note of a finished trial."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Finished attempts that wait for their commit."""

    plan: Plan
    store: Store
    finished: list[tuple[Trial, Outcome, int]] = field(default_factory=list)
    committed_at: float = field(default_factory=time.monotonic)

    def add(self, trial: Trial, outcome: Outcome, tries: int) -> None:
        for part, of_part in _parts(trial, outcome):
            share = n_answers(part) / n_answers(trial)
            of_part = replace(of_part, seconds=outcome.seconds * share)
            self.finished.append((part, of_part, tries))
        self.commit_if_due()

    def commit_if_due(self) -> None:
        if time.monotonic() - self.committed_at >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Store what waits, under new identifiers each time this is tried.

        A commit may be cut short after the responses. Its next try must not bring
        them to light, nor double them.
        """
        if self.finished:
            rows, responses = [], []
            for trial, outcome, tries in self.finished:
                attempt_id = uuid.uuid4().hex
                rows.append(_trial_row(self.plan, trial, outcome, tries, attempt_id))
                table = tables(outcome, trial.trial_id, attempt_id)
                if table is not None:
                    responses.append(table)
            self.store.append(pa.Table.from_pylist(rows, schema=TRIALS), responses)
            self.finished.clear()
        self.committed_at = time.monotonic()


def placement_of(plan: Plan) -> Placement:
    """Return where the suite wants its models."""
    resources = plan.suite.resources
    return Placement(
        cpus=resources.cpus,
        gpus=resources.gpus,
        device=resources.device,
        dtype=resources.dtype,
        batch_size=resources.batch_size,
        max_length=resources.max_length,
        remote_code=tuple(plan.suite.allow_remote_code),
    )


def sweep(
    plan: Plan,
    store: Store,
    execute: Execute,
    *,
    listen: Listener | None = None,
) -> SweepResult:
    """Run what `plan` has remaining and commit it to `store`.

    Whatever ends it early, a keyboard interrupt among it, commits what was finished
    first; the same plan made again has only the rest.

    Parameters
    ----------
    execute : callable
        Takes trials and yields each with its outcome and its number of tries, such
        as `harness.run.pool.run_on_ray` with its options bound.

    Raises
    ------
    StoreError
        ``store-not-written``.
    """
    remaining = plan.remaining
    began = time.monotonic()
    requests_total = sum(n_requests(trial) for trial in remaining)
    requests_finished = n_failed = 0
    forward_seconds = 0.0
    errors: dict[str, None] = {}
    batch = _Batch(plan, store)
    n_finished = 0
    try:
        for came in execute(remaining):
            if came is None:
                batch.commit_if_due()
                continue
            trial, outcome, tries = came
            batch.add(trial, outcome, tries)
            n_finished += 1
            requests_finished += n_requests(trial)
            if outcome.answers is None:
                n_failed += 1
                line = " ".join(f"{outcome.error} [{outcome.error_code}]".split())
                errors.setdefault(line)
            else:
                forward_seconds += outcome.answers.forward_seconds
            if listen is not None:
                listen(
                    Progress(
                        trial=trial,
                        outcome=outcome,
                        n_finished=n_finished,
                        n_total=len(remaining),
                        requests_finished=requests_finished,
                        requests_total=requests_total,
                        seconds=time.monotonic() - began,
                    )
                )
    finally:
        batch.commit()
    return SweepResult(
        n_done=n_finished - n_failed,
        n_failed=n_failed,
        errors=tuple(errors)[:5],
        n_errors=len(errors),
        seconds=time.monotonic() - began,
        forward_seconds=forward_seconds,
    )


def nothing_to_do() -> SweepResult:
    """Return the result of a plan that has nothing remaining."""
    return SweepResult(
        n_done=0, n_failed=0, errors=(), n_errors=0, seconds=0.0, forward_seconds=0.0
    )


def seconds_per_request(trials: pa.Table) -> float | None:
    """Return worker-seconds per request of the trials done; ``None`` without any."""
    done = trials.filter(pc.equal(trials["status"], "done"))
    n = pc.sum(done["n_requests"]).as_py()
    return pc.sum(done["seconds"]).as_py() / n if n else None


def _parts(trial: Trial, outcome: Outcome) -> Iterator[tuple[Trial, Outcome]]:
    """Split a trial that failed midway into trials that are done, and those left.

    They are those that a plan will make of it, so that none is left failed once the
    rest has been asked.
    """
    partial = outcome.partial
    if partial is None or not partial.rows:
        yield trial, outcome
        return
    rows = partial.rows
    items, repeats = rows["item_index"].to_pylist(), rows["repeat"].to_pylist()
    there: dict[int, set[int]] = {item: set() for item in trial.item_indexes}
    for item, repeat in zip(items, repeats, strict=True):
        there[item].add(repeat)
    missing = {item: {*trial.repeat_numbers} - some for item, some in there.items()}
    for part in without(trial, [([item], [*some]) for item, some in missing.items()]):
        held = pc.and_(
            pc.is_in(rows["item_index"], pa.array(part.item_indexes, pa.int32())),
            pc.is_in(rows["repeat"], pa.array(part.repeat_numbers, pa.int16())),
        )
        answers = replace(partial, rows=rows.filter(held))
        yield part, replace(outcome, answers=answers, error_code=None, error=None)
    for rest in without(trial, [([item], [*some]) for item, some in there.items()]):
        yield rest, outcome


def _trial_row(
    plan: Plan, trial: Trial, outcome: Outcome, tries: int, attempt_id: str
) -> dict[str, Any]:
    checkpoint, request, info = trial.checkpoint, trial.request, trial.info
    answers = outcome.answers
    return {
        "attempt_id": attempt_id,
        "trial_id": trial.trial_id,
        "status": "failed" if answers is None else "done",
        "error_code": outcome.error_code,
        "error": None if outcome.error is None else unicode_of(outcome.error),
        "model": checkpoint.model,
        "train_seed": checkpoint.train_seed,
        "step": checkpoint.step,
        "task": info.task,
        "template": request.template.name,
        "formulation": info.formulation,
        "num_fewshot": info.num_fewshot,
        "generation": json.dumps(dict(request.generation), sort_keys=True)
        if request.generation
        else "",
        "fewshot_seed": trial.fewshot_seed,
        "sample_seed": trial.sample_seed,
        "repeats": trial.repeats,
        "weights_digest": checkpoint.weights_digest,
        "tokenizer_digest": checkpoint.tokenizer_digest,
        "task_digest": info.task_digest,
        "template_digest": request.template.digest,
        "task_version": info.version,
        "output_type": info.output_type,
        "lower_is_better": info.lower_is_better,
        "sampled": info.sampled,
        "n_items": trial.n_items,
        "n_items_total": info.n_items,
        "n_requests": n_requests(trial),
        "n_truncated": answers.n_truncated if answers else None,
        "dtype": trial.dtype,
        "batch_size": trial.batch_size,
        "max_length": trial.max_length,
        "backend": trial.backend,
        "suite": plan.suite.suite,
        "suite_digest": plan.suite.digest,
        "entropy": str(plan.suite.entropy),
        "device": outcome.provenance.get("device"),
        "host": outcome.host,
        "versions": {
            name: unicode_of(said)
            for name, said in outcome.provenance.get("versions", {}).items()
        },
        "location": checkpoint.source,
        "revision": checkpoint.revision,
        "tries": tries,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
        "load_seconds": outcome.load_seconds,
        "build_seconds": answers.build_seconds if answers else None,
        "forward_seconds": answers.forward_seconds if answers else None,
        "seconds": outcome.seconds,
    }
