"""How fast are the statistics, beside what else computes them?

Each section times ours and its peers in turn, in one process and on the same data:
CPU seconds with one BLAS thread, medians of alternating rounds, and beside them the
least that this machine could take, measured in the same run. A peer that would take
minutes does a part of the work, and its figure, marked "x.", is multiplied. Numbers
are compared too: where one differs, the exit code is 1.

    tox run -e bench-stats
    python benchmarks/stats.py bootstrap kendall --json figures.json
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import io
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa

from harness.frames import RESPONSES, TRIALS
from harness.records import digest
from harness.stats import resample
from harness.stats.clusters import clustered_se
from harness.stats.components import seed_components
from harness.stats.irt.fit import MethodName, fit_irt
from harness.stats.irt.model import IrtFit
from harness.stats.pairs import all_pairs, pair_intervals
from harness.stats.ranks import rank_correlations
from harness.stats.repeats import variance_over_repeats
from harness.stats.resample import N_RESAMPLES, bootstrap_means, percentile_interval
from harness.store import Store

THREADS = "OPENBLAS_NUM_THREADS"

SHORTEST = 0.02
"""CPU seconds that one reading takes at least: a short call is repeated."""

CACHES = 2**28
"""Bytes that no cache here holds."""

N_MODELS, N_ITEMS = 400, 14_000
N_PAIRS = N_MODELS * (N_MODELS - 1) // 2


@dataclass(frozen=True, slots=True)
class Run:
    """Something to time."""

    call: Callable[[], object]
    times: float = 1
    """By how much its seconds are multiplied, since it does a part of the work."""

    once: bool = False
    """Whether it is timed once and cold, since it takes long."""


@dataclass(slots=True, kw_only=True)
class Figure:
    """What one task took, ours and others."""

    section: str
    what: str
    seconds: float
    peak_mb: float
    """Most memory that ours took beyond its input, its result included."""

    peers: dict[str, float] = field(default_factory=dict)
    extrapolated: list[str] = field(default_factory=list)
    """Whose seconds were multiplied."""

    bound: str = ""
    bound_seconds: float | None = None
    facts: dict[str, float] = field(default_factory=dict)
    goals: dict[str, bool] = field(default_factory=dict)
    agreements: dict[str, bool] = field(default_factory=dict)

    def ratio(self, peer: str) -> float:
        """Return how many times as long a peer takes; ``nan`` if it did not run."""
        return self.peers.get(peer, math.nan) / self.seconds

    def __str__(self) -> str:
        lines = [f"{self.section}: {self.what}"]

        def say(name: str, seconds: float, rest: str) -> None:
            mark = "x." if name in self.extrapolated else ""
            lines.append(f"  {name:<34}{mark:>3} {seconds:>11.4g} s  {rest}")

        say("ours", self.seconds, f"{self.peak_mb:.0f} MB")
        for name, seconds in self.peers.items():
            say(name, seconds, f"{self.ratio(name):.3g} times ours")
        if self.bound_seconds:
            above = self.seconds / self.bound_seconds
            say(self.bound, self.bound_seconds, f"ours is {above:.2g} times it")
        lines += [f"  {name:<37} {value:>11.4g}" for name, value in self.facts.items()]
        for name, is_so in self.goals.items():
            lines.append(f"  {'reached' if is_so else 'MISSED'}: {name}")
        for name, is_so in self.agreements.items():
            lines.append(f"  {'agrees' if is_so else 'DIFFERS'}: {name}")
        return "\n".join(lines)


def measure(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    """Return each run's median CPU seconds: A B A B …, after a round that warms up."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    repeats = dict.fromkeys(runs, 1)
    for turn in range(rounds + 1):
        for name, run in runs.items():
            if run.once and turn != 1:
                continue
            began = time.process_time()
            for _ in range(repeats[name]):
                run.call()
            seconds = (time.process_time() - began) / repeats[name]
            if turn == 0:
                repeats[name] = max(1, math.ceil(SHORTEST / max(seconds, 1e-9)))
            else:
                taken[name].append(seconds * run.times)
    return {name: statistics.median(values) for name, values in taken.items()}


