"""How able is each checkpoint, how hard each item? A fitted model for each task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.intervals import check_level, is_binary
from harness.stats.irt.curves import ItemCurve, item_curve
from harness.stats.irt.fit import MethodName, fit_irt
from harness.stats.irt.information import InformationCurve, information_curve
from harness.stats.irt.item_fit import ItemFit, item_fit
from harness.stats.irt.model import IrtFit, ModelName
from harness.stats.respondents import Respondents

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskIrt:
    """A fitted item response model of one task.

    Items of `fit` are named by their place in the task, which is theirs alone.
    """

    who: Respondents
    fit: IrtFit
    item_fit: ItemFit
    information: InformationCurve
    columns: npt.NDArray[np.intp]
    """Column of `who.scores` of each fitted item."""

    confidence_level: float
    cautions: tuple[Caution, ...] = ()

    def curve(self, item: int) -> ItemCurve:
        """Return the characteristic curve of a fitted item, by its place in `fit`."""
        return item_curve(
            self.fit.items,
            self.who.scores[:, self.columns],
            self.fit.ability,
            item,
            covariance=self.fit.covariance,
            confidence_level=self.confidence_level,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **self.who.condition,
            "metric": self.who.metric,
            "is_partial": self.who.is_partial,
            **self.fit.to_dict(),
            "item_ids": [self.who.item_ids[j] for j in self.columns],
            "item_indexes": [self.who.item_indexes[j] for j in self.columns],
            "item_fit": self.item_fit.to_dict(),
            "information": self.information.to_dict(),
            "respondents": [
                {"model": model, "train_seed": seed, "step": step}
                for model, seed, step in zip(
                    self.who.models, self.who.train_seeds, self.who.steps, strict=True
                )
            ],
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def item_frame(self) -> pd.DataFrame:
        """Return a tidy row for each fitted item: parameters, errors, fit."""
        import pandas as pd

        fit, items = self.fit, self.fit.items
        return pd.DataFrame(
            {
                "item_id": [self.who.item_ids[j] for j in self.columns],
                "item_index": [self.who.item_indexes[j] for j in self.columns],
                "discrimination": items.discrimination,
                "discrimination_se": fit.discrimination_se,
                "difficulty": items.difficulty,
                "difficulty_se": fit.difficulty_se,
                "guessing": items.guessing,
                "guessing_se": fit.guessing_se,
                "infit": self.item_fit.infit,
                "outfit": self.item_fit.outfit,
                "p_value": self.item_fit.p_value,
            }
        )

    def ability_frame(self) -> pd.DataFrame:
        """Return a tidy row for each checkpoint: its ability and standard error."""
        import pandas as pd

        return pd.DataFrame(
            {
                "model": list(self.who.models),
                "train_seed": list(self.who.train_seeds),
                "step": list(self.who.steps),
                "ability": self.fit.ability,
                "ability_se": self.fit.ability_se,
            }
        )


def irt_table(
    people: Iterable[Respondents],
    *,
    model: ModelName = "2pl",
    method: MethodName = "auto",
    confidence_level: float = 0.95,
) -> tuple[tuple[TaskIrt, ...], tuple[tuple[Respondents, DesignError], ...]]:
    """Return a fitted model for each task that allows one, and why others do not.

    Training runs count as independent respondents, not their checkpoints.

    Parameters
    ----------
    people : iterable of Respondents
        From `harness.stats.respondents.respondents`; scores of 0 and 1.
    model, method
        As `harness.stats.irt.fit.fit_irt` takes them.
    confidence_level : float
        Of the observed shares beside an item's curve, and of the band round it.
    """
    check_level(confidence_level)
    fitted, refused = [], []
    for who in people:
        try:
            fitted.append(_task_irt(who, model, method, confidence_level))
        except DesignError as error:
            refused.append((who, error))
    return tuple(fitted), tuple(refused)


def _task_irt(
    who: Respondents, model: ModelName, method: MethodName, confidence_level: float
) -> TaskIrt:
    known = who.answered().scores[~np.isnan(who.scores)]
    if not is_binary(known):
        raise DesignError(
            f"{who.task} has {who.metric} scores other than 0 and 1, such as means "
            "over repeats; item response models need right or wrong",
            code="responses-not-binary",
        )
    names = [str(place) for place in range(len(who.item_ids))]
    fit = fit_irt(
        who.scores,
        item_ids=names,
        model=model,
        method=method,
        n_independent=who.n_runs,
    )
    columns = np.array([int(name) for name in fit.items.item_ids], dtype=np.intp)
    checked = item_fit(fit.items, who.scores[:, columns])
    return TaskIrt(
        who=who,
        fit=fit,
        item_fit=checked,
        information=information_curve(fit.items),
        columns=columns,
        confidence_level=confidence_level,
        cautions=tuple(
            dict.fromkeys([*who.cautions, *fit.cautions, *checked.cautions])
        ),
    )
