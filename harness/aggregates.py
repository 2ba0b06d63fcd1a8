"""Which scores came without their items? They can be shown, and not be compared."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One score that somebody published, with no answers behind it."""

    model: str
    train_seed: int | None
    step: int | None
    task: str
    formulation: str
    num_fewshot: int | None
    template: str
    metric: str
    value: float
    """As it was published: higher need not be better."""

    se: float | None
    """Its standard error, where the file gives one."""

    higher_is_better: bool | None
    """Where the file says so."""

    n_items: int | None
    backend: str
    location: str | None
    """The file that it was read from."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types; what is no number is null."""
        return {
            name: None if isinstance(v, float) and not math.isfinite(v) else v
            for name, v in asdict(self).items()
        }


def read_aggregates(rows: pa.Table) -> tuple[Aggregate, ...]:
    """Return scores by model, step and task.

    Parameters
    ----------
    rows : Table
        As `harness.store.Store.aggregates` returns it.
    """
    names = list(Aggregate.__dataclass_fields__)
    found = [
        Aggregate(
            **{**row, "value": math.nan if row["value"] is None else row["value"]}
        )
        for row in rows.select(names).to_pylist()
    ]
    return tuple(sorted(found, key=_place))


def _place(one: Aggregate) -> tuple[Any, ...]:
    numbers = (-1 if n is None else n for n in (one.train_seed, one.step))
    return (one.model, *numbers, one.task, one.metric, one.location or "", one.value)