def compare(
    section: str,
    what: str,
    ours: Run,
    peers: dict[str, Run] | None = None,
    bound: tuple[str, Run] | None = None,
    *,
    rounds: int = 5,
) -> Figure:
    """Time ours, peers and bound in turn; then see what memory ours takes."""
    others = peers or {}
    runs = {"ours": ours, **others} | ({bound[0]: bound[1]} if bound else {})
    seconds = measure(runs, rounds)
    tracemalloc.start()
    ours.call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Figure(
        section=section,
        what=what,
        seconds=seconds["ours"],
        peak_mb=peak / 1e6,
        peers={name: seconds[name] for name in others},
        extrapolated=[name for name, run in runs.items() if run.times != 1],
        bound=bound[0] if bound else "",
        bound_seconds=seconds[bound[0]] if bound else None,
    )


def product(n_operations: float, dtype: type) -> tuple[str, Run]:
    """Return the time of so many operations at the rate of a large matrix product."""
    n = 2048
    square = np.random.default_rng(0).random((n, n)).astype(dtype)
    name = f"bound: {np.dtype(dtype).name} product"
    return name, Run(lambda: square @ square, n_operations / (2 * n**3))


def reading(*arrays: np.ndarray) -> tuple[str, Run]:
    """Return the time of reading arrays once from memory: copies in turn, not one."""
    n_copies = math.ceil(CACHES / sum(array.nbytes for array in arrays))
    copies = cycle([[a.copy() for a in arrays] for _ in range(n_copies)])
    return "bound: one read", Run(lambda: [array.max() for array in next(copies)])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Throw away what a peer prints and warns of."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def right_answers(n_models: int = N_MODELS, n_items: int = N_ITEMS) -> np.ndarray:
    """Return scores of 0 and 1 of models that share what is difficult."""
    rng = np.random.default_rng(1)
    ability, difficulty = rng.normal(size=(n_models, 1)), rng.normal(size=n_items)
    chance = 1 / (1 + np.exp(difficulty - ability))
    return (rng.random((n_models, n_items)) < chance).astype(np.float64)


# ---- bootstrap -------------------------------------------------------------------


def bootstrap() -> Iterator[Figure]:
    """Resample items, the same for all models."""
    from scipy.stats import bootstrap as scipy_bootstrap

    operations = 2 * N_MODELS * N_ITEMS * N_RESAMPLES
    right = right_answers()
    shape = f"{N_MODELS} models × {N_ITEMS:,} items × {N_RESAMPLES:,} resamples"
    parts = {"scipy, percentile": 1_000, "lm-eval": 200}
    calls = {
        "scipy, percentile": lambda: scipy_bootstrap(
            (right[0],),
            np.mean,
            n_resamples=parts["scipy, percentile"],
            batch=100,
            method="percentile",
            rng=1,
        )
    }
    if importlib.util.find_spec("lm_eval"):
        calls["lm-eval"] = _lm_evals_bootstrap(right[0].tolist(), parts["lm-eval"])
    figure = compare(
        "bootstrap",
        f"{shape}, scores of 0 and 1",
        Run(lambda: bootstrap_means(right, rng=1)),
        {
            name: Run(call, N_MODELS * N_RESAMPLES / parts[name])
            for name, call in calls.items()
        },
        product(operations, np.float32),
        rounds=3,
    )
    figure.goals = {
        "at most 3 s": figure.seconds <= 3,
        "at most 100 MB": figure.peak_mb <= 100,
        "scipy takes 100 times as long": figure.ratio("scipy, percentile") >= 100,
        "within 4 times the bound": figure.seconds <= 4 * figure.bound_seconds,
    }
    if "lm-eval" in calls:
        figure.goals["lm-eval takes 500 times as long"] = figure.ratio("lm-eval") >= 500
    figure.agreements = {
        "bit for bit, whatever the blocks and workers": _is_one_bootstrap(right),
        "standard errors within 5 % of the closed form": _has_closed_form(right),
    }
    yield figure

    shares = np.random.default_rng(2).beta(2, 2, size=right.shape)
    figure = compare(
        "bootstrap",
        f"{shape}, any scores",
        Run(lambda: bootstrap_means(shares, rng=1)),
        {},
        product(operations, np.float64),
        rounds=3,
    )
    figure.goals = {
        "within 4 times the bound": figure.seconds <= 4 * figure.bound_seconds
    }
    figure.agreements = {
        "bit for bit, whatever the blocks and workers": _is_one_bootstrap(shares)
    }
    yield figure


