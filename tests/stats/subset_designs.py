"""Items and respondents whose truth is known, for subsets."""

import numpy as np
from scipy.special import expit

from harness.stats.irt.model import ItemModel
from harness.stats.subsets.calibrate import Calibration


def item_model(discrimination, difficulty, guessing=None, ability_sd=1.0):
    n = len(discrimination)
    return ItemModel(
        model="2pl",
        item_ids=tuple(f"i{j}" for j in range(n)),
        discrimination=np.asarray(discrimination, dtype=float),
        difficulty=np.asarray(difficulty, dtype=float),
        guessing=np.zeros(n) if guessing is None else np.asarray(guessing, float),
        ability_sd=ability_sd,
    )


def calibration(items, *, ability=(-1.0, 0.0, 1.0), error=0.0, variance=0.2):
    """Return the truth, as if it had been calibrated."""
    return Calibration(
        items=items,
        ability=np.asarray(ability),
        threshold=0.5,
        validation_error=error,
        response_variance=variance,
        n_respondents=len(ability),
        n_runs=len(ability),
        n_groups=len(ability),
        dropped=(),
        method="known",
    )


def answers(items, ability, *, rng):
    p = items.probabilities(np.asarray(ability))
    return (rng.random(p.shape) < p).astype(float)


def training_runs(
    n_models, n_seeds, n_steps, n_items, *, rng, steepness=1.5, spread=1.2
):
    """Return 0/1 scores of models whose seeds differ a little and that learn.

    With them, by respondent: models, train_seeds, steps.
    """
    model, seed, step = np.indices((n_models, n_seeds, n_steps)).reshape(3, -1)
    ability = rng.normal(0, 0.8, n_models)[model]
    ability = ability + rng.normal(0, 0.1, (n_models, n_seeds))[model, seed]
    ability = ability + 0.4 * (step - (n_steps - 1) / 2)
    a = steepness * rng.lognormal(0, 0.3, n_items)
    b = rng.normal(0, spread, n_items)
    scores = (
        rng.random((len(ability), n_items)) < expit(a * (ability[:, None] - b))
    ) * 1.0
    who = {
        "models": [f"m{m}" for m in model],
        "train_seeds": seed.tolist(),
        "steps": (1000 * step).tolist(),
    }
    return scores, who
