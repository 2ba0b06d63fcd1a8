"""Is a red cell red with fresh seeds too? What is measured again, and what came."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.frames import CONDITION
from harness.gate.results import Cell, Confirmation, GateResult
from harness.marks import Reference
from harness.plan import Plan
from harness.records import Trial

if TYPE_CHECKING:
    import pandas as pd

    from harness.sweep import SweepResult

INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rerun:
    """What is measured again for the red cells of a gate.

    Attributes
    ----------
    plan : Plan
        The trials of it, and nothing else: candidate and baseline, fresh seeds.
    tasks : tuple of str
        Whose cells it is for.
    unchangeable : tuple of str
        Tasks of which no seed changes an answer: their cells stand as they are.
    already : tuple of str
        Tasks that were measured again before: nothing is measured a third time.
    one_sided : tuple of str
        Those of `tasks` whose baseline the suite does not ask, so that only the
        candidate is measured again.
    """

    plan: Plan
    tasks: tuple[str, ...]
    unchangeable: tuple[str, ...]
    already: tuple[str, ...]
    one_sided: tuple[str, ...]


def rerun(
    result: GateResult, plan: Plan, trials: pd.DataFrame, *, seeds: int = 1
) -> Rerun:
    """Return the trials that measure a gate's red cells again.

    A red cell is put to the candidate and to the baseline again, or to the candidate
    alone where the suite does not ask the baseline (`one_sided`): all its training
    seeds, the same items, with few-shot examples and sampled text drawn by seeds that
    no stored trial of the task has. Where nothing is drawn, as with log-likelihoods
    without examples, the same answers would come again, so none is asked for. A cell
    that has answers of more seeds than the suite asks for was confirmed before.

    Parameters
    ----------
    plan : Plan
        Of the suite that the answers came from.
    trials : DataFrame
        The store's, columns of `harness.frames.TRIALS`.
    seeds : int
        How many fresh seeds.

    Raises
    ------
    InputError
        ``suite-unrelated``: the suite does not ask a red cell of the candidate.
    """
    red = [cell for cell in result.cells if cell.state == "regression"]
    fresh: list[Trial] = []
    names: dict[str, list[str]] = {
        name: [] for name in ("again", "fixed", "before", "alone")
    }
    for cell in red:
        own = [t for t in plan.trials if _is_of(t, cell)]
        mine = [t for t in own if _is_at(t, result.candidate)]
        if not mine:
            raise InputError(
                f"the suite does not ask {cell.task} of {result.candidate}; give the "
                "suite that its answers came from",
                code="suite-unrelated",
            )
        info = mine[0].info
        if not (info.draws_fewshot or info.sampled):
            names["fixed"].append(cell.task)
            continue
        stored = _stored_seeds(trials, cell)
        if stored > {*_seeds(own)}:
            names["before"].append(cell.task)
            continue
        names["again"].append(cell.task)
        side = cell.against_baseline.baseline
        base = Reference(model=side.model, step=side.step)
        first = max([*stored, *_seeds(own)], default=0) + 1
        theirs = [t for t in own if _is_at(t, base)]
        if not theirs:
            names["alone"].append(cell.task)
        for trial in _one_each([*mine, *theirs]):
            fresh += [_with_seed(trial, (first + i) % INT64_MAX) for i in range(seeds)]
    return Rerun(
        plan=replace(plan, trials=tuple(fresh), status={}, left={}),
        tasks=tuple(dict.fromkeys(names["again"])),
        unchangeable=tuple(dict.fromkeys(names["fixed"])),
        already=tuple(dict.fromkeys(names["before"])),
        one_sided=tuple(dict.fromkeys(names["alone"])),
    )


def confirmed(
    before: GateResult, after: GateResult, asked: Rerun, ran: SweepResult
) -> GateResult:
    """Return the verdict on all answers together, with what measuring again came to.

    Parameters
    ----------
    before, after : GateResult
        Judged without the fresh answers, and with them.
    """
    still = {cell.task for cell in after.cells if cell.state == "regression"}
    was = {cell.task for cell in before.cells if cell.state == "regression"}
    cells = tuple(
        replace(cell, is_confirmed=cell.task in asked.tasks) for cell in after.cells
    )
    return replace(
        after,
        cells=cells,
        confirmation=Confirmation(
            tasks=asked.tasks,
            unchangeable=asked.unchangeable,
            already=asked.already,
            one_sided=asked.one_sided,
            n_trials=ran.n_done + ran.n_failed,
            n_failed=ran.n_failed,
            cleared=tuple(sorted(was - still)),
        ),
    )


def _is_of(trial: Trial, cell: Cell) -> bool:
    generation = trial.request.generation
    asked = {
        "task": trial.info.task,
        "formulation": trial.info.formulation,
        "num_fewshot": trial.info.num_fewshot,
        "template": trial.request.template.name,
        "generation": json.dumps(dict(generation), sort_keys=True)
        if generation
        else "",
    }
    return all(asked[name] == getattr(cell, name) for name in CONDITION)


def _is_at(trial: Trial, reference: Reference) -> bool:
    checkpoint = trial.checkpoint
    return (checkpoint.model, checkpoint.step) == (reference.model, reference.step)


def _stored_seeds(trials: pd.DataFrame, cell: Cell) -> set[int]:
    """Return the seeds of the candidate's finished trials of a cell."""
    side = cell.against_baseline.candidate
    is_own = (trials["status"] == "done") & (trials["model"] == side.model)
    step = trials["step"].isna() if side.step is None else trials["step"] == side.step
    is_own &= step.fillna(False).astype(bool)
    for name in CONDITION:
        is_own &= trials[name] == getattr(cell, name)
    own = trials[is_own.to_numpy(dtype=bool)]
    return {int(seed) for name in _SEEDS for seed in own[name].dropna()}


_SEEDS = ("fewshot_seed", "sample_seed")


def _seeds(trials: Iterable[Trial]) -> Iterable[int]:
    for trial in trials:
        yield from (trial.fewshot_seed, trial.sample_seed)


def _one_each(trials: Sequence[Trial]) -> Iterable[Trial]:
    """Return one trial for each checkpoint, whatever seeds the suite asks for."""
    return {trial.checkpoint: trial for trial in trials}.values()


def _with_seed(trial: Trial, seed: int) -> Trial:
    info = trial.info
    return replace(
        trial,
        fewshot_seed=seed if info.draws_fewshot else trial.fewshot_seed,
        sample_seed=seed if info.sampled else trial.sample_seed,
    )
