"""Which task tells models apart? Signal and noise of each task, on shared items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.decisions import N_LAST, AveragingGain, averaging_gain
from harness.stats.estimate import Caution, Estimate
from harness.stats.intervals import check_level
from harness.stats.respondents import Respondents
from harness.stats.signal import Scale, SignalMethod, SignalNoise, signal_noise
from harness.stats.task_filter import SubtaskFilter, filter_subtasks
from harness.stats.variation import total_variation
from harness.streams import stream

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskSignal:
    """Signal and noise of one task."""

    who: Respondents
    models: tuple[str, ...]
    """The models behind the signal, those that are only targets left out."""

    scores: Floats
    """Mean over the shared items, shape (n_models, n_seeds, n_steps)."""

    n_items: int
    """Items that every checkpoint answered."""

    signal_noise: SignalNoise
    averaging: AveragingGain | None
    """``None`` where no larger models were named."""

    total_variation: Estimate
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **self.who.condition,
            "metric": self.who.metric,
            "is_partial": self.who.is_partial,
            "models": list(self.models),
            "n_items": self.n_items,
            **self.signal_noise.to_dict(),
            "averaging": self.averaging.to_dict() if self.averaging else None,
            "total_variation": self.total_variation.to_dict(),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def signal_table(
    people: Iterable[Respondents],
    *,
    n_last: int = N_LAST,
    signal: SignalMethod = "range",
    scale: Scale = "mean",
    larger: Mapping[str, str] | None = None,
    confidence_level: float = 0.95,
    entropy: int = 0,
) -> tuple[tuple[TaskSignal, ...], tuple[tuple[Respondents, DesignError], ...]]:
    """Return signal and noise of each task, and why others have none.

    Scores are means over the items that every checkpoint answered.

    Parameters
    ----------
    people : iterable of Respondents
        From `harness.stats.respondents.respondents`.
    n_last, signal, scale
        As `harness.stats.signal.signal_noise` takes them.
    larger : mapping of str to str, optional
        Small model to the large one that it stands for. Then decision accuracy is
        that of the small ones, which alone make signal and noise.
    entropy : int
        Where random draws start; the same number, the same result.

    Raises
    ------
    DesignError
        ``unknown-model``: `larger` names one that no task has; those of `signal_noise`.

    Notes
    -----
    Refused: ``items-differ``, where no item was answered by every checkpoint;
    ``no-responses``, where the metric could score nothing; ``unknown-model``, where it
    was not put to one that `larger` names.
    """
    check_level(confidence_level)
    people, targets = tuple(people), dict(larger or {})
    known = {model for who in people for model in who.models}
    if unknown := sorted({*targets, *targets.values()} - known):
        raise _unknown_model(unknown[0], "there is", sorted(known))
    rows, refused = [], []
    for who in people:
        try:
            found = _task_signal(
                who, n_last, signal, scale, targets, confidence_level, entropy
            )
        except DesignError as error:
            # What is wrong with the question is wrong for every task.
            if error.code not in ("items-differ", "no-responses", "unknown-model"):
                raise
            refused.append((who, error))
            continue
        rows.append(found)
    return tuple(rows), tuple(refused)


def best_tasks(
    rows: Iterable[TaskSignal],
    *,
    n_last: int = N_LAST,
    signal: SignalMethod = "range",
    scale: Scale = "mean",
    confidence_level: float = 0.95,
    entropy: int = 0,
) -> tuple[tuple[TaskSignal, ...], SubtaskFilter]:
    """Return the tasks that can be averaged, and which of them to keep.

    They are those of the commonest metric and models, with no checkpoint missing in
    the last `n_last`.

    Raises
    ------
    DesignError
        ``too-few-tasks``: fewer than 2 can be averaged; those of `filter_subtasks`.
    """
    groups: dict[tuple[Any, ...], list[TaskSignal]] = {}
    for row in rows:
        window = row.scores[..., -n_last:]
        if not np.isnan(window).any():
            key = (row.who.metric, row.models, window.shape)
            groups.setdefault(key, []).append(row)
    some = max(groups.values(), key=len, default=[])
    if len(some) < 2:
        raise DesignError(
            f"{len(some)} tasks share metric, models and their last {n_last} "
            "checkpoints; choosing among tasks needs 2 or more",
            code="too-few-tasks",
        )
    chances = {row.who.chance for row in some}
    chosen = filter_subtasks(
        np.stack([row.scores[..., -n_last:] for row in some]),
        n_last=n_last,
        signal=signal,
        scale=scale,
        chance=chances.pop() if len(chances) == 1 else float("nan"),
        confidence_level=confidence_level,
        rng=stream(entropy, "splits of models"),
    )
    return tuple(some), chosen


def _task_signal(
    who: Respondents,
    n_last: int,
    signal: SignalMethod,
    scale: Scale,
    larger: dict[str, str],
    confidence_level: float,
    entropy: int,
) -> TaskSignal:
    shared: Flags = np.asarray(~np.isnan(who.answered().scores).any(axis=0))
    if not shared.any():
        raise DesignError(
            f"no item of {who.task} was answered by all {len(who.models)} checkpoints; "
            "evaluate the same items on each",
            code="items-differ",
        )
    cells, names, _ = who.grid()
    scores = cells[..., shared].mean(-1)
    if unknown := sorted({*larger, *larger.values()} - set(names)):
        raise _unknown_model(unknown[0], f"{who.task} has", names)
    chosen = [name for name in names if name in larger or not larger]
    small = scores[[names.index(name) for name in chosen]]
    targets = None
    if larger:
        targets = np.array(
            [_last_mean(scores[names.index(larger[name])]) for name in chosen]
        )
    found = signal_noise(
        small,
        n_last=n_last,
        signal=signal,
        scale=scale,
        chance=who.chance,
        larger=targets,
        confidence_level=confidence_level,
        rng=stream(entropy, f"signal of {who.task}"),
    )
    gain = None
    if targets is not None:
        gain = averaging_gain(
            small, targets, n_last=n_last, confidence_level=confidence_level
        )
    cautions = list(who.cautions)
    if left_out := [name for name in names if name not in chosen]:
        text = (
            f"{', '.join(left_out)} make no signal: with larger models named, those "
            "they stand for do"
        )
        cautions.append(Caution("larger-left-out", text))
    if n_apart := int((~shared).sum()):
        text = (
            f"{n_apart} of {len(shared)} items were not answered by every checkpoint "
            "and are left out"
        )
        cautions.append(Caution("items-not-shared", text))
    return TaskSignal(
        who=who,
        models=tuple(chosen),
        scores=small,
        n_items=int(shared.sum()),
        signal_noise=found,
        averaging=gain,
        total_variation=total_variation(small, confidence_level=confidence_level),
        cautions=tuple(dict.fromkeys([*cautions, *found.all_cautions])),
    )


def _unknown_model(name: str, subject: str, known: Iterable[str]) -> DesignError:
    return DesignError(
        f"{subject} no model {name!r}; the models are {', '.join(known)}",
        code="unknown-model",
    )


def _last_mean(scores: Floats) -> float:
    """Return the mean over seeds of one model's last checkpoint."""
    last = [row[~np.isnan(row)][-1] for row in scores if not np.isnan(row).all()]
    return float(np.mean(last))
