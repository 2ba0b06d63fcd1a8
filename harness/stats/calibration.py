"""Can verdicts be trusted? Equal models compared with each other, as models are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.clusters import Codes, cluster_codes
from harness.stats.collapse import collapse
from harness.stats.compare.difference import (
    Answers,
    Items,
    Moments,
    p_values,
    pair_moments,
)
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.facets import FacetScores, facet_scores
from harness.stats.intervals import check_level, wilson_interval
from harness.stats.reruns import as_repeats, is_again
from harness.stats.tables import Kind

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Draws = Literal["repeats", "few-shot seeds", "training seeds"]

DRAWS: tuple[Draws, ...] = ("repeats", "few-shot seeds", "training seeds")
"""What equal models differ by, the least first."""

FEW_PAIRS = 20
"""Below so many pairs there is a count and no rate."""

MIN_ITEMS = 30
"""Fewer items are not judged by `harness.stats.compare.compare` either."""

MIN_SEEDS = 4
"""Halves of fewer training seeds have no variance of their own."""

LABELS = ("task", "formulation", "num_fewshot", "generation", "metric")
"""What pairs of one row share."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """How often equal models are found to differ.

    Attributes
    ----------
    draws : {"repeats", "few-shot seeds", "training seeds"}
        What the two of a pair differ by.
    task, formulation, num_fewshot, generation, metric
        Of the pairs; ``None`` in the row of all tasks.
    n_pairs, n_false : int
        Pairs, and those that were found to differ.
    nominal : float
        The share that may be: 1 less the confidence level of verdicts.
    rate : Estimate
        ``n_false / n_pairs``; `n` is the number of independent pairs, rounded down.
        Not defined below 20 pairs.
    p_values : ndarray, shape (n_pairs,)
        Ascending.
    differences : ndarray, shape (n_pairs,)
        The second of each pair less the first, in the same order.
    band : float
        How far the share of p-values up to any p may be from p by chance: simultaneous,
        at the confidence level of `rate`. Exact tests have larger ones.
    """

    draws: Draws
    task: str | None
    formulation: str | None
    num_fewshot: int | None
    generation: str | None
    metric: str | None
    n_pairs: int
    n_false: int
    nominal: float
    rate: Estimate
    p_values: Floats
    differences: Floats
    band: float
    cautions: tuple[Caution, ...] = ()

    @property
    def is_inflated(self) -> bool:
        """Whether there are more false alarms than there may be, beyond chance."""
        return bool(self.rate.interval.low > self.nominal)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, all but the pairs; a ``nan`` becomes ``None``."""
        return {
            "draws": self.draws,
            **{name: getattr(self, name) for name in LABELS},
            "n_pairs": self.n_pairs,
            "n_false": self.n_false,
            "nominal": self.nominal,
            "rate": self.rate.to_dict(),
            "band": None if math.isnan(self.band) else self.band,
            "is_inflated": self.is_inflated,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one tidy row: draws, labels, counts, and that of the rate."""
        frame = self.rate.to_frame().assign(
            n_pairs=self.n_pairs, n_false=self.n_false, nominal=self.nominal
        )
        for name in reversed(("draws", *LABELS)):
            frame.insert(0, name, getattr(self, name))
        return frame


Refused = tuple[FacetScores, DesignError]
"""Scores of a model and task that hold no two draws of one thing, and why."""


def a_a(
    responses: pd.DataFrame,
    *,
    metric: str | None = None,
    kind: Kind = "discrete",
    task: str | None = None,
    formulation: str | None = None,
    steps: tuple[int | None, int | None] = (None, None),
    confidence_level: float = 0.95,
) -> tuple[Calibration, ...]:
    """Return how often equal models are found to differ, from what is stored.

    The rows of `calibrate`, which has the parameters and errors.
    """
    if not _has_draws(responses):
        return ()
    rows, _ = calibrate(
        responses,
        metric=metric,
        kind=kind,
        task=task,
        formulation=formulation,
        steps=steps,
        confidence_level=confidence_level,
    )
    return rows


def _has_draws(responses: pd.DataFrame) -> bool:
    """Return whether any checkpoint may have several draws; seldom, and soon told."""
    names = ["fewshot_seed", "sample_seed", "repeat"]
    if len(responses[names].drop_duplicates()) > 1:
        return True
    runs = responses[["model", "step", "train_seed"]].drop_duplicates()
    n_seeds = runs.groupby(["model", "step"], observed=True, dropna=False).size()
    return bool((n_seeds >= MIN_SEEDS).any() or is_again(responses).any())


def calibrate(
    responses: pd.DataFrame,
    *,
    metric: str | None = None,
    kind: Kind = "discrete",
    task: str | None = None,
    formulation: str | None = None,
    steps: tuple[int | None, int | None] = (None, None),
    confidence_level: float = 0.95,
) -> tuple[tuple[Calibration, ...], tuple[Refused, ...]]:
    """Return the `calibration_table` of what is stored, and what was refused.

    Copies of answers count once, as `harness.stats.collapse.collapse` says; runs that
    nothing tells apart are repeats; clusters are those that are stored.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`.
    metric, kind, task, formulation, steps
        As `harness.stats.facets.facet_scores` takes them.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    DesignError
        ``no-responses``, ``unknown-metric``, ``bad-confidence-level``.
    """
    responses, cautions = collapse(responses)
    tables = facet_scores(
        as_repeats(responses),
        metric=metric,
        kind=kind,
        task=task,
        formulation=formulation,
        steps=steps,
    )
    known = responses.loc[responses["cluster"].notna(), ["item_id", "cluster"]]
    clusters = dict(known.drop_duplicates("item_id").itertuples(index=False, name=None))
    return calibration_table(
        tables,
        clusters=clusters,
        confidence_level=confidence_level,
        cautions=cautions,
    )


def calibration_table(
    tables: Iterable[FacetScores],
    *,
    clusters: Mapping[str, str] | None = None,
    confidence_level: float = 0.95,
    cautions: tuple[Caution, ...] = (),
) -> tuple[tuple[Calibration, ...], tuple[Refused, ...]]:
    """Return how often equal models are found to differ, and what could not be asked.

    The same weights are compared with themselves by the test that
    `harness.stats.compare.compare` uses: each repeat of sampled answers with each
    other, and each few-shot seed, a mean over its repeats, with each other. A few-shot
    seed that is kinder than another is a false alarm too, if seeds are drawn anew for
    every run and differences are taken over items alone. Training seeds of one model at
    one step are no equal models: halves of them are compared, neighbours in a circle,
    by the test that takes seeds as draws; it needs 4.

    Pairs with a member in common are not independent. K draws of one thing hold
    ``K // 2`` pairs without one, and the mean over all pairs is no less exact than over
    these (Hoeffding). With a share ``w`` of all pairs and ``m`` independent ones in
    each set::

        n = 1 / sum(w^2 / m)

    stands for the number of independent pairs in Wilson's interval and in the
    Dvoretzky-Kiefer-Wolfowitz band, ``sqrt(log(2 / alpha) / (2 n))``: both are too wide
    rather than too narrow. Repeats are a set for each checkpoint, template and few-shot
    seed; few-shot seeds for each task and template, since the same examples are put to
    all models; halves of seeds, with m = 1, for each model and task, whatever the step,
    which takes seeds as unlike from task to task.

    Parameters
    ----------
    tables : iterable of FacetScores
        From `harness.stats.facets.facet_scores`.
    clusters : mapping of item id to cluster, optional
        Used where all items of a task have one.
    confidence_level : float
        Of verdicts, and of the rate's interval.
    cautions : tuple of Caution
        What is known of the responses behind the tables; rows repeat it.

    Returns
    -------
    rows : tuple of Calibration
        Of each kind of draws a row for all tasks together, if they are several, and one
        for each.
    refused : tuple of (FacetScores, DesignError)

    Raises
    ------
    DesignError
        ``bad-confidence-level``.

    Notes
    -----
    Refused: ``too-few-items`` (30 are needed) and ``too-few-replicates``. Cautions:
    ``few-pairs``.

    References
    ----------
    W. Hoeffding, JASA 58 (1963) 13, section 5. P. Massart, Ann. Probab. 18 (1990) 1269.
    """
    check_level(confidence_level)
    known = dict(clusters or {})
    found: list[tuple[tuple[Any, ...], _Set]] = []
    refused: list[Refused] = []
    for table in tables:
        labels = tuple(getattr(table, name) for name in LABELS)
        try:
            found += [((draws, *labels), one) for draws, one in _sets(table, known)]
        except DesignError as error:
            refused.append((table, error))
    if not found:
        return (), tuple(refused)
    # All at once: each by itself would take several times as long.
    p = p_values(Moments.together([one.moments for _, one in found]))
    ends = np.cumsum([len(one.moments) for _, one in found])[:-1]
    sets: dict[tuple[Any, ...], list[tuple[_Set, Pairs]]] = {}
    for (key, one), own in zip(found, np.split(p, ends), strict=True):
        pairs = np.stack([own, one.moments.difference])
        sets.setdefault(key, []).append((one, pairs[:, ~np.isnan(own)]))
    rows = []
    for draws in DRAWS:
        mine = {key[1:]: some for key, some in sets.items() if key[0] == draws}
        if len(mine) > 1:
            nothing = dict.fromkeys(LABELS)
            together = [pair for some in mine.values() for pair in some]
            rows.append(_row(draws, nothing, together, confidence_level, cautions))
        for labels in sorted(mine, key=str):
            named = dict(zip(LABELS, labels, strict=True))
            rows.append(_row(draws, named, mine[labels], confidence_level, cautions))
    return tuple(rows), tuple(refused)


Pairs = Floats
"""A row of p-values and one of differences."""


class _Set(NamedTuple):
    """Pairs that have members in common."""

    name: tuple[Any, ...]
    """Equal for sets that are not independent for another reason."""

    n_independent: int
    moments: Moments


def _row(
    draws: Draws,
    labels: Mapping[str, Any],
    sets: Iterable[tuple[_Set, Pairs]],
    level: float,
    cautions: tuple[Caution, ...],
) -> Calibration:
    sizes: dict[tuple[Any, ...], int] = {}
    independent: dict[tuple[Any, ...], int] = {}
    parts = []
    for one, own in sets:
        parts.append(own)
        sizes[one.name] = sizes.get(one.name, 0) + own.shape[1]
        independent[one.name] = max(one.n_independent, independent.get(one.name, 0))
    pairs = np.concatenate(parts, axis=1)
    p, differences = pairs[:, np.argsort(pairs[0], kind="stable")]
    n_pairs, n_false = len(p), int((p < 1 - level).sum())
    shares = np.array([*sizes.values()]) / max(n_pairs, 1)
    apart = np.array([*independent.values()])
    n = 1 / float((shares**2 / apart).sum()) if n_pairs else 0.0
    n_whole = math.floor(n + 1e-9)  # where rounding leaves 23.999
    method = (
        f"Wilson score interval; {n_pairs} pairs of {len(sizes)} sets of {draws} tell "
        f"as much as {n:.3g} independent ones at least"
    )
    if n_pairs < FEW_PAIRS:
        rate = undefined(
            "rate of false alarms",
            n=n_whole,
            method=method,
            code="few-pairs",
            text=f"{n_pairs} pairs of equal models say little of how often verdicts "
            f"are wrong; {FEW_PAIRS} are needed",
        )
    else:
        share = n_false / n_pairs
        low, high = wilson_interval(np.array(share), n, confidence_level=level)
        rate = Estimate(
            quantity="rate of false alarms",
            value=share,
            se=math.sqrt(share * (1 - share) / n),
            interval=Interval(float(low), float(high)),
            confidence_level=level,
            n=n_whole,
            method=method,
        )
    return Calibration(
        draws=draws,
        **labels,
        n_pairs=n_pairs,
        n_false=n_false,
        nominal=1 - level,
        rate=rate,
        p_values=p,
        differences=differences,
        band=math.sqrt(math.log(2 / (1 - level)) / (2 * n)) if n else math.nan,
        cautions=(*rate.cautions, *cautions),
    )


def _sets(table: FacetScores, clusters: Mapping[str, str]) -> list[tuple[Draws, _Set]]:
    """Return all pairs of equal models in one table."""
    n_items = len(table.levels["item"])
    if n_items < MIN_ITEMS:
        raise DesignError(
            f"{n_items} items; differences are not judged below {MIN_ITEMS}",
            code="too-few-items",
        )
    labels = [clusters.get(item) for item in table.levels["item"]]
    codes = None if None in labels else cluster_codes(labels, n_items)
    condition = tuple(getattr(table, name) for name in (*LABELS, "settings"))
    answers = table.tensor("train_seed", "step", "template", "fewshot_seed", "item")
    of_shots = _means(answers, -1)
    of_seeds = _means(of_shots, -2)
    found: list[tuple[Draws, _Set | None]] = []
    for place in np.ndindex(answers.shape[:4]):
        name = table.model, *condition, *place
        found.append(("repeats", _pairs(name, answers[place].T, codes)))
    for s, t, p in np.ndindex(of_shots.shape[:3]):
        one = _pairs((*condition, p), of_shots[s, t, p], codes)
        found.append(("few-shot seeds", one))
    for t, p in np.ndindex(of_seeds.shape[1:3]):
        one = _halves((table.model, *condition), of_seeds[:, t, p], codes)
        found.append(("training seeds", one))
    sets = [(draws, one) for draws, one in found if one is not None]
    if not sets:
        raise DesignError(
            "no checkpoint has several draws that differ; ask for repeats of sampled "
            f"answers or several few-shot seeds, or list {MIN_SEEDS} training seeds",
            code="too-few-replicates",
        )
    return sets


def _means(values: Floats, axis: int) -> Floats:
    known = ~np.isnan(values)
    n = known.sum(axis)
    total = np.where(known, values, 0).sum(axis)
    return np.asarray(total / np.where(n > 0, n, np.nan))


def _shared(scores: Floats, codes: Codes | None) -> tuple[Floats, Items]:
    """Return the draws that were asked, over the items that all of them answered."""
    asked = scores[~np.isnan(scores).all(1)]
    shared = ~np.isnan(asked).any(0)
    own = None
    if codes is not None:
        own = np.asarray(np.unique(codes[shared], return_inverse=True)[1])
    return asked[:, shared], Items(n=int(shared.sum()), codes=own)


def _pairs(name: tuple[Any, ...], scores: Floats, codes: Codes | None) -> _Set | None:
    """Compare each draw with each other, unless none differs from any."""
    scores, items = _shared(scores, codes)
    if items.n < MIN_ITEMS or len(scores) < 2 or (scores == scores[0]).all():
        return None
    draws = [Answers(scores=row[None]) for row in scores]
    return _Set(name, len(scores) // 2, pair_moments(draws, items))


def _halves(name: tuple[Any, ...], scores: Floats, codes: Codes | None) -> _Set | None:
    """Compare half of the training seeds with the rest, unless none differs."""
    scores, items = _shared(scores, codes)
    n = len(scores)
    if items.n < MIN_ITEMS or n < MIN_SEEDS or (scores == scores[0]).all():
        return None
    moments = []
    for first in range(n if n % 2 else n // 2):
        turned = np.roll(scores, -first, axis=0)
        halves = turned[: n // 2], turned[n // 2 :]
        moments.append(pair_moments([Answers(scores=half) for half in halves], items))
    return _Set(name, 1, Moments.together(moments))
