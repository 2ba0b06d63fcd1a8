"""Components of system and user prompts: lme4's, recovery, coverage, edges."""

import json
import math

import numpy as np
import pytest
from stats.prompts.designs import SHAPES, WORKED, binary, two_way
from stats.seed_designs import golden, made_table

from harness.errors import DesignError
from harness.stats.components import seed_components
from harness.stats.prompts.components import prompt_components
from harness.stats.prompts.variance import prompt_variance

nan = math.nan
DESIGN = {
    "n_system": 8,
    "n_user": 10,
    "n_responses": 3,
    "system": 0.01,
    "user": 0.05,
    "interaction": 0.02,
    "response": 0.15,
}
NAMES = ("system", "user", "interaction", "response")


def codes(result):
    return [caution.code for caution in result.cautions]


def values(found):
    return [getattr(found, name).value for name in NAMES]


def test_the_worked_example():
    """By hand: MS .5, .5, 0 and .25."""
    found = prompt_components(WORKED)

    assert values(found) == pytest.approx([0.125, 0.125, -0.125, 0.25])
    assert "negative-component" in codes(found)


def test_components_are_lme4_s():
    """REML on a made table of 6 × 8 × 3: the R script beside seed_components.csv."""
    theirs = {k: float(v[0]) for k, v in golden("made", "lme4").items()}

    assert values(prompt_components(made_table())) == pytest.approx(
        [theirs[name] for name in ("seed", "item", "cell", "Residual")], abs=1e-6
    )


@pytest.mark.slow
def test_components_are_statsmodels_reml():
    sm = pytest.importorskip("statsmodels.formula.api")
    pd = pytest.importorskip("pandas")
    rewards, _ = two_way(np.random.default_rng(3), **DESIGN, shape="normal")
    n, u, _ = np.indices(rewards.shape)
    frame = pd.DataFrame(
        {"r": rewards.ravel(), "n": n.ravel(), "u": u.ravel(), "one": 1}
    )
    fit = sm.mixedlm(
        "r ~ 1",
        frame,
        groups="one",
        vc_formula={"n": "0 + C(n)", "u": "0 + C(u)", "nu": "0 + C(n):C(u)"},
    ).fit()
    theirs = dict(zip(fit.model.exog_vc.names, fit.vcomp, strict=True))
    found = prompt_components(rewards)

    assert min(theirs.values()) > 0
    assert values(found) == pytest.approx(
        [theirs["n"], theirs["u"], theirs["nu"], fit.scale], abs=1e-4
    )


def test_they_are_those_of_seeds_and_items_with_other_intervals():
    rewards, _ = two_way(np.random.default_rng(4), **DESIGN, shape="skewed")
    seeds = seed_components(rewards)

    assert values(prompt_components(rewards)) == pytest.approx(
        [e.value for e in (seeds.seed, seeds.item, seeds.interaction, seeds.error)]
    )


def test_system_is_the_mean_covariance_of_two_user_prompts():
    rewards, _ = two_way(np.random.default_rng(5), **DESIGN, shape="normal")
    found = prompt_components(rewards)
    covariance = np.cov(rewards.mean(-1).T, ddof=1)
    pairs = covariance[~np.eye(len(covariance), dtype=bool)]

    assert found.system.value == pytest.approx(pairs.mean())
    tau_squared = prompt_variance(rewards).tau_squared
    assert found.system.value + found.interaction.value == pytest.approx(
        tau_squared.mean()
    )
    assert found.consistency.value == pytest.approx(pairs.mean() / tau_squared.mean())


def test_unequal_numbers_leave_them_unbiased():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(300):
        rewards, _ = two_way(rng, **DESIGN, shape="skewed")
        known = np.arange(3) < rng.integers(2, 4, (8, 10, 1))
        found.append(values(prompt_components(np.where(known, rewards, nan))))
    error = np.mean(found, axis=0) - [DESIGN[name] for name in NAMES]
    se = np.std(found, axis=0, ddof=1) / math.sqrt(len(found))

    assert (np.abs(error) < 4 * se).all()


