"""Who is held out with whom, and how do their scores move?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.ranks import monotonicity, ties_made_equal

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

Unit = Literal["model", "run", "group"]
"""What is held out whole: models, training runs, or groups that the caller made."""

N_FOLDS = 5
"""Parts in which groups are held out."""

FEW_GROUPS = 8
"""Below it groups are held out one by one, and no interval is given over them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """Respondents by group, fold, model, training run and step; codes from 0.

    A training run is a model and a training seed; steps are in their order. `cell` is
    fold, model and step together; `last` the row of each run's last step.
    """

    group: Codes
    fold: Codes
    model: Codes
    run: Codes
    step: Codes
    cell: Codes
    last: Codes

    @classmethod
    def of(
        cls,
        models: Sequence[str],
        train_seeds: Sequence[int | None],
        steps: Sequence[int | None],
        groups: Sequence[Hashable] | None,
        rng: np.random.Generator,
    ) -> HeldOut:
        """Deal groups into folds at random, those of one model side by side.

        Groups are models where none are given; training runs, if there is one model.

        Raises
        ------
        DesignError
            ``duplicate-checkpoint``, ``too-few-respondents``.
        """
        runs = list(zip(models, train_seeds, strict=True))
        who = Counter(zip(models, train_seeds, steps, strict=True))
        if twice := [name for name, n in who.items() if n > 1]:
            raise DesignError(
                f"{len(twice)} checkpoints (model, training seed, step) are there more "
                f"than once, first {twice[:3]}; average their scores first",
                code="duplicate-checkpoint",
            )
        if groups is None:
            groups = models if len(set(models)) > 1 else runs
        group = _codes(groups)
        n_groups = int(group.max(initial=-1)) + 1
        if n_groups < 2:
            raise DesignError(
                f"{n_groups} group of respondents: a subset is judged on models it "
                "was not chosen by; give at least 2 of them, training runs or models",
                code="too-few-respondents",
            )
        model = _codes(models)
        model_of = np.array([model[group == g].min() for g in range(n_groups)])
        place = rng.permutation(int(model.max()) + 1)[model_of]
        order = np.lexsort((rng.permutation(n_groups), place))
        n_folds = n_groups if n_groups < FEW_GROUPS else N_FOLDS
        fold_of = np.empty(n_groups, dtype=np.intp)
        for number, part in enumerate(np.array_split(order, n_folds)):
            fold_of[part] = number
        in_order = sorted(set(steps), key=lambda s: (s is not None, s or 0))
        step = np.array([in_order.index(each) for each in steps], dtype=np.intp)
        run, fold = _codes(runs), fold_of[group]
        return cls(
            group=group,
            fold=fold,
            model=model,
            run=run,
            step=step,
            cell=_codes(list(zip(fold.tolist(), models, steps, strict=True))),
            last=np.array(
                [
                    max(np.flatnonzero(run == each), key=lambda row: int(step[row]))
                    for each in range(int(run.max()) + 1)
                ]
            ),
        )

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return int(self.group.max()) + 1

    @property
    def n_folds(self) -> int:
        """How many parts they are held out in."""
        return int(self.fold.max()) + 1

    @property
    def unit(self) -> Unit:
        """What the groups are."""
        # Codes count from 0 in the order of the rows, so the same parts are equal.
        if np.array_equal(self.group, self.model):
            return "model"
        return "run" if np.array_equal(self.group, self.run) else "group"

    @property
    def n_models(self) -> int:
        """How many models there are."""
        return int(self.model.max()) + 1

    @property
    def n_models_split(self) -> int:
        """How many models are held out in several parts, some of their runs in each."""
        model, _ = np.unique([self.model, self.fold], axis=1)
        return int(np.count_nonzero(np.bincount(model) > 1))

    def group_means(self, values: Floats) -> Floats:
        """Return the mean of each group."""
        return np.bincount(self.group, values) / np.bincount(self.group)

    def seed_sd(self, values: Floats) -> float:
        """Return the SD over seeds held out together, averaged over models and steps.

        ``nan`` where no two seeds of a model are in one fold.
        """
        n = np.bincount(self.cell)
        error = values - (np.bincount(self.cell, values) / n)[self.cell]
        squares, n = np.bincount(self.cell, error**2)[n > 1], n[n > 1]
        return float(np.sqrt(squares / (n - 1)).mean()) if len(n) else math.nan

    def monotonicity(self, values: Floats) -> float:
        """Return Kendall's tau-b of value and step, averaged over training runs."""
        table = np.full((self.run.max() + 1, self.step.max() + 1), np.nan)
        table[self.run, self.step] = values
        return monotonicity(table).value

    def rank_correlation(self, values: Floats, full: Floats) -> float:
        """Return Kendall's tau-b over models, at the last step of each run."""
        model = self.model[self.last]
        x, y = (
            ties_made_equal(np.bincount(model, v[self.last]) / np.bincount(model))
            for v in (values, full)
        )
        dx, dy = np.sign(x[:, None] - x), np.sign(y[:, None] - y)
        untied = np.count_nonzero(dx) * np.count_nonzero(dy)
        return float((dx * dy).sum() / math.sqrt(untied)) if untied else math.nan


def _codes(labels: Sequence[Hashable]) -> Codes:
    """Return labels as numbers, in the order in which they come."""
    code: dict[Hashable, int] = {}
    return np.array([code.setdefault(label, len(code)) for label in labels], np.intp)
