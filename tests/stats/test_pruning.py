"""Stability and pruning: recovery, loops, controls, public data, edges."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from harness.errors import DesignError
from harness.stats.items import analyse_items, discriminations
from harness.stats.pruning import discrimination_stability, prune_items
from harness.stats.series import seed_sd

nan = math.nan
SYNTAXGYM = Path(__file__).parents[3] / "shared" / "data" / "syntaxgym_seeds"
WORKED = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0], [1, 1, 0]], dtype=float)


def simulate(n_models, n_items, rng):
    """Return answers under a two-parameter model."""
    a, difficulty = rng.lognormal(0, 0.4, n_items), rng.normal(size=n_items)
    p = expit(a * (rng.normal(size=(n_models, 1)) - difficulty))
    return (rng.random(p.shape) < p).astype(float)


def test_random_halves_of_many_models_agree():
    """By Spearman and Brown's formula, and by twice as many models from the same."""
    rng = np.random.default_rng(12)
    both = simulate(400, 300, rng)
    found = discrimination_stability(both[:200], rng=1)
    first, second = discriminations(both, np.repeat(np.eye(2), 200, axis=1))
    fresh = np.corrcoef(first, second)[0, 1]

    assert found.random.value == pytest.approx(0.55, abs=0.15)
    assert found.full_length.value == pytest.approx(fresh, abs=0.07)
    low, high = found.random_spread
    assert low < found.random.value < high
    assert found.to_frame()["quantity"].tolist() == [
        "stability_random",
        "stability_full_length",
        "stability_ability",
    ]
    json.dumps(found.to_dict(), allow_nan=False)


def test_ability_halves_disagree_though_no_item_changes():
    """The paper's figure 3 in a world where discriminations are the same for all."""
    found = discrimination_stability(simulate(300, 400, np.random.default_rng(13)))

    assert found.ability.interval.high < found.random_spread.low - 0.3


def test_random_splits_follow_the_seed():
    scores = simulate(21, 40, np.random.default_rng(14))
    one, same, other = (
        discrimination_stability(scores, n_splits=5, rng=s).random.value
        for s in (1, 1, 2)
    )

    assert one == same != other


def test_checkpoints_of_one_run_stay_in_one_half(codes):
    """Copies of a checkpoint add nothing; torn apart they agree with themselves."""
    scores = simulate(12, 60, np.random.default_rng(17))
    copies = np.repeat(scores, 5, axis=0)
    runs = np.repeat(np.arange(12), 5)
    one, kept, torn = (
        discrimination_stability(table, runs=r, rng=3)
        for table, r in ((scores, None), (copies, runs), (copies, None))
    )

    assert kept.random.value == pytest.approx(one.random.value)
    assert kept.ability.value == pytest.approx(one.ability.value)
    assert torn.random.value > one.random.value + 0.3
    assert codes(kept.random) == ["few-respondents", "dependent-respondents"]


def test_a_model_without_answers_is_in_some_half():
    scores = simulate(12, 60, np.random.default_rng(17))
    scores[3] = nan

    assert not math.isnan(discrimination_stability(scores, rng=1).ability.value)


def test_halves_by_a_loop():
    scores = simulate(9, 40, np.random.default_rng(15))
    found = discrimination_stability(scores, n_splits=1)
    order = sorted(range(9), key=lambda r: scores[r].mean())
    halves = [analyse_items(scores[rows]).item_rest for rows in (order[:4], order[5:])]
    seen = ~np.isnan(halves).any(0)

    assert found.ability.n == seen.sum()
    assert found.ability.value == pytest.approx(
        np.corrcoef(halves[0][seen], halves[1][seen])[0, 1]
    )


def test_stability_says_when_it_is_not_defined(codes):
    found = discrimination_stability(np.ones((4, 5)), rng=1)

    for part in (found.random, found.full_length, found.ability):
        assert math.isnan(part.value)
        assert codes(part) == ["few-items"]
    assert math.isnan(found.random_spread.low)
    assert found.to_dict()["random_spread"] == [None, None]


def test_perfectly_opposed_halves_have_no_full_length(codes):
    """Spearman and Brown's formula has a pole at -1."""
    from harness.stats.pruning import _spearman_brown

    assert math.isnan(_spearman_brown(-1.0))
    assert _spearman_brown(0.5) == pytest.approx(2 / 3)


@pytest.fixture(scope="module")
def runs():
    """Models that choose, and four seeds of six steps that do not; same items."""
    rng = np.random.default_rng(16)
    a, b = rng.lognormal(0, 0.5, 400), rng.normal(size=400)

    def answers(ability):
        p = expit(a * (ability[..., None] - b))
        return (rng.random(p.shape) < p).astype(float)

    steps = np.linspace(-1.5, 0.5, 6) + rng.normal(0, 0.05, (4, 1))
    return answers(rng.normal(size=80)), answers(steps)


def test_pruning_drops_what_discriminates_least(runs):
    training, held_out = runs
    found = prune_items(training, held_out, share=0.25, n_random=20, rng=1)
    (item_rest,) = discriminations(training, np.ones((1, 80)))
    worth = np.nan_to_num(item_rest, nan=0.0)

    assert found.kept.sum() == 300
    assert worth[~found.kept].max() <= worth[found.kept].min()
    assert found.to_dict()["n_kept"] == 300


