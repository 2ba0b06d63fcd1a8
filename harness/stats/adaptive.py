"""How few items would have done, chosen one by one? Adaptive testing, replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.irt.ability import check_answers, posterior_modes
from harness.stats.irt.information import (
    blocks,
    expected_scores,
    item_information,
    standard_error_at,
)
from harness.stats.irt.model import ItemModel

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.intp]

LIMIT = 4.0
"""Abilities are kept within so many SDs of the mean, as in Fluid Benchmarking."""

METHOD = "adaptive: item of largest information at the MAP ability, responses replayed"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdaptiveTest:
    """What each respondent was asked in turn, and what was known after each answer.

    Attributes
    ----------
    item_ids : tuple of str
        All items that could be asked.
    item : ndarray of int, shape (n_respondents, n_turns)
        Column of the item asked; -1 once the respondent's test has ended.
    ability, se : ndarray, shape (n_respondents, n_turns)
        MAP ability after each answer and its standard error; ``nan`` once the test has
        ended.
    n_items : ndarray of int, shape (n_respondents,)
        How many items each test took.
    score : ndarray, shape (n_respondents,)
        Share of all items that the last ability is expected to get right; ``nan`` where
        nothing could be asked.
    score_se : ndarray, shape (n_respondents,)
        How far the score on all items may be from that: the error of the ability, and
        the chance in the answers that were not seen.
    method : str
        How items were chosen, in the words the report prints.
    """

    item_ids: tuple[str, ...]
    item: Counts
    ability: Floats
    se: Floats
    n_items: Counts
    score: Floats
    score_se: Floats
    method: str
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: one path for each respondent, of its own length."""
        paths = [
            {
                "items": [self.item_ids[i] for i in self.item[r, :n]],
                "ability": self.ability[r, :n].tolist(),
                "se": self.se[r, :n].tolist(),
                "score": float(self.score[r]) if n else None,
                "score_se": float(self.score_se[r]) if n else None,
            }
            for r, n in enumerate(self.n_items.tolist())
        ]
        return {
            "method": self.method,
            "respondents": paths,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each answer: respondent, turn, item_id, ability, se."""
        import pandas as pd

        respondent, turn = np.nonzero(self.item >= 0)
        return pd.DataFrame(
            {
                "respondent": respondent,
                "turn": turn + 1,
                "item_id": [self.item_ids[i] for i in self.item[respondent, turn]],
                "ability": self.ability[respondent, turn],
                "se": self.se[respondent, turn],
            }
        )


def adaptive_test(
    items: ItemModel,
    responses: Floats,
    *,
    max_items: int | None = None,
    se_below: float = 0.0,
) -> AdaptiveTest:
    """Return what adaptive testing would have asked, had it been used.

    Each respondent starts at the mean ability, 0. The next item is the one with the
    largest Fisher information at the present ability among those not yet asked for
    which there is a response; of equals the first. The ability is then the mode of the
    posterior under the prior ``N(0, ability_sd^2)``, kept within `LIMIT` SDs of the
    mean, and its standard error is ``1 / sqrt(sum I + 1 / ability_sd^2)`` over the
    items asked. The items are taken as known: fit them on other respondents. With
    guessing a posterior may have two modes; the one next to the last ability is taken.

    Parameters
    ----------
    items : ItemModel
        The n_items items, in the order of the columns of `responses`.
    responses : ndarray, shape (n_respondents, n_items)
        1 right, 0 wrong, ``nan`` not stored and so never asked.
    max_items : int, optional
        A test ends after so many items; by default only when none is left.
    se_below : float
        A test ends once the standard error is not above this, in units of ability.

    Raises
    ------
    DesignError
        ``bad-stopping-rule``; ``responses-shape``; ``responses-not-binary``.

    Notes
    -----
    Cautions: ``no-answers``; ``se-not-reached``, where a test ended with a standard
    error still above `se_below`.

    References
    ----------
    V. Hofmann et al., *Fluid Language Model Benchmarking*, arXiv 2509.11106 (2025).
    """
    if max_items is not None and max_items < 1:
        raise DesignError(
            f"max_items is {max_items}; a test needs at least 1 item",
            code="bad-stopping-rule",
        )
    if not se_below >= 0:
        raise DesignError(
            f"se_below is {se_below}; give a standard error, 0 or above",
            code="bad-stopping-rule",
        )
    answers = check_answers(items, responses)
    n_respondents, n_items = answers.shape
    n_turns = n_items if max_items is None else min(max_items, n_items)
    item = np.full((n_respondents, n_turns), -1, dtype=np.intp)
    ability, se = np.full((2, n_respondents, n_turns), np.nan)
    theta = np.zeros(n_respondents)
    limit = LIMIT * items.ability_sd
    is_closed = np.isnan(answers)
    n_open = n_items - is_closed.sum(axis=1)
    running = np.flatnonzero(n_open)
    for turn in range(n_turns):
        if not len(running):
            item, ability, se = item[:, :turn], ability[:, :turn], se[:, :turn]
            break
        choice = _most_informative(items, theta, is_closed, running)
        is_closed[running, choice] = True
        item[running, turn] = choice
        asked = item[running, : turn + 1]
        modes, information = posterior_modes(
            items.discrimination[asked],
            items.difficulty[asked],
            items.guessing[asked],
            answers[running[:, None], asked],
            start=theta[running],
            prior_sd=items.ability_sd,
            step=items.ability_sd,
        )
        theta[running] = np.clip(modes, -limit, limit)
        ability[running, turn] = theta[running]
        error = standard_error_at(information, prior_sd=items.ability_sd)
        se[running, turn] = error
        running = running[(error > se_below) & (n_open[running] > turn + 1)]
    return _summary(items, item, ability, se, se_below)


def _most_informative(
    items: ItemModel,
    theta: Floats,
    is_closed: npt.NDArray[np.bool_],
    running: Counts,
) -> Counts:
    """Return the item to ask each of the `running` respondents next."""
    choice = np.empty(len(running), dtype=np.intp)
    for part in blocks(len(running), is_closed.shape[1]):
        rows = running[part]
        information = item_information(items, theta[rows])
        information[is_closed[rows]] = -1
        choice[part] = information.argmax(axis=1)
    return choice


def _summary(
    items: ItemModel, item: Counts, ability: Floats, se: Floats, se_below: float
) -> AdaptiveTest:
    n_asked = (item >= 0).sum(axis=1)
    score, score_se, last_se = np.full((3, len(item)), np.nan)
    rows = np.flatnonzero(n_asked)
    last = ability[rows, n_asked[rows] - 1]
    last_se[rows] = se[rows, n_asked[rows] - 1]
    score[rows] = expected_scores(items, last)
    score_se[rows] = _score_errors(items, last, last_se[rows], item[rows])
    return AdaptiveTest(
        item_ids=items.item_ids,
        item=item,
        ability=ability,
        se=se,
        n_items=n_asked,
        score=score,
        score_se=score_se,
        method=METHOD,
        cautions=_cautions(n_asked, last_se, se_below),
    )


def _score_errors(
    items: ItemModel, ability: Floats, se: Floats, item: Counts
) -> Floats:
    """Return the SD of the score on all items about the expected one.

    ``sqrt((se sum P')^2 + sum P Q) / n_items``, sums over the items not asked: those
    that were asked have fitted the ability.
    """
    a, c = items.discrimination, items.guessing
    n_items = len(items.item_ids)
    errors = np.empty(len(ability))
    for rows in blocks(len(ability), n_items):
        p = items.probabilities(ability[rows])
        is_open = np.ones(p.shape, dtype=bool)
        respondent, turn = np.nonzero(item[rows] >= 0)
        is_open[respondent, item[rows][respondent, turn]] = False
        slope = (a * (p - c) / (1 - c) * (1 - p)).sum(axis=1, where=is_open)
        chance = (p * (1 - p)).sum(axis=1, where=is_open)
        errors[rows] = np.sqrt((se[rows] * slope) ** 2 + chance) / n_items
    return errors


def _cautions(n_asked: Counts, last_se: Floats, se_below: float) -> tuple[Caution, ...]:
    cautions = []
    if n_none := int((n_asked == 0).sum()):
        text = f"{n_none} of {len(n_asked)} respondents have no response to any item"
        cautions.append(Caution("no-answers", text))
    is_short = last_se > se_below
    if se_below > 0 and is_short.any():
        cautions.append(
            Caution(
                "se-not-reached",
                f"{is_short.sum()} of {len(n_asked)} tests ended with a standard error "
                f"above {se_below:g}, the largest {last_se[is_short].max():.3g}; allow "
                "more items",
            )
        )
    return tuple(cautions)