def _lm_evals_bootstrap(scores: list[float], n: int) -> Callable[[], object]:
    from lm_eval.api.metrics import bootstrap_stderr, mean

    def call() -> object:
        with quiet(), patch.dict(os.environ, {"DISABLE_MULTIPROC": "1"}):
            return bootstrap_stderr(mean, scores, iters=n)

    return call


def _is_one_bootstrap(scores: np.ndarray) -> bool:
    whole = bootstrap_means(scores, n_resamples=500, rng=1)
    for block, n_workers in ((37, 1), (500, 1), (64, 2), (11, 3)):
        with patch.object(resample, "BLOCK", block):
            again = bootstrap_means(scores, n_resamples=500, n_workers=n_workers, rng=1)
        if not np.array_equal(whole, again):
            return False
    return True


def _has_closed_form(scores: np.ndarray) -> bool:
    means = bootstrap_means(scores[:20], rng=1)
    closed = scores[:20].std(1) / math.sqrt(scores.shape[1])
    return bool(np.allclose(means.std(1), closed, rtol=0.05))


# ---- pairs -----------------------------------------------------------------------


def pairs() -> Iterator[Figure]:
    """Tell all models from each other."""
    from scipy.stats import bootstrap as scipy_bootstrap
    from scipy.stats import ttest_rel, wilcoxon

    right = right_answers()
    figure = compare(
        "pairs",
        f"standard error and McNemar test of all {N_PAIRS:,} pairs",
        Run(lambda: all_pairs(right)),
        {
            "scipy ttest_rel": Run(
                lambda: [ttest_rel(right[0], right[i]) for i in range(1, 51)],
                N_PAIRS / 50,
            ),
            "scipy wilcoxon": Run(
                lambda: [wilcoxon(right[0], right[i]) for i in range(1, 11)],
                N_PAIRS / 10,
            ),
        },
        product(2 * N_MODELS**2 * N_ITEMS, np.float32),
    )
    figure.goals = {"at most 0.1 s": figure.seconds <= 0.1}
    ours, theirs = all_pairs(right[:9]), ttest_rel(right[0], right[1:9], axis=1)
    figure.agreements = {
        "z of scipy's ttest_rel to 1e-10": np.allclose(
            ours.z[0, 1:], theirs.statistic, rtol=1e-10
        )
    }
    yield figure

    some = 100
    share = N_PAIRS / (some * (some - 1) / 2)
    means = bootstrap_means(right[:some], rng=1)
    figure = compare(
        "pairs",
        f"percentile interval of all {N_PAIRS:,} differences, resamples given",
        Run(lambda: pair_intervals(means), share),
        {
            "scipy bootstrap, paired": Run(
                lambda: scipy_bootstrap(
                    (right[0], right[1]),
                    lambda a, b, axis: a.mean(axis) - b.mean(axis),
                    paired=True,
                    n_resamples=500,
                    batch=100,
                    method="percentile",
                    rng=1,
                ),
                N_PAIRS * N_RESAMPLES / 500,
            )
        },
        (
            "bound: the differences alone",
            Run(lambda: [means[i] - means[i + 1 :] for i in range(some - 1)], share),
        ),
        rounds=3,
    )
    figure.goals = {"at most 20 s": figure.seconds <= 20}
    low, high = pair_intervals(means[:3])
    figure.agreements = {
        "bit for bit, pair by pair": (low[0, 2], high[0, 2])
        == tuple(map(float, percentile_interval(means[0] - means[2])))
    }
    yield figure


# ---- kendall ---------------------------------------------------------------------


