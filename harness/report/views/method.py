"""How was it computed, and from what? Methods, settings, failures, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.report import text
from harness.report.cells import (
    Cell,
    Line,
    Table,
    condition_detail,
)
from harness.report.gather import Failure, ReportData

KINDS = ("discrete", "continuous")


QUANTITIES = {
    "mean": "Mean µ",
    "item_half_width": "Item half-width",
    "item_se_last": "Item standard error, last checkpoint",
    "seed_sd": "Seed SD, averaged (E)",
    "seed_sd_last": "Seed SD, last checkpoint",
    "seed_share": "Share of the training seed",
    "corrected_sd": "Seed SD without item sampling",
    "snr": "Signal to noise (SNR)",
    "snr_above_chance": "SNR above chance",
    "monotonicity": "Monotonicity",
}


def methods(data: ReportData) -> list[tuple[str, tuple[str, ...]]]:
    """Return each quantity with the methods by which its values were computed."""
    found: dict[str, dict[str, None]] = {}
    for row in data.rows:
        for part in (row.metric(kind) for kind in KINDS):
            for estimate in part.estimates if part else ():
                if math.isnan(estimate.value):
                    continue
                found.setdefault(estimate.quantity, {})[estimate.method] = None
    return [(QUANTITIES.get(name, name), tuple(some)) for name, some in found.items()]


def facts(data: ReportData) -> list[tuple[str, str]]:
    """Return name and value of each fact of the run."""
    p = data.provenance
    facts = [
        (name.replace("_", " "), ", ".join(map(text.clean, values)) or text.UNDEFINED)
        for name, values in p.settings
    ]
    facts += [
        (f"version of {text.clean(name)}", ", ".join(map(text.clean, values)))
        for name, values in p.versions
    ]
    facts += [
        (name, moment.strftime("%Y-%m-%d %H:%M:%S UTC"))
        for name, moment in (("started", p.started_at), ("finished", p.finished_at))
        if moment
    ]
    return [
        *facts,
        ("trials", f"{p.n_trials:,}: {p.n_done:,} done, {p.n_failed:,} failed"),
        ("attempts", f"{p.n_attempts:,}"),
        ("requests", f"{p.n_requests:,}"),
        ("truncated prompts", f"{p.n_truncated:,}"),
        ("time of all trials, workers added up", text.duration(p.seconds)),
        (
            "of it in the models' forward passes",
            f"{text.duration(p.forward_seconds)} "
            f"({text.share(p.forward_seconds, p.seconds)})",
        ),
        ("of it reading checkpoints", text.duration(p.load_seconds)),
    ]


def failures(failures: Sequence[Failure]) -> Table:
    """Return what failed, and why."""
    return Table(
        caption="Failed trials, with their errors",
        headings=(
            ("Task", False),
            ("Model", False),
            ("Failed", True),
            ("Code", False),
            ("Error", False),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=text.clean(f.task), detail=condition_detail(f)),
                    Cell(text=text.clean(f.model)),
                    Cell(text=f"{f.n_failed} of {f.n_trials}", value=f.n_failed),
                    Cell(text=text.clean(f.error_code)),
                    Cell(text=text.shortened(f.error, 400)),
                ),
                task=f.task,
                model=f.model,
            )
            for f in failures
        ),
    )


def checkpoints(data: ReportData) -> Table:
    """Return the checkpoints with digests of their weights."""
    return Table(
        caption="Checkpoints and digests of their weights",
        headings=(
            ("Model", False),
            ("Training seed", True),
            ("Step", True),
            ("Weights", False),
            ("Revision", False),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=text.clean(model)),
                    Cell(text=text.seed_name(seed), value=seed),
                    Cell(text=text.step_name(step), value=step),
                    Cell(text=text.clean(weights) or text.UNDEFINED),
                    Cell(text=text.clean(revision) or text.UNDEFINED),
                ),
                model=model,
            )
            for model, seed, step, weights, revision in data.provenance.checkpoints
        ),
    )


def tasks(data: ReportData) -> Table:
    """Return the tasks with digests of their content."""
    return Table(
        caption="Tasks and digests of their content",
        headings=(
            ("Task", False),
            ("Formulation", False),
            ("Version", False),
            ("Digest", False),
        ),
        lines=tuple(
            Line(
                cells=tuple(Cell(text=text.clean(v) or text.UNDEFINED) for v in task),
                task=task[0],
            )
            for task in data.provenance.tasks
        ),
    )
