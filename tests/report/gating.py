"""Gates made by hand: what their page shows, without the statistics behind it."""

import datetime as dt
import math

from report import comparing

from harness.gate.policy import Policy
from harness.gate.results import (
    Cell,
    GateResult,
    Hidden,
    HistoryLook,
    MissingTask,
    Noise,
    TierResult,
)
from harness.marks import Mark, Reference
from harness.stats.estimate import Interval

DAY = dt.date(2026, 1, 10)


def mark(task, **said):
    """Return what somebody said of a task."""
    return Mark(
        **{
            "mark_id": "m1",
            "kind": "acknowledged",
            "name": "",
            "model": None,
            "step": None,
            "task": task,
            "reason": "known since the tokenizer changed",
            "until": DAY + dt.timedelta(days=20),
            "author": "a",
            "set_at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
            **said,
        }
    )


def cell(
    task, baseline, candidate, state, *, reason="told by hand", history=True, **has
):
    """Return one gated comparison."""
    sides = [comparing.side("m@1", baseline), comparing.side("m@10", candidate)]
    value = candidate - baseline
    row = comparing.difference(task, *sides, comparing.verdict_of(value))
    look = HistoryLook(
        n_points=8,
        expected=baseline,
        prediction=Interval(baseline - 0.05, baseline + 0.05),
        score=candidate,
        p_value=0.01,
        method="t of the last 8 checkpoints on one level",
    )
    columns = {
        "tier": "critical",
        "against_baseline": row,
        "with_noise": Interval(value - 0.07, value + 0.07),
        "noise": Noise(sd=0.015, df=8, source="8 checkpoints before it"),
        "against_history": look if history else None,
        "delta": 0.02,
        "p_baseline": 0.01,
        "p_value": 0.01,
        "p_adjusted": 0.03,
        "level": 0.05,
        "state": state,
        "decision": "fail" if state == "regression" else "pass",
        "reasons": (reason,),
        **has,
    }
    return Cell(**columns)


def gate(cells, *, status="passed", missing=(), **has):
    """Return a gate of these cells."""
    columns = {
        "status": status,
        "candidate": Reference(model="m", step=10),
        "baselines": (Reference(model="m", step=1),),
        "policy": Policy.model_validate({"critical": ["*"], "delta": 0.02}),
        "on": DAY,
        "look": 9,
        "tiers": (
            TierResult(
                tier="critical",
                level=0.05,
                n_cells=len(cells),
                n_regressions=sum(c.state == "regression" for c in cells),
                tolerate=0,
                mean=None,
                decision="fail" if status == "failed" else "pass",
                reason="1 regression" if status == "failed" else "no regression",
            ),
        ),
        "cells": tuple(cells),
        "missing": tuple(missing),
        **has,
    }
    return GateResult(**columns)


def green():
    """Return a gate that passed."""
    return gate(
        [
            cell("arc_easy", 0.60, 0.61, "passed"),
            cell("boolq", 0.62, 0.625, "no worse"),
            cell("piqa", 0.70, 0.69, "passed"),
        ]
    )


def red(task="boolq"):
    """Return a gate with every state, a missing task, and another environment."""
    return gate(
        [
            cell("arc_easy", 0.60, 0.61, "passed"),
            cell(
                task,
                0.62,
                0.45,
                "regression",
                reason="below all three",
                is_confirmed=True,
            ),
            cell("hellaswag", 0.40, 0.52, "improved"),
            cell("piqa", 0.70, 0.60, "known", acknowledged=mark("piqa")),
            cell(
                "mmlu",
                0.30,
                0.31,
                "no worse",
                history=False,
                no_prediction="no checkpoints before it",
            ),
            cell(
                "toy",
                0.5,
                0.4,
                "inconclusive",
                reason="8 items; 30 needed",
                decision="inconclusive",
                with_noise=Interval(math.nan, math.nan),
            ),
            cell("sciq", 0.80, 0.81, "recovered"),
        ],
        status="failed",
        missing=(
            MissingTask(
                task="winogrande",
                tier="critical",
                reason="not asked at step 10",
                is_broken=False,
                decision="fail",
            ),
        ),
        environment=(
            Hidden(
                what="dtype",
                first="float16",
                second="bfloat16",
                blocks=False,
                text="dtype differs: float16 and bfloat16",
                tasks=("arc_easy", "piqa"),
            ),
        ),
        ungated=("lambada",),
    )


def nothing():
    """Return a gate that had nothing to compare."""
    return gate([], status="inconclusive")
