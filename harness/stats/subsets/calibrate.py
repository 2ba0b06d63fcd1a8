"""What do full answers say about the items? The model that a subset is read with."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.irt.ability import abilities
from harness.stats.irt.fit import fit_irt
from harness.stats.irt.information import choose_items, expected_scores
from harness.stats.irt.model import IrtFit, ItemModel
from harness.stats.resample import check_scores

Floats = npt.NDArray[np.float64]

VALIDATION_SHARE = 5
"""One group in so many is kept back to see how wrong the model is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """Items, calibrated on respondents who answered all of them.

    Attributes
    ----------
    items : ItemModel
        All items, in the order of the table.
    ability : ndarray, shape (n_respondents,)
        Of the respondents.
    threshold : float
        Scores above it are right. 0.5 where scores are 0 and 1; else chosen so that
        as many are right as the mean score says.
    validation_error : float
        Mean absolute error, in score units, of the predicted mean score over every
        second item, given the answers to the others, for respondents that the model
        was not fitted on; ``nan`` where there were too few to keep some back.
    response_variance : float
        Variance of a respondent's scores over items, averaged over respondents.
    n_respondents, n_runs, n_groups : int
        How many were learnt from, in how many training runs and groups.
    dropped : tuple of str
        Items that all, or none, had right. Their parameters are no estimates: the
        median discrimination, and the difficulty that gives an average respondent
        ``(n_right + 1/2) / (n + 1)``.
    method : str
        How the model was fitted, in the words the report prints.
    """

    items: ItemModel
    ability: Floats
    threshold: float
    validation_error: float
    response_variance: float
    n_respondents: int
    n_runs: int
    n_groups: int
    dropped: tuple[str, ...]
    method: str
    cautions: tuple[Caution, ...] = ()

    def binary(self, scores: Floats) -> Floats:
        """Return `scores` as 0 and 1 by the threshold; ``nan`` stays."""
        return np.where(np.isnan(scores), np.nan, scores > self.threshold)


def calibrate(
    scores: Floats,
    *,
    groups: Sequence[Hashable] | None = None,
    runs: Sequence[Hashable] | None = None,
    item_ids: Sequence[str] | None = None,
) -> Calibration:
    """Fit a 2PL model to full answers, and see how wrong it is on others.

    Scores between 0 and 1 are made 0 and 1 by the threshold that keeps their mean. The
    validation error is that of a second fit, without every fifth group: abilities from
    the items in even places, errors of the mean score over those in odd places.

    Parameters
    ----------
    scores : ndarray, shape (n_respondents, n_items)
        From 0 to 1; no missing values.
    groups : sequence, optional
        A label for each respondent; those that share it are kept back together, so
        that the validation error is that on other groups: models, where the items are
        for other models. Each respondent is its own group where not given.
    runs : sequence, optional
        Those that share such a label, the checkpoints of a training run, count as one
        independent respondent. As `groups` where not given.
    item_ids : sequence of str, optional
        Names of the items; their column numbers otherwise.

    Raises
    ------
    DesignError
        ``missing-scores``, ``scores-not-bounded``, and those of `fit_irt`.

    Notes
    -----
    Cautions: ``no-validation``, where there is one group, or the runs that are not kept
    back are too few to fit; those of `fit_irt`.

    References
    ----------
    F. Maia Polo et al., tinyBenchmarks, arXiv 2402.14992 (2024), section 3 and its
    code, which estimates abilities by maximum likelihood; ours are MAP, which exist
    where all answers are right.
    """
    check_scores(scores)
    if scores.min() < 0 or scores.max() > 1:
        raise DesignError(
            "an item response model reads scores from 0 to 1, these go from "
            f"{scores.min():.4g} to {scores.max():.4g}; choose another metric, or a "
            "method that needs no such model: random, stratified, anchors-correct",
            code="scores-not-bounded",
        )
    n_respondents, n_items = scores.shape
    names = tuple(item_ids) if item_ids is not None else _numbers(n_items)
    threshold = _threshold(scores)
    binary = (scores > threshold).astype(np.float64)
    group = np.array(_codes(groups, n_respondents))
    run = group if runs is None else np.array(_codes(runs, n_respondents))
    n_groups, n_runs = int(group.max()) + 1, int(run.max()) + 1
    fit = fit_irt(binary, item_ids=_numbers(n_items), n_independent=n_runs)
    error, reason = _validation_error(scores, binary, group, run)
    return Calibration(
        items=replace(_all_items(fit, binary), item_ids=names),
        ability=fit.ability,
        threshold=threshold,
        validation_error=error,
        response_variance=float(scores.var(axis=1).mean()),
        n_respondents=n_respondents,
        n_runs=n_runs,
        n_groups=n_groups,
        dropped=tuple(names[int(place)] for place in fit.dropped),
        method=fit.method,
        cautions=fit.cautions + reason,
    )


def _numbers(n: int) -> tuple[str, ...]:
    return tuple(map(str, range(n)))


def _codes(groups: Sequence[Hashable] | None, n: int) -> list[int]:
    """Return group labels as numbers, in the order in which they come."""
    if groups is None:
        return list(range(n))
    code: dict[Hashable, int] = {}
    return [code.setdefault(group, len(code)) for group in groups]


def _threshold(scores: Floats) -> float:
    """Return the score above which as large a share lies as the mean score."""
    values, counts = np.unique(scores, return_counts=True)
    if set(values) <= {0.0, 1.0}:
        return 0.5
    above = 1 - counts.cumsum() / scores.size
    return float(values[np.abs(above - scores.mean()).argmin()])


def _all_items(fit: IrtFit, binary: Floats) -> ItemModel:
    """Return the fitted items and, where they belong, those that were dropped."""
    n_respondents, n_items = binary.shape
    slope = float(np.median(fit.items.discrimination))
    rate = (binary.sum(0) + 0.5) / (n_respondents + 1)
    difficulty = fit.ability.mean() - np.log(rate / (1 - rate)) / slope
    discrimination = np.full(n_items, slope)
    guessing = np.zeros(n_items)
    fitted = np.array(fit.items.item_ids, dtype=np.intp)
    discrimination[fitted] = fit.items.discrimination
    difficulty[fitted] = fit.items.difficulty
    guessing[fitted] = fit.items.guessing
    return replace(
        fit.items,
        item_ids=_numbers(n_items),
        discrimination=discrimination,
        difficulty=difficulty,
        guessing=guessing,
    )


def _validation_error(
    scores: Floats, binary: Floats, group: npt.NDArray[Any], run: npt.NDArray[Any]
) -> tuple[float, tuple[Caution, ...]]:
    kept = group % VALIDATION_SHARE == 0
    if kept.all():
        text = (
            "how wrong the model is on others cannot be seen: it was fitted to one "
            "group of respondents, such as a model; give at least 2"
        )
        return math.nan, (Caution("no-validation", text),)
    n_items = scores.shape[1]
    n_others = len(np.unique(run[~kept]))
    try:
        fit = fit_irt(binary[~kept], item_ids=_numbers(n_items), n_independent=n_others)
    except DesignError as error:
        text = f"how wrong the model is on others cannot be seen: {error}"
        return math.nan, (Caution("no-validation", text),)
    items = _all_items(fit, binary[~kept])
    even, odd = np.arange(0, n_items, 2), np.arange(1, n_items, 2)
    answers = binary[kept][:, even]
    ability = abilities(choose_items(items, even), answers, method="map").ability
    predicted = expected_scores(choose_items(items, odd), ability)
    return float(np.abs(predicted - scores[kept][:, odd].mean(1)).mean()), ()
