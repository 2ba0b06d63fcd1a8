"""Does choosing items by discrimination help other models? Stability and pruning."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.intervals import check_level, mean_intervals
from harness.stats.items import (
    centred,
    checked_answers,
    discriminations,
    fisher_interval,
    respondent_cautions,
)
from harness.stats.ranks import RankMethod, monotonicity
from harness.stats.resample import RNGLike, SeedLike
from harness.stats.series import last_step, seed_sd

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiscriminationStability:
    """Do two halves of the models agree on which items discriminate?"""

    random: Estimate
    """Correlation over items of two random halves, averaged over splits."""

    random_spread: Interval
    """Where the central share of the splits lies, at the confidence level."""

    full_length: Estimate
    """What two sets of as many models as all of them would agree in."""

    ability: Estimate
    """Correlation over items of the weaker and the stronger half."""

    n_splits: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        ends = (None if math.isnan(v) else v for v in self.random_spread)
        return {
            "random": self.random.to_dict(),
            "random_spread": list(ends),
            "full_length": self.full_length.to_dict(),
            "ability": self.ability.to_dict(),
            "n_splits": self.n_splits,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each of the three correlations."""
        import pandas as pd

        parts = (self.random, self.full_length, self.ability)
        return pd.concat([part.to_frame() for part in parts], ignore_index=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PruningEffect:
    """What dropping the least discriminating items does to runs it was not fitted on.

    Attributes
    ----------
    quantities : tuple of str
        ``mean`` at the last checkpoint, ``seed_sd``, ``monotonicity`` and
        ``item_half_width``: the rows of the table.
    full, pruned : ndarray, shape (4,)
        Of all items, and of those kept.
    random : ndarray, shape (n_random, 4)
        Of as many items kept at random: the control. Pruning did something where
        `pruned` lies outside.
    kept : ndarray of bool, shape (n_items,)
    """

    quantities: tuple[str, ...]
    full: Floats
    pruned: Floats
    random: Floats
    kept: Flags
    share: float
    confidence_level: float
    method: str
    cautions: tuple[Caution, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each quantity.

        Columns: ``quantity``, ``full``, ``pruned``, ``random``, ``random_low``,
        ``random_high``: mean and central share of the random subsets.
        """
        import pandas as pd

        low, high = _central(self.random, self.confidence_level)
        return pd.DataFrame(
            {
                "quantity": list(self.quantities),
                "full": self.full,
                "pruned": self.pruned,
                "random": self.random.mean(0),
                "random_low": low,
                "random_high": high,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        frame = self.to_frame().astype(object)
        return {
            "share": self.share,
            "n_items": len(self.kept),
            "n_kept": int(self.kept.sum()),
            "n_random": len(self.random),
            "confidence_level": self.confidence_level,
            "method": self.method,
            "quantities": frame.where(frame.notna(), None).to_dict("records"),
            "cautions": [asdict(caution) for caution in self.cautions],
        }


def discrimination_stability(
    scores: Floats,
    *,
    runs: Sequence[int] | Codes | None = None,
    n_splits: int = 100,
    confidence_level: float = 0.95,
    rng: RNGLike | SeedLike | None = None,
) -> DiscriminationStability:
    """Return how far two halves of the models agree on what discriminates.

    Item-rest correlations are computed in each half, and correlated over the items
    that vary in both. Halves are drawn at random, `n_splits` times, and formed once by
    ability: the weaker and the stronger half by mean score. Random halves say how
    noisy discriminations are. Ability halves disagree even where nothing about the
    items changes, because an item tells apart only models near its difficulty: weak
    models by easy items, strong ones by hard items. So what was chosen on weak models
    does not serve strong ones, whatever the reason. With an odd number of models one
    is left out: of the ability halves, that in the middle.

    `full_length` is Spearman and Brown's ``2 r / (1 + r)`` of the random halves.
    Intervals are Fisher's over items, with the models as given.

    Parameters
    ----------
    scores : ndarray, shape (n_respondents, n_items)
        ``nan`` where there is none.
    runs : sequence of int, shape (n_respondents,), optional
        Training run of each respondent. Checkpoints of one run resemble each other and
        go to the same half; without it, each is a model by itself.
    n_splits : int
        Random splits, each from a permutation of the models.
    rng : optional
        Generator or seed of the splits.

    Raises
    ------
    DesignError
        ``too-few-respondents`` (fewer than 4 runs: a half of one says little),
        ``too-few-items``, ``items-differ`` (not a run for each respondent),
        ``bad-confidence-level``.

    Notes
    -----
    Cautions: those of `analyse_items` on respondents; ``few-items``, where fewer than
    3 items vary in both halves.

    References
    ----------
    L. Madaan et al., arXiv 2406.10229 (2024), section 4 and figure 3.
    """
    rng = np.random.default_rng(rng)
    check_level(confidence_level)
    scores = checked_answers(scores)
    models = np.arange(len(scores)) if runs is None else np.asarray(runs)
    if len(models) != len(scores):
        raise DesignError(
            f"there are {len(models)} runs for {len(scores)} respondents; give one for "
            "each row",
            code="items-differ",
        )
    _, code = np.unique(models, return_inverse=True)
    n_models = int(code.max()) + 1
    if n_models < 4:
        raise DesignError(
            f"halves need at least 4 models, got {n_models}; checkpoints of one run "
            "are one model",
            code="too-few-respondents",
        )
    cautions = respondent_cautions(scores, n_models)
    seen = ~np.isnan(scores)
    total = np.bincount(code, np.where(seen, scores, 0).sum(1))
    ability = total / np.maximum(np.bincount(code, seen.sum(1)), 1)
    orders = np.tile(np.arange(n_models), (n_splits, 1))
    orders = rng.permuted(orders, axis=1)
    orders = np.vstack([orders, np.argsort(ability, kind="stable")])
    half = n_models // 2
    first, second = (
        discriminations(scores, _memberships(part, n_models)[:, code])
        for part in (orders[:, :half], orders[:, -half:])
    )
    r, n = _over_items(first, second)
    by_chance = r[:-1][~np.isnan(r[:-1])]
    mean = float(by_chance.mean()) if len(by_chance) else math.nan
    n_random = int(np.median(n[:-1]))
    over_items = fisher_interval(np.array(mean), np.array(n_random), confidence_level)

    def estimate(
        quantity: str, value: float, ends: Iterable[Any], n: int, method: str
    ) -> Estimate:
        if math.isnan(value):
            return undefined(
                quantity,
                n=n,
                method=method,
                code="few-items",
                text="needs 3 items whose discriminations differ in both halves of the "
                "models; give more items, or more models",
            )
        return Estimate(
            quantity=quantity,
            value=value,
            interval=Interval(*map(float, ends)),
            confidence_level=confidence_level,
            n=n,
            method=f"{method}; Fisher's interval over items",
            cautions=cautions,
        )

    return DiscriminationStability(
        random=estimate(
            "stability_random",
            mean,
            over_items,
            n_random,
            f"mean over {n_splits} random halves",
        ),
        random_spread=Interval(
            *(float(end[0]) for end in _central(by_chance[:, None], confidence_level))
        ),
        full_length=estimate(
            "stability_full_length",
            _spearman_brown(mean),
            (_spearman_brown(float(end)) for end in over_items),
            n_random,
            "random halves, by Spearman and Brown's formula",
        ),
        ability=estimate(
            "stability_ability",
            float(r[-1]),
            fisher_interval(r[-1], n[-1], confidence_level),
            int(n[-1]),
            "weaker and stronger half",
        ),
        n_splits=n_splits,
    )


def prune_items(
    training: Floats,
    held_out: Floats,
    *,
    share: float = 0.25,
    n_random: int = 100,
    ddof: int = 1,
    rank_method: RankMethod = "tau-b",
    bounds: tuple[float, float] = (0, 1),
    confidence_level: float = 0.95,
    rng: RNGLike | SeedLike | None = None,
) -> PruningEffect:
    """Return what dropping the least discriminating items does to other runs.

    The `share` of items with the lowest item-rest correlation over `training` is
    dropped, then runs that had no say in it are summarised: by all items, by those
    kept, and by as many kept at random. An item without variation over `training`
    counts as 0; ties are broken at random. Judged on the models that chose, pruning
    always seems to help.

    Parameters
    ----------
    training : ndarray, shape (n_respondents, n_items)
        Scores of the models that choose; ``nan`` where there is none.
    held_out : ndarray, shape (n_seeds, n_steps, n_items)
        Scores of other runs, steps ascending; ``nan`` where not evaluated.
    share : float
        Of the items that `held_out` shares, to be dropped.
    n_random : int
        Random subsets; at least 1.
    ddof, rank_method
        As in `seed_sd` and `monotonicity`.
    bounds : tuple of float
        What scores can be, as in `mean_intervals`.
    rng : optional
        Generator or seed of the ties and the random subsets.

    Raises
    ------
    DesignError
        ``items-differ`` (not the same items, or none shared), ``bad-share``,
        ``too-few-respondents``, ``too-few-items``, ``bad-confidence-level``,
        ``bad-ddof``, ``unknown-method``.

    Notes
    -----
    Cautions: ``evaluated-on-training``, ``items-not-shared``, and those of
    `seed_sd` and `monotonicity`; those of `analyse_items` on respondents.

    References
    ----------
    L. Madaan et al., arXiv 2406.10229 (2024), section 4: modest gains in error and
    monotonicity, while the mean drifts.
    """
    rng = np.random.default_rng(rng)
    check_level(confidence_level)
    training = checked_answers(training)
    held_out = np.asarray(held_out, dtype=np.float64)
    if held_out.shape[-1] != training.shape[1]:
        raise DesignError(
            f"the held-out runs have {held_out.shape[-1]} items, the training models "
            f"{training.shape[1]}; give the same items in the same order",
            code="items-differ",
        )
    present = ~np.isnan(held_out)
    evaluated = present.any(-1)
    shared: Flags = np.asarray(present[evaluated].all(0))
    n_shared = int(shared.sum()) if evaluated.any() else 0
    if n_shared == 0:
        raise DesignError(
            "no item has a score at every held-out checkpoint; evaluate the same "
            "items on each",
            code="items-differ",
        )
    n_dropped = int(share * n_shared)
    if not 0 < n_dropped < n_shared:
        raise DesignError(
            f"dropping a share of {share} leaves {n_shared - n_dropped} of {n_shared} "
            "items; choose one that drops some and keeps some",
            code="bad-share",
        )
    (item_rest,) = discriminations(training, np.ones((1, len(training))))
    worth = np.nan_to_num(item_rest[shared], nan=0.0)
    order = np.lexsort((rng.permutation(n_shared), worth))
    cells = held_out[evaluated][:, shared]

    def summary(keep: Codes) -> tuple[Floats, tuple[Caution, ...]]:
        table = cells[:, keep]
        scores = np.full(evaluated.shape, np.nan)
        scores[evaluated] = table.mean(-1)
        column, cautions = last_step(scores)
        low, high = mean_intervals(
            table, confidence_level=confidence_level, bounds=bounds
        )
        widths = (high - low)[~np.isnan(low)]
        spread = seed_sd(scores, ddof=ddof)
        rising = monotonicity(scores, method=rank_method)
        values = (
            float(np.nanmean(scores[:, column])),
            spread.value,
            rising.value,
            float(widths.mean()) / 2 if len(widths) else math.nan,
        )
        if not len(widths):
            text = "scores that do not vary over items have no interval"
            cautions += (Caution("constant-over-items", text),)
        return np.array(values), (*cautions, *spread.cautions, *rising.cautions)

    full, cautions = summary(np.arange(n_shared))
    keep = np.sort(order[n_dropped:])
    pruned, more = summary(keep)
    random = [
        summary(np.sort(rng.permutation(n_shared)[n_dropped:]))[0]
        for _ in range(n_random)
    ]
    if n_shared < len(shared):
        text = (
            f"{len(shared) - n_shared} of {len(shared)} items lack a held-out "
            "checkpoint and are left out"
        )
        cautions += (Caution("items-not-shared", text),)
    kept: Flags = np.zeros(len(shared), dtype=np.bool_)
    kept[np.flatnonzero(shared)[keep]] = True
    return PruningEffect(
        quantities=("mean", "seed_sd", "monotonicity", "item_half_width"),
        full=full,
        pruned=pruned,
        random=np.array(random),
        kept=kept,
        share=share,
        confidence_level=confidence_level,
        method="lowest item-rest correlations dropped; judged on runs held out",
        cautions=tuple(
            dict.fromkeys(
                [
                    *_overlap_cautions(training, held_out),
                    *respondent_cautions(training, len(training)),
                    *cautions,
                    *more,
                ]
            )
        ),
    )


def _overlap_cautions(training: Floats, held_out: Floats) -> tuple[Caution, ...]:
    known = {row.tobytes() for row in training}
    rows = held_out.reshape(-1, held_out.shape[-1])
    rows = rows[~np.isnan(rows).all(1)]
    if not (n_same := sum(row.tobytes() in known for row in rows)):
        return ()
    text = (
        f"{n_same} held-out checkpoints gave the very scores of a training model; "
        "pruning seems to help on models that chose the items"
    )
    return (Caution("evaluated-on-training", text),)


def _spearman_brown(r: float) -> float:
    return 2 * r / (1 + r) if r > -1 else math.nan


def _memberships(members: Codes, n: int) -> Floats:
    out = np.zeros((len(members), n))
    np.put_along_axis(out, members, 1, axis=1)
    return out


def _over_items(first: Floats, second: Floats) -> tuple[Floats, Codes]:
    """Return rows' correlations over the items that both have, and their number."""
    seen = ~(np.isnan(first) | np.isnan(second))
    x, y = (centred(table.T, seen.T) for table in (first, second))
    n = seen.sum(1)
    scale = (x * x).sum(0) * (y * y).sum(0)
    usable = (n >= 3) & (scale > 1e-24)
    r = (x * y).sum(0) / np.sqrt(np.where(usable, scale, np.nan))
    return np.clip(r, -1, 1), n


def _central(values: Floats, confidence_level: float) -> tuple[Floats, Floats]:
    """Return the ends of the central share of each column."""
    if not len(values):
        nothing = np.full(values.shape[1], np.nan)
        return nothing, nothing.copy()
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return low, high
