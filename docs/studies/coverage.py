"""How often does a 95 % interval hold the truth? Designs of which it is known.

`tox run -e coverage-study` simulates all designs and writes the numbers and the page;
`… -- score signal` does so for these families alone and keeps the other numbers. Each
design draws from a stream of its own: no number depends on which others are run, in
what order, or by how many workers.
"""

# The generators are the tests'; where they lie must be said before they are imported.
# ruff: noqa: E402
from __future__ import annotations

import csv
import math
import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parents[1] / "tests")]

from page import Page, fixed
from stats import designs as of_items
from stats import seed_designs as of_seeds
from stats import series_designs as of_steps

from harness.stats.components import (
    mean_seed_components,
    seed_components,
)
from harness.stats.crossed import crossed_bootstrap
from harness.stats.decisions import averaging_gain, decision_accuracy
from harness.stats.estimate import Estimate
from harness.stats.intervals import is_binary, score_interval
from harness.stats.pairs import paired_difference
from harness.stats.ranks import (
    monotonicity_interval,
    rank_correlations,
    settled_monotonicity,
)
from harness.stats.repeats import repeat_components
from harness.stats.series import (
    last_seed_sd,
    robust_seed_sd,
    seed_sd,
    signal_to_noise,
)
from harness.stats.signal import signal_noise
from harness.stats.variation import total_variation
from harness.streams import stream

ENTROPY = 20261125
LEVEL, LEAST, MOST = 0.95, 0.93, 0.97
"""The nominal level, and what counts as holding it."""

MOSTLY = 0.5
"""A cell is cautioned if more than this share of its tables carries a caution."""

ABOUT_SOMETHING_ELSE = frozenset({"negative-component", "tied-pairs"})
"""Cautions that say nothing of an interval's level; they do not count here."""

OF_AN_ASSUMPTION = frozenset({"shape-of-seeds", "unseen-carry-over"})
"""Cautions that name what an interval assumes and data of this size cannot show. They
stand wherever it is assumed, and count only where a design breaks it."""

BLOCK = 50
"""Tables drawn at a time, to bound memory."""

