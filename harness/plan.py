"""What is to be done? Suite → ordered trials, less those already stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from harness.selection import Selection, TaskSelection, items_digest, refuse_unused
from harness.streams import choose_items
from harness.suite import Suite, TaskEntry, resolve_path

Block = tuple[Sequence[int], Sequence[int]]
"""Items, and the numbers of the answers that there are to each of them."""

Answered = Callable[[Sequence[Trial]], Mapping[str, Sequence[Block]]]
"""Says which answers to trials are stored, by ``trial_id``."""


class Describer(Protocol):
    """What a plan needs of a backend."""

    @property
    def name(self) -> str:
        """Name and version, part of a trial's identity."""

    def describe(self, requests: list[TaskRequest]) -> list[TaskInfo]:
        """Load tasks and say what a plan must know of them."""

    def item_ids(self, request: TaskRequest) -> Sequence[str]:
        """Say which question stands at each place of a task."""


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

    left: Mapping[str, tuple[Trial, ...]] = field(default_factory=dict)
    """What other trials' answers leave of a trial, as trials of their own; nothing
    where they are all there."""

    @property
    def remaining(self) -> tuple[Trial, ...]:
        """What is not stored; failed trials are tried again."""
        return tuple(part for trial in self.trials for part in self.left_of(trial))

    def left_of(self, trial: Trial) -> tuple[Trial, ...]:
        """Return the trials that bring what is not stored of `trial`."""
        trial_id = trial.trial_id
        if self.status.get(trial_id) == "done":
            return ()
        return self.left.get(trial_id, (trial,))

    def n_stored(self, trial: Trial) -> int:
        """Return how many of a trial's answers are stored."""
        return n_answers(trial) - sum(map(n_answers, self.left_of(trial)))

    @property
    def n_done(self) -> int:
        """How many trials have all their answers."""
        return sum(not self.left_of(trial) for trial in self.trials)

    @property
    def n_failed(self) -> int:
        """How many of the remaining trials have failed before."""
        return sum(self.status.get(t.trial_id) == "failed" for t in self.remaining)

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
            "n_done": self.n_done,
            "n_failed": self.n_failed,
            "n_remaining": len(self.trials) - self.n_done,
            "n_requests_remaining": sum(n_requests(t) for t in self.remaining),
            "worker_seconds_remaining": self.seconds,
            "cautions": [
                {"code": caution.code, "text": caution.text}
                for caution in self.cautions
            ],
            "trials": [
                {
                    "trial_id": trial.trial_id,
                    "status": self.status.get(trial.trial_id, "remaining")
                    if self.left_of(trial)
                    else "done",
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
                    "n_answers": n_answers(trial),
                    "n_answers_stored": self.n_stored(trial),
                }
                for trial in self.trials
            ],
        }


def n_answers(trial: Trial) -> int:
    """Return how many answers a trial brings."""
    return trial.n_items * trial.repeats


def n_requests(trial: Trial) -> int:
    """Return how many model requests a trial makes, from its share of the items."""
    info = trial.info
    if info.writes:
        # The reference is scored once, however often the item is answered.
        references = info.n_requests - info.n_items
        asked = info.n_items * trial.repeats
        asked += references if trial.checkpoint.gives_likelihoods else 0
    else:
        asked = info.n_requests * trial.repeats
    return round(asked * trial.n_items / max(info.n_items, 1))