def kendall() -> Iterator[Figure]:
    """Correlate many series of scores with their order."""
    from scipy.stats import kendalltau

    rng = np.random.default_rng(3)
    n_series, n_steps = 24_000, 150
    trend = np.linspace(0, 1, n_steps) * rng.normal(size=(n_series, 1))
    scores = np.round(trend + rng.normal(size=(n_series, n_steps)), 1)
    gaps = np.where(rng.random(scores.shape) < 0.1, np.nan, scores)
    steps = np.arange(n_steps)
    n_compared = n_series * n_steps * (n_steps - 1) // 2
    left, right = rng.integers(99, size=(2, 2**14), dtype=np.uint8)
    out = np.empty(left.shape, dtype=bool)
    bound = (
        "bound: comparing bytes in cache",
        Run(lambda: np.greater(left, right, out=out), n_compared / len(left)),
    )

    def loop(table: np.ndarray) -> list[float]:
        return [
            kendalltau(steps[there], row[there]).statistic
            for row, there in zip(table, ~np.isnan(table), strict=True)
        ]

    def by_axis(table: np.ndarray) -> np.ndarray:
        return kendalltau(np.broadcast_to(steps, table.shape), table, axis=1).statistic

    few, more = 200, 1_000
    for what, table in (("no step missing", scores), ("a tenth missing", gaps)):
        peers = {"scipy, in a loop": Run(lambda t=table: loop(t[:few]), n_series / few)}
        if table is scores:
            peers["scipy, axis=1"] = Run(
                lambda: by_axis(scores[:more]), n_series / more
            )
        figure = compare(
            "kendall",
            f"tau-b of {n_series:,} series × {n_steps} steps with ties, {what}",
            Run(lambda t=table: rank_correlations(t)),
            peers,
            bound,
        )
        figure.goals = {
            "scipy in a loop takes 50 times as long": figure.ratio("scipy, in a loop")
            >= 50
        }
        if table is scores:
            figure.goals["scipy with axis=1 takes 15 times as long"] = (
                figure.ratio("scipy, axis=1") >= 15
            )
        apart = np.abs(rank_correlations(table[:few]) - loop(table[:few])).max()
        figure.agreements = {"with scipy to 1e-12": bool(apart <= 1e-12)}
        yield figure


# ---- item response theory --------------------------------------------------------

SIZES = ((100, 30), (1_000, 200), (5_000, 400), (14_000, 400))
"""Items × respondents."""


def irt() -> Iterator[Figure]:
    """Fit two-parameter logistic models to what such a model gave."""
    for n_items, n_respondents in SIZES:
        test = _Test(n_items, n_respondents)
        ids = tuple(map(str, range(n_items)))
        what = f"2PL of {n_items:,} items × {n_respondents} respondents"
        fits: dict[str, IrtFit] = {}
        theirs: dict[str, np.ndarray] = {}

        def fit(method: MethodName, test=test, ids=ids, fits=fits) -> None:
            fits[method] = fit_irt(test.right, item_ids=ids, method=method)

        def mirt(test=test, theirs=theirs) -> None:
            from mirt import fit_mirt

            found = fit_mirt(test.right.astype(int), compute_standard_errors=False)
            theirs["mirt"] = found.model.parameters["difficulty"]

        # With more items its products of probabilities underflow.
        peers = {"girth twopl_mml": _girths_fit(test)} if n_items <= 1_000 else {}
        if importlib.util.find_spec("mirt"):
            peers["mirt, 21 nodes"] = Run(mirt, once=n_items >= 1_000)
        fit("joint")
        joint = compare(
            "irt",
            f"{what}, joint",
            Run(lambda fit=fit: fit("joint")),
            peers,
            test.exponentials(2 * fits["joint"].n_iterations),
            rounds=3,
        )
        marginal = compare(
            "irt", f"{what}, marginal", Run(lambda fit=fit: fit("marginal")), rounds=1
        )
        for figure, method in ((joint, "joint"), (marginal, "marginal")):
            found = fits[method]
            difficulty = test.error_of_difficulty(found)
            ability = float(np.sqrt(np.mean((found.ability - test.ability) ** 2)))
            figure.facts = {"RMSE of difficulty": difficulty, "of ability": ability}
            if n_items >= 5_000:
                figure.goals["RMSE of difficulty at most .22"] = difficulty <= 0.22
                figure.goals["RMSE of ability at most .04"] = ability <= 0.04
        if "mirt" in theirs:
            joint.facts["RMSE of difficulty, mirt"] = test.error(theirs["mirt"])
        if n_items == SIZES[-1][0]:
            joint.goals["at most 1 s"] = joint.seconds <= 1
            marginal.goals["at most 10 s"] = marginal.seconds <= 10
            if "mirt" in theirs:
                name = "mirt takes 20 times as long"
                joint.goals[name] = joint.ratio("mirt, 21 nodes") >= 20
        yield joint
        yield marginal