Found = dict[str, Estimate]
"""What one table gives, by quantity."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """Tables of one kind, what is estimated of each, and the truth."""

    family: str
    method: str
    kind: str
    """What is drawn, in words, but for the three numbers that follow."""

    n_items: int | None = None
    n_seeds: int | None = None
    mean: float | None = None

    draw: Callable[[np.random.Generator, int], Iterable[Found]]
    """Estimates of so many tables."""

    truth: Mapping[str, float] | None
    """By quantity; one that is left out, or all if None, is its mean over tables."""

    breaks: str = ""
    """Of `OF_AN_ASSUMPTION`, the one that tells what this design breaks."""

    n_tables: int = 1_400
    block: int = BLOCK
    truth_by_block: bool = False
    """Whether that mean is of each block: of other tables of the same checkpoints."""

    @property
    def name(self) -> str:
        numbers = self.n_items, self.n_seeds, self.mean
        return " | ".join([self.family, self.method, self.kind, *map(str, numbers)])


@dataclass(frozen=True, kw_only=True)
class Cell:
    """How often one interval of one design held the truth."""

    family: str
    quantity: str
    method: str
    kind: str
    n_items: int | None
    n_seeds: int | None
    mean: float | None
    n_tables: int
    n_intervals: int
    """Tables that gave an interval; the others say why they have none."""

    coverage: float
    se: float
    width: float
    """Median width over that of a normal interval which knows the standard error."""

    cautioned: float
    """Share of intervals with a caution."""

    misled: float
    """Share of intervals that miss the truth and carry no caution."""

    codes: str

    @property
    def verdict(self) -> str:
        """Whether it holds its level, by more than two standard errors, or says so.

        An SD of 0 has no interval, and one of no width would miss: such tables count
        against covering too much, and not against covering too little.
        """
        of_all = self.coverage * self.n_intervals / self.n_tables
        outside = max(LEAST - self.coverage, of_all - MOST)
        if outside <= 0:
            return "holds"
        if outside <= 2 * self.se:
            return "at the edge"
        return "cautioned" if self.cautioned > MOSTLY else "silent"


def simulate(design: Design, n_tables: int | None = None) -> list[Cell]:
    """Return a cell for each quantity of a design."""
    rng = stream(ENTROPY, design.name)
    n_tables = n_tables or design.n_tables
    found: dict[str, list[Estimate]] = {}
    truths: dict[str, list[float]] = {}
    for start in range(0, n_tables, design.block):
        drawn = list(design.draw(rng, min(design.block, n_tables - start)))
        for one in (e for tables in drawn for e in tables.values()):
            if math.isnan(one.interval.low) and not one.cautions:
                raise AssertionError(f"{design.name}: no interval, and no caution")
        for quantity in drawn[0]:
            estimates = [one[quantity] for one in drawn]
            found.setdefault(quantity, []).extend(estimates)
            truth = (design.truth or {}).get(quantity, math.nan)
            if design.truth_by_block:
                truth = float(np.nanmean([e.value for e in estimates]))
            truths.setdefault(quantity, []).extend([truth] * len(estimates))
    return [
        _cell(design, quantity, found[quantity], np.array(truths[quantity]))
        for quantity in found
        if not all(math.isnan(e.interval.low) for e in found[quantity])
    ]


def _cell(
    design: Design, quantity: str, found: list[Estimate], truth: np.ndarray[Any, Any]
) -> Cell:
    values = np.array([e.value for e in found])
    low, high = np.array([e.interval for e in found]).T
    idle = (ABOUT_SOMETHING_ELSE | OF_AN_ASSUMPTION) - {design.breaks}
    codes = [{c.code for c in e.cautions} - idle for e in found]
    truth = np.where(np.isnan(truth), np.nanmean(values), truth)
    given = ~np.isnan(low)
    n = int(given.sum())
    # Rounding must not lose a truth at an end, such as 0 or 1.
    slack = 1e-12 * np.abs(truth)
    covers = ((low - slack <= truth) & (truth <= high + slack))[given]
    told = np.array([bool(c) for c in codes])[given]
    share = float(covers.mean()) if n else math.nan
    sd = float(np.nanstd(values))
    usual = Counter(
        code for c, there in zip(codes, given, strict=True) if there for code in c
    )
    return Cell(
        family=design.family,
        quantity=quantity,
        method=design.method,
        kind=design.kind,
        n_items=design.n_items,
        n_seeds=design.n_seeds,
        mean=design.mean,
        n_tables=len(found),
        n_intervals=n,
        coverage=share,
        se=math.sqrt(max(share * (1 - share), 0.25 / max(n, 1)) / n) if n else math.nan,
        width=float(np.median((high - low)[given])) / (2 * 1.96 * sd)
        if n and sd > 0
        else math.nan,
        cautioned=float(told.mean()) if n else math.nan,
        misled=float((~covers & ~told).mean()) if n else math.nan,
        codes=" ".join(f"{c}:{k / n:.2f}" for c, k in sorted(usual.items())),
    )


def score_designs() -> Iterator[Design]:
    """Intervals of one score, over items."""

    def of(
        scores: Callable[[np.random.Generator, int], Any], **options: Any
    ) -> Callable[[np.random.Generator, int], Iterable[Found]]:
        def draw(rng: np.random.Generator, n: int) -> Iterator[Found]:
            for row in scores(rng, n):
                if options.get("method") in ("percentile", "bca"):
                    options.update(rng=rng, n_resamples=1_000)
                yield {"mean": score_interval(row, **options)}

        return draw

    sizes = 30, 100, 300, 1_000, 10_000
    for n in sizes:
        for p in (0.005, 0.02, 0.1, 0.25, 0.5, 0.9, 0.98, 0.995):
            yield Design(
                family="score",
                method="Wilson",
                kind="right or wrong",
                n_items=n,
                mean=p,
                draw=partial(_shares, n_items=n, p=p, method="auto"),
                truth={"mean": p},
                n_tables=4_000,
            )
        for k, a, b, kind in (
            (2, 1, 1, "2 repeats, any item"),
            (10, 1, 1, "10 repeats, any item"),
            (3, 0.5, 1, "3 repeats, many hard items"),
            (3, 4, 0.5, "3 repeats, many easy items"),
            (2, 987, 13, "2 repeats, all items near certain"),
            (5, 987, 13, "5 repeats, all items near certain"),
            (3, 0.04, 1.96, "3 repeats, nearly all items hopeless"),
        ):
            yield Design(
                family="score",
                method="Hall",
                kind=kind,
                n_items=n,
                mean=round(a / (a + b), 3),
                draw=of(
                    lambda rng, k_, n=n, k=k, a=a, b=b: _first(
                        of_items.of_mixed_difficulty, rng, k_, n, k, a, b
                    )
                ),
                truth={"mean": a / (a + b)},
            )
        for a, b, kind in (
            (0.3, 1.2, "probabilities, skewed"),
            (2, 8, "probabilities, one peak"),
            (0.1, 4.9, "probabilities, near 0"),
            (4.9, 0.1, "probabilities, near 1"),
        ):
            yield Design(
                family="score",
                method="Hall",
                kind=kind,
                n_items=n,
                mean=a / (a + b),
                draw=of(
                    lambda rng, k, n=n, a=a, b=b: _first(
                        of_items.probabilities, rng, k, n, a, b
                    )
                ),
                truth={"mean": a / (a + b)},
            )
        yield Design(
            family="score",
            method="Hall",
            kind="log-likelihoods",
            n_items=n,
            draw=of(lambda rng, k, n=n: _first(of_items.log_likelihoods, rng, k, n)),
            truth={"mean": -1.0},
        )
    for n_seeds in (2, 10):
        for n in (30, 100, 1_000):
            for p in (0.02, 0.25, 0.97):
                yield Design(
                    family="score",
                    method="Hall",
                    kind="mean over seeds",
                    n_items=n,
                    n_seeds=n_seeds,
                    mean=p,
                    draw=of(
                        lambda rng, k, n=n, p=p, s=n_seeds: of_seeds.probit_scores(
                            rng, n_seeds=s, n_items=n, mean=p, seed_sd=0, n_tables=k
                        )[:, :, 0].transpose(0, 2, 1)
                    ),
                    truth={"mean": p},
                )
    for method, n, (p, kind) in [
        (method, n, source)
        for method in ("clt", "beta", "percentile", "bca")
        for n in (30, 100, 1_000)
        for source in (
            (0.02, "right or wrong"),
            (0.25, "right or wrong"),
            (0.97, "right or wrong"),
            (0.2, "probabilities, skewed"),
        )
        if not (method == "beta" and source[1] != "right or wrong")
    ]:
        draw: Callable[[np.random.Generator, int], Iterable[Found]]
        if kind == "right or wrong" and method in ("clt", "beta"):
            draw = partial(_shares, n_items=n, p=p, method=method)
        elif kind == "right or wrong":
            draw = of(
                lambda rng, k, n=n, p=p: _first(of_items.right_or_wrong, rng, k, n, p),
                method=method,
            )
        else:
            draw = of(
                lambda rng, k, n=n: _first(of_items.probabilities, rng, k, n, 0.3, 1.2),
                method=method,
            )
        yield Design(
            family="score",
            method=method,
            kind=kind,
            n_items=n,
            mean=p,
            draw=draw,
            truth={"mean": p},
        )
    yield from _clustered_scores()


def _shares(
    rng: np.random.Generator, n: int, n_items: int, p: float, method: str
) -> Iterator[Found]:
    for right in rng.binomial(n_items, p, n).tolist():
        yield {"mean": _of_share(n_items, right, method)}


@cache
def _of_share(n_items: int, right: int, method: Any) -> Estimate:
    """Return the interval of so many right, which says all of 0 and 1."""
    return score_interval((np.arange(n_items) < right) * 1.0, method=method)


def _clustered_scores() -> Iterator[Design]:
    def draw_of(
        sizes: Sequence[int], p: float, correlation: float, scale: float, method: str
    ) -> Callable[[np.random.Generator, int], Iterator[Found]]:
        def draw(rng: np.random.Generator, n: int) -> Iterator[Found]:
            scores, clusters, _ = of_items.clustered(rng, n, sizes, p, correlation)
            for row in scores * scale:
                found = score_interval(row, clusters=clusters, method=method)  # type: ignore[arg-type]
                yield {"mean": found}

        return draw

    mixed = [1, 2, 3, 5, 9, 14]
    for sizes, words in (
        ([10] * 12, "12 clusters of 10"),
        ([10] * 30, "30 clusters of 10"),
        ([10] * 300, "300 clusters of 10"),
        ([10] * 1_000, "1,000 clusters of 10"),
        (mixed * 10, "60 unlike clusters"),
        ([2] * 200 + [60] * 12, "200 pairs, 12 clusters of 60"),
    ):
        for p in (0.05, 0.5, 0.98):
            for correlation in (0.3,):
                for scale, method in ((1, "auto"), (0.5, "auto")):
                    yield Design(
                        family="score",
                        method="Wilson, clustered" if scale == 1 else "Hall, clustered",
                        kind=f"{words}, correlation {correlation:g}",
                        n_items=sum(sizes),
                        mean=p,
                        draw=draw_of(sizes, p, correlation, scale, method),
                        truth={"mean": p * scale},
                    )
    for method in ("miller", "cr0", "cr1"):
        for n_clusters in (10, 100):
            for p in (0.25, 0.97):
                yield Design(
                    family="score",
                    method=method,
                    kind=f"{n_clusters} clusters of 10, correlation 0.3",
                    n_items=10 * n_clusters,
                    mean=p,
                    draw=draw_of([10] * n_clusters, p, 0.3, 1, method),
                    truth={"mean": p},
                )


def paired_designs() -> Iterator[Design]:
    """Differences of two models on the same items."""

    def pairs(drawn: Iterable[tuple[Any, Any]], **options: Any) -> Iterator[Found]:
        for first, second in drawn:
            found = paired_difference(first, second, **options)
            yield {"difference": found.difference}

    def discrete(rng, k, n, better, worse):  # type: ignore[no-untyped-def]
        shares = better, worse, 1 - better - worse
        for b, c, _ in rng.multinomial(n, shares, k).tolist():
            yield {"difference": _of_discordant(n, b, c)}

    def averaged(rng, k, n, better, worse, repeats):  # type: ignore[no-untyped-def]
        first, second, _ = of_items.paired(rng, k * repeats, n, better, worse)
        shape = k, repeats, n
        return pairs(
            zip(
                first.reshape(shape).mean(1), second.reshape(shape).mean(1), strict=True
            )
        )

    def sparse(rng, k, n, share, values):  # type: ignore[no-untyped-def]
        d = (rng.random((k, n)) < share) * rng.choice(values, (k, n))
        return pairs(zip(d, np.zeros_like(d), strict=True))

    def probabilities(rng, k, n):  # type: ignore[no-untyped-def]
        first, second, _ = of_items.paired_probabilities(rng, k, n, 0.02)
        return pairs(zip(first, second, strict=True))

    def clustered(rng, k, sizes, p, gap, correlation):  # type: ignore[no-untyped-def]
        first, clusters, _ = of_items.clustered(rng, k, sizes, p, correlation)
        second, _, _ = of_items.clustered(rng, k, sizes, p - gap, correlation)
        return pairs(zip(first, second, strict=True), clusters=clusters)

    even, uneven = (-1, -1 / 3, 1 / 3, 1), (-1 / 3, 1 / 3, 1 / 3, 1)
    for n in (30, 100, 300, 1_000, 10_000):
        for better, worse in (
            (0.3, 0.3),
            (0.2, 0.1),
            (0.05, 0.02),
            (0.02, 0.02),
            (0.01, 0.002),
            (0.01, 0.0),
        ):
            words = f"{better:g} better, {worse:g} worse"
            yield Design(
                family="paired",
                method="Tango",
                kind=f"right or wrong, {words}",
                n_items=n,
                draw=partial(discrete, n=n, better=better, worse=worse),
                truth={"difference": better - worse},
            )
            yield Design(
                family="paired",
                method="Hall",
                kind=f"mean of 3 seeds, {words}",
                n_items=n,
                n_seeds=3,
                draw=partial(averaged, n=n, better=better, worse=worse, repeats=3),
                truth={"difference": better - worse},
            )
        for share in (0.01, 0.03, 0.1, 0.3):
            for values, words in ((even, "either way"), (uneven, "mostly better")):
                yield Design(
                    family="paired",
                    method="Hall",
                    kind=f"thirds, {share:g} differ {words}",
                    n_items=n,
                    draw=partial(sparse, n=n, share=share, values=values),
                    truth={"difference": share * float(np.mean(values))},
                )
        yield Design(
            family="paired",
            method="Hall",
            kind="probabilities, .02 apart",
            n_items=n,
            draw=partial(probabilities, n=n),
            truth={"difference": 0.02},
        )
    for sizes, words in (
        ([10] * 12, "12 clusters of 10"),
        ([5] * 60, "60 clusters of 5"),
        ([5] * 200, "200 clusters of 5"),
        ([1, 2, 3, 5, 9, 14] * 30, "180 unlike clusters"),
        ([10] * 1_000, "1,000 clusters of 10"),
    ):
        for p, gap in ((0.3, 0.05), (0.85, 0.05), (0.985, 0.005)):
            for correlation in (0.05, 0.3):
                yield Design(
                    family="paired",
                    method="Hall, clustered",
                    kind=f"right or wrong, {words}, correlation {correlation:g}",
                    n_items=sum(sizes),
                    mean=p,
                    draw=partial(
                        clustered, sizes=sizes, p=p, gap=gap, correlation=correlation
                    ),
                    truth={"difference": gap},
                )


@cache
def _of_discordant(n_items: int, better: int, worse: int) -> Estimate:
    """Return the interval of so many discordant items, which say all of 0 and 1."""
    item = np.arange(n_items)
    first = (item < better) * 1.0
    second = ((item >= better) & (item < better + worse)) * 1.0
    return paired_difference(first, second).difference


def seed_designs() -> Iterator[Design]:
    """Seeds on the same items: components, SDs, mean over seeds."""

    def split(rng, k, **shape):  # type: ignore[no-untyped-def]
        for table in of_seeds.probit_scores(rng, n_tables=k, **shape)[:, :, 0]:
            found = _of_seeds(table)
            if shape["seed_sd"] > 0:
                # Their intervals are for these seeds, whose truth is not known.
                del found["item"], found["residual"]
            yield found

    def normal(rng, k, **shape):  # type: ignore[no-untyped-def]
        for table in of_seeds.normal_scores(rng, n_tables=k, **shape):
            yield _of_seeds(table)

    for n_seeds in (2, 3, 10):
        for n in (30, 100, 1_000, 10_000):
            for mean, sd in (
                (0.02, 0.003),
                (0.25, 0.0),
                (0.5, 0.005),
                (0.5, 0.03),
                (0.9, 0.01),
                (0.98, 0.0),
                (0.98, 0.01),
            ):
                if n == 10_000 and mean not in (0.25, 0.98):
                    continue
                shape = {"n_seeds": n_seeds, "n_items": n, "mean": mean, "seed_sd": sd}
                seed, item, rest, _ = of_seeds.probit_variances(mean, sd, 0.6)
                yield Design(
                    family="seeds",
                    n_tables=1_000,
                    method="0 and 1",
                    kind=f"seed SD {sd:g}",
                    n_items=n,
                    n_seeds=n_seeds,
                    mean=mean,
                    draw=partial(split, **shape),
                    truth=_seed_truth(seed, item, rest, n, mean),
                    block=BLOCK if n < 10_000 else 10,
                )
        for seed in (0.0, 0.0004):
            shape = {"n_seeds": n_seeds, "n_items": 300, "item": 0.05, "residual": 0.03}
            yield Design(
                family="seeds",
                n_tables=1_000,
                method="continuous",
                kind=f"seed SD {math.sqrt(seed):g}",
                n_items=300,
                n_seeds=n_seeds,
                mean=0.5,
                draw=partial(normal, seed=seed, **shape),
                truth=_seed_truth(seed, 0.05, 0.03, 300, 0.5),
            )
    yield from _averaged_over_steps()
    yield from _shapes_of_seeds()
    yield from _repeats()
    yield from _crossed()


def _of_seeds(table: np.ndarray[Any, Any]) -> Found:
    found = seed_components(table)
    names = (
        "seed",
        "item",
        "residual",
        "seed_share",
        "corrected_sd",
        "icc_single",
        "icc_mean",
    )
    last = table.mean(-1)
    # As the variance table does: it knows what a metric can be.
    bounds = (0.0, 1.0) if is_binary(table.ravel()) else (-math.inf, math.inf)
    return {
        **{name: getattr(found, name) for name in names},
        "seed_sd_last": last_seed_sd(last, bounds=bounds),
        "snr": signal_to_noise(last, above=0.0, bounds=bounds, n_items=table.shape[-1]),
    }


def _seed_truth(
    seed: float, item: float, rest: float, n: int, mean: float
) -> dict[str, float]:
    between = seed + rest / n
    return {
        "seed": seed,
        "item": item,
        "residual": rest,
        "seed_share": seed / between,
        "corrected_sd": math.sqrt(seed),
        "icc_single": seed / (seed + item + rest),
        "icc_mean": seed / (seed + (item + rest) / n),
        "seed_sd_last": math.sqrt(between),
        "snr": mean / math.sqrt(between),
    }


def _averaged_over_steps() -> Iterator[Design]:
    def draw(rng, k, **shape):  # type: ignore[no-untyped-def]
        for table in of_seeds.probit_scores(rng, n_tables=k, **shape):
            yield {
                "seed": mean_seed_components(table).seed,
                "seed_sd": seed_sd(table.mean(-1)),
            }

    for n_seeds in (2, 4, 10):
        for correlation, words in ((1.0, "the same"), (0.9, "alike"), (0.0, "unlike")):
            seed, _, rest, _ = of_seeds.probit_variances(0.5, 0.02, 0.6)
            yield Design(
                family="seeds",
                n_tables=1_000,
                method="mean over 5 checkpoints",
                kind=f"seed SD 0.02, checkpoints {words}",
                n_items=300,
                n_seeds=n_seeds,
                mean=0.5,
                draw=partial(
                    draw,
                    n_seeds=n_seeds,
                    n_items=300,
                    mean=0.5,
                    seed_sd=0.02,
                    n_steps=5,
                    step_correlation=correlation,
                ),
                truth={"seed": seed, "seed_sd": math.sqrt(seed + rest / 300)},
            )


def _shapes_of_seeds() -> Iterator[Design]:
    def draw(rng, k, n_seeds, shape):  # type: ignore[no-untyped-def]
        for last in of_seeds.SEED_SHAPES[shape](rng, (k, n_seeds)):
            yield {
                "robust_seed_sd": robust_seed_sd(last),
                "seed_sd_last": last_seed_sd(last),
                "snr": signal_to_noise(last + 5, above=0.0),
            }

    for n_seeds in (3, 5, 10):
        for shape in of_seeds.SEED_SHAPES:
            yield Design(
                family="seeds",
                n_tables=1_000,
                method="shape of seeds",
                kind=shape,
                breaks="shape-of-seeds",
                n_seeds=n_seeds,
                draw=partial(draw, n_seeds=n_seeds, shape=shape),
                truth={"robust_seed_sd": 1, "seed_sd_last": 1, "snr": 5},
            )


def _repeats() -> Iterator[Design]:
    def draw(rng, k, **shape):  # type: ignore[no-untyped-def]
        for table in of_seeds.repeated_scores(rng, n_tables=k, **shape):
            found = repeat_components(table)
            yield {
                f"{name} (repeats)": getattr(found, name)
                for name in ("item", "repeat", "icc_single", "icc_mean")
            }

    for n in (30, 300, 3_000):
        for a, b in ((1, 1), (0.5, 0.5), (0.1, 4.9), (49, 1)):
            for n_repeats in (2, 5):
                mean = a / (a + b)
                item = mean * (1 - mean) / (a + b + 1)
                rest = mean * (1 - mean) - item
                yield Design(
                    family="seeds",
                    n_tables=1_000,
                    method="repeats of one checkpoint",
                    kind=f"{n_repeats} repeats of Beta({a:g}, {b:g}) items",
                    n_items=n,
                    mean=mean,
                    draw=partial(draw, n_items=n, n_repeats=n_repeats, a=a, b=b),
                    truth={
                        "item (repeats)": item,
                        "repeat (repeats)": rest,
                        "icc_single (repeats)": item / (item + rest),
                        "icc_mean (repeats)": item / (item + rest / n_repeats),
                    },
                )


def _crossed() -> Iterator[Design]:
    def draw(rng, k, **shape):  # type: ignore[no-untyped-def]
        for table in of_seeds.probit_scores(rng, n_tables=k, **shape):
            found = crossed_bootstrap(table, "mean", n_resamples=200, rng=rng)
            yield {"mean over seeds and items": found}

    few = ((0.25, 0.02, 300),)
    several = (*few, (0.98, 0.003, 1_000))
    for n_seeds, settings in ((2, few), (4, several), (10, few)):
        for mean, sd, n in settings:
            yield Design(
                family="seeds",
                n_tables=1_000,
                method="crossed bootstrap",
                kind=f"seed SD {sd:g}",
                n_items=n,
                n_seeds=n_seeds,
                mean=mean,
                draw=partial(draw, n_seeds=n_seeds, n_items=n, mean=mean, seed_sd=sd),
                truth={"mean over seeds and items": mean},
            )


def monotonicity_designs() -> Iterator[Design]:
    """Rank correlations of score and step."""

    def draw(rng, k, kind, n_seeds, n_steps, n_items, chance, new_seeds):  # type: ignore[no-untyped-def]
        curves = partial(of_steps.ability_curves, kind, n_seeds, n_steps, rng=rng)
        abilities = curves()
        for _ in range(k):
            if new_seeds:
                abilities = curves()
            cells = of_steps.item_scores(abilities, n_items, rng=rng, chance=chance)
            found = monotonicity_interval(
                cells, new_seeds=new_seeds, n_splits=64, rng=rng
            )
            yield {"monotonicity": found}

    def settled(rng, k, kind, n_seeds, n_steps, n_items):  # type: ignore[no-untyped-def]
        for _ in range(k):
            abilities = of_steps.ability_curves(kind, n_seeds, n_steps, rng=rng)
            found = settled_monotonicity(
                of_steps.item_scores(abilities, n_items, rng=rng),
                n_resamples=200,
                rng=rng,
            )
            truth = rank_correlations(abilities, method="tau-a").mean()
            shifted = [end - truth for end in found.interval]
            yield {
                "settled monotonicity, less the truth": Estimate(
                    quantity=found.quantity,
                    value=found.value - truth,
                    interval=type(found.interval)(*shifted),
                    n=found.n,
                    method=found.method,
                    cautions=found.cautions,
                )
            }

    shapes = [(1, 10, 30), (1, 10, 100), (3, 10, 300), (3, 5, 300), (1, 20, 1_000)]
    for curve in of_steps.CURVES:
        for n_seeds, n_steps, n_items in shapes:
            yield _monotonicity(draw, curve, n_seeds, n_steps, n_items)
        yield _monotonicity(draw, curve, 3, 10, 300, chance=0.25)
        for n_seeds, n_items in ((2, 100), (4, 300), (10, 300)):
            yield _monotonicity(draw, curve, n_seeds, 10, n_items, new_seeds=True)
        yield Design(
            family="monotonicity",
            method="what items settle",
            kind=f"{curve}, 10 steps",
            n_items=200,
            n_seeds=2,
            draw=partial(settled, kind=curve, n_seeds=2, n_steps=10, n_items=200),
            truth={"settled monotonicity, less the truth": 0.0},
        )


def _monotonicity(
    draw: Callable[..., Iterable[Found]],
    curve: str,
    n_seeds: int,
    n_steps: int,
    n_items: int,
    *,
    chance: float = 0.0,
    new_seeds: bool = False,
) -> Design:
    guessed = f", chance {chance:g}" if chance else ""
    return Design(
        family="monotonicity",
        method="other seeds and items" if new_seeds else "other items",
        kind=f"{curve}, {n_steps} steps{guessed}",
        n_items=n_items,
        n_seeds=n_seeds,
        draw=partial(
            draw,
            kind=curve,
            n_seeds=n_seeds,
            n_steps=n_steps,
            n_items=n_items,
            chance=chance,
            new_seeds=new_seeds,
        ),
        truth=None,
        block=300,
        truth_by_block=not new_seeds,
    )


def signal_designs() -> Iterator[Design]:
    """Signal, noise, their ratio, and what follows of them."""

    def draw(rng, k, shape, n_models, n_last, signal, gap, carried):  # type: ignore[no-untyped-def]
        for _ in range(k):
            models = 0.5 + gap * of_seeds.SEED_SHAPES[shape](rng, (n_models, 1, 1))
            moves = rng.normal(size=(n_models, 1, n_last + 1))
            wobble = np.empty_like(moves)
            wobble[..., 0] = moves[..., 0]
            for t in range(1, n_last + 1):
                fresh = math.sqrt(1 - carried**2) * moves[..., t]
                wobble[..., t] = carried * wobble[..., t - 1] + fresh
            found = signal_noise(
                models + 0.01 * wobble[..., 1:],
                n_last=n_last,
                signal=signal,
                scale="score",
                n_resamples=500,
                rng=rng,
            )
            yield {
                "signal": found.signal,
                "noise": found.noise,
                "signal / noise": found.snr,
            }

    normal = [
        ("normal", m, n, signal, gap, 0.0)
        for signal in ("range", "rel-std", "mean-distance")
        for m, n in ((3, 5), (10, 5), (10, 30))
        for gap in (0.05,)
    ]
    normal += [
        ("normal", m, n, "range", 0.05, 0.0) for m, n in ((5, 5), (10, 3), (25, 5))
    ]
    normal += [("normal", 10, 5, "range", gap, 0.0) for gap in (0.0, 0.01, 0.2)]
    others = [
        (shape, m, 5, "range", 0.05, 0.0)
        for shape in of_seeds.SEED_SHAPES
        if shape != "normal"
        for m in (5, 25)
    ]
    carried = [("normal", 10, n, "range", 0.05, 0.5) for n in (5, 30)]
    for shape, m, n, signal, gap, rho in [*normal, *others, *carried]:
        spread = "equal models" if gap == 0 else f"{shape} models, SD {gap:g}"
        true = _signal_truth(signal, shape, m, gap)
        moved = f" that carry over {rho:g}" if rho else ""
        design = partial(
            draw,
            shape=shape,
            n_models=m,
            n_last=n,
            signal=signal,
            gap=gap,
            carried=rho,
        )
        yield Design(
            family="signal",
            n_tables=1_000,
            method=signal,
            kind=f"{m} {spread}, {n} checkpoints{moved}",
            breaks="unseen-carry-over" if rho else "",
            draw=design,
            truth={"signal": true, "noise": 0.01, "signal / noise": true / 0.01},
        )
    yield from _decisions()


SPREADS: dict[str, Callable[[Any], Any]] = {
    "range": lambda x: np.ptp(x, axis=-1),
    "rel-std": lambda x: x.std(-1, ddof=1),
    "mean-distance": lambda x: (
        np.abs(x[..., None] - x[:, None]).sum((-2, -1))
        / (x.shape[-1] * (x.shape[-1] - 1))
    ),
}
"""How far models lie apart, written once more."""


def _signal_truth(signal: str, shape: str, n_models: int, gap: float) -> float:
    """Return the signal that such models show on average, from draws of its own."""
    rng = stream(ENTROPY, f"truth | {signal} | {shape} | {n_models} | {gap:g}")
    models = gap * of_seeds.SEED_SHAPES[shape](rng, (20_000, n_models))
    models = models + 0.01 * rng.normal(size=models.shape)
    return float(SPREADS[signal](models).mean())


def _decisions() -> Iterator[Design]:
    def decided(rng, k, n_models, noise):  # type: ignore[no-untyped-def]
        for _ in range(k):
            small, large = of_steps.two_scales(n_models, rng=rng, noise=noise)
            yield {"decision accuracy": decision_accuracy(small, large)}

    def gained(rng, k, n_models, noise):  # type: ignore[no-untyped-def]
        for _ in range(k):
            scores, truth = of_steps.runs(
                n_models, 5, rng=rng, signal=0.05, noise=noise
            )
            yield {"gain of averaging": averaging_gain(scores[:, None], truth).gain}

    def varied(rng, k, n_runs, n_steps):  # type: ignore[no-untyped-def]
        for _ in range(k):
            scores, _ = of_steps.runs(n_runs, n_steps, rng=rng)
            yield {"total variation": total_variation(scores)}

    for n_models in (4, 6, 10, 25):
        for noise in (0.005, 0.02, 0.05, 0.2):
            rho = 0.05**2 / (0.05**2 + noise**2)
            yield Design(
                family="signal",
                method="decisions",
                kind=f"{n_models} models, noise {noise / 0.05:g} of their SD",
                draw=partial(decided, n_models=n_models, noise=noise),
                truth={"decision accuracy": 0.5 + math.asin(rho) / math.pi},
            )
        for noise in (0.02, 0.05):
            yield Design(
                family="signal",
                method="averaging the last 5",
                kind=f"{n_models} models, noise {noise / 0.05:g} of their SD",
                draw=partial(gained, n_models=n_models, noise=noise),
                truth=None,
                n_tables=4_000,
            )
    for n_runs in (2, 3, 5, 10):
        for n_steps in (5, 30):
            yield Design(
                family="signal",
                method="total variation",
                kind=f"{n_runs} runs of {n_steps} checkpoints",
                draw=partial(varied, n_runs=n_runs, n_steps=n_steps),
                truth=None,
                n_tables=4_000,
            )


FAMILIES: dict[str, Callable[[], Iterator[Design]]] = {
    "score": score_designs,
    "paired": paired_designs,
    "seeds": seed_designs,
    "monotonicity": monotonicity_designs,
    "signal": signal_designs,
}


@cache
def all_designs(family: str) -> list[Design]:
    """Return the designs of a family; their names are all different."""
    return list(FAMILIES[family]())


def _first(draw: Callable[..., Any], *arguments: Any) -> Any:
    return draw(*arguments)[0]


NUMBERS = HERE / "coverage.csv"


def read_cells() -> list[Cell]:
    """Return the cells that the last runs have left; none if there was no run."""
    if not NUMBERS.exists():
        return []
    with NUMBERS.open(encoding="utf-8", newline="") as lines:
        return [_read(row) for row in csv.DictReader(lines)]


def write_cells(cells: Iterable[Cell]) -> None:
    """Write a row for each cell, in the order of families and designs."""
    with NUMBERS.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow([*(f.name for f in fields(Cell)), "verdict"])
        for cell in cells:
            row = (_written(value) for value in astuple(cell))
            writer.writerow([*row, cell.verdict])


def _read(row: Mapping[str, str]) -> Cell:
    words = {"family", "quantity", "method", "kind", "codes"}
    whole = {"n_items", "n_seeds", "n_tables", "n_intervals"}
    values: dict[str, Any] = {}
    for name in (f.name for f in fields(Cell)):
        text = row[name]
        if name in words:
            values[name] = text
        elif not text:
            values[name] = None if name in whole | {"mean"} else math.nan
        else:
            values[name] = int(text) if name in whole else float(text)
    return Cell(**values)


def _written(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else value


def run(families: Sequence[str]) -> list[Cell]:
    """Simulate these families on all cores, and keep the cells of the others."""
    kept = [cell for cell in read_cells() if cell.family not in families]
    numbered = [(f, i) for f in families for i in range(len(all_designs(f)))]
    with multiprocessing.Pool() as pool:
        found = [c for part in pool.imap(_simulate, numbered) for c in part]
    order = list(FAMILIES)
    return sorted([*kept, *found], key=lambda cell: order.index(cell.family))


def _simulate(numbered: tuple[str, int]) -> list[Cell]:
    family, number = numbered
    return simulate(all_designs(family)[number])


WORDS = {
    "score": "One score's interval",
    "paired": "Paired differences",
    "seeds": "Seed components, SDs over seeds, repeats",
    "monotonicity": "Monotonicity",
    "signal": "Signal, noise, decisions",
}


def write_page(cells: Sequence[Cell]) -> Path:
    """Write what the cells say, and figures of them."""
    page = Page("coverage", "How often a 95 % interval holds the truth")
    counts = Counter(cell.verdict for cell in cells)
    n_tables = sum({_design_of(cell): cell.n_tables for cell in cells}.values())
    page.say(
        "Data sets are simulated whose truth is known, each is given to the function "
        "that a user would call, and its interval is held against the truth.",
        f"{n_tables:,} tables of {len({_design_of(c) for c in cells})} designs give "
        f"{len(cells)} cells: an interval of one quantity under one design.",
    )
    page.table(
        ["verdict", "cells >", "meaning"],
        [
            ["holds", counts["holds"], f"covers {LEAST:.0%} to {MOST:.0%}"],
            [
                "at the edge",
                counts["at the edge"],
                "outside by less than two standard errors of the simulation",
            ],
            [
                "cautioned",
                counts["cautioned"],
                f"outside, and more than {MOSTLY:.0%} of its tables carry a caution",
            ],
            ["silent", counts["silent"], "outside, and most tables do not say so"],
        ],
    )
    page.say(
        "Coverage is the share of intervals that hold the truth, of the tables that "
        "give one; a table without an interval always says why (the study fails if one "
        "does not).",
        "`none` is the share of tables without an interval, as of an SD over seeds "
        "that tie; they count against covering too much, since an interval of no width "
        "would have missed.",
        "`misled` is the share of intervals that miss the truth and carry no caution: "
        "how often a reader is misled without a word; 5 % is what the level allows.",
        "`width` is the median width over that of a normal interval which knows the "
        "true standard error: the price of not knowing it.",
        f"The standard error of a coverage of 95 % is at most "
        f"{max(c.se for c in cells if LEAST < c.coverage < MOST):.4f}.",
        "Cautions that are about something else than the level ("
        + ", ".join(f"`{code}`" for code in sorted(ABOUT_SOMETHING_ELSE))
        + ") are not counted.",
        "Those that name an assumption which data of this size cannot show ("
        + ", ".join(f"`{code}`" for code in sorted(OF_AN_ASSUMPTION))
        + ") stand wherever it is made, and are counted in the designs that break it: "
        "seeds that are not normal, checkpoints that carry over.",
        "All cells with their cautions: [coverage.csv](coverage.csv).",
    )
    _draw(page, cells)
    for family, words in WORDS.items():
        mine = [cell for cell in cells if cell.family == family]
        page.heading(words)
        page.table(
            [
                "interval",
                "of",
                "cells >",
                "hold >",
                "at the edge >",
                "cautioned >",
                "silent >",
                "coverage",
                "width >",
            ],
            [_summary(*named) for named in _grouped(mine)],
        )
        if family == "seeds":
            page.say(
                "The intervals of item and residual variance are for the seeds at "
                "hand, and are judged where seeds are equal in truth: near 0 and 1 "
                "those of unlike seeds differ with the seeds.",
            )
        worst = sorted(
            (cell for cell in mine if cell.verdict == "cautioned"),
            key=lambda cell: min(cell.coverage - LEAST, MOST - cell.coverage),
        )
        if worst:
            page.say(f"The farthest of the {len(worst)} that do not hold and say so:")
            page.table(HEADINGS, [_line(cell) for cell in worst[:8]])
    page.heading("What does not hold, and does not say so")
    silent = [cell for cell in cells if cell.verdict == "silent"]
    if silent:
        page.say(
            f"{len(silent)} cells, {sum(cell.coverage < LEAST for cell in silent)} of "
            "them too narrow, the others too wide:"
        )
        page.table(HEADINGS, [_line(cell) for cell in silent])
    else:
        page.say("Nothing that was simulated.")
    return page.write()


HEADINGS = [
    "interval",
    "of",
    "design",
    "items >",
    "seeds >",
    "mean >",
    "none >",
    "coverage >",
    "cautioned >",
    "misled >",
    "width >",
]


def _line(cell: Cell) -> list[object]:
    return [
        cell.method,
        cell.quantity,
        cell.kind,
        "" if cell.n_items is None else f"{cell.n_items:,}",
        "" if cell.n_seeds is None else cell.n_seeds,
        "" if cell.mean is None else f"{cell.mean:g}",
        f"{1 - cell.n_intervals / cell.n_tables:.0%}",
        fixed(cell.coverage),
        f"{cell.cautioned:.0%}",
        f"{cell.misled:.1%}",
        fixed(cell.width, 2),
    ]


def _design_of(cell: Cell) -> tuple[object, ...]:
    return (
        cell.family,
        cell.method,
        cell.kind,
        cell.n_items,
        cell.n_seeds,
        cell.mean,
    )


def _grouped(cells: Iterable[Cell]) -> list[tuple[str, str, list[Cell]]]:
    """Return cells by interval and quantity, in their order."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.method, cell.quantity), []).append(cell)
    return [(*name, group) for name, group in groups.items()]