def make_plan(
    suite: Suite,
    backend: Describer,
    *,
    base: Path,
    zoo: Path | None = None,
    status: Mapping[str, str] | None = None,
    answered: Answered | None = None,
    seconds_per_request: float | None = None,
    selection: Selection | None = None,
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
    answered : callable, optional
        Says which answers to trials other trials have brought: those that differ in
        nothing but in which items they ask, and how often. They are not asked again.
    selection : Selection, optional
        The items of its tasks, instead of what the suite says.

    Raises
    ------
    InputError
        Whatever `find_checkpoints` and the backend's ``describe`` raise, and
        ``too-many-items``, ``other-items``, ``selection-unused``,
        ``duplicate-task``, ``chat-template-missing``,
        ``no-likelihoods`` (a server that can only write is asked to score).

    Notes
    -----
    Cautions: ``seed-without-effect``, ``repeats-without-effect``,
    ``identical-weights``, ``weights-unknown``.
    """
    checkpoints = find_checkpoints(suite, base, zoo)
    paths = tuple(str(resolve_path(p, base, zoo).absolute()) for p in suite.task_paths)
    put = {
        c: tuple(template.on(c) for template in suite.records()) for c in checkpoints
    }
    templates = tuple(dict.fromkeys(t for some in put.values() for t in some))
    asked = [
        (entry, _request(suite, entry, template, paths))
        for entry in suite.tasks
        for template in templates
    ]
    infos = backend.describe([request for _, request in asked])
    if selection is not None:
        refuse_unused(selection, [entry.task for entry in suite.tasks])
    chosen = [
        _items(suite, entry, request, info, backend, selection)
        for (entry, request), info in zip(asked, infos, strict=True)
    ]
    resources = suite.resources
    cautions = [*_same_weights(checkpoints), *_unknown_weights(checkpoints)]
    trials: list[Trial] = []
    for checkpoint in checkpoints:
        _refuse_missing_templates(checkpoint, put[checkpoint])
        served = checkpoint.server is not None
        for (entry, request), info, items in zip(asked, infos, chosen, strict=True):
            if request.template not in put[checkpoint]:
                continue
            _refuse_likelihoods(checkpoint, info)
            repeats = entry.repeats or suite.repeats or info.repeats
            fewshot_seeds, sample_seeds = suite.fewshot_seeds, suite.sample_seeds
            trials.extend(
                Trial(
                    checkpoint=checkpoint,
                    request=request,
                    info=info,
                    items=items,
                    fewshot_seed=fewshot_seed,
                    sample_seed=sample_seed,
                    repeats=repeats if info.sampled else 1,
                    dtype="unknown" if served else resources.dtype,
                    batch_size=1 if served else resources.batch_size,
                    max_length=resources.max_length,
                    entropy=suite.entropy,
                    backend=backend.name,
                )
                for fewshot_seed in fewshot_seeds[: None if info.draws_fewshot else 1]
                for sample_seed in sample_seeds[: None if info.sampled else 1]
            )
    for (entry, _), info in zip(asked, infos, strict=True):
        cautions += _without_effect(suite, entry, info)
    cautions += _not_as_chosen(asked, infos, selection)
    _refuse_duplicates(trials)
    status = status or {}
    open_ = [trial for trial in trials if status.get(trial.trial_id) != "done"]
    blocks = answered(open_) if answered else {}
    return Plan(
        suite=suite,
        trials=tuple(trials),
        status=status,
        left={
            trial.trial_id: without(trial, blocks[trial.trial_id])
            for trial in open_
            if trial.trial_id in blocks
        },
        cautions=tuple(dict.fromkeys(cautions)),
        seconds_per_request=seconds_per_request,
    )


def without(trial: Trial, blocks: Iterable[Block]) -> tuple[Trial, ...]:
    """Return trials that ask what `trial` does but for `blocks`, each answer once."""
    left = {item: set(trial.repeat_numbers) for item in trial.item_indexes}
    for items, repeats in blocks:
        for item in items:
            if item in left:
                left[item].difference_update(repeats)
    alike: dict[tuple[int, ...], list[int]] = {}
    for item, numbers in left.items():
        alike.setdefault(tuple(sorted(numbers)), []).append(item)
    return tuple(
        replace(
            trial,
            items=None if len(items) == trial.info.n_items else tuple(items),
            first_repeat=first,
            repeats=last - first + 1,
        )
        for numbers, items in alike.items()
        for first, last in _runs(numbers)
    )


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of consecutive numbers."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return list(zip(starts, ends, strict=True))


def _request(
    suite: Suite, entry: TaskEntry, template: Template, paths: tuple[str, ...]
) -> TaskRequest:
    return TaskRequest(
        task=entry.task,
        task_paths=paths,
        formulation=entry.formulation or "",
        num_fewshot=entry.num_fewshot,
        generation=tuple(sorted((entry.generation or {}).items())),
        cluster=entry.cluster,
        template=template,
        allow_unsafe_code=entry.task in suite.allow_unsafe_code,
    )


def _items(
    suite: Suite,
    entry: TaskEntry,
    request: TaskRequest,
    info: TaskInfo,
    backend: Describer,
    selection: Selection | None,
) -> tuple[int, ...] | None:
    """Return the places of the items that are asked; ``None`` if all are."""
    of_task = selection.of(entry.task) if selection else None
    items: tuple[int, ...]
    known: str | None
    if of_task is not None:
        items, known = of_task.items, items_digest(of_task.item_ids)
    elif isinstance(entry.items, list):
        items, known = tuple(sorted(entry.items)), entry.items_digest
    else:
        return _drawn_items(suite, entry, info)
    if beyond := [i for i in items if i >= info.n_items]:
        raise SuiteError(
            f"task {entry.task} has {info.n_items} items, at places from 0; "
            f"{len(beyond)} of those asked for lie beyond, first {beyond[:3]}",
            code="too-many-items",
        )
    if of_task is not None and of_task.n_items_total != info.n_items:
        raise SuiteError(
            f"task {entry.task} has {info.n_items} items, and had "
            f"{of_task.n_items_total} where some were chosen; choose them anew from "
            "answers to this task",
            code="other-items",
        )
    if known is not None:
        ids = backend.item_ids(request)
        if items_digest([ids[i] for i in items]) != known:
            raise SuiteError(
                f"task {entry.task} has other questions at these places"
                f"{_first_other(of_task, ids)} than where its items were chosen; "
                "choose them anew from answers to this task",
                code="other-items",
            )
    return None if len(items) == info.n_items else items


def _first_other(of_task: TaskSelection | None, ids: Sequence[str]) -> str:
    if of_task is None:
        return ""
    pairs = zip(of_task.items, of_task.item_ids, strict=True)
    other = [i for i, name in pairs if ids[i] != name]
    return f" ({len(other)} of {len(of_task.items)}, first {other[:3]})"


def _drawn_items(
    suite: Suite, entry: TaskEntry, info: TaskInfo
) -> tuple[int, ...] | None:
    if not isinstance(entry.items, int) or entry.items == info.n_items:
        return None
    if entry.items > info.n_items:
        raise SuiteError(
            f"task {entry.task} has {info.n_items} items, the suite asks for "
            f"{entry.items}; leave items: out to take all",
            code="too-many-items",
        )
    return choose_items(suite.entropy, info.n_items, entry.items)


def _not_as_chosen(
    asked: Sequence[tuple[TaskEntry, TaskRequest]],
    infos: Sequence[TaskInfo],
    selection: Selection | None,
) -> list[Caution]:
    """Tell of tasks without chosen items, and of those put in other words."""
    if selection is None:
        return []
    found = []
    names = dict.fromkeys(entry.task for entry, _ in asked)
    if others := [name for name in names if selection.of(name) is None]:
        text = f"no items were chosen of {', '.join(others)}: the suite's are asked"
        found.append(Caution("not-in-selection", text))
    for (entry, _), info in zip(asked, infos, strict=True):
        of_task = selection.of(entry.task)
        if of_task and of_task.task_digest not in (None, info.task_digest):
            text = (
                f"{entry.task} is put in other words, or with other examples, than "
                "where its items were chosen; how well they stand for all is not known"
            )
            found.append(Caution("chosen-on-other-wording", text))
    return found


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


def _unknown_weights(checkpoints: list[Checkpoint]) -> list[Caution]:
    served = [str(c) for c in checkpoints if c.server is not None]
    if not served:
        return []
    text = (
        f"the weights of {', '.join(served[:3])}{' and more' * (len(served) > 3)} are "
        "whatever the server holds under that name: give another version: in the suite "
        "when they change, or answers of both are taken for those of one model"
    )
    return [Caution("weights-unknown", text)]


def _refuse_missing_templates(
    checkpoint: Checkpoint, templates: tuple[Template, ...]
) -> None:
    if checkpoint.has_chat_template or (checkpoint.server and checkpoint.server.chat):
        return
    for template in templates:
        if template.apply_chat_template:
            raise SuiteError(
                f"template {template.name!r} asks for the chat template of "
                f"{checkpoint}, whose tokenizer has none; apply_chat_template: auto "
                "applies it where there is one",
                code="chat-template-missing",
            )


def _refuse_likelihoods(checkpoint: Checkpoint, info: TaskInfo) -> None:
    if checkpoint.gives_likelihoods or info.writes:
        return
    chat = checkpoint.server is not None and checkpoint.server.chat
    raise SuiteError(
        f"{info.task} compares log-likelihoods, and {checkpoint} at "
        f"{checkpoint.location} is asked for "
        + (
            "chat completions, which have none; take tasks that generate text, or "
            "chat: false with a tokenizer:"
            if chat
            else "text only; name its tokenizer: to have them, or take tasks that "
            "generate text"
        ),
        code="no-likelihoods",
    )


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
