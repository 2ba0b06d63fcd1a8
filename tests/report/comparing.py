"""Comparisons made by hand: what a page shows, without the statistics behind it."""

import math

import numpy as np

from harness.stats.compare.results import (
    AVERAGE,
    Choice,
    Comparison,
    Flips,
    PairTable,
    RankRange,
    Side,
    TaskComparison,
    TaskDifference,
)
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.pairs import MCNEMAR, TANGO, AllPairs

LEVEL = 0.95


def estimate(value, half, *, n=200, quantity="difference"):
    """Return an estimate with a symmetric interval."""
    return Estimate(
        quantity=quantity,
        value=value,
        se=half / 2,
        interval=Interval(value - half, value + half),
        n=n,
        method=TANGO,
    )


def side(name, score, *, n_items=200, total=None):
    """Return one choice at one task."""
    return Side(
        name=name,
        model=name,
        step=1000,
        train_seeds=(0, 1),
        score=estimate(score, 0.06, n=n_items, quantity="mean"),
        seed_sd=0.01,
        n_items=n_items,
        n_items_total=total or n_items,
        n_repeats=1,
    )


def difference(task, baseline, candidate, verdict, **changes):
    """Return candidate less baseline, whatever the verdict."""
    value = candidate.score.value - baseline.score.value
    n = candidate.n_items
    is_drawn = verdict not in ("too few data", "not comparable")
    reason = {"too few data": f"{n} items; 30 needed"}.get(verdict, "")
    none = undefined(
        "difference", n=n, method="mean", code="too-few-items", text="too few items"
    )
    n_better = round(n * max(0.05, value + 0.05))
    n_worse = n_better - round(n * value)
    nan = math.nan
    columns = {
        "task": task,
        "formulation": "cloze",
        "num_fewshot": 0,
        "template": "default",
        "generation": "",
        "metric": "acc",
        "baseline": baseline,
        "candidate": candidate,
        "n_items": n,
        "n_unpaired": 0,
        "difference": estimate(value, 0.04, n=n) if is_drawn else none,
        "over_items": Interval(value - 0.03, value + 0.03)
        if is_drawn
        else Interval(nan, nan),
        "corrected": Interval(value - 0.055, value + 0.055)
        if is_drawn
        else Interval(nan, nan),
        "p_value": 0.01 if is_drawn else nan,
        "p_adjusted": 0.03 if is_drawn else nan,
        "test": MCNEMAR,
        "flips": Flips(
            n_worse=n_worse,
            n_better=n_better,
            n_equal=n - n_worse - n_better,
            n_lost=n_worse,
            n_gained=n_better,
            n_both=(n - n_worse - n_better) // 2,
            n_neither=n - n_worse - n_better - (n - n_worse - n_better) // 2,
            lost=tuple(range(n_worse)),
            gained=tuple(range(n_worse, n_worse + n_better)),
        ),
        "smallest_detectable": 0.05,
        "delta": 0.02,
        "verdict": verdict,
        "reason": reason,
        **changes,
    }
    return TaskDifference(**columns)


def verdict_of(value):
    """Return the verdict that intervals of these widths give."""
    if abs(value) > 0.055:
        return "better" if value > 0 else "worse"
    return "no worse" if value - 0.04 > -0.02 else "unclear"


def pair_table(names, scores):
    """Return all pairs of some scores."""
    d = np.subtract.outer(scores, scores)
    p = np.where(np.abs(d) > 0.055, 0.01, 0.6)
    np.fill_diagonal(p, np.nan)
    return PairTable(
        pairs=AllPairs(
            names=tuple(names),
            difference=d,
            se=np.full(d.shape, 0.02),
            z=d / 0.02,
            n_better=np.full(d.shape, np.nan),
            p_value=p,
            n=200,
            method="paired difference over items",
            test=MCNEMAR,
        ),
        p_adjusted=p,
        low=d - 0.055,
        high=d + 0.055,
    )


def task_comparison(task, scores, *, verdicts=None, **changes):
    """Return all choices at one task; the first is the baseline.

    Parameters
    ----------
    scores : dict of str to float
        By the names of the choices.
    """
    sides = tuple(side(name, score) for name, score in scores.items())
    base, *others = sides
    rows = tuple(
        difference(
            task,
            base,
            one,
            (verdicts or {}).get(one.name)
            or verdict_of(one.score.value - base.score.value),
            **changes,
        )
        for one in others
    )
    values = np.array(list(scores.values()))
    table = pair_table(scores, values)
    sure = table.p_adjusted < 1 - LEVEL
    d = table.pairs.difference
    ranks = [
        RankRange(
            name=one.name,
            score=one.score,
            low=1 + int((sure[i] & (d[i] < 0)).sum()),
            high=len(sides) - int((sure[i] & (d[i] > 0)).sum()),
        )
        for i, one in enumerate(sides)
    ]
    return TaskComparison(
        task=task,
        formulation="cloze",
        num_fewshot=0,
        template="default",
        generation="",
        metric="acc",
        sides=sides,
        differences=rows,
        ranks=tuple(sorted(ranks, key=lambda rank: -rank.score.value)),
        pairs=table,
    )


def comparison(tasks, *, average=True, **changes):
    """Return a comparison of these tasks."""
    names = list(dict.fromkeys(s.name for task in tasks for s in task.sides))
    mean = None
    if average and len(tasks) > 1:
        scores = {
            name: float(
                np.mean(
                    [s.score.value for t in tasks for s in t.sides if s.name == name]
                )
            )
            for name in names
        }
        mean = task_comparison(
            AVERAGE,
            scores,
            flips=Flips(
                n_worse=0,
                n_better=0,
                n_equal=0,
                n_lost=None,
                n_gained=None,
                n_both=None,
                n_neither=None,
            ),
        )
    columns = {
        "choices": tuple(Choice(name=name, model=name, step=1000) for name in names),
        "tasks": tuple(tasks),
        "average": mean,
        "correction": "holm",
        "confidence_level": LEVEL,
        "min_items": 30,
        **changes,
    }
    return Comparison(**columns)


def two():
    """Return two models at six tasks: one of each verdict."""
    tasks = [
        task_comparison("arc_easy", {"base": 0.61, "next": 0.70}),
        task_comparison("boolq", {"base": 0.62, "next": 0.54}),
        task_comparison("hellaswag", {"base": 0.45, "next": 0.48}),
        task_comparison("piqa", {"base": 0.70, "next": 0.69}),
        task_comparison(
            "toy", {"base": 0.5, "next": 0.6}, verdicts={"next": "too few data"}
        ),
        task_comparison(
            "winogrande",
            {"base": 0.5, "next": 0.52},
            verdicts={"next": "not comparable"},
            reason="chat template differs",
        ),
    ]
    return comparison(
        tasks,
        uncompared=(("lambada, next", "next was not asked this task"),),
        cautions=(
            Caution(
                "replayed-repeats", "2 of 3 repeats of base are copies and count once"
            ),
        ),
    )


def many(n_models=10, n_tasks=57):
    """Return many models at many tasks."""
    stream = np.random.default_rng(0)
    skill = np.linspace(-0.08, 0.08, n_models)
    tasks = [
        task_comparison(
            f"mmlu_{task:02d}_some_subject",
            {
                f"model-{m:02d}": float(
                    np.clip(0.5 + skill[m] + stream.normal(0, 0.05), 0, 1)
                )
                for m in range(n_models)
            },
        )
        for task in range(n_tasks)
    ]
    return comparison(tasks)