class _Test:
    """Responses of a two-parameter logistic model, and what they came from."""

    def __init__(self, n_items: int, n_respondents: int) -> None:
        rng = np.random.default_rng(7)
        self.slope = rng.lognormal(0, 0.3, n_items)
        self.difficulty = rng.normal(size=n_items)
        ability = rng.normal(size=n_respondents)
        self.ability = (ability - ability.mean()) / ability.std()
        odds = self.slope * (self.ability[:, None] - self.difficulty)
        chance = 1 / (1 + np.exp(-odds))
        self.right = (rng.random(chance.shape) < chance).astype(np.float64)

    def error(self, difficulty: np.ndarray) -> float:
        """Return the RMSE of the items that 5 to 95 % have right."""
        share = self.right.mean(0)
        told = (share > 0.05) & (share < 0.95)
        return float(np.sqrt(np.mean((difficulty - self.difficulty)[told] ** 2)))

    def error_of_difficulty(self, fit: IrtFit) -> float:
        """Return the RMSE of what was fitted; constant items are not."""
        difficulty = np.full(len(self.difficulty), np.nan)
        difficulty[[int(name) for name in fit.items.item_ids]] = fit.items.difficulty
        return self.error(difficulty)

    def exponentials(self, n_each: int) -> tuple[str, Run]:
        """Return the time of so many exponentials for each answer."""
        some = np.random.default_rng(0).normal(size=2**12).astype(np.float32)
        out = np.empty_like(some)
        name = f"bound: {n_each} exp of each answer"
        share = n_each * self.right.size / len(some)
        return name, Run(lambda: np.exp(some, out=out), share)


def _girths_fit(test: _Test) -> Run:
    """Time girth; above 100 items, one of its 25 passes."""
    from girth import twopl_mml

    items = test.right.T.astype(int)
    if len(items) <= 100:
        return Run(lambda: twopl_mml(items), once=True)
    return Run(lambda: twopl_mml(items, options={"max_iteration": 1}), 25, once=True)


# ---- components ------------------------------------------------------------------


def components() -> Iterator[Figure]:
    """Split the variance of seeds × items × repeats."""
    scores = _crossed(32, 1_000, 16)
    figure = compare(
        "components",
        "32 seeds × 1,000 items × 16 repeats, where statsmodels does not fit in memory",
        Run(lambda: seed_components(scores)),
        {},
        reading(scores),
        rounds=15,
    )
    ones = np.ones(scores.shape[-1])

    def within() -> np.ndarray:
        return variance_over_repeats(scores, scores @ ones / len(ones))

    figure.facts = measure(
        {
            "of which variances over repeats": Run(within),
            "a read from the cache": Run(lambda: scores.max()),
        },
        15,
    )
    figure.goals = {
        "at most 6 ms": figure.seconds <= 0.006,
        "within 8 times one read": figure.seconds <= 8 * figure.bound_seconds,
    }
    yield figure

    small = _crossed(6, 16, 3)
    figure = compare(
        "components",
        "6 seeds × 16 items × 3 repeats",
        Run(lambda: seed_components(small)),
        {"statsmodels MixedLM, crossed": Run(lambda: mixed_lm(small))},
        rounds=3,
    )
    ours = seed_components(small)
    figure.agreements = {
        "with REML to 1e-4": np.allclose(
            [
                ours.item.value,
                ours.seed.value,
                ours.interaction.value,
                ours.error.value,
            ],
            mixed_lm(small),
            rtol=0,
            atol=1e-4,
        )
    }
    yield figure


