"""Items and respondents of known parameters."""

import numpy as np
import pytest

from harness.stats.irt.model import ItemModel


@pytest.fixture
def model():
    """Return a maker of item models from their parameters."""

    def make(a, b, c=0.0, *, ability_sd=1.0, name="2pl"):
        a, b, c = np.broadcast_arrays(
            *(np.atleast_1d(1.0 * np.array(p)) for p in (a, b, c))
        )
        return ItemModel(
            model=name,
            item_ids=tuple(f"i{i}" for i in range(len(b))),
            discrimination=a.copy(),
            difficulty=b.copy(),
            guessing=c.copy(),
            ability_sd=ability_sd,
        )

    return make


@pytest.fixture
def simulated_test(model):
    """Return a maker of (items, abilities, responses) that follow a model."""

    def make(n_respondents, n_items, *, c=0.0, ability_sd=1.0, name="2pl", rng=1):
        rng = np.random.default_rng(rng)
        a = 1.0 if name == "rasch" else np.exp(rng.normal(0, 0.3, n_items))
        items = model(a, rng.normal(0, 1, n_items), c, ability_sd=ability_sd, name=name)
        theta = rng.normal(0, ability_sd, n_respondents)
        return items, theta, respond(items, theta, rng)

    return make


@pytest.fixture
def answer():
    """Return a drawer of responses to items from abilities."""
    return respond


def respond(items, theta, rng):
    shape = len(theta), len(items.item_ids)
    return (rng.random(shape) < items.probabilities(theta)) * 1.0
