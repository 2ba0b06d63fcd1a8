"""Which answers to a trial are stored? Those of trials alike but for their size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.records import Trial

if TYPE_CHECKING:
    from harness.plan import Block
    from harness.store import Store

NEAR = ("model", "train_seed", "step", "task", "task_digest", "template_digest")
"""What trials must share, before their identifiers are compared."""


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
