"""How fast is the variance ledger, beside statsmodels and lme4?

As `benchmarks/stats.py`: CPU seconds with one BLAS thread, and beside them one read of
the answers. lme4's seconds are those R tells of the fit alone, without its start and
reading. At a million answers of six facets no peer fits all effects here: statsmodels
would lay out every effect as a dense matrix, and lme4 takes minutes.

    tox run -e bench-ledger
    python benchmarks/ledger.py --json figures.json
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from stats import Figure, Run, compare, main, quiet, reading

from harness.stats.ledger.design import design
from harness.stats.ledger.ledger import Ledger, variance_ledger
from harness.stats.ledger.squares import squares

MILLION = {
    "item": 500,
    "train_seed": 5,
    "step": 5,
    "template": 8,
    "fewshot_seed": 5,
    "repeat": 2,
}

LME4 = """
suppressMessages(library(lme4))
data <- read.csv(commandArgs(TRUE)[1])
for (f in setdiff(names(data), "score")) data[[f]] <- factor(data[[f]])
control <- lmerControl(check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore",
                       calc.derivs = FALSE)
seconds <- system.time(
  fit <- lmer(as.formula(commandArgs(TRUE)[2]), data, control = control))
v <- as.data.frame(VarCorr(fit))
cat(seconds[["user.self"]] + seconds[["sys.self"]], "\\n")
cat(paste(v$grp, v$vcov, sep = "="), sep = "\\n")
"""


def answers(n_levels: Mapping[str, int]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return scores of 0 and 1, right with a chance that is a sum of effects."""
    rng = np.random.default_rng(1)
    shape = tuple(n_levels.values())
    chance = np.full(shape, 0.5)
    n = len(shape)
    sizes = {(0,): 0.15, (1,): 0.04, (0, 1): 0.08}
    sizes |= {(n - 1,): 0.04, (0, n - 1): 0.08, (1, n - 1): 0.05}
    for axes, size in sizes.items():
        one = tuple(shape[axis] if axis in axes else 1 for axis in range(n))
        chance = chance + size * (2 * rng.random(one) - 1)
    grid = np.indices(shape).reshape(n, -1)
    scores = (rng.random(chance.size) < chance.ravel()).astype(np.float64)
    return scores, dict(zip(n_levels, grid, strict=True))


def million() -> Iterator[Figure]:
    """Split a million answers of six facets, all there and with some missing."""
    scores, codes = answers(MILLION)
    rows = np.random.default_rng(2).random(len(scores)) > 0.05
    few = scores[rows], {name: values[rows] for name, values in codes.items()}
    for given, what in [((scores, codes), "balanced"), (few, "5 % missing")]:
        found = variance_ledger(*given)
        figure = compare(
            "million",
            f"{found.n:,} answers of 6 facets, {what}, {len(found.effects)} effects",
            Run(lambda given=given: variance_ledger(*given)),
            {},
            reading(given[0], *given[1].values()),
            rounds=3,
        )
        figure.goals = {
            "at most 3 s": figure.seconds <= 3,
            "at most 500 MB": figure.peak_mb <= 500,
        }
        yield figure
    kept = {name: values for name, values in codes.items() if name != "repeat"}
    grouped = design(scores, kept, {})
    effects = grouped.closed()[1:]
    fast, slow = (
        squares(grouped, effects, item=None, balanced=is_told).components
        for is_told in (True, False)
    )
    figure = compare(
        "million",
        "the same, balanced, by Henderson's method",
        Run(lambda: squares(grouped, effects, item=None, balanced=False)),
        {"ANOVA": Run(lambda: squares(grouped, effects, item=None, balanced=True))},
        rounds=3,
    )
    figure.agreements = {"equal to 1e-10": bool(np.abs(fast - slow).max() < 1e-10)}
    yield figure


def peers() -> Iterator[Figure]:
    """Fit designs that others can fit."""
    yield from _two_way({"item": 100, "train_seed": 30}, with_statsmodels=True)
    yield from _two_way({"item": 2_000, "train_seed": 30}, with_statsmodels=False)
    yield from _three_way({"item": 500, "train_seed": 10, "template": 8})


def _two_way(n_levels: Mapping[str, int], with_statsmodels: bool) -> Iterator[Figure]:
    scores, codes = answers(n_levels)
    found = variance_ledger(scores, codes)
    calls, told = {}, {}
    if with_statsmodels:
        from statsmodels.formula.api import mixedlm

        frame = pd.DataFrame(codes | {"score": scores, "one": 1})
        formulas = {"item": "0 + C(item)", "train_seed": "0 + C(train_seed)"}

        def statsmodels() -> None:
            with quiet():
                fit = mixedlm("score ~ 1", frame, groups="one", vc_formula=formulas)
                told["fit"] = fit.fit()

        calls["statsmodels MixedLM"] = Run(statsmodels, once=True)
    figure = compare(
        "peers",
        f"{found.n:,} answers: " + " × ".join(f"{n} {f}" for f, n in n_levels.items()),
        Run(lambda: variance_ledger(scores, codes)),
        calls,
        reading(scores, *codes.values()),
        rounds=3,
    )
    if told:
        fit = told["fit"]
        figure.facts["statsmodels converged (1) or not"] = float(fit.converged)
        mine = [found.effect(f).variance.value for f in n_levels]
        if fit.converged:
            figure.agreements["statsmodels' to 1e-4"] = bool(
                np.abs(np.array(mine) - fit.vcomp).max() < 1e-4
            )
    beside_lme4(figure, scores, codes, _components(found))
    yield figure


def _three_way(n_levels: Mapping[str, int]) -> Iterator[Figure]:
    scores, codes = answers(n_levels)
    found = variance_ledger(scores, codes)
    figure = compare(
        "peers",
        f"{found.n:,} answers: " + " × ".join(f"{n} {f}" for f, n in n_levels.items()),
        Run(lambda: variance_ledger(scores, codes)),
        {},
        reading(scores, *codes.values()),
        rounds=3,
    )
    beside_lme4(figure, scores, codes, _components(found))
    yield figure


def _components(found: Ledger) -> dict[str, float]:
    return {":".join(e.facets): e.variance.value for e in found.effects[:-1]}


def beside_lme4(
    figure: Figure,
    scores: np.ndarray,
    codes: dict[str, np.ndarray],
    mine: dict[str, float],
) -> None:
    """Add lme4's seconds, and whether components agree, where R is there."""
    if not shutil.which("Rscript"):
        return
    formula = "score ~ 1" + "".join(f" + (1 | {effect})" for effect in mine)
    with tempfile.TemporaryDirectory() as folder:
        script, data = Path(folder, "fit.R"), Path(folder, "data.csv")
        script.write_text(LME4)
        pd.DataFrame(codes | {"score": scores}).to_csv(data, index=False)
        out = subprocess.run(
            ["Rscript", str(script), str(data), formula],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    figure.peers["lme4"] = float(out[0])
    theirs = dict(line.split("=") for line in out[1:])
    # REML cuts components off at 0, and then moves the others.
    if min(mine.values()) > 0:
        figure.agreements["lme4's to 1e-5"] = all(
            abs(float(theirs[name]) - value) < 1e-5 for name, value in mine.items()
        )


SECTIONS = {"million": million, "peers": peers}


if __name__ == "__main__":
    main(SECTIONS, __doc__)