def _crossed(n_seeds: int, n_items: int, n_repeats: int) -> np.ndarray:
    rng = np.random.default_rng(4)
    return (
        rng.normal(0, 0.5, (n_seeds, 1, 1))
        + rng.normal(0, 1, (1, n_items, 1))
        + rng.normal(0, 0.7, (n_seeds, n_items, 1))
        + rng.normal(0, 0.6, (n_seeds, n_items, n_repeats))
    )


def mixed_lm(scores: np.ndarray) -> list[float]:
    """Return item, seed, interaction and error variance by REML."""
    import pandas as pd
    import statsmodels.formula.api as smf

    seed, item, _ = np.indices(scores.shape)
    frame = pd.DataFrame(
        {"score": scores.ravel(), "seed": seed.ravel(), "item": item.ravel()}
    )
    parts = {
        "a": "0 + C(item)",
        "b": "0 + C(seed)",
        "c": "0 + C(seed):C(item)",
    }
    with quiet():
        fit = smf.mixedlm(
            "score ~ 1", frame, groups=np.ones(len(frame)), vc_formula=parts
        ).fit(method="bfgs", gtol=1e-8)
    return [*fit.vcomp, fit.scale]


# ---- clusters --------------------------------------------------------------------


def clusters() -> Iterator[Figure]:
    """Take the standard error of means whose items come in clusters."""
    import statsmodels.api as sm

    def statsmodels(row: np.ndarray, codes: np.ndarray) -> float:
        fit = sm.OLS(row, np.ones_like(row)).fit(
            cov_type="cluster", cov_kwds={"groups": codes}
        )
        return float(fit.bse[0])

    rng = np.random.default_rng(5)
    scores, codes = rng.random(1_000_000), rng.integers(100_000, size=1_000_000)
    figure = compare(
        "clusters",
        "1,000,000 items in 100,000 clusters",
        Run(lambda: clustered_se(scores, codes)),
        {"statsmodels OLS": Run(lambda: statsmodels(scores, codes))},
        reading(scores, codes),
    )
    figure.goals = {
        "statsmodels takes 30 times as long": figure.ratio("statsmodels OLS") >= 30
    }
    figure.agreements = {
        "with statsmodels to 1e-10": math.isclose(
            float(clustered_se(scores, codes)),
            statsmodels(scores, codes),
            rel_tol=1e-10,
        )
    }
    yield figure

    table, passages = right_answers(), rng.integers(1_400, size=N_ITEMS)
    some = 10
    yield compare(
        "clusters",
        f"{N_MODELS} models × {N_ITEMS:,} items in 1,400 clusters",
        Run(lambda: clustered_se(table, passages)),
        {
            "statsmodels OLS": Run(
                lambda: [statsmodels(row, passages) for row in table[:some]],
                N_MODELS / some,
            )
        },
        reading(table),
    )


# ---- variance table --------------------------------------------------------------


def variance_table() -> Iterator[Figure]:
    """Read a store and print its variance table, as a process of its own."""
    n_models, n_seeds, n_items = 10, 3, 14_042
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "store")
        fill_store(path, n_models, n_seeds, n_items)
        command = [sys.executable, "-m", "harness", "variance", str(path)]
        blank = [sys.executable, "-m", "harness", "variance", "--help"]
        files = list(path.rglob("*.parquet"))
        taken = [(process(command), process(blank)) for _ in range(5)]
        read = measure({"read": Run(lambda: [f.read_bytes() for f in files])}, 5)
    wall, cpu, peak = map(statistics.median, zip(*(a for a, _ in taken), strict=True))
    figure = Figure(
        section="variance_table",
        what=f"{n_models} models × {n_items:,} items × {n_seeds} seeds, from the store",
        seconds=cpu,
        peak_mb=peak,
        bound="bound: reading the files",
        bound_seconds=read["read"],
        facts={
            "wall seconds": wall,
            "CPU seconds of --help": statistics.median(b[1] for _, b in taken),
        },
    )
    # On idle cores the wall shows no more than that.
    figure.goals = {"under 5 s": cpu < 5}
    yield figure


