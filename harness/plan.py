"""What is to be done? Suite → ordered trials, less those already stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.checkpoints import find_checkpoints
from harness.errors import SuiteError
from harness.records import (
    Caution,
    Checkpoint,
    TaskInfo,
    TaskRequest,
    Template,
    Trial,
)
from harness.streams import choose_items
from harness.suite import Suite, TaskEntry, resolve_path


class Describer(Protocol):
    """What a plan needs of a backend."""

    @property
    def name(self) -> str:
        """Name and version, part of a trial's identity."""

    def describe(self, requests: list[TaskRequest]) -> list[TaskInfo]:
        """Load tasks and say what a plan must know of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The trials of a suite, in the order in which they run."""

    suite: Suite
    trials: tuple[Trial, ...]
    status: Mapping[str, str]
    """``done`` or ``failed`` of the trials that were attempted before."""

    cautions: tuple[Caution, ...]
    seconds_per_request: float | None
    """Measured on the trials already stored; ``None`` when there are none."""

    @property
    def remaining(self) -> tuple[Trial, ...]:
        """The trials that are not done; failed ones are tried again."""
        return tuple(t for t in self.trials if self.status.get(t.trial_id) != "done")

    @property
    def n_failed(self) -> int:
        """How many of the remaining trials have failed before."""
        return sum(self.status.get(t.trial_id) == "failed" for t in self.trials)

    @property
    def n_checkpoints(self) -> int:
        """Distinct checkpoints."""
        return len({trial.checkpoint for trial in self.trials})

    @property
    def seconds(self) -> float | None:
        """Estimated worker-seconds of what remains; ``None`` when nothing is known."""
        if self.seconds_per_request is None:
            return None
        return self.seconds_per_request * sum(n_requests(t) for t in self.remaining)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, one entry per trial."""
        return {
            "suite": self.suite.suite,
            "suite_digest": self.suite.digest,
            "n_checkpoints": self.n_checkpoints,
            "n_trials": len(self.trials),
            "n_done": len(self.trials) - len(self.remaining),
            "n_failed": self.n_failed,
            "n_remaining": len(self.remaining),
            "n_requests_remaining": sum(n_requests(t) for t in self.remaining),
            "worker_seconds_remaining": self.seconds,
            "cautions": [
                {"code": caution.code, "text": caution.text}
                for caution in self.cautions
            ],
            "trials": [
                {
                    "trial_id": trial.trial_id,
                    "status": self.status.get(trial.trial_id, "remaining"),
                    "model": trial.checkpoint.model,
                    "train_seed": trial.checkpoint.train_seed,
                    "step": trial.checkpoint.step,
                    "task": trial.info.task,
                    "formulation": trial.info.formulation,
                    "num_fewshot": trial.info.num_fewshot,
                    "template": trial.request.template.name,
                    "fewshot_seed": trial.fewshot_seed,
                    "sample_seed": trial.sample_seed,
                    "repeats": trial.repeats,
                    "n_items": trial.n_items,
                }
                for trial in self.trials
            ],
        }


def n_requests(trial: Trial) -> int:
    """Return how many model requests a trial makes, from its share of the items."""
    share = trial.info.n_requests * trial.n_items / max(trial.info.n_items, 1)
    return round(share * trial.repeats)


def make_plan(
    suite: Suite,
    backend: Describer,
    *,
    base: Path,
    zoo: Path | None = None,
    status: Mapping[str, str] | None = None,
    seconds_per_request: float | None = None,
) -> Plan:
    """Expand `suite` into trials: checkpoints × tasks × templates × seeds.

    Seeds and repeats that cannot change an answer are run once, with a caution: a
    copy is not a replicate.

    Parameters
    ----------
    base : Path
        Folder that the suite's relative paths start from.
    zoo : Path or None
        What ``zoo://`` stands for.
    status : mapping, optional
        What a store says of trials: ``done`` or ``failed`` by ``trial_id``.

    Raises
    ------
    InputError
        Whatever `find_checkpoints` and the backend's ``describe`` raise, and
        ``too-many-items``, ``duplicate-task``.

    Notes
    -----
    Cautions: ``seed-without-effect``, ``repeats-without-effect``,
    ``identical-weights``.
    """
    checkpoints = find_checkpoints(suite, base, zoo)
    paths = tuple(str(resolve_path(p, base, zoo).absolute()) for p in suite.task_paths)
    asked = [
        (entry, _request(suite, entry, template, paths))
        for entry in suite.tasks
        for template in suite.records()
    ]
    infos = backend.describe([request for _, request in asked])
    resources = suite.resources
    cautions = _same_weights(checkpoints)
    trials: list[Trial] = []
    for checkpoint in checkpoints:
        for (entry, request), info in zip(asked, infos, strict=True):
            repeats = entry.repeats or suite.repeats or info.repeats
            fewshot_seeds, sample_seeds = suite.fewshot_seeds, suite.sample_seeds
            trials.extend(
                Trial(
                    checkpoint=checkpoint,
                    request=request,
                    info=info,
                    items=_items(suite, entry, info),
                    fewshot_seed=fewshot_seed,
                    sample_seed=sample_seed,
                    repeats=repeats if info.sampled else 1,
                    dtype=resources.dtype,
                    batch_size=resources.batch_size,
                    max_length=resources.max_length,
                    entropy=suite.entropy,
                    backend=backend.name,
                )
                for fewshot_seed in fewshot_seeds[: None if info.draws_fewshot else 1]
                for sample_seed in sample_seeds[: None if info.sampled else 1]
            )
    for (entry, _), info in zip(asked, infos, strict=True):
        cautions += _without_effect(suite, entry, info)
    _refuse_duplicates(trials)
    return Plan(
        suite=suite,
        trials=tuple(trials),
        status=status or {},
        cautions=tuple(dict.fromkeys(cautions)),
        seconds_per_request=seconds_per_request,
    )


def _request(
    suite: Suite, entry: TaskEntry, template: Template, paths: tuple[str, ...]
) -> TaskRequest:
    return TaskRequest(
        task=entry.task,
        task_paths=paths,
        formulation=entry.formulation or "",
        num_fewshot=entry.num_fewshot,
        generation=tuple(sorted((entry.generation or {}).items())),
        template=template,
        allow_unsafe_code=entry.task in suite.allow_unsafe_code,
    )


def _items(suite: Suite, entry: TaskEntry, info: TaskInfo) -> tuple[int, ...] | None:
    if entry.items is None or entry.items == info.n_items:
        return None
    if entry.items > info.n_items:
        raise SuiteError(
            f"task {entry.task} has {info.n_items} items, the suite asks for "
            f"{entry.items}; leave items: out to take all",
            code="too-many-items",
        )
    return choose_items(suite.entropy, info.n_items, entry.items)


def _without_effect(suite: Suite, entry: TaskEntry, info: TaskInfo) -> list[Caution]:
    found = []
    for name, seeds, matters, why in (
        (
            "fewshot_seeds",
            suite.fewshot_seeds,
            info.draws_fewshot,
            "draws no few-shot examples",
        ),
        ("sample_seeds", suite.sample_seeds, info.sampled, "samples no text"),
    ):
        if len(seeds) > 1 and not matters:
            text = f"{entry.task} {why}: of {len(seeds)} {name} one is run"
            found.append(Caution("seed-without-effect", text))
    repeats = entry.repeats or suite.repeats or info.repeats
    if repeats > 1 and not info.sampled:
        text = f"{entry.task} samples no text: of {repeats} repeats one is run"
        found.append(Caution("repeats-without-effect", text))
    return found


def _same_weights(checkpoints: list[Checkpoint]) -> list[Caution]:
    """Find training seeds and steps that are copies of one checkpoint."""
    owners: dict[str, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        owners.setdefault(checkpoint.weights_digest, []).append(checkpoint)
    return [
        Caution(
            "identical-weights",
            f"{len(same)} checkpoints have the same weights, first {same[0]} and "
            f"{same[1]}: they are copies, not replicates",
        )
        for same in owners.values()
        if len(same) > 1
    ]


def _refuse_duplicates(trials: list[Trial]) -> None:
    first: dict[str, Trial] = {}
    for trial in trials:
        other = first.setdefault(trial.trial_id, trial)
        if other is not trial:
            names = sorted({t.request.template.name for t in (other, trial)})
            raise SuiteError(
                f"the suite asks twice for {trial} "
                f"(template {' and '.join(repr(name) for name in names)}); "
                "drop one of the two",
                code="duplicate-task",
            )
