"""Scores whose true mean is known, as an evaluation would give them.

Plain functions of a generator, for tests and for the study of coverage. Each returns
`n_sims` independent data sets and the truth that an interval should hold.
"""

import numpy as np


def right_or_wrong(rng, n_sims, n_items, p):
    """Items that are right with probability `p`: (n_sims, n_items), `p`."""
    return (rng.random((n_sims, n_items)) < p) * 1.0, p


def of_mixed_difficulty(rng, n_sims, n_items, n_repeats, a, b):
    """Repeats of items whose chances are Beta(a, b): (n_sims, n_items, n_repeats)."""
    chance = rng.beta(a, b, (n_sims, n_items, 1))
    scores = rng.random((n_sims, n_items, n_repeats)) < chance
    return scores * 1.0, a / (a + b)


def probabilities(rng, n_sims, n_items, a, b):
    """Continuous scores from 0 to 1, Beta(a, b)."""
    return rng.beta(a, b, (n_sims, n_items)), a / (a + b)


def log_likelihoods(rng, n_sims, n_items):
    """Scores of no lower bound with a long tail: minus an exponential."""
    return -rng.exponential(1, (n_sims, n_items)), -1.0


def clustered(rng, n_sims, sizes, p, correlation):
    """Right or wrong items of clusters of the given sizes.

    A cluster's chance is Beta distributed with mean `p`, so that two items of one
    cluster have the given correlation. Returns scores, clusters and the truth.
    """
    weight = 1 / correlation - 1
    chance = rng.beta(p * weight, (1 - p) * weight, (n_sims, len(sizes)))
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    return (
        (rng.random((n_sims, len(clusters))) < chance[:, clusters]) * 1.0,
        clusters,
        p,
    )


def paired(rng, n_sims, n_items, better, worse):
    """Two models that differ on some items: ternary differences and the truth.

    The first model alone is right with probability `better`, the second alone with
    `worse`. Returns the scores of both and the true difference.
    """
    draw = rng.random((n_sims, n_items))
    both = rng.random((n_sims, n_items)) < 0.5
    first = (draw < better) | (both & (draw >= better + worse))
    second = ((draw >= better) & (draw < better + worse)) | (
        both & (draw >= better + worse)
    )
    return first * 1.0, second * 1.0, better - worse


def paired_probabilities(rng, n_sims, n_items, gap):
    """Continuous scores of two models over items of shared difficulty."""
    item = rng.beta(0.6, 0.9, (n_sims, n_items))
    first, second = (
        item + (1 - item) * item * rng.uniform(-1, 1, (n_sims, n_items)) for _ in "ab"
    )
    return first + gap, second, gap
