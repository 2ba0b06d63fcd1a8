"""How do chosen items read? The frontier that was searched, ways to choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.errors import DesignError
from harness.report.sheets.prompts import facet_name
from harness.report.sheets.prompts import refusals as facet_refusals
from harness.report.sheets.sheet import NOTES, Footnotes, Refused, Sheet, refusals
from harness.report.text import (
    HELD_OUT,
    PARTIAL,
    checkpoint_name,
    condition_name,
    correlation,
    count,
    percent,
    spread,
    spread_interval,
)
from harness.stats.discriminative_table import TaskDiscriminative
from harness.stats.facets import FacetScores
from harness.stats.prompt_table import described
from harness.stats.prompts.held_out import CHOICE_NAMES, HeldOut
from harness.stats.stable_table import TaskStable
from harness.stats.subsets.choose import METHOD_NAMES
from harness.stats.subsets.quality import SubsetQuality

if TYPE_CHECKING:
    import pandas as pd

STABLE_COLUMNS = (
    ("method", False),
    ("items", True),
    ("bias", True),
    ("mean\nabs.\nerror", True),
    ("of random\nsubsets", False),
    ("better\nthan\nrandom\n%", True),
    ("seed\nSD\navg", True),
    ("more\n%", True),
    ("mono", True),
    ("rank\ntau", True),
    ("misses", False),
    (NOTES, False),
)

DISCRIMINATIVE_COLUMNS = (
    ("choice", False),
    ("items", True),
    ("among\ntemplates", True),
    ("interval", False),
    (NOTES, False),
)

TOLERANCES = {
    "max_error": "error",
    "max_extra_sd": "seed SD",
    "max_monotonicity_loss": "mono",
    "min_rank_agreement": "ranks",
}
"""Each tolerance as the column that it bounds."""

STABLE_REMARK = (
    "scores are plain means of the subset; of random subsets: the central ones of as "
    "many items; more %: how much larger the seed SD is than that of all items; "
    "misses: which tolerances"
)
DISCRIMINATIVE_REMARK = (
    "among templates: variance between system prompts on answers that had no part in "
    "the choice, mean over splits; of random items the interval holds the central "
    "subsets, each by its mean over splits, and of items as hard, which are others in "
    "each split, those of single splits"
)


def stable_sheet(rows: Sequence[TaskStable], refused: Refused = ()) -> Sheet:
    """Return a part for each task, a row for each way at each size."""
    notes = Footnotes()
    units = sorted({f"{HELD_OUT[row.found.frontier.unit]}s" for row in rows})
    remark = f"every number is of {' or '.join(units)} held out; {STABLE_REMARK}"
    parts = []
    for row in rows:
        marks = notes.marks(row.cautions)
        partial = PARTIAL if row.who.is_partial else ""
        title = f"{condition_name(row.who)}{partial} {marks}".strip()
        parts.append((title, _frontier(row, notes)))
    return Sheet(
        columns=STABLE_COLUMNS,
        parts=tuple(parts),
        label="task",
        notes=notes.texts,
        remarks=((remark,) if rows else ()) + refusals(refused),
        sentences=tuple(stable_sentence(row) for row in rows),
        frame=lambda: stable_frame(rows),
    )


def discriminative_sheet(
    rows: Sequence[TaskDiscriminative],
    refused: Sequence[tuple[FacetScores, DesignError]] = (),
) -> Sheet:
    """Return a part for each checkpoint and task, a row for each way to choose."""
    notes = Footnotes()
    parts = []
    for row in rows:
        marks = notes.marks(row.cautions)
        partial = PARTIAL if row.scores.is_partial else ""
        title = f"{_checkpoint(row.scores)}{partial} {marks}".strip()
        parts.append((title, tuple(_choice(one, notes) for one in row.found.rows)))
    return Sheet(
        columns=DISCRIMINATIVE_COLUMNS,
        parts=tuple(parts),
        label="checkpoint",
        notes=notes.texts,
        remarks=((DISCRIMINATIVE_REMARK,) if rows else ()) + facet_refusals(refused),
        sentences=tuple(discriminative_sentence(row) for row in rows),
        frame=lambda: discriminative_frame(rows),
    )


def stable_frame(rows: Sequence[TaskStable]) -> pd.DataFrame:
    """Return a tidy row for each task, way and size.

    Columns: the condition, ``metric``, those of `SubsetEvaluation.to_frame`,
    ``missed`` (tolerances, separated by spaces), ``is_partial``, ``is_chosen``.
    """
    import pandas as pd

    frames = []
    for row in rows:
        frame = row.found.frontier.to_frame()
        frame["missed"] = [" ".join(lost) for lost in row.found.missed]
        frame["is_partial"] = row.who.is_partial
        frame["is_chosen"] = [r is row.found.chosen for r in row.found.frontier.rows]
        names = {**row.who.condition, "metric": row.who.metric}
        for place, (name, value) in enumerate(names.items()):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def discriminative_frame(rows: Sequence[TaskDiscriminative]) -> pd.DataFrame:
    """Return a tidy row for each checkpoint, task and way to choose."""
    import pandas as pd

    frames = []
    for row in rows:
        frame = row.found.to_frame()
        frame["is_partial"] = row.scores.is_partial
        names = ("model", "train_seed", "step", "task", "formulation", "metric")
        who = described(row.scores)
        for place, name in enumerate(names):
            frame.insert(place, name, who[name])
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def stable_sentence(row: TaskStable) -> str:
    """Say what was taken, and how it does where it was neither chosen nor fitted."""
    found, name = row.found, condition_name(row.who)
    total = found.frontier.n_items_total
    if found.chosen is None:
        return f"{name}: no size that was searched meets all tolerances."
    told = (
        f"{name}: {_taken(found.chosen.n_items, total)}, "
        f"{METHOD_NAMES[found.subset.method] if found.subset else ''}"
    )
    if found.n_random is None:
        told += "; no size of random items that was searched meets the tolerances"
    elif found.n_random != found.chosen.n_items:
        told += f"; random items meet the tolerances from {found.n_random:,} on"
    if found.held_out is None or found.control is None:
        return f"{told}. How they do on models that had no part in it cannot be seen."
    unit = HELD_OUT[found.frontier.unit]
    return (
        f"{told}. On {unit}s that had no part in the search the error is "
        f"{_with_interval(found.held_out)}; of as many random items "
        f"{_with_interval(found.control)}."
    )


def discriminative_sentence(row: TaskDiscriminative) -> str:
    """Say which items were taken, and whether that is better than chance."""
    found, scores = row.found, row.scores
    places = [scores.item_indexes[i] for i in found.user_prompts.tolist()]
    first = ", ".join(map(str, places[:5])) + (", …" if len(places) > 5 else "")
    if len(places) == found.n_user_total:
        return (
            f"{_checkpoint(scores)}: all {count(len(places), 'item')} were taken, "
            "which is no choice; ask for fewer with --size."
        )
    told = (
        f"{_checkpoint(scores)}: {_taken(len(places), found.n_user_total)}, at {first}"
    )
    if found.gain.value != found.gain.value:
        return f"{told}; nothing could be held out to judge them by."
    return (
        f"{told}. On answers that had no part in the choice, templates vary more on "
        f"them than on random items by {spread(found.gain.value)} "
        f"{spread_interval(found.gain)}, and than on all by "
        f"{spread(found.gain_over_all.value)} {spread_interval(found.gain_over_all)}."
    )


def _taken(n: int, total: int) -> str:
    return f"{n:,} of {count(total, 'item')} {'was' if n == 1 else 'were'} taken"


def _frontier(row: TaskStable, notes: Footnotes) -> tuple[tuple[str, ...], ...]:
    found = row.found
    full, *_ = found.frontier.rows
    band = {
        one.n_items: spread_interval(one.mae)
        for one in found.frontier.rows
        if one.method == "random"
    }
    return tuple(
        (
            one.method,
            f"{one.n_items:,}",
            spread(one.bias.value),
            spread(one.mae.value),
            "" if one is full else band[one.n_items],
            percent(one.beats_random),
            spread(one.seed_sd.value),
            percent(one.seed_sd.value / full.seed_sd.value - 1)
            if full.seed_sd.value
            else percent(float("nan")),
            correlation(one.monotonicity.value),
            correlation(one.rank_correlation.value),
            _missed(lost, is_taken=one is found.chosen),
            notes.marks(
                c
                for e in (one.mae, one.seed_sd, one.monotonicity, one.rank_correlation)
                for c in e.cautions
            ),
        )
        for one, lost in zip(found.frontier.rows, found.missed, strict=True)
    )


def _missed(lost: Sequence[str], *, is_taken: bool) -> str:
    words = ", ".join(TOLERANCES[name] for name in lost)
    if not is_taken:
        return words
    return f"taken, though: {words}" if words else "taken"


def _choice(one: HeldOut, notes: Footnotes) -> tuple[str, ...]:
    return (
        CHOICE_NAMES[one.choice],
        f"{one.n_user:,}",
        spread(one.score.value),
        spread_interval(one.score),
        notes.marks(one.score.cautions),
    )


def _checkpoint(scores: FacetScores) -> str:
    (seed,), (step,) = scores.levels["train_seed"], scores.levels["step"]
    return f"{checkpoint_name(scores.model, seed, step)}, {facet_name(scores)}"


def _with_interval(row: SubsetQuality) -> str:
    return f"{spread(row.mae.value)} {spread_interval(row.mae)}".strip()
