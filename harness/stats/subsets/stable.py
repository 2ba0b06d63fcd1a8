"""How few items keep level, seed noise, curves and ranks? Searched, and held out."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.subsets.choose import (
    RNGLike,
    SeedLike,
    Subset,
    SubsetMethod,
    choose_subset,
)
from harness.stats.subsets.evaluate import (
    DRAWN,
    WHY_UNDEFINED,
    Design,
    evaluate_subsets,
    quality,
    share_beaten,
)
from harness.stats.subsets.held_out import HeldOut
from harness.stats.subsets.quality import SubsetEvaluation, SubsetQuality

Floats = npt.NDArray[np.float64]

SIMPLEST_FIRST: tuple[SubsetMethod, ...] = (
    "random",
    "stratified",
    "anchors-correct",
    "anchors-irt",
)
"""Ways to choose whose items a plain mean may represent, by what they assume."""

SEARCHED = SIMPLEST_FIRST[:3]
"""What is searched where the caller does not say: what needs no calibration."""

WORTH = 0.1
"""The share of the mean absolute error that a less simple way must save."""

LUCK = 0.95
"""The share of random subsets that items which were not drawn must do better than."""

SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
"""Sizes that are searched where the caller does not say, as shares of all items."""

INNER_LEVEL, INNER_DRAWS = 0.8, 50
"""Of a search whose intervals nobody sees; draws enough for its means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """What a subset may lose against all items, on models held out.

    Attributes
    ----------
    max_error : float
        Mean absolute error of a checkpoint's score, in score units: its level.
    max_extra_sd : float
        By how much the seed SD may be larger, as a share of that of all items.
    max_monotonicity_loss : float
        By how much Kendall's tau-b of score and step may be smaller.
    min_rank_agreement : float
        Kendall's tau-b between the scores of models by the subset and by all items.

    Raises
    ------
    DesignError
        ``bad-tolerance``: a loss below 0 or without end, an agreement beyond -1 to 1.
    """

    max_error: float = 0.03
    max_extra_sd: float = 0.25
    max_monotonicity_loss: float = 0.1
    min_rank_agreement: float = 0.9

    def __post_init__(self) -> None:
        losses = self.max_error, self.max_extra_sd, self.max_monotonicity_loss
        if not all(0 <= loss < math.inf for loss in losses):
            raise DesignError(
                f"tolerances of loss are {', '.join(f'{loss:g}' for loss in losses)}; "
                "give numbers of 0 or more",
                code="bad-tolerance",
            )
        if not -1 <= self.min_rank_agreement <= 1:
            raise DesignError(
                f"the least agreement of ranks is {self.min_rank_agreement:g}; give a "
                "number from -1 to 1",
                code="bad-tolerance",
            )

    def missed(self, row: SubsetQuality, full: SubsetQuality) -> tuple[str, ...]:
        """Return the tolerances that a row misses, against the row of all items.

        What is not defined for all items cannot be missed; what is lost is.
        """
        losses = {
            "max_error": (row.mae.value, self.max_error),
            "max_extra_sd": (
                row.seed_sd.value,
                (1 + self.max_extra_sd) * full.seed_sd.value,
            ),
            "max_monotonicity_loss": (
                full.monotonicity.value - row.monotonicity.value,
                self.max_monotonicity_loss + 0 * full.monotonicity.value,
            ),
            "min_rank_agreement": (
                -row.rank_correlation.value,
                -self.min_rank_agreement + 0 * full.rank_correlation.value,
            ),
        }
        return tuple(
            name
            for name, (loss, most) in losses.items()
            if not math.isnan(most) and not loss <= most
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StableSubset:
    """The fewest items that meet tolerances, and how they do on models that neither
    chose them nor the way to choose them.

    Attributes
    ----------
    frontier : SubsetEvaluation
        Every way at every size, on models held out from the choice of items.
    missed : tuple of tuple of str
        For each row of the frontier, the tolerances that it misses.
    chosen : SubsetQuality or None
        The row that was taken; ``None`` where no size meets all tolerances. It is the
        best of many, so that its own numbers flatter: read `held_out`.
    subset : Subset or None
        Its items, chosen on all respondents; to be read with a plain mean.
    n_random : int or None
        The fewest items of the sizes at which random ones meet all tolerances.
    held_out, control : SubsetQuality or None
        The whole search, made anew without some models and judged on these; and as
        many random items each time. ``None`` where too few are left to search on.
    found : tuple of (method, n_items)
        What that search took in each part.
    """

    frontier: SubsetEvaluation
    tolerances: Tolerances
    missed: tuple[tuple[str, ...], ...]
    chosen: SubsetQuality | None
    subset: Subset | None
    n_random: int | None
    held_out: SubsetQuality | None
    control: SubsetQuality | None
    found: tuple[tuple[SubsetMethod, int], ...]
    cautions: tuple[Caution, ...] = ()

    def fidelity(self) -> dict[str, Any]:
        """Return how the search did where it was held out, random items beside it.

        Empty where it could not be held out: what chose it tells nothing.
        """
        if self.held_out is None or self.control is None:
            return {}
        told: dict[str, Any] = {"held_out": self.frontier.unit}
        for name in ("bias", "mae", "seed_sd", "monotonicity", "rank_correlation"):
            rows = (self.held_out, self.control, self.frontier.rows[0])
            found, chance, full = (getattr(row, name).to_dict() for row in rows)
            told[name] = {
                **{part: found[part] for part in ("value", "low", "high")},
                "random": chance["value"],
                "all_items": full["value"],
            }
        told["beats_random"] = self.held_out.to_dict()["beats_random"]
        return told

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        parts = {
            name: None if part is None else part.to_dict()
            for name, part in (
                ("chosen", self.chosen),
                ("subset", self.subset),
                ("held_out", self.held_out),
                ("control", self.control),
            )
        }
        frontier = self.frontier.to_dict()
        for row, missed in zip(frontier["rows"], self.missed, strict=True):
            row["missed"] = list(missed)
        return {
            **parts,
            "n_random": self.n_random,
            "found": [{"method": method, "n_items": n} for method, n in self.found],
            "tolerances": asdict(self.tolerances),
            "frontier": frontier,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def select_stable(
    scores: Floats,
    *,
    models: Sequence[str],
    train_seeds: Sequence[int | None],
    steps: Sequence[int | None],
    n_items: int | None = None,
    sizes: Sequence[int] | None = None,
    methods: Sequence[SubsetMethod] = SEARCHED,
    tolerances: Tolerances | None = None,
    item_ids: Sequence[str] | None = None,
    n_draws: int = 200,
    confidence_level: float = 0.95,
    rng: RNGLike | SeedLike | None = None,
) -> StableSubset:
    """Choose the fewest items whose plain mean meets tolerances on models held out.

    Every way at every size is judged by `evaluate_subsets`, with the estimator
    ``plain``, which is what a run of these items alone scores. Items that are chosen,
    not drawn, count only where they beat 95 % of random subsets. Of the smallest size
    at which a way meets all tolerances the simplest is taken, of those whose mean
    absolute error is within a tenth of the smallest; its items are then chosen on all.

    The best of many cells owes something to luck, so that its numbers flatter. Hence
    the whole search is made again without each part of the models, and what it finds
    there, the largest size where none meets the tolerances, is judged on that part.

    Parameters
    ----------
    scores, models, train_seeds, steps, n_draws
        As `evaluate_subsets` takes them; items that not all have scored are left out.
    n_items : int, optional
        Take so many, whatever the tolerances.
    sizes : sequence of int, optional
        What is searched; by default `SHARES` of the items.
    methods : sequence of str
        Of `SIMPLEST_FIRST`; ``random`` is always among them.
    tolerances : Tolerances, optional
        What may be lost.
    item_ids : sequence of str, optional
        Names of the items; their column numbers otherwise.

    Raises
    ------
    DesignError
        ``unknown-method``, ``subset-size``, and those of `evaluate_subsets`.

    Notes
    -----
    Cautions: ``tolerance-not-judged``, where all items leave a measure undefined;
    ``no-better-than-random``; ``tolerances-missed``, by the size that was asked for, or
    by the search on models held out; ``search-not-held-out``, where too few models are
    left to search on; ``sizes-differ``, where searches without some models find
    unlike sizes; those of the frontier.

    References
    ----------
    S. Varma, R. Simon, BMC Bioinformatics 7 (2006) 91: the error of the best of many,
    and nested hold-out, which is free of it.
    """
    rng = np.random.default_rng(rng)
    tolerances = tolerances or Tolerances()
    if unknown := [name for name in methods if name not in SIMPLEST_FIRST]:
        raise DesignError(
            f"a plain mean of items chosen by {unknown[0]!r} is no score; choose among "
            f"{', '.join(SIMPLEST_FIRST)}",
            code="unknown-method",
        )
    entropy = int(rng.integers(2**63))
    search = _Search(
        methods=tuple(m for m in SIMPLEST_FIRST if m in {"random", *methods}),
        n_items=n_items,
        tolerances=tolerances,
        entropy=entropy,
    )
    is_shared = np.asarray(np.isfinite(scores).all(axis=0))
    columns = np.flatnonzero(is_shared).tolist()
    wanted = list(sizes) if sizes is not None else _shares_of(len(columns))
    wanted = sorted({*wanted, *([n_items] if n_items else [])})
    who = _Who(models=models, train_seeds=train_seeds, steps=steps)
    frontier = search.judge(scores, who, wanted, n_draws, confidence_level)
    table = np.ascontiguousarray(scores[:, is_shared])
    cell, is_met = search.take(frontier)
    chosen = cell if is_met or n_items else None
    subset = None
    if chosen is not None:
        names = [str(c) if item_ids is None else item_ids[c] for c in columns]
        subset = choose_subset(
            table,
            chosen.n_items,
            method=search.name_of(chosen),
            item_ids=names,
            rng=search.stream("chosen"),
        )
        subset = replace(subset, items=np.array(columns)[subset.items])
    held_out, control, found, why_not = _held_out(
        table,
        who,
        [n_items] if n_items else wanted,
        search,
        n_draws,
        confidence_level,
    )
    full, *rows = frontier.rows
    missed = tuple(tolerances.missed(row, full) for row in frontier.rows)
    passing = [
        row.n_items
        for row, lost in zip(rows, missed[1:], strict=True)
        if row.method == "random" and not lost
    ]
    return StableSubset(
        frontier=frontier,
        tolerances=tolerances,
        missed=missed,
        chosen=chosen,
        subset=subset,
        n_random=min(passing, default=None),
        held_out=held_out,
        control=control,
        found=found,
        cautions=(
            *frontier.cautions,
            *why_not,
            *_cautions(frontier, tolerances, chosen, held_out, found),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Who:
    """Who the rows are."""

    models: Sequence[str]
    train_seeds: Sequence[int | None]
    steps: Sequence[int | None]

    def part(self, rows: npt.NDArray[np.bool_]) -> _Who:
        at = np.flatnonzero(rows).tolist()
        return _Who(
            models=[self.models[i] for i in at],
            train_seeds=[self.train_seeds[i] for i in at],
            steps=[self.steps[i] for i in at],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """What is searched for, whatever the respondents."""

    methods: tuple[SubsetMethod, ...]
    n_items: int | None
    tolerances: Tolerances
    entropy: int

    def judge(
        self,
        scores: Floats,
        who: _Who,
        sizes: Sequence[int],
        n_draws: int,
        confidence_level: float,
        name: str = "frontier",
    ) -> SubsetEvaluation:
        """Return every way at every size, on those held out."""
        return evaluate_subsets(
            scores,
            sizes,
            models=who.models,
            train_seeds=who.train_seeds,
            steps=who.steps,
            methods=dict.fromkeys(self.methods, ("plain",)),
            n_draws=n_draws,
            confidence_level=confidence_level,
            rng=self.stream(name),
        )

    def take(self, frontier: SubsetEvaluation) -> tuple[SubsetQuality, bool]:
        """Return the simplest of the good ways at the smallest size that will do.

        With it, whether it meets the tolerances; where none does, it is of the largest
        size.
        """
        full, *rows = frontier.rows
        # What was not drawn is one subset, which luck may favour.
        rows = [r for r in rows if r.method in DRAWN or r.beats_random >= LUCK]
        able = [row for row in rows if not self.tolerances.missed(row, full)]
        n_items = self.n_items or min(
            (row.n_items for row in able), default=max(row.n_items for row in rows)
        )
        able = [row for row in able if row.n_items == n_items]
        good = able or [row for row in rows if row.n_items == n_items]
        enough = (1 + WORTH) * min(row.mae.value for row in good)
        # Rows stand in the order of the methods, the simplest first.
        return next(row for row in good if row.mae.value <= enough), bool(able)

    def name_of(self, row: SubsetQuality) -> SubsetMethod:
        """Return the way to choose of a row of the frontier."""
        return next(name for name in self.methods if name == row.method)

    def stream(self, name: str) -> list[int]:
        """Return the seed that belongs to a step of the search."""
        return [self.entropy, zlib.crc32(name.encode())]


def _shares_of(n_items: int) -> list[int]:
    return sorted({max(1, round(share * n_items)) for share in SHARES})


def _held_out(
    table: Floats,
    who: _Who,
    sizes: Sequence[int],
    search: _Search,
    n_draws: int,
    confidence_level: float,
) -> tuple[
    SubsetQuality | None,
    SubsetQuality | None,
    tuple[tuple[SubsetMethod, int], ...],
    tuple[Caution, ...],
]:
    """Search without each part of the models; judge there what was found, and chance.

    Also returned are what was found in each part, and why there is nothing.
    """
    rng = np.random.default_rng(search.stream("parts"))
    parts = HeldOut.of(who.models, who.train_seeds, who.steps, None, rng)
    found: list[tuple[SubsetMethod, int]] = []
    searched, drawn = values = np.empty((2, n_draws, len(table)))
    for fold in range(parts.n_folds):
        out = parts.fold == fold
        known = table[~out]
        try:
            inner = search.judge(
                known,
                who.part(~out),
                sizes,
                INNER_DRAWS,
                INNER_LEVEL,
                name=f"frontier without {fold}",
            )
        except DesignError as error:
            text = (
                "the way and the size were chosen by the very models that judge them, "
                f"which flatters: without a part of them, {error}"
            )
            return None, None, (), (Caution("search-not-held-out", text),)
        cell, _ = search.take(inner)
        method = search.name_of(cell)
        found.append((method, cell.n_items))
        pair: tuple[SubsetMethod, SubsetMethod] = (method, "random")
        for side, name in enumerate(pair):
            draws = n_draws if name in DRAWN else 1
            for draw in range(draws):
                subset = choose_subset(
                    known.mean(0, keepdims=True) if name in DRAWN else known,
                    cell.n_items,
                    method=name,
                    rng=[*search.stream(f"{side} without {fold}"), draw],
                )
                values[side, draw, out] = table[np.ix_(out, subset.items)].mean(1)
            values[side][draws:, out] = values[side, 0, out]
    full = table.mean(1)
    design = Design(
        table=table,
        who=parts,
        full=full,
        full_half_width=np.full(len(full), np.nan),
        strata=None,
        n_draws=n_draws,
        confidence_level=confidence_level,
        entropy=search.entropy,
    )
    n_items = round(float(np.mean([n for _, n in found])))
    nowhere = np.full((3, parts.n_folds, len(full)), np.nan)
    if not any(method in DRAWN for method, _ in found):
        searched = searched[:1]
    row, errors = quality(
        design,
        "search",
        "plain",
        n_items,
        _without_ends(searched),
        nowhere,
        WHY_UNDEFINED,
    )
    control, chance = quality(
        design, "random", "plain", n_items, _without_ends(drawn), nowhere, WHY_UNDEFINED
    )
    row = replace(row, beats_random=share_beaten(errors, chance))
    return row, control, tuple(found), ()


def _without_ends(values: Floats) -> Floats:
    """Return (draws, 3, respondents): values, and no ends of intervals."""
    ends = np.full_like(values, np.nan)
    return np.stack([values, ends, ends], axis=1)


def _cautions(
    frontier: SubsetEvaluation,
    tolerances: Tolerances,
    chosen: SubsetQuality | None,
    held_out: SubsetQuality | None,
    found: Sequence[tuple[SubsetMethod, int]],
) -> list[Caution]:
    full = frontier.rows[0]
    told = []
    for name, measure in (
        ("max_extra_sd", full.seed_sd),
        ("max_monotonicity_loss", full.monotonicity),
        ("min_rank_agreement", full.rank_correlation),
    ):
        if math.isnan(measure.value):
            text = f"{name} was not judged: {measure.cautions[0].text}"
            told.append(Caution("tolerance-not-judged", text))
    if chosen is not None and chosen.method == "random":
        text = (
            f"no other {chosen.n_items} items do better than random ones by a tenth of "
            "the error and more than luck, so random ones were taken"
        )
        told.append(Caution("no-better-than-random", text))
    for row, where in ((chosen, "it was judged on"), (held_out, "that did not search")):
        if row is not None and (lost := tolerances.missed(row, full)):
            text = (
                f"on the models {where} it misses {', '.join(lost)}; take more items, "
                "or tolerate more"
            )
            told.append(Caution("tolerances-missed", text))
    sizes = Counter(n for _, n in found)
    if sizes and max(sizes) >= 2 * min(sizes):
        words = ", ".join(f"{n} in {k}" for n, k in sorted(sizes.items()))
        text = (
            f"searches without a part of the models found unlike sizes ({words} of "
            f"{len(found)}): how few will do is not settled; more models would"
        )
        told.append(Caution("sizes-differ", text))
    return told
