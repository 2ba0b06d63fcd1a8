"""How fast is the variance between system prompts split, and its filter run?

As `benchmarks/stats.py`: CPU seconds with one BLAS thread, and beside them one read of
the rewards. Published tools there are none: beside ours stand what one would write with
pandas, statsmodels, lme4 or loops over subsets, on the same rewards, or on fewer
where it would not end.

    tox run -e bench-prompts
    python benchmarks/prompts.py filter --json figures.json
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from ledger import beside_lme4
from stats import (
    Figure,
    Run,
    compare,
    main,
    mixed_lm,
    product,
    reading,
)

from harness.stats.prompts.cells import reward_cells
from harness.stats.prompts.components import PromptComponents, prompt_components
from harness.stats.prompts.curves import prompt_curves
from harness.stats.prompts.held_out import select_discriminative
from harness.stats.prompts.search import (
    Search,
    best_subset,
    score_matrix,
    subset_score,
)
from harness.stats.prompts.variance import prompt_variance

FULL = (32, 1_000, 16)
"""System prompts × user prompts × responses."""

FULL_NAME = "32 system prompts × 1,000 user prompts × 16 responses"


def rewards(n_system: int, n_user: int, n_responses: int) -> np.ndarray:
    """Return rewards of 0 and 1 to system prompts that differ on each user prompt."""
    rng = np.random.default_rng(8)
    odds = (
        rng.normal(0, 0.4, (n_system, 1, 1))
        + rng.normal(0, 1.5, (1, n_user, 1))
        + rng.normal(0, 0.8, (n_system, n_user, 1))
    )
    drawn = rng.random((n_system, n_user, n_responses))
    return (drawn < 1 / (1 + np.exp(-odds))).astype(np.float64)


def tidy(table: np.ndarray) -> pd.DataFrame:
    """Return a row for each response."""
    system, user, _ = np.indices(table.shape)
    columns = {"system": system, "user": user, "reward": table}
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()})


# ---- decomposition ---------------------------------------------------------------


def decomposition() -> Iterator[Figure]:
    """Split the variance of mean rewards into responses and system prompts."""
    table = rewards(*FULL)
    frame = tidy(table)

    def by_pandas(ddof: int) -> list[float]:
        cells = frame.groupby(["system", "user"])["reward"].agg(["mean", "count"])
        cells["var"] = frame.groupby(["system", "user"])["reward"].var(ddof=ddof)
        means = cells.groupby("system")["mean"].mean()
        n_system, n_user = len(means), len(cells) / len(means)
        noise = (cells["var"] / cells["count"]).mean() / n_user
        responses = (n_system - 1) / n_system * noise
        observed = means.var(ddof=0)
        return [observed, responses, observed - responses]

    for mode, ddof in (("unbiased", 1), ("p1", 0)):
        figure = compare(
            "decomposition",
            f"{FULL_NAME}, mode {mode}, with intervals",
            Run(lambda mode=mode: prompt_variance(table, mode=mode)),
            {"pandas groupby, no interval": Run(lambda ddof=ddof: by_pandas(ddof))},
            reading(table),
        )
        ours = [e.value for e in prompt_variance(table, mode=mode).estimates[:3]]
        figure.goals = {"at most 0.05 s": figure.seconds <= 0.05}
        figure.agreements = {
            "with pandas to 1e-12": np.allclose(ours, by_pandas(ddof), 0, 1e-12)
        }
        yield figure


# ---- components ------------------------------------------------------------------


def components() -> Iterator[Figure]:
    """Split the variance of rewards into prompts, their interaction, and chance."""
    table = rewards(*FULL)
    figure = compare(
        "components",
        f"{FULL_NAME}, where statsmodels does not fit in memory",
        Run(lambda: prompt_components(table)),
        {},
        reading(table),
        rounds=15,
    )
    figure.goals = {
        "at most 6 ms": figure.seconds <= 0.006,
        "within 8 times one read": figure.seconds <= 8 * figure.bound_seconds,
    }
    frame = tidy(table)
    codes = {name: frame[name].to_numpy() for name in ("system", "user")}
    names = ("system", "user", "system:user")
    mine = dict(zip(names, _values(prompt_components(table))[:3], strict=True))
    beside_lme4(figure, frame["reward"].to_numpy(), codes, mine)
    yield figure

    small = rewards(8, 20, 8)
    ours = _values(prompt_components(small))
    figure = compare(
        "components",
        "8 system prompts × 20 user prompts × 8 responses",
        Run(lambda: prompt_components(small)),
        {
            "statsmodels anova_lm": Run(lambda: _anova_lm(small)),
            "statsmodels MixedLM, crossed": Run(lambda: _mixed_lm(small), once=True),
        },
        rounds=3,
    )
    figure.agreements = {
        "with anova_lm to 1e-10": np.allclose(ours, _anova_lm(small), 0, 1e-10),
        "with REML to 1e-4": np.allclose(ours, _mixed_lm(small), 0, 1e-4),
    }
    yield figure


def _values(found: PromptComponents) -> list[float]:
    """Return system, user, interaction and response variance."""
    parts = found.system, found.user, found.interaction, found.response
    return [part.value for part in parts]


def _anova_lm(table: np.ndarray) -> list[float]:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    n_system, n_user, n = table.shape
    fit = ols("reward ~ C(system) * C(user)", tidy(table)).fit()
    system, user, both, response = anova_lm(fit)["mean_sq"]
    return [
        (system - both) / (n_user * n),
        (user - both) / (n_system * n),
        (both - response) / n,
        response,
    ]


def _mixed_lm(table: np.ndarray) -> list[float]:
    user, system, both, response = mixed_lm(table)
    return [system, user, both, response]


# ---- curves ----------------------------------------------------------------------


def curves() -> Iterator[Figure]:
    """Average the variances over subsets of user prompts."""
    table = rewards(*FULL)
    found = prompt_curves(table)
    sizes = [p.n_user for p in found.points if p.design == "fixed-m"]
    n_draws = 50
    rng = np.random.default_rng(9)

    def drawn() -> dict[int, float]:
        return {
            k: float(np.mean([_of_subset(table, rng, k) for _ in range(n_draws)]))
            for k in sizes
        }

    q = score_matrix(reward_cells(table))
    pairs = np.transpose(np.triu_indices(len(q), 1))
    of_pairs = float(np.mean(subset_score(q, pairs)))
    figure = compare(
        "curves",
        f"{FULL_NAME}: {len(found.points)} points with intervals",
        Run(lambda: prompt_curves(table)),
        {
            f"{n_draws} subsets drawn of each K, once": Run(drawn, once=True),
        },
        reading(table),
    )
    figure.goals = {"at most 0.1 s": figure.seconds <= 0.1}
    at_two = next(p for p in found.points if p.design == "fixed-m" and p.n_user == 2)
    figure.agreements = {
        "K = 2 is the mean over all pairs to 1e-12": math.isclose(
            at_two.among_system_prompts.value, of_pairs, rel_tol=0, abs_tol=1e-12
        )
    }
    yield figure


def _of_subset(table: np.ndarray, rng: np.random.Generator, k: int) -> float:
    """Return the variance among system prompts of user prompts drawn at random."""
    some = table[:, rng.choice(table.shape[1], k, replace=False)]
    n_system, _, n = some.shape
    noise = (some.var(-1, ddof=1) / n).mean() / k
    return float(some.mean((1, 2)).var() - (n_system - 1) / n_system * noise)


# ---- filter ----------------------------------------------------------------------


def filter_() -> Iterator[Figure]:
    """Find the user prompts on which system prompts differ most."""
    table = rewards(*FULL)
    n_system, n_user, _ = FULL
    n_pairs = math.comb(n_user, 2)
    some = table[:, :60]
    n_few = math.comb(60, 2)
    loops = {
        "algorithm 1, plain Python": _best_by_python,
        "algorithm 1, numpy for each pair": _best_by_numpy,
    }

    def ours(given: np.ndarray, size: int) -> Search:
        return best_subset(score_matrix(reward_cells(given, mode="p1")), size)

    figure = compare(
        "filter",
        f"{FULL_NAME}: the best of all {n_pairs:,} pairs",
        Run(lambda: ours(table, 2)),
        {
            name: Run(lambda best=best: best(some), n_pairs / n_few)
            for name, best in loops.items()
        },
        product(2 * n_system * n_user**2, np.float64),
    )
    figure.goals = {"at most 0.1 s": figure.seconds <= 0.1}
    figure.agreements = {
        f"{name}: the same best of {n_few:,} pairs": best(some)
        == tuple(ours(some, 2).columns)
        for name, best in loops.items()
    }
    every = np.transpose(np.triu_indices(n_user, 1))
    best = ours(table, 2)
    q = score_matrix(reward_cells(table, mode="p1"))
    figure.agreements["no pair of all scores higher"] = bool(
        subset_score(q, every).max() <= best.score + 1e-15
    )
    yield figure

    size = 16
    loop = _forward(table, size)
    figure = compare(
        "filter",
        f"{FULL_NAME}: {size} user prompts, greedily with swaps from 11 starts",
        Run(lambda: ours(table, size)),
        {
            "one start, no swaps, numpy for each": Run(
                lambda: _forward(table, size), once=True
            )
        },
    )
    found = ours(table, size)
    of_loop = _numpy_score(*_shares(table), loop)
    figure.facts = {
        "subsets examined": found.n_subsets,
        "score": found.score,
        "score without swaps": of_loop,
    }
    figure.goals = {"at most 0.1 s": figure.seconds <= 0.1}
    figure.agreements = {"scores no lower than without": found.score >= of_loop - 1e-15}
    yield figure

    n_splits = 20
    for size in (2, 16):
        figure = compare(
            "filter",
            f"{FULL_NAME}: {size} chosen on halves, judged on the others, {n_splits} "
            "splits, beside 1,000 random subsets",
            Run(
                lambda size=size: select_discriminative(
                    table, size, n_splits=n_splits, rng=1
                ),
                once=True,
            ),
            {},
            (
                "bound: a number drawn for each response",
                Run(lambda: np.random.default_rng(1).random(FULL), n_splits),
            ),
            rounds=1,
        )
        found = select_discriminative(table, size, mode="p1", n_splits=2, rng=1)
        figure.goals = {"at most 10 s": figure.seconds <= 10}
        figure.agreements = {
            "chooses what the search finds": np.array_equal(
                found.user_prompts, ours(table, size).columns
            )
        }
        yield figure


def _shares(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means of cells, and the variance of each over other responses."""
    means = table.mean(-1)
    return means, means * (1 - means) / table.shape[-1]


