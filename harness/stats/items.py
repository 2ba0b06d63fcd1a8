"""Which items tell checkpoints apart? Difficulty, discrimination, flags."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.intervals import check_level, is_binary
from harness.stats.ranks import DIGITS

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

ENOUGH = 20
"""Independent respondents below which an item's statistics are mostly noise: the
standard error of a correlation is 1 / sqrt(n - 1), .23 at 20."""

BLOCK = 1024
"""Items worked on at a time, so that tables of them stay in cache."""


NEWTON_STEPS = 25
"""Of the logistic curve of an item that may have a duplicate; each is at most 1."""

PULL = 1e-3
"""Precision of the prior of that curve's slope and shift: next to none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ItemAnalysis:
    """Classical statistics of each item, in the order of `item_ids`.

    Attributes
    ----------
    item_ids : tuple of str
        The items; one that the task holds twice is here twice.
    n_answers : ndarray, shape (n_items,)
        Respondents that have a score on the item.
    difficulty : ndarray, shape (n_items,)
        Mean score: high where the item is easy.
    item_rest : ndarray, shape (n_items,)
        Correlation of an item's score with the mean of all other items. The
        discrimination to go by.
    low, high : ndarray, shape (n_items,)
        Ends of the interval of `item_rest`.
    point_biserial : ndarray, shape (n_items,)
        Correlation of an item's score with the mean of all items, itself among
        them; the paper's discrimination, too high where items are few.
    biserial : ndarray, shape (n_items,)
        `item_rest` as if a normal trait behind the item had been cut in two;
        for scores of 0 and 1 only, and not bounded by 1.
    is_surely_negative : ndarray of bool, shape (n_items,)
        Better checkpoints score lower, beyond chance: a wrong key, or a misread item.
        Of the items so flagged a share of 1 - `confidence_level` may be noise.
    is_all_right, is_all_wrong : ndarray of bool, shape (n_items,)
        Every respondent scored 1, or 0.
    same_id_as, same_responses_as : ndarray of int, shape (n_items,)
        Index of the first item of the same identity, or of the very same scores
        where these cannot be chance; -1 where there is none.
    reliability : Estimate
        Cronbach's alpha of the whole table.
    """

    item_ids: tuple[str, ...]
    n_answers: Codes
    difficulty: Floats
    item_rest: Floats
    low: Floats
    high: Floats
    point_biserial: Floats
    biserial: Floats
    is_surely_negative: Flags
    is_all_right: Flags
    is_all_wrong: Flags
    same_id_as: Codes
    same_responses_as: Codes
    reliability: Estimate
    n_respondents: int
    n_independent: int
    confidence_level: float
    method: str
    cautions: tuple[Caution, ...] = ()

    @property
    def is_negative(self) -> Flags:
        """Where better checkpoints score lower, be it by chance."""
        return self.item_rest < 0

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each item; ``NA`` where it is nobody's duplicate."""
        import pandas as pd

        return pd.DataFrame(
            {
                "item_id": list(self.item_ids),
                "item_index": np.arange(len(self.item_ids)),
                "n_answers": self.n_answers,
                "difficulty": self.difficulty,
                "item_rest": self.item_rest,
                "low": self.low,
                "high": self.high,
                "point_biserial": self.point_biserial,
                "biserial": self.biserial,
                "is_all_right": self.is_all_right,
                "is_all_wrong": self.is_all_wrong,
                "is_negative": self.is_negative,
                "is_surely_negative": self.is_surely_negative,
                "same_id_as": _nullable(self.same_id_as),
                "same_responses_as": _nullable(self.same_responses_as),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        frame = self.to_frame().astype(object)
        return {
            "n_respondents": self.n_respondents,
            "n_independent": self.n_independent,
            "confidence_level": self.confidence_level,
            "method": self.method,
            "reliability": self.reliability.to_dict(),
            "items": frame.where(frame.notna(), None).to_dict("records"),
            "cautions": [asdict(caution) for caution in self.cautions],
        }


def analyse_items(
    scores: Floats,
    *,
    item_ids: Sequence[str] | None = None,
    n_independent: int | None = None,
    confidence_level: float = 0.95,
) -> ItemAnalysis:
    """Return difficulty, discrimination and flags of every item.

    With ``y[r, j]`` the score of respondent r on item j::

        difficulty      mean over r of y[r, j]
        item_rest       r(y[., j], mean over i != j of y[., i])
        point_biserial  r(y[., j], mean over i of y[., i])
        biserial        item_rest sqrt(p (1 - p)) / phi(Phi^-1(p)),  p = difficulty

    with r Pearson's correlation over respondents. The mean over items is taken over
    those that the respondent answered: what is missing is assumed to be no harder
    and no easier than the rest.

    The interval is Fisher's, ``tanh(atanh(r) +- z / sqrt(n - 3))``, for independent
    respondents. It takes items one by one: of thousands that do not discriminate at
    all, 2.5 % lie below 0 at 95 %. Which are surely negative is hence judged of all
    items together, by Benjamini and Hochberg's procedure on the same ``atanh(r)``.

    Equal scores of two items are a duplicate only where fewer than .01 such items are
    expected if answers were independent given ability and all items were like that
    one: scores of 0 and 1 by the item's own logistic curve over the logit of the mean
    score; others by the arrangements of the same scores. An item that splits the
    respondents cleanly by ability hence has no proven duplicates.

    Parameters
    ----------
    scores : ndarray, shape (n_respondents, n_items)
        A respondent is one checkpoint. 0 and 1, or any score that is higher where
        the answer is better; ``nan`` where there is none.
    item_ids : sequence of str, optional
        Equal where the content is: then the later item is a duplicate.
    n_independent : int, optional
        How many respondents count as independent, such as the number of training
        runs; all of them, if not given. Only the intervals and what is said of
        chance depend on it.
    confidence_level : float
        Above 0 and below 1.

    Raises
    ------
    DesignError
        ``too-few-respondents``, ``too-few-items`` (fewer than 2), ``items-differ``
        (not an identity for each item), ``bad-n-independent``,
        ``bad-confidence-level``.

    Notes
    -----
    Cautions: ``few-respondents``, ``dependent-respondents``, ``missing-responses``,
    ``constant-items``.

    References
    ----------
    F. M. Lord, M. R. Novick, *Statistical Theories of Mental Test Scores*,
    Addison-Wesley, 1968, sections 15.3-15.5. Y. Benjamini, Y. Hochberg, J. R. Statist.
    Soc. B 57 (1995) 289. L. Madaan et al., arXiv 2406.10229 (2024), section 4, whose
    discrimination is the point-biserial one.
    """
    check_level(confidence_level)
    scores = checked_answers(scores)
    n_respondents, n_items = scores.shape
    if item_ids is not None and len(item_ids) != n_items:
        raise DesignError(
            f"there are {len(item_ids)} item ids for {n_items} items; give one for "
            "each column",
            code="items-differ",
        )
    n = _independent(n_independent, n_respondents)
    seen = ~np.isnan(scores)
    n_answers = seen.sum(0)
    difficulty = _mean_over(np.where(seen, scores, 0).sum(0), n_answers)
    everyone = np.ones((1, n_respondents))
    (item_rest,) = discriminations(scores, everyone)
    (point_biserial,) = discriminations(scores, everyone, with_itself=True)
    n_at = n_answers * n / n_respondents
    low, high = fisher_interval(item_rest, n_at, confidence_level)
    answered = n_answers > 0
    is_all_right = answered & ((scores == 1) | ~seen).all(0)
    is_all_wrong = answered & ((scores == 0) | ~seen).all(0)
    ids = tuple(map(str, range(n_items))) if item_ids is None else tuple(item_ids)
    cautions = respondent_cautions(scores, n)
    if n_constant := int(np.isnan(item_rest).sum()):
        text = (
            f"{n_constant} of {n_items} items have no discrimination: "
            f"{is_all_right.sum()} all right, {is_all_wrong.sum()} all wrong, or no "
            "variation"
        )
        cautions += (Caution("constant-items", text),)
    return ItemAnalysis(
        item_ids=ids,
        n_answers=n_answers,
        difficulty=difficulty,
        item_rest=item_rest,
        low=low,
        high=high,
        point_biserial=point_biserial,
        biserial=item_rest * _biserial_factor(scores, difficulty),
        is_surely_negative=_surely_negative(item_rest, n_at, 1 - confidence_level),
        is_all_right=is_all_right,
        is_all_wrong=is_all_wrong,
        same_id_as=_first_alike(np.array(ids)),
        same_responses_as=_twins(scores, n / n_respondents),
        reliability=reliability(
            scores, n_independent=n, confidence_level=confidence_level
        ),
        n_respondents=n_respondents,
        n_independent=n,
        confidence_level=confidence_level,
        method="correlation of item and rest; Fisher's interval over respondents",
        cautions=cautions,
    )


def discriminations(
    scores: Floats, weights: Floats, *, with_itself: bool = False
) -> Floats:
    """Return each item's correlation with the rest, under each row of weights.

    Pearson's correlation over respondents of ``y[., j]`` and the mean of the other
    items (`with_itself`: of all items) that the respondent answered; a respondent
    counts `weights` times, so that one call serves many splits or resamples.

    Parameters
    ----------
    scores : ndarray, shape (n_respondents, n_items)
        ``nan`` where there is none.
    weights : ndarray, shape (n_sets, n_respondents)
        Not negative.

    Returns
    -------
    ndarray, shape (n_sets, n_items)
        ``nan`` where the item, or the rest, does not vary.
    """
    n_items = scores.shape[1]
    total = np.nansum(scores, axis=1, keepdims=True)
    count = np.sum(~np.isnan(scores), axis=1, keepdims=True)
    tiny = (10.0**-DIGITS * np.abs(scores[np.isfinite(scores)]).max(initial=0)) ** 2
    out = np.empty((len(weights), n_items))
    for start in range(0, n_items, BLOCK):
        item = scores[:, start : start + BLOCK]
        seen = ~np.isnan(item)
        item = np.where(seen, item, 0)
        own = 0 if with_itself else item
        others = count - (0 if with_itself else 1)
        seen &= others > 0
        rest = (total - own) / np.maximum(others, 1)
        x, y = centred(item, seen), centred(rest, seen)
        n, sx, sy, sxx, syy, sxy = (
            weights @ table for table in (seen * 1.0, x, y, x * x, y * y, x * y)
        )
        n = np.maximum(n, 1)
        vx, vy = sxx - sx * sx / n, syy - sy * sy / n
        # Rounding leaves no exact 0 of what does not vary.
        varies = (vx > np.maximum(1e-12 * sxx, tiny * n)) & (
            vy > np.maximum(1e-12 * syy, tiny * n)
        )
        r = (sxy - sx * sy / n) / np.sqrt(np.where(varies, vx * vy, np.nan))
        # Nor an exact 1.
        out[:, start : start + BLOCK] = np.clip(r, -1, 1)
    return out


def reliability(
    scores: Floats,
    *,
    n_independent: int | None = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Return Cronbach's alpha: how far another such test would rank models alike.

    ``k / (k - 1) (1 - sum of item variances / variance of the sum)``; KR-20 for
    scores of 0 and 1. It takes items as equally related to what they measure, and
    is a lower bound where they are not. The interval is Feldt's, for normal scores:
    ``1 - (1 - alpha) F`` with n - 1 and (n - 1)(k - 1) degrees of freedom.

    Parameters
    ----------
    scores : ndarray, shape (n_respondents, n_items)
        Items that a respondent lacks are left out.
    n_independent : int, optional
        As in `analyse_items`; the interval's n.

    Raises
    ------
    DesignError
        ``too-few-respondents``, ``too-few-items``, ``bad-n-independent``,
        ``bad-confidence-level``.

    Notes
    -----
    Cautions: ``missing-responses``, ``constant-over-respondents``; and
    ``few-respondents`` where there is no interval.

    References
    ----------
    L. J. Cronbach, Psychometrika 16 (1951) 297. L. S. Feldt, Psychometrika 30
    (1965) 357.
    """
    from scipy.special import fdtri

    check_level(confidence_level)
    scores = checked_answers(scores)
    n = _independent(n_independent, len(scores))
    complete: Flags = np.asarray(~np.isnan(scores).any(0))
    table = scores[:, complete]
    k = table.shape[1]
    method = "Cronbach's alpha"
    cautions: tuple[Caution, ...] = ()
    if not complete.all():
        text = (
            f"{(~complete).sum()} of {len(complete)} items lack a respondent and are "
            "left out"
        )
        cautions = (Caution("missing-responses", text),)
    if k < 2:
        return undefined(
            "reliability",
            n=n,
            method=method,
            code="missing-responses",
            text=f"needs 2 items that all respondents answered, has {k}",
        )
    total = table.sum(1)
    if np.ptp(total) <= 10.0**-DIGITS * np.abs(total).max():
        return undefined(
            "reliability",
            n=n,
            method=method,
            code="constant-over-respondents",
            text="all respondents have the same total score; give unlike checkpoints",
        )
    alpha = k / (k - 1) * (1 - float(table.var(0, ddof=1).sum() / total.var(ddof=1)))
    interval = Interval(math.nan, math.nan)
    if n >= 2:
        tail = (1 - confidence_level) / 2
        freedom = n - 1, (n - 1) * (k - 1)
        interval = Interval(
            *(1 - (1 - alpha) * float(fdtri(*freedom, p)) for p in (1 - tail, tail))
        )
    else:
        text = "one independent respondent has no interval; give more training runs"
        cautions += (Caution("few-respondents", text),)
    return Estimate(
        quantity="reliability",
        value=alpha,
        interval=interval,
        confidence_level=confidence_level,
        n=n,
        method=f"{method}; Feldt's interval over respondents",
        cautions=cautions,
    )


def checked_answers(scores: Floats) -> Floats:
    """Return a table that item statistics can be computed of, or say why not."""
    scores = np.asarray(scores, dtype=np.float64)
    n_respondents, n_items = scores.shape
    if n_respondents < 2:
        raise DesignError(
            f"a correlation needs at least 2 respondents, got {n_respondents}; "
            "evaluate more checkpoints",
            code="too-few-respondents",
        )
    if n_items < 2:
        raise DesignError(
            f"an item is compared with the rest, so at least 2 are needed, got "
            f"{n_items}",
            code="too-few-items",
        )
    return scores


def _independent(n_independent: int | None, n_respondents: int) -> int:
    n = n_respondents if n_independent is None else n_independent
    if not 1 <= n <= n_respondents:
        raise DesignError(
            f"{n} of {n_respondents} respondents cannot be independent; give a number "
            "from 1 to all of them, such as that of training runs",
            code="bad-n-independent",
        )
    return n


def respondent_cautions(scores: Floats, n: int) -> tuple[Caution, ...]:
    """Return what to know of a table whose respondents count as `n` independent."""
    cautions = []
    if n < ENOUGH:
        text = (
            f"{n} independent respondents; discriminations of fewer than {ENOUGH} are "
            "mostly noise, so give more training runs"
        )
        cautions.append(Caution("few-respondents", text))
    if n < len(scores):
        text = (
            f"{len(scores)} respondents count as {n} independent ones; checkpoints of "
            "one training run resemble each other"
        )
        cautions.append(Caution("dependent-respondents", text))
    if n_missing := int(np.isnan(scores).sum()):
        text = (
            f"{n_missing} of {scores.size} scores are missing; totals are means over "
            "what was answered"
        )
        cautions.append(Caution("missing-responses", text))
    return tuple(cautions)


def centred(table: Floats, seen: Flags) -> Floats:
    """Return `table` less its column means over what is `seen`, elsewhere 0."""
    mean = _mean_over(np.where(seen, table, 0).sum(0), seen.sum(0))
    return np.where(seen, table - mean, 0)


def _mean_over(total: Floats, count: Codes) -> Floats:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _biserial_factor(scores: Floats, p: Floats) -> Floats:
    """Return ``sqrt(p (1 - p)) / phi(Phi^-1(p))`` of items of 0 and 1."""
    from scipy.special import ndtri

    usable = is_binary(np.where(np.isnan(scores), 0, scores).T) & (p > 0) & (p < 1)
    p = np.where(usable, p, np.nan)
    density = np.exp(-(ndtri(p) ** 2) / 2) / math.sqrt(2 * math.pi)
    return np.asarray(np.sqrt(p * (1 - p)) / density)


def fisher_interval(
    r: Floats, n: Floats, confidence_level: float
) -> tuple[Floats, Floats]:
    """Return Fisher's interval; ``nan`` for n of 3 and fewer, and for |r| = 1."""
    from scipy.special import ndtri

    usable = (np.abs(r) < 1) & (n > 3)
    z = np.arctanh(np.where(usable, r, np.nan))
    half = ndtri(0.5 + confidence_level / 2) / np.sqrt(np.where(usable, n - 3, 1))
    return np.tanh(z - half), np.tanh(z + half)


def _surely_negative(r: Floats, n: Floats, rate: float) -> Flags:
    """Return which correlations are negative at a false discovery `rate`."""
    from scipy.special import ndtr
    from scipy.stats import false_discovery_control

    usable = np.flatnonzero((np.abs(r) < 1) & (n > 3))
    p = ndtr(np.arctanh(r[usable]) * np.sqrt(n[usable] - 3))
    out: Flags = np.zeros(len(r), dtype=np.bool_)
    if len(usable):
        out[usable] = false_discovery_control(p) <= rate
    return out


def _first_alike(keys: npt.NDArray[Any]) -> Codes:
    """Return the index of the first equal key before each; -1 where there is none."""
    _, index, inverse = np.unique(keys, return_index=True, return_inverse=True)
    first = index[inverse]
    return np.where(first == np.arange(len(keys)), -1, first)


def _twins(scores: Floats, independence: float) -> Codes:
    """Return the first item of the very same scores, where that is not chance."""
    # One pattern of bits for nan, and for 0.
    columns = np.ascontiguousarray(np.where(np.isnan(scores), np.nan, scores + 0.0).T)
    first = _first_alike(columns.view(np.dtype((np.void, columns[0].nbytes)))[:, 0])
    varies = np.nanmax(columns, 1, initial=-math.inf) > np.nanmin(
        columns, 1, initial=math.inf
    )
    first[~varies] = -1
    found = np.unique(first[first >= 0])
    is_chance = np.zeros(len(first), dtype=bool)
    if len(found):
        expected = _expected_twins(scores, found, varies, independence)
        is_chance[found] = expected >= 0.01
    return np.where((first >= 0) & is_chance[first], -1, first)


def _expected_twins(
    scores: Floats, found: Codes, varies: Flags, independence: float
) -> Floats:
    """Return how many items would have the scores of each `found` one by chance.

    Probabilities are raised to the share of respondents that are independent.
    """
    from scipy.special import gammaln, logit

    pattern, seen = scores[:, found], ~np.isnan(scores)
    if not is_binary(np.where(seen, scores, 0)).all():
        # Arrangements of the same scores: n! / product of factorials of the ties; the
        # place of a score in its run of equal ones makes up the factorial.
        ordered = np.sort(pattern, axis=0)
        place = np.arange(len(ordered))[:, None]
        starts = np.ones(ordered.shape, dtype=bool)
        starts[1:] = ordered[1:] != ordered[:-1]
        run = place - np.maximum.accumulate(np.where(starts, place, 0), axis=0) + 1
        ways = gammaln(seen[:, found].sum(0) + 1) - np.log(run).sum(0)
        return np.asarray(varies.sum() * np.exp(-independence * ways))
    right = np.where(seen, scores, 0)
    ability = logit((right.sum(1) + 0.5) / (seen.sum(1) + 1))
    spread = float(ability.std())
    ability = (ability - ability.mean()) / (spread if spread > 0 else 1)
    log_p = _log_likelihoods(right[:, found], seen[:, found], ability)
    return np.asarray(varies.sum() * np.exp(independence * log_p))


def _log_likelihoods(right: Floats, seen: Flags, ability: Floats) -> Floats:
    """Return each item's log-likelihood under its own logistic curve, by Newton."""
    from scipy.special import expit

    x = ability[:, None]
    slope, shift = np.zeros(right.shape[1]), np.zeros(right.shape[1])
    for _ in range(NEWTON_STEPS):
        p = expit(slope * x + shift)
        error, weight = (right - p) * seen, p * (1 - p) * seen
        # A weak pull to 0 keeps items that split the respondents cleanly finite.
        gradient = error.sum(0) - PULL * shift, (error * x).sum(0) - PULL * slope
        h00, h11 = weight.sum(0) + PULL, (weight * x * x).sum(0) + PULL
        h01 = (weight * x).sum(0)
        scale = h00 * h11 - h01 * h01
        shift += np.clip((h11 * gradient[0] - h01 * gradient[1]) / scale, -1, 1)
        slope += np.clip((h00 * gradient[1] - h01 * gradient[0]) / scale, -1, 1)
    z = slope * x + shift
    signed = np.where(right > 0, z, -z)
    return np.asarray(-(np.logaddexp(0, -signed) * seen).sum(0))


def _nullable(index: Codes) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(index, dtype="Int64").where(index >= 0)
