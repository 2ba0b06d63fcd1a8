"""Rewards of system prompts on user prompts, of which the variances are known."""

import numpy as np

WORKED = np.array([[[1, 1], [0, 1]], [[0, 1], [0, 0]]], dtype=float)
"""Two system prompts, two user prompts, two responses, worked by hand in the paper's
terms: chances 1, .5 and .5, 0."""


def two_way(
    rng, *, n_system, n_user, n_responses, system, user, interaction, response, shape
):
    """Return rewards of the two-way model with these variances, and cells' true means.

    `shape` names how system prompts, and what they win on single user prompts, are
    spread; the rest is normal.
    """
    draw = SHAPES[shape]
    alpha = np.sqrt(system) * draw(rng, (n_system, 1))
    beta = np.sqrt(user) * rng.normal(size=(1, n_user))
    gamma = np.sqrt(interaction) * draw(rng, (n_system, n_user))
    means = 0.5 + alpha + beta + gamma
    noise = rng.normal(size=(n_system, n_user, n_responses))
    return means[..., None] + np.sqrt(response) * noise, means


SHAPES = {
    "normal": lambda rng, size: rng.normal(size=size),
    "uniform": lambda rng, size: rng.uniform(-1, 1, size) * np.sqrt(3),
    "two kinds": lambda rng, size: rng.choice([-1.0, 1.0], size=size),
    "skewed": lambda rng, size: (
        (rng.beta(0.5, 3, size) - 1 / 7) / np.sqrt(6 / 49 / 4.5)
    ),
}
"""Distributions of mean 0 and variance 1."""


def binary(rng, chances, n_responses):
    """Return rewards of 0 and 1 with these chances, shape (..., n_responses)."""
    drawn = rng.random((*np.shape(chances), n_responses))
    return (drawn < np.asarray(chances)[..., None]).astype(float)
