"""Answers of crossed and nested facets, of which the true components are known."""

import numpy as np


def crossed_codes(**n_levels):
    """Return the levels of each facet, all of them met by all others."""
    grid = np.indices(tuple(n_levels.values())).reshape(len(n_levels), -1)
    return dict(zip(n_levels, grid, strict=True))


def normal_scores(rng, codes, components):
    """Return scores that are sums of normal effects.

    `components` maps tuples of facets to variances; the levels that meet draw one
    effect. The empty tuple is the residual, drawn for each answer.
    """
    n = len(next(iter(codes.values())))
    scores = np.zeros(n)
    for facets, variance in components.items():
        _, group = np.unique(
            np.column_stack([np.zeros(n), *(codes[f] for f in facets)]),
            axis=0,
            return_inverse=True,
        )
        if not facets:
            group = np.arange(n)
        scores += np.sqrt(variance) * rng.standard_normal(group.max() + 1)[group]
    return scores


def some(codes, rows):
    """Return the levels of some answers."""
    return {name: values[rows] for name, values in codes.items()}


def binary_scores(rng, codes, components, mean=0.5):
    """Return answers of 0 and 1, right with a chance that is a sum of uniform effects.

    Components are those of the chances; that of the residual follows.
    """
    chance = np.full(len(next(iter(codes.values()))), mean)
    for facets, variance in components.items():
        if facets:
            levels = np.column_stack([codes[f] for f in facets])
            _, group = np.unique(levels, axis=0, return_inverse=True)
            drawn = 2 * rng.random(group.max() + 1) - 1
            chance += np.sqrt(3 * variance) * drawn[group]
    return (rng.random(len(chance)) < chance).astype(float)
