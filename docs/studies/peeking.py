"""How often is a difference found that is not there, if one looks again and again?

`python docs/studies/peeking.py` prints the tables of docs/explanation/peeking.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.stats.intervals import hall_p_value
from harness.stats.pairs import mcnemar_p_value
from harness.stats.sequential import always_valid_p, mixture_p_value, spend

LEVEL = 0.05
EVERY = 20


def counts(
    rng: np.random.Generator, n_sims: int, n_items: int, share: float, difference: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return items better and worse so far, at every look, of two models."""
    draw = rng.random((n_sims, n_items))
    at = np.arange(EVERY, n_items + 1, EVERY) - 1
    better, worse = (share + difference) / 2, (share - difference) / 2
    return (
        np.cumsum(draw < better, axis=1)[:, at],
        np.cumsum(draw > 1 - worse, axis=1)[:, at],
    )


def of_shares() -> None:
    """Equal models, right or wrong: McNemar's test and the mixture."""
    for share in (0.05, 0.2, 0.5):
        rng = np.random.default_rng([1, int(100 * share)])
        better, worse = counts(rng, 1000, 2000, share, 0)
        once = (mcnemar_p_value(better, worse)[:, -1] < LEVEL).mean()
        peeked = (mcnemar_p_value(better, worse) < LEVEL).any(1).mean()
        ours = (mixture_p_value(better, worse) < LEVEL).any(1).mean()
        name = f"0 and 1, {share:.0%} of items differ"
        print(f"| {name} | {once:.1%} | {peeked:.1%} | {ours:.1%} |")


def of_others() -> None:
    """Equal models, other scores: Hall's test and the asymptotic sequence."""
    shape = 300, 1000
    kinds: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
        "normal": lambda rng: rng.normal(0, 0.2, shape),
        "skewed (exponential)": lambda rng: rng.exponential(1, shape) - 1,
        "means of two repeats, 24 % differ": lambda rng: rng.choice(
            [-1, -0.5, 0, 0.5, 1], shape, p=[0.02, 0.1, 0.76, 0.1, 0.02]
        ),
    }
    for place, (name, draw) in enumerate(kinds.items()):
        found = np.zeros((3, shape[0]))
        for i, d in enumerate(draw(np.random.default_rng([2, place]))):
            looks = range(EVERY, shape[1] + 1, EVERY)
            p = [float(hall_p_value(d[:n], df=n - 1)) for n in looks]
            ours = min(always_valid_p(d[:n]) for n in looks)
            found[:, i] = p[-1] < LEVEL, min(p) < LEVEL, ours < LEVEL
        print(f"| {name} | " + " | ".join(f"{x:.1%}" for x in found.mean(1)) + " |")


def of_power() -> None:
    """Models that differ, by so much that one look at 1,000 items finds it at 80 %."""
    better, worse = counts(np.random.default_rng(3), 1000, 3000, 0.2, 0.0396)
    ours, once = mixture_p_value(better, worse), mcnemar_p_value(better, worse)
    for n in (500, 1000, 1500, 2000, 3000):
        look = n // EVERY - 1
        row = (once[:, look], ours[:, look], ours[:, : look + 1].min(1))
        shares = " | ".join(f"{(p < LEVEL).mean():.0%}" for p in row)
        print(f"| {n:,} | {shares} |")


def of_nights() -> None:
    """A new checkpoint every night, none of them worse."""
    p = np.random.default_rng(4).random((20_000, 200))
    rules: dict[str, list[float]] = {
        "every night at 5 %": [LEVEL] * 200,
        "open": [spend(LEVEL, k) for k in range(1, 201)],
    }
    for shape in ("pocock", "obrien-fleming"):
        rules[f"{shape}, of 200"] = [
            spend(LEVEL, k, shape=shape, n_looks=200) for k in range(1, 201)
        ]
    for name, levels in rules.items():
        share = (p < levels).any(1).mean()
        some = " | ".join(f"{levels[k - 1]:.2g}" for k in (1, 30, 200))
        print(f"| {name} | {share:.1%} | {some} |")


if __name__ == "__main__":
    for table in (of_shares, of_others, of_power, of_nights):
        table()