def _numpy_score(means: np.ndarray, noise: np.ndarray, subset: Sequence[int]) -> float:
    """Return the paper's score of a subset of user prompts (algorithm 1)."""
    n, k = len(means), len(subset)
    columns = list(subset)
    seen = means[:, columns].mean(1).var()
    return float(seen - (n - 1) / n**2 * noise[:, columns].sum() / k**2)


def _plain_score(means: list, noise: list, subset: Sequence[int]) -> float:
    """Return the same without numpy."""
    n, k = len(means), len(subset)
    averages = [sum(row[u] for u in subset) / k for row in means]
    grand = sum(averages) / n
    seen = sum((x - grand) ** 2 for x in averages) / n
    return seen - (n - 1) / n**2 * sum(sum(r[u] for u in subset) for r in noise) / k**2


def _best_by_numpy(table: np.ndarray) -> tuple[int, ...]:
    means, noise = _shares(table)
    pairs = combinations(range(table.shape[1]), 2)
    return max(pairs, key=lambda pair: _numpy_score(means, noise, pair))


def _best_by_python(table: np.ndarray) -> tuple[int, ...]:
    means, noise = (shares.tolist() for shares in _shares(table))
    pairs = combinations(range(table.shape[1]), 2)
    return max(pairs, key=lambda pair: _plain_score(means, noise, pair))


def _forward(table: np.ndarray, size: int) -> list[int]:
    """Add one user prompt at a time, each the one that makes the score highest."""
    means, noise = _shares(table)
    chosen: list[int] = []
    while len(chosen) < size:
        others = [u for u in range(table.shape[1]) if u not in chosen]
        scores = [_numpy_score(means, noise, [*chosen, u]) for u in others]
        chosen.append(others[int(np.argmax(scores))])
    return chosen


SECTIONS = {
    "decomposition": decomposition,
    "components": components,
    "curves": curves,
    "filter": filter_,
}


if __name__ == "__main__":
    main(SECTIONS, __doc__)