def test_pruning_is_judged_beside_random_subsets(runs):
    training, held_out = runs
    found = prune_items(training, held_out, share=0.5, n_random=50, rng=1)
    frame = found.to_frame().set_index("quantity")
    curve = held_out.mean(-1)

    assert frame.loc["mean", "full"] == pytest.approx(curve[:, -1].mean())
    assert frame.loc["seed_sd", "full"] == pytest.approx(seed_sd(curve).value)
    assert frame.loc["mean", "pruned"] == pytest.approx(
        held_out[:, -1, found.kept].mean()
    )
    # Random subsets keep the mean; fewer items widen the interval.
    assert frame.loc["mean", "random"] == pytest.approx(curve[:, -1].mean(), abs=0.01)
    assert (
        frame.loc["item_half_width", "random_low"]
        > (frame.loc["item_half_width", "full"])
    )
    assert (frame["random_low"] <= frame["random_high"]).all()
    json.dumps(found.to_dict(), allow_nan=False)


def test_each_option_of_pruning_changes_its_number(runs):
    training, held_out = runs
    noisy = (np.random.default_rng(1).random(held_out.shape) < 0.5).astype(float)

    def full(**options):
        return prune_items(training, noisy, n_random=2, rng=1, **options).full

    plain = full()
    assert full(ddof=0)[1] == pytest.approx(plain[1] * math.sqrt(3) / 2, rel=0.01)
    assert full(rank_method="spearman")[2] != plain[2]
    assert full(confidence_level=0.8)[3] < plain[3]
    assert (
        prune_items(training, noisy / 2, n_random=2, bounds=(0.3, 1), rng=1).full[3]
        != prune_items(training, noisy / 2, n_random=2, rng=1).full[3]
    )


def test_pruning_on_the_models_that_chose_is_told(runs, codes):
    _, held_out = runs
    found = prune_items(held_out[:, -1], held_out, n_random=2)

    assert codes(found) == [
        "evaluated-on-training",
        "few-respondents",
        "shape-of-seeds",
        "conservative-interval",
    ]


def test_pruning_with_gaps_in_the_held_out_runs(runs, codes):
    training, held_out = runs
    held_out = held_out.copy()
    held_out[0, 0] = nan
    held_out[1, 2, 7] = nan
    found = prune_items(training, held_out, n_random=3, rng=1)

    assert codes(found) == [
        "shape-of-seeds",
        "conservative-interval",
        "items-not-shared",
    ]
    assert not found.kept[7]
    assert found.full[0] == pytest.approx(np.delete(held_out, 7, axis=-1)[:, -1].mean())


def test_pruning_of_one_seed_and_constant_scores(runs, codes):
    training, _ = runs
    found = prune_items(training, np.full((1, 2, 400), 0.5), n_random=2)

    assert np.isnan(found.full).tolist() == [False, True, True, True]
    assert codes(found) == ["constant-over-items", "one-seed", "constant-over-steps"]
    assert found.to_dict()["quantities"][1]["full"] is None


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (
            lambda: discrimination_stability(np.ones((3, 5))),
            "too-few-respondents",
            "at least 4",
        ),
        (
            lambda: discrimination_stability(WORKED, runs=[1, 1, 2, 3, 3]),
            "too-few-respondents",
            "got 3",
        ),
        (
            lambda: discrimination_stability(WORKED, runs=[1]),
            "items-differ",
            "1 runs for 5",
        ),
        (
            lambda: discrimination_stability(WORKED, confidence_level=2),
            "bad-confidence-level",
            "is 2",
        ),
        (
            lambda: prune_items(WORKED, np.ones((2, 2, 3)), confidence_level=2),
            "bad-confidence-level",
            "is 2",
        ),
        (
            lambda: prune_items(WORKED, np.ones((2, 2, 4))),
            "items-differ",
            "4 items",
        ),
        (
            lambda: prune_items(WORKED, np.full((2, 2, 3), nan)),
            "items-differ",
            "no item",
        ),
        (
            lambda: prune_items(WORKED, np.ones((2, 2, 3)), share=0.3),
            "bad-share",
            "leaves 3 of 3",
        ),
        (
            lambda: prune_items(WORKED, np.ones((2, 2, 3)), share=1.0),
            "bad-share",
            "leaves 0 of 3",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(call, code, words):
    with pytest.raises(DesignError, match=words) as raised:
        call()

    assert raised.value.code == code


@pytest.mark.skipif(
    not SYNTAXGYM.is_dir(), reason="the extract of SyntaxGym's results is not here"
)
def test_items_of_syntaxgym():
    """Hu et al. (2020), 42 neural models, 842 items of 34 constructions: random halves
    agree on what discriminates, halves by ability do not, nothing is held twice."""
    frame = pd.read_parquet(SYNTAXGYM / "sg_results_long.parquet")
    frame = frame[~frame["arch"].str.contains("gram")]
    wide = frame.pivot_table(
        index="model", columns=["suite", "item"], values="correct", aggfunc="mean"
    )
    scores = wide.to_numpy(dtype=np.float64)
    found = analyse_items(scores, n_independent=22)
    halves = discrimination_stability(scores, n_splits=20, rng=1)

    assert scores.shape == (42, 842)
    assert found.reliability.value > 0.98
    assert 0 < found.is_surely_negative.sum() < 0.02 * 842
    assert (found.same_responses_as == -1).all()
    assert halves.random_spread.low > 0.4
    assert halves.ability.interval.high < 0
