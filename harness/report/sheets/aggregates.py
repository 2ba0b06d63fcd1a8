"""How are scores without items printed? As they were published, with their source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.aggregates import Aggregate
from harness.report.sheets.sheet import Column, Sheet
from harness.report.text import UNDEFINED, count, score, seed_name, spread, step_name

if TYPE_CHECKING:
    import pandas as pd

NO_TEST = (
    "No paired test is possible with them. Import the samples too, which lm-eval "
    "writes with `--log_samples`, and `evalvar compare` tests them."
)

COLUMNS: tuple[Column, ...] = (
    ("model", False),
    ("seed", True),
    ("step", True),
    ("task", False),
    ("metric", False),
    ("value ± se", True),
    ("n", True),
    ("source", False),
)


def aggregate_sheet(rows: Sequence[Aggregate]) -> Sheet:
    """Return a line for each score, as it was published."""

    def frame() -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame([row.to_dict() for row in rows])

    return Sheet(
        columns=COLUMNS,
        parts=(("", tuple(aggregate_cells(row) for row in rows)),),
        sentences=(f"{count(len(rows), 'score')} without items. {NO_TEST}",),
        frame=frame,
    )


def aggregate_cells(row: Aggregate) -> tuple[str, ...]:
    """Return what is shown of a score, by the columns of its table."""
    how = [row.formulation] if row.formulation else []
    if row.num_fewshot is not None:
        how.append(f"{row.num_fewshot}-shot")
    if row.template != "default":
        how.append(row.template)
    less = " (less is better)" if row.higher_is_better is False else ""
    se = "" if row.se is None else f" ± {spread(row.se)}"
    return (
        row.model,
        UNDEFINED if row.train_seed is None else seed_name(row.train_seed),
        UNDEFINED if row.step is None else step_name(row.step),
        f"{row.task} ({', '.join(how)})" if how else row.task,
        f"{row.metric}{less}",
        f"{score(row.value)}{se}",
        UNDEFINED if row.n_items is None else f"{row.n_items:,}",
        ", ".join(dict.fromkeys(filter(None, (row.backend, row.location)))),
    )
