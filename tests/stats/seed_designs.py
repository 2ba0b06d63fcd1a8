"""Scores of seeds on the same items, of which the true variances are known."""

import csv
import math
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, owens_t

GOLDEN = Path(__file__).parents[1] / "golden" / "seed_components.csv"


def probit_variances(mean, seed_sd, item_share):
    """Return the true variances of seed, item and residual, and of the latent seed.

    The latent score of a seed on an item is ``seed + item + rest + cut``, item and rest
    normal with variances `item_share` and the rest of 1; it is right above 0.
    """
    latent = 0.0
    if seed_sd > 0:
        latent = brentq(
            lambda v: _covariance(mean, v / (1 + v)) - seed_sd**2, 1e-12, 100
        )
    seed = _covariance(mean, latent / (1 + latent))
    item = _covariance(mean, item_share / (1 + latent))
    return seed, item, mean * (1 - mean) - seed - item, latent


def probit_scores(
    rng,
    *,
    n_seeds,
    n_items,
    mean,
    seed_sd,
    item_share=0.6,
    n_tables=1,
    n_steps=1,
    step_correlation=1.0,
):
    """Return 0/1 scores, shape (n_tables, n_seeds, n_steps, n_items).

    At each step the variances are those of `probit_variances`. Seeds of different
    steps correlate by `step_correlation` in their latent scores; so do their rests.
    """
    latent = probit_variances(mean, seed_sd, item_share)[-1]
    cut = ndtri(mean) * math.sqrt(1 + latent)
    shared, own = math.sqrt(step_correlation), math.sqrt(1 - step_correlation)

    def draw(variance, *shape):
        def normal(n_steps):
            drawn = (n_tables, shape[0], n_steps, shape[1])
            return rng.standard_normal(drawn, dtype=np.float32)

        return math.sqrt(variance) * (shared * normal(1) + own * normal(n_steps))

    item = math.sqrt(item_share) * rng.standard_normal((n_tables, 1, 1, n_items))
    rest = draw(1 - item_share, n_seeds, n_items)
    return (draw(latent, n_seeds, 1) + item + rest + cut > 0).astype(float)


def normal_scores(rng, *, n_seeds, n_items, seed, item, residual, n_tables=1):
    """Return normal scores with these variances, shape (n_tables, n_seeds, n_items)."""

    def draw(variance, *shape):
        return rng.normal(0, math.sqrt(variance), (n_tables, *shape))

    table = draw(residual, n_seeds, n_items)
    return 0.5 + draw(seed, n_seeds, 1) + draw(item, 1, n_items) + table


def repeated_scores(rng, *, n_items, n_repeats, a, b, n_tables=1):
    """Return 0/1 answers to items whose chances are Beta(a, b).

    The variance between items is ``m (1 - m) / (a + b + 1)`` with ``m = a / (a + b)``,
    that of an answer ``m (1 - m)`` less it.
    """
    chance = rng.beta(a, b, (n_tables, n_items, 1))
    return (rng.random((n_tables, n_items, n_repeats)) < chance).astype(float)


SEED_SHAPES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "uniform": lambda rng, shape: rng.uniform(-1, 1, shape) * math.sqrt(3),
    "t5": lambda rng, shape: rng.standard_t(5, shape) / math.sqrt(5 / 3),
    "laplace": lambda rng, shape: rng.laplace(size=shape) / math.sqrt(2),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "one in ten failed": lambda rng, shape: (
        (rng.normal(size=shape) - 4 * (rng.random(shape) < 0.1)) / math.sqrt(2.44)
    ),
}
"""Seeds of variance 1, by the shape of their distribution."""


def made_table():
    """Return the table that golden/seed_components.R makes."""
    s, i, k = np.mgrid[1:7, 1:9, 1:4]
    hashed = (37 * s**2 + 11 * i**2 + 5 * k**3 + 17 * s * i + 29 * s * i * k) % 101
    return hashed / 100 + s / 4 + i / 5 + (13 * s * i % 17) / 20


def golden(table, model):
    with GOLDEN.open() as lines:
        return {
            row["name"]: (row["value"], row["low"], row["high"])
            for row in csv.DictReader(lines)
            if (row["table"], row["model"]) == (table, model)
        }


def is_sound(estimate):
    """Tell whether its value lies in its interval, and what it lacks has a reason."""
    low, high = estimate.interval
    is_told = any(c.code and c.text for c in estimate.cautions)
    if math.isnan(low) or math.isnan(high):
        return math.isnan(low) and math.isnan(high) and is_told
    # An SD may have an interval where its variance came out negative.
    return is_told if math.isnan(estimate.value) else low <= estimate.value <= high


def coverage(intervals, truth):
    """Return the share of (low, high) that hold `truth`."""
    ends = np.array(intervals)
    return float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])))


def _covariance(mean, correlation):
    """Return P(both right) - mean^2 of two answers so correlated in latent score."""
    slope = math.sqrt((1 - correlation) / (1 + correlation))
    return mean - 2 * owens_t(ndtri(mean), slope) - mean**2