def process(command: list[str]) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and peak MB of a whole process."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - began
    if status:
        sys.exit(f"{command} failed")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def fill_store(path: Path, n_models: int, n_seeds: int, n_items: int) -> None:
    """Write a store of one choice task with four choices, one step of each run."""
    rng = np.random.default_rng(6)
    n_choices = 4
    store = Store.create(path)
    offsets = pa.array(n_choices * np.arange(n_items + 1), pa.int32())

    def lists(values: np.ndarray, kind: pa.DataType) -> pa.ListArray:
        return pa.ListArray.from_arrays(offsets, pa.array(values.ravel(), kind))

    shape = n_items, n_choices
    target, difficulty = rng.integers(n_choices, size=n_items), rng.normal(size=n_items)
    lengths = lists(rng.integers(1, 40, size=shape), pa.int32())
    item = {
        "item_id": pa.array([digest(["item", i]) for i in range(n_items)]),
        "item_index": pa.array(range(n_items), pa.int32()),
        "repeat": pa.array([0] * n_items, pa.int16()),
        "status": pa.array(["ok"] * n_items),
        "prompt_digest": pa.array([digest(["prompt", i]) for i in range(n_items)]),
        "target_index": pa.array(target, pa.int32()),
        **dict.fromkeys(("choice_chars", "choice_bytes", "choice_tokens"), lengths),
    }
    for model, seed in np.ndindex(n_models, n_seeds):
        trial_id = digest([model, seed])
        logprobs = rng.normal(-5, 1, size=shape)
        logprobs[np.arange(n_items), target] += 0.3 * model - difficulty
        is_right = (logprobs.argmax(1) == target).astype(np.float64)
        answer = {
            "attempt_id": pa.array([f"attempt-{trial_id}"] * n_items),
            "trial_id": pa.array([trial_id] * n_items),
            "choice_logprobs": lists(logprobs, pa.float64()),
            "metrics": pa.MapArray.from_arrays(
                pa.array(2 * np.arange(n_items + 1), pa.int32()),
                pa.array(["acc,none", "acc_norm,none"] * n_items),
                pa.array(is_right.repeat(2)),
            ),
        }
        columns = item | answer
        rows = [columns.get(f.name, pa.nulls(n_items, f.type)) for f in RESPONSES]
        trial = {
            "attempt_id": f"attempt-{trial_id}",
            "trial_id": trial_id,
            "status": "done",
            "model": f"model-{model}",
            "train_seed": seed,
            "step": 1000,
            "task": "choice",
            "template": "default",
            "formulation": "choice",
            "num_fewshot": 0,
            "generation": "",
            "fewshot_seed": 0,
            "sample_seed": 0,
            "repeats": 1,
            "weights_digest": trial_id,
            "task_digest": "t",
            "template_digest": "d",
            "output_type": "multiple_choice",
            "sampled": False,
            "n_items": n_items,
            "n_items_total": n_items,
            "dtype": "float32",
            "batch_size": 64,
            "backend": "made up",
            "finished_at": datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC),
        }
        store.append(
            pa.Table.from_pylist([trial], schema=TRIALS),
            [pa.table(rows, schema=RESPONSES)],
        )


SECTIONS = {
    part.__name__: part
    for part in (bootstrap, pairs, kendall, irt, components, clusters, variance_table)
}


def main(sections: Mapping[str, Callable[[], Iterator[Figure]]], about: str) -> None:
    """Time the sections that are named, or all; print; say what differs."""
    if os.environ.get(THREADS) != "1":  # read when numpy is loaded
        os.execve(
            sys.executable,
            [sys.executable, *sys.argv],
            {**os.environ, THREADS: "1"},
        )
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(sections)}")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if unknown := set(options.sections) - sections.keys():
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    figures = []
    for name in options.sections or sections:
        for figure in sections[name]():
            print(figure, flush=True)
            figures.append(figure)
    if options.json:
        options.json.write_text(json.dumps(list(map(asdict, figures)), indent=2) + "\n")
    missed = sum(not is_so for f in figures for is_so in f.goals.values())
    print(f"{sum(len(f.goals) for f in figures) - missed} goals reached, {missed} not")
    if any(not is_so for f in figures for is_so in f.agreements.values()):
        sys.exit("numbers differ")


if __name__ == "__main__":
    main(SECTIONS, __doc__)