def _summary(method: str, quantity: str, cells: Sequence[Cell]) -> list[object]:
    counts = Counter(cell.verdict for cell in cells)
    covered = [cell.coverage for cell in cells if not math.isnan(cell.coverage)]
    widths = [cell.width for cell in cells if not math.isnan(cell.width)]
    return [
        method,
        quantity,
        len(cells),
        *(counts[v] or "" for v in ("holds", "at the edge", "cautioned", "silent")),
        f"{fixed(min(covered))} to {fixed(max(covered))}",
        fixed(float(np.median(widths)), 2) if widths else "",
    ]


MARKS = {"holds": "o", "at the edge": "o", "cautioned": "^", "silent": "X"}


def _draw(page: Page, cells: Sequence[Cell]) -> None:
    def by_items(axes: Any) -> None:
        mine = [c for c in cells if c.kind == "right or wrong" and c.method == "Wilson"]
        means = sorted({cell.mean for cell in mine if cell.mean is not None})
        for axis, few in zip(
            axes, (means[: len(means) // 2], means[len(means) // 2 :]), strict=True
        ):
            axis.axhspan(LEAST, MOST, color="0.9", zorder=0)
            for mean in few:
                line = [cell for cell in mine if cell.mean == mean]
                drawn = axis.plot(
                    [cell.n_items for cell in line],
                    [cell.coverage for cell in line],
                    label=f"p = {mean:g}",
                )
                for cell in line:
                    axis.plot(
                        cell.n_items,
                        cell.coverage,
                        MARKS[cell.verdict],
                        color=drawn[0].get_color(),
                        mfc="white" if cell.cautioned > MOSTLY else None,
                    )
            axis.set(xscale="log", xlabel="items", ylim=(0.86, 1.005))
            axis.legend(frameon=False, fontsize=8)
        axes[0].set_ylabel("coverage")

    page.figure(
        by_items,
        "items",
        "Coverage of Wilson's interval by items and accuracy",
        columns=2,
        width=9,
    )
    page.say(
        "Wilson's interval of one score by items and accuracy.",
        "The band is 93 to 97 %; hollow: most tables carry a caution; a cross: outside "
        "without one.",
    )

    def all_of_them(axis: Any) -> None:
        axis.axvspan(LEAST, MOST, color="0.9", zorder=0)
        names = []
        for method, quantity, group in reversed(_grouped(cells)):
            y = len(names)
            names.append(f"{method}: {quantity}")
            for cell in group:
                silent = cell.verdict == "silent"
                axis.plot(
                    max(cell.coverage, 0.7),
                    y,
                    MARKS[cell.verdict],
                    color="#B34A00" if silent else "#0072B2",
                    mfc="#B34A00" if silent else "none",
                    ms=5,
                    alpha=0.8,
                )
        axis.set(xlabel="coverage", xlim=(0.69, 1.005), ylim=(-1, len(names)))
        axis.set_yticks(range(len(names)), names, fontsize=7)

    page.figure(
        all_of_them,
        "all",
        "Coverage of every interval under every design",
        width=9,
        height=0.19 * len(_grouped(cells)) + 1,
    )
    page.say(
        "Every cell: circles hold or are at the edge, triangles are outside and "
        "cautioned, crosses are outside and are not; coverage below 70 % is drawn at "
        "70 %.",
    )


if __name__ == "__main__":
    cells = run(sys.argv[1:] or list(FAMILIES))
    write_cells(cells)
    write_page(cells)
