"""Which answers to a trial are stored? Those of trials alike but for their size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.frames import CONDITION, SETTINGS
from harness.records import Trial

if TYPE_CHECKING:
    import pandas as pd

    from harness.plan import Block
    from harness.store import Store

NEAR = ("model", "train_seed", "step", "task", "task_digest", "template_digest")
"""What trials must share, before their identifiers are compared."""

ALIKE = (
    *("model", "train_seed", "step", "weights_digest", "tokenizer_digest"),
    *(*CONDITION, *SETTINGS, "fewshot_seed", "sample_seed", "entropy"),
)
"""What trials share that may be parts of one."""


def answered(store: Store, trials: Sequence[Trial]) -> dict[str, list[Block]]:
    """Return the stored answers to `trials`, by ``trial_id``; those without are absent.

    Another trial's answers are answers to this one if it would be this one with the
    same items and repeats: if the identifiers are then equal. So whatever can change an
    answer counts here as it does there.
    """
    done = store.trials()
    done = done.filter(pc.equal(done["status"], "done"))
    near: dict[tuple[Any, ...], list[tuple[str, str]]] = defaultdict(list)
    for row in done.select([*NEAR, "attempt_id", "trial_id"]).to_pylist():
        key = tuple(row[name] for name in NEAR)
        near[key].append((row["attempt_id"], row["trial_id"]))
    others = {trial.trial_id: near.get(_near(trial), []) for trial in trials}
    wanted = [attempt for some in others.values() for attempt, _ in some]
    if not wanted:
        return {}
    blocks = _blocks(store.cells(wanted))
    found: dict[str, list[Block]] = defaultdict(list)
    for trial in trials:
        for attempt_id, trial_id in others[trial.trial_id]:
            items, repeats = blocks[attempt_id]
            same = replace(
                trial,
                items=None if len(items) == trial.info.n_items else items,
                first_repeat=repeats[0],
                repeats=len(repeats),
            )
            if same.trial_id == trial_id:
                found[trial.trial_id].append((items, repeats))
    return dict(found)


def trials_of_parts(store: Store) -> pd.DataFrame:
    """Return a store's trials as `Store.trials`, the parts of one seen together.

    A trial that failed midway is stored in parts, and so is one whose items were
    chosen first and all asked later. `n_items` of those done counts the items that all
    parts answered. A failure is left out if as many answers of the same kind were
    asked for again later: what came of these says what came of it.
    """
    import pandas as pd

    trials: pd.DataFrame = store.trials().to_pandas()
    whole = trials.groupby(list(ALIKE), dropna=False).ngroup().rename("whole")
    is_done = trials["status"] == "done"
    asked = trials["n_items"] * trials["repeats"]

    is_part = is_done & (trials["n_items"] < trials["n_items_total"])
    if is_part.any():
        cells = store.cells(trials["attempt_id"][is_part].tolist()).to_pandas()
        wholes = dict(zip(trials["attempt_id"], whole, strict=True))
        counts = cells.groupby(cells["attempt_id"].map(wholes))["item_index"].nunique()
        is_complete = whole.isin(whole[is_done & ~is_part])
        n_items = whole.map(counts).mask(is_complete, trials["n_items_total"])
        trials["n_items"] = trials["n_items"].mask(is_part, n_items).astype("int32")

    moments = [whole, trials["finished_at"]]
    at_once = asked.groupby(moments).sum()
    later = at_once[::-1].groupby(level="whole").cumsum() - at_once
    n_later = later.reindex(pd.MultiIndex.from_arrays(moments)).to_numpy()
    return trials[is_done | (n_later < asked)]


def _near(trial: Trial) -> tuple[Any, ...]:
    checkpoint, info = trial.checkpoint, trial.info
    return (
        checkpoint.model,
        checkpoint.train_seed,
        checkpoint.step,
        info.task,
        info.task_digest,
        trial.request.template.digest,
    )


def _blocks(cells: pa.Table) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the items and repeats of each attempt, ascending."""
    held = cells.group_by("attempt_id").aggregate(
        [("item_index", "distinct"), ("repeat", "distinct")]
    )
    return {
        row["attempt_id"]: (
            tuple(sorted(row["item_index_distinct"])),
            tuple(sorted(row["repeat_distinct"])),
        )
        for row in held.to_pylist()
    }
