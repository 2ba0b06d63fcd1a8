"""Checkpoints and models whose truth is known, for coverage."""

import numpy as np

CURVES = ("rising", "plateau", "wiggling", "chance")


def ability_curves(kind, n_seeds, n_steps, *, rng):
    """Return abilities by seed and step: logits against items of mean difficulty 0."""
    t = np.linspace(0, 1, n_steps)
    base, wiggle = {
        "rising": (-1 + 2 * np.log1p(9 * t) / np.log(10), 0.0),
        "plateau": (1 - 2 * np.exp(-6 * t), 0.0),
        "wiggling": (-1 + 2 * np.log1p(9 * t) / np.log(10), 0.3),
        "chance": (np.zeros(n_steps), 0.02),
    }[kind]
    return base + rng.normal(0, wiggle, (n_seeds, n_steps))


def item_scores(abilities, n_items, *, rng, chance=0.0):
    """Return 0/1 scores (seeds, steps, items) of items drawn anew.

    Difficulties are shared by all, a seed keeps its liking of an item over steps, and
    repeats its luck at three steps of five.
    """
    n_seeds, n_steps = abilities.shape
    shape = n_seeds, n_steps, n_items
    logit = abilities[..., None] - rng.normal(0, 1.5, n_items)
    logit += rng.normal(0, 1, (n_seeds, 1, n_items))
    p = chance + (1 - chance) / (1 + np.exp(-logit))
    luck = np.where(
        rng.random(shape) < 0.6, rng.random((n_seeds, 1, n_items)), rng.random(shape)
    )
    return (luck < p).astype(float)


def runs(n_models, n_steps, *, rng, signal=0.05, noise=0.01, mean=0.5):
    """Return scores (models, steps) of models at a plateau, and their true scores."""
    truth = mean + rng.normal(0, signal, n_models)
    return truth[:, None] + rng.normal(0, noise, (n_models, n_steps)), truth


def two_scales(n_models, *, rng, signal=0.05, noise=0.02):
    """Return scores of the same models, small and large, with noise of their own."""
    truth = rng.normal(0.5, signal, n_models)
    return tuple(truth + rng.normal(0, noise, n_models) for _ in range(2))
