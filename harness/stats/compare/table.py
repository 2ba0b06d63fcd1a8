"""Who is better, at which task, and how surely? Choices against a baseline."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.frames import check_responses
from harness.stats.collapse import collapse
from harness.stats.compare.average import judge_average
from harness.stats.compare.contestants import asked_conditions, contestants, settled
from harness.stats.compare.judge import judge_tasks
from harness.stats.compare.matches import Rules
from harness.stats.compare.results import AVERAGE, Choice, Comparison
from harness.stats.compare.rounds import rounds
from harness.stats.intervals import check_level
from harness.stats.pairs import Correction
from harness.stats.reruns import rerun_cautions
from harness.stats.sequential import SequentialRule, read_rule
from harness.stats.tables import Kind

if TYPE_CHECKING:
    import pandas as pd

MIN_ITEMS = 30
"""Below so many items a difference is not judged, if nothing else is said."""


def compare(
    responses: pd.DataFrame,
    choices: Sequence[Choice],
    *,
    baseline: str | None = None,
    metric: str | None = None,
    kind: Kind = "discrete",
    task: str | None = None,
    formulation: str | None = None,
    correction: Correction = "holm",
    delta: float | Mapping[str, float] | None = None,
    min_items: int = MIN_ITEMS,
    confidence_level: float = 0.95,
    clusters: Mapping[str, Any] | None = None,
    fixed: Collection[str] = (),
    allow: Collection[str] = (),
    sequential: str | SequentialRule | None = None,
    look: int = 1,
    trials: pd.DataFrame | None = None,
    unread: Mapping[tuple[str, str], str] | None = None,
) -> Comparison:
    """Return how candidates differ from a baseline, and every choice from every other.

    Answers are paired by item within one condition; repeats are averaged for each item
    first. A difference is that of `harness.stats.compare.difference.pair_moments`, its
    interval that of `intervals` there: over items, in clusters where they are known,
    and over training seeds where both sides have 2 or more. Sides that were asked
    unlike questions have no difference: `harness.stats.comparable.mismatches` says what
    is unlike. Several tests are corrected by
    `harness.stats.compare.multiplicity.corrected`: over tasks for each candidate, over
    tasks × pairs in the tables of all pairs. Verdicts are read from the corrected
    interval alone.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`.
    choices : sequence of Choice
        2 or more of different names.
    baseline : str, optional
        Name of a choice; the first where it is left out.
    metric : str, optional
        Instead of each task's own, as `harness.stats.tables.score_tables` takes it.
    kind : {"discrete", "continuous"}
        Which of each task's own metrics.
    delta : float or mapping of task to float, optional
        Largest loss that counts as no worse, in score units.
    min_items : int
        Below so many paired items a difference is not judged; nor do such tasks count
        in the correction.
    clusters : mapping of item id to cluster, optional
        Instead of the clusters that are stored. A name given here is one cluster in
        all tasks; a stored one is in several where they share a question. Items go by
        id, by the name that a table of scores gave them, or by their place in the task.
    fixed : collection of {"train_seed"}
        With it intervals are for these very checkpoints, whatever seeds they have.
    allow : collection of str
        What shall not block, of `harness.stats.comparable.BLOCKING`.
    sequential : str or SequentialRule, optional
        How looking again is allowed for, as `harness.stats.sequential.read_rule` takes
        it. With a confidence sequence p-values, corrected intervals and verdicts hold
        at every look; else this look has a confidence level of its own. N looks see
        the same models with more data in equal steps; looks at a checkpoint of their
        own each are ``spending``.
    look : int
        How often one has looked with this one, where levels are spent.
    trials : DataFrame, optional
        Columns of `harness.frames.TRIALS`: versions of packages stand nowhere else.
    unread : mapping of (model, task) to str, optional
        Why answers are not there, said where a choice has none; of ``("", "")`` where
        it is not known whose they were.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    DesignError
        ``unknown-model``, ``bad-steps``, ``too-few-respondents``, ``bad-option``,
        ``unknown-task``, ``missing-clusters``, ``unknown-method``, ``unknown-metric``,
        ``bad-confidence-level``, ``no-responses``.

    Notes
    -----
    Cautions of a difference: ``no-training-seeds``, where a side has one training
    seed, so that the interval is for these checkpoints; ``few-seeds``;
    ``items-not-shared``; those of the tables that it is of. Of the whole:
    those of `harness.stats.collapse.collapse` and
    `harness.stats.reruns.rerun_cautions`.
    """
    check_responses(responses)
    check_level(confidence_level)
    rule = _rule(sequential, look)
    choices = _baseline_first(settled(responses, choices), baseline)
    _check_options(responses, delta, min_items, fixed)
    _check_there(responses, task=task, formulation=formulation)
    is_chosen = _is_chosen(responses, choices)
    chosen = responses if is_chosen.all() else responses[is_chosen]
    chosen, found = collapse(chosen)
    asked = contestants(
        chosen,
        choices,
        kind=kind,
        metric=metric,
        task=task,
        formulation=formulation,
        trials=trials,
    )
    met, uncompared, is_unscored = rounds(
        asked,
        choices,
        was_asked=lambda choice: {
            one
            for one in asked_conditions(chosen, choice)
            if task in (None, one[0]) and formulation in (None, one[1])
        },
        allow=allow,
        clusters=clusters,
        unread=unread,
    )
    confidence_level = 1 - rule.level(look, alpha=1 - confidence_level)
    rules = Rules(
        n_target=rule.n_target if rule.kind == "cs" else None,
        correction=correction,
        confidence_level=confidence_level,
        delta=delta,
        min_items=min_items,
        over_seeds="train_seed" not in fixed,
    )
    average, why_not = judge_average(met, choices, rules)
    tasks = judge_tasks(met, rules)
    return Comparison(
        choices=choices,
        tasks=tasks,
        average=average,
        correction=correction,
        confidence_level=confidence_level,
        min_items=min_items,
        looks=_looks(rule, look),
        fixed=tuple(sorted(fixed)),
        uncompared=(*uncompared, *why_not),
        is_unscored=is_unscored and not any(task.differences for task in tasks),
        cautions=(
            *found,
            *rerun_cautions(chosen, metric=metric, kind=kind, trials=trials),
        ),
    )


def _rule(sequential: str | SequentialRule | None, look: int) -> SequentialRule:
    rule = read_rule(sequential)
    if look != 1 and rule.kind is None:
        raise DesignError(
            f"look {look} has no level of its own unless looks are allowed for; say "
            "how: spending, obrien-fleming:N or pocock:N",
            code="bad-option",
        )
    return rule


def _looks(rule: SequentialRule, look: int) -> str:
    """Say how looking again is allowed for."""
    if rule.kind is None:
        return ""
    if rule.kind == "cs":
        return "confidence sequences, which hold at every look"
    if rule.n_looks is None:
        return f"level spent at look {look} ({rule.shape})"
    more = f"the same models with more data in {rule.n_looks} equal steps"
    return f"level spent at look {look} of {rule.n_looks} ({rule.shape}): {more}"


def _baseline_first(
    choices: tuple[Choice, ...], baseline: str | None
) -> tuple[Choice, ...]:
    if baseline is None:
        return choices
    first = [choice for choice in choices if choice.name == baseline]
    if not first:
        names = ", ".join(choice.name for choice in choices)
        raise DesignError(
            f"the baseline {baseline!r} is not among those compared; choose of {names}",
            code="unknown-model",
        )
    return (*first, *(choice for choice in choices if choice.name != baseline))


def _is_chosen(
    responses: pd.DataFrame, choices: Sequence[Choice]
) -> npt.NDArray[np.bool_]:
    """Tell responses of the chosen models at the chosen steps."""
    model, step = responses["model"], responses["step"]
    chosen = np.zeros(len(responses), dtype=bool)
    for name, at in {(choice.model, choice.step) for choice in choices}:
        is_here = step.isna() if at is None else step.eq(at).fillna(False)
        chosen |= (model == name).to_numpy(dtype=bool) & is_here.to_numpy(dtype=bool)
    return chosen


def _check_options(
    responses: pd.DataFrame,
    delta: float | Mapping[str, float] | None,
    min_items: int,
    fixed: Collection[str],
) -> None:
    if unknown := sorted({*fixed} - {"train_seed"}):
        raise DesignError(
            f"{unknown[0]!r} cannot be fixed; give train_seed, or nothing",
            code="bad-option",
        )
    if min_items < 2:
        raise DesignError(
            f"min_items is {min_items}; a difference needs 2 items or more",
            code="bad-option",
        )
    named = delta if isinstance(delta, Mapping) else {}
    losses = named.values() if isinstance(delta, Mapping) else [delta or 0.0]
    if bad := [
        loss
        for loss in losses
        if not (isinstance(loss, Real) and 0 <= float(loss) < math.inf)
    ]:
        raise DesignError(
            f"delta is {bad[0]!r}; give the largest loss that counts as no worse, 0 or "
            "more, in score units",
            code="bad-option",
        )
    tasks = {*responses["task"].unique()}
    if missing := sorted({*named} - tasks - {AVERAGE}):
        raise DesignError(
            f"delta names the task {missing[0]!r}; choose of "
            f"{', '.join(sorted(tasks))}",
            code="unknown-task",
        )


def _check_there(responses: pd.DataFrame, **wanted: str | None) -> None:
    """Complain of a task or a formulation that no answer is of."""
    for name, value in wanted.items():
        there = sorted(map(str, responses[name].dropna().unique()))
        if value is not None and value not in there:
            known = ", ".join(one or "none" for one in there)
            raise DesignError(
                f"no answer is of {name} {value!r}; choose of {known}",
                code="unknown-task",
            )