def test_unequal_noise_leaves_them_unbiased():
    """Answers of 0 and 1, of which each cell's vary as its chance has it."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(300):
        alpha, beta = rng.normal(0, 0.1, (8, 1)), rng.uniform(-0.2, 0.2, (1, 10))
        chances = 0.5 + alpha + beta
        found.append(values(prompt_components(binary(rng, np.clip(chances, 0, 1), 3))))
    error = np.mean(found, axis=0)[[0, 2]] - [0.01, 0]
    se = np.std(found, axis=0, ddof=1)[[0, 2]] / math.sqrt(len(found))

    # Chances are cut off at 0 and 1 once in 10,000 cells.
    assert (np.abs(error) < 4 * se + 1e-4).all()


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("n_system", "n_user"), [(8, 10), (16, 30)])
def test_intervals_cover(shape, n_system, n_user):
    """400 tables each; skewed system prompts are covered less, and it says so."""
    rng = np.random.default_rng(8)
    design = DESIGN | {"n_system": n_system, "n_user": n_user}
    truth = {name: design[name] for name in NAMES} | {"consistency": 1 / 3}
    held = {name: [] for name in truth}
    for _ in range(400):
        found = prompt_components(two_way(rng, **design, shape=shape)[0])
        for name, value in truth.items():
            low, high = getattr(found, name).interval
            if not math.isnan(low):
                held[name].append(low <= value <= high)
    least = 0.82 if shape == "skewed" else 0.91
    share = {name: np.mean(values) for name, values in held.items()}

    assert min(len(values) for values in held.values()) > 350
    assert min(share.values()) > least
    assert share["consistency"] > 0.88


def test_one_response_leaves_interaction_and_noise_together():
    rewards, _ = two_way(np.random.default_rng(9), **DESIGN, shape="normal")
    one = rewards[..., :1]
    found = prompt_components(one)
    covariance = np.cov(one[..., 0].T, ddof=1)

    pairs = covariance[~np.eye(len(covariance), dtype=bool)]
    assert found.system.value == pytest.approx(pairs.mean())
    assert not math.isnan(found.system.interval.low)
    for name in ("interaction", "response", "consistency"):
        assert math.isnan(getattr(found, name).value)
        assert codes(getattr(found, name)) == ["one-repeat"]
    assert "few-responses" not in codes(found)


def test_two_user_prompts_have_components_and_no_intervals():
    rewards, _ = two_way(np.random.default_rng(10), **DESIGN, shape="normal")
    found = prompt_components(rewards, user_prompts=[0, 1])

    assert math.isnan(found.system.interval.low)
    assert "few-user-prompts" in codes(found.system)
    assert "few-user-prompts" in codes(found)


def test_nothing_to_share_out_is_told():
    rewards = np.tile([0.0, 1.0], (9, 4, 3))
    found = prompt_components(rewards)

    assert codes(found.consistency) == ["undefined-consistency"]
    assert found.interaction.value < 0


def test_a_share_below_zero_has_an_interval():
    """Where system prompts lose on one user prompt what they win on the other."""
    rng = np.random.default_rng(11)
    way = rng.normal(0, 0.2, (9, 1))
    means = 0.5 + way * np.tile([1, -1], (1, 3))
    rewards = means[..., None] + rng.normal(0, 0.2, (9, 6, 4))
    found = prompt_components(rewards)
    low, high = found.consistency.interval

    assert low < found.consistency.value < high
    assert found.consistency.value < 0
    assert "negative-component" in codes(found)


def test_one_user_prompt_is_refused():
    with pytest.raises(DesignError) as caught:
        prompt_components(np.ones((3, 1, 2)))

    assert caught.value.code == "too-few-items"


def test_what_is_no_table_is_refused():
    with pytest.raises(DesignError) as caught:
        prompt_components(np.ones((3, 2)))

    assert caught.value.code == "responses-shape"


def test_ways_out():
    rewards, _ = two_way(np.random.default_rng(12), **DESIGN, shape="normal")
    found = prompt_components(rewards)
    row = json.loads(json.dumps(found.to_dict()))

    assert row["consistency"]["value"] == found.consistency.value
    assert len(found.to_frame()) == 5
