"""Variance between system prompts: the paper's equations, truth, properties, edges."""

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from stats.prompts.designs import WORKED, binary, two_way

from harness.errors import DesignError
from harness.stats.prompts.variance import prompt_variance

nan = math.nan

tables = arrays(
    np.float64,
    array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=5),
    elements=st.floats(-2, 2).map(lambda x: round(x, 3)),
)


def codes(result):
    return [caution.code for caution in result.cautions]


def ragged(rng, shape=(4, 3, 6)):
    """Return rewards of 0 and 1 with cells of 2 to 6 responses."""
    rewards = rng.integers(0, 2, shape).astype(float)
    for n, u in np.ndindex(shape[:2]):
        rewards[n, u, rng.integers(2, shape[2] + 1) :] = nan
    return rewards


@pytest.mark.parametrize(
    ("mode", "user_prompts", "responses", "among"),
    [
        ("p1", [0], 0.03125, 0.03125),
        ("unbiased", [0], 0.0625, 0),
        ("p1", [0, 1], 0.015625, 0.046875),
        ("unbiased", [0, 1], 0.03125, 0.03125),
    ],
)
def test_the_worked_example(mode, user_prompts, responses, among):
    """By hand: two system prompts, user prompts and responses."""
    found = prompt_variance(WORKED, mode=mode, user_prompts=user_prompts)

    assert found.observed.value == pytest.approx(0.0625)
    assert found.among_responses.value == pytest.approx(responses)
    assert found.among_system_prompts.value == pytest.approx(among)
    assert found.share.value == pytest.approx(among / 0.0625)


def test_single_user_prompts_of_the_worked_example():
    found = prompt_variance(WORKED)

    np.testing.assert_allclose(found.per_prompt, 0, atol=1e-15)
    np.testing.assert_allclose(found.tau_squared, 0, atol=1e-15)
    np.testing.assert_allclose(found.per_prompt_responses, 0.0625)
    np.testing.assert_allclose(found.difficulty, [0.75, 0.25])


def equation_5(chances, n_responses):
    """The paper's equation 5 (4 for one user prompt), term by term."""
    n, k = chances.shape
    of_responses = of_system = 0.0
    grand = sum(chances[i][j] for i in range(n) for j in range(k)) / (n * k)
    for i in range(n):
        inner = sum(p * (1 - p) for p in chances[i]) / (k**2 * n_responses)
        of_responses += (n - 1) / n**2 * inner
        of_system += (sum(chances[i]) / k - grand) ** 2 / n
    return of_responses, of_system


@pytest.mark.parametrize("n_user", [1, 3])
def test_equations_4_and_5_by_a_plain_loop(n_user):
    rng = np.random.default_rng(1)
    rewards = binary(rng, rng.random((5, n_user)), 7)
    seen = rewards.mean(-1)
    of_responses, of_seen = equation_5(seen, 7)
    found = prompt_variance(rewards, mode="p1")

    assert found.observed.value == pytest.approx(of_seen)
    assert found.among_responses.value == pytest.approx(of_responses)
    assert found.among_system_prompts.value == pytest.approx(of_seen - of_responses)


def test_equation_5_is_what_happens_and_only_unbiased_recovers_it():
    """Over 800 tables; the plug-in leaves 1/M of the noise in."""
    rng = np.random.default_rng(2)
    chances = rng.beta(1, 1, (6, 3))
    of_responses, truth = equation_5(chances, 4)
    found = [
        [
            (once := prompt_variance(rewards)).observed.value,
            once.among_system_prompts.value,
            prompt_variance(rewards, mode="p1").among_system_prompts.value,
        ]
        for rewards in (binary(rng, chances, 4) for _ in range(800))
    ]
    expected = [truth + of_responses, truth, truth + of_responses / 4]
    error = np.mean(found, axis=0) - expected
    se = np.std(found, axis=0, ddof=1) / math.sqrt(len(found))

    assert (np.abs(error) < 4 * se).all()
    assert of_responses / 4 > 4 * se[2]


def test_the_plug_in_takes_off_three_quarters_with_four_responses():
    """So of the figures .02974 raw, .02357 unbiased, .02511 plug-in, truth .02334."""
    rng = np.random.default_rng(3)
    rewards = binary(rng, rng.random((8, 4)), 4)
    plug_in = prompt_variance(rewards, mode="p1").among_responses.value
    unbiased = prompt_variance(rewards).among_responses.value

    assert plug_in == pytest.approx(0.75 * unbiased)
    published = {"raw": 0.02974, "plug-in": 0.02511, "unbiased": 0.02357}
    ratio = (published["raw"] - published["plug-in"]) / (
        published["raw"] - published["unbiased"]
    )
    assert ratio == pytest.approx(0.75, abs=2e-3)


def test_the_plug_in_of_other_rewards_is_the_variance_with_ddof_0():
    rewards = np.random.default_rng(13).normal(size=(5, 3, 4))
    found = prompt_variance(rewards, mode="p1")
    noise = rewards.var(-1) / 4

    assert found.among_responses.value == pytest.approx(4 / 25 * noise.sum() / 9)
    np.testing.assert_allclose(
        found.per_prompt, rewards.mean(-1).var(0) - 4 / 25 * noise.sum(0)
    )


def test_unequal_numbers_by_a_plain_loop():
    rewards = ragged(np.random.default_rng(4))
    n, k, _ = rewards.shape
    means, noise = np.zeros((n, k)), np.zeros((n, k))
    for i, j in np.ndindex(n, k):
        known = [r for r in rewards[i, j] if not math.isnan(r)]
        means[i, j] = sum(known) / len(known)
        spread = sum((r - means[i, j]) ** 2 for r in known) / (len(known) - 1)
        noise[i, j] = spread / len(known)
    found = prompt_variance(rewards)
    responses = (n - 1) / n**2 * noise.sum() / k**2

    assert found.observed.value == pytest.approx(means.mean(1).var())
    assert found.among_responses.value == pytest.approx(responses)
    tau = means.var(0, ddof=1) - noise.mean(0)
    np.testing.assert_allclose(found.tau_squared, tau, atol=1e-15)
    assert (found.fewest_responses, found.most_responses) == (2, 6)


def test_unequal_numbers_and_other_rewards_leave_it_unbiased():
    rng = np.random.default_rng(5)
    _, means = two_way(rng, **SMALL, shape="normal")
    known = np.arange(5) < rng.integers(2, 6, (*means.shape, 1))
    found = []
    for _ in range(500):
        rewards = means[..., None] + rng.exponential(0.4, (*means.shape, 5))
        table = prompt_variance(np.where(known, rewards, nan))
        found.append(table.among_system_prompts.value)
    error = np.mean(found) - means.mean(1).var()

    assert abs(error) < 4 * np.std(found, ddof=1) / math.sqrt(len(found))


SMALL = {
    "n_system": 5,
    "n_user": 3,
    "n_responses": 4,
    "system": 0.01,
    "user": 0.05,
    "interaction": 0.01,
    "response": 0.15,
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["normal", "uniform", "two kinds"])
@pytest.mark.parametrize("n_system", [8, 16])
def test_the_interval_covers(shape, n_system):
    """For other system prompts on these user prompts: 93 to 99.5 % of 600."""
    rng = np.random.default_rng(6)
    design = SMALL | {"n_system": n_system, "user": 0, "interaction": 0}
    truth = (n_system - 1) / n_system * 0.01
    held = []
    for _ in range(600):
        rewards, _ = two_way(rng, **design, shape=shape)
        low, high = prompt_variance(rewards).among_system_prompts.interval
        held.append(low <= truth <= high)

    assert 0.93 - 0.02 <= np.mean(held) <= 0.995


def test_the_interval_of_the_share_is_that_of_one_less_the_noise():
    rng = np.random.default_rng(7)
    found = prompt_variance(binary(rng, rng.random((9, 1)) * np.ones((9, 20)), 8))
    low, high = found.share.interval

    assert low < found.share.value < high < 1
    assert found.share.value == pytest.approx(
        found.among_system_prompts.value / found.observed.value
    )


@settings(max_examples=30)
@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_prompts_and_responses_does_not_matter(rewards, random):
    shuffled = rewards
    for axis in range(3):
        order = random.sample(range(rewards.shape[axis]), rewards.shape[axis])
        shuffled = np.take(shuffled, order, axis)
    for mode in ("p1", "unbiased"):
        one, two = (prompt_variance(r, mode=mode) for r in (rewards, shuffled))

        assert two.observed.value == pytest.approx(one.observed.value, abs=1e-12)
        assert two.among_system_prompts.value == pytest.approx(
            one.among_system_prompts.value, abs=1e-12
        )


@settings(max_examples=30)
@given(tables, st.floats(-3, 3), st.floats(0.1, 3))
def test_shift_does_nothing_and_scale_squares(rewards, shift, scale):
    one = prompt_variance(rewards)
    two = prompt_variance(shift + scale * rewards)

    assert two.among_system_prompts.value == pytest.approx(
        scale**2 * one.among_system_prompts.value, abs=1e-9
    )


@settings(max_examples=30)
@given(tables)
def test_parts_add_up_and_padding_is_missing(rewards):
    found = prompt_variance(rewards)
    padded = np.concatenate([rewards, np.full((*rewards.shape[:2], 2), nan)], axis=-1)

    assert found.observed.value == pytest.approx(
        found.among_responses.value + found.among_system_prompts.value, abs=1e-12
    )
    again = prompt_variance(padded)
    assert again.among_system_prompts.value == pytest.approx(
        found.among_system_prompts.value, abs=1e-12
    )


def test_prompts_that_cannot_be_compared_are_left_out():
    rng = np.random.default_rng(8)
    rewards = binary(rng, rng.random((5, 4)), 3)
    rewards[2] = nan
    rewards[0, 1, 1:] = nan
    found = prompt_variance(rewards)
    rest = prompt_variance(np.delete(rewards, 2, 0), user_prompts=[0, 2, 3])

    assert codes(found)[:2] == ["missing-system-prompts", "items-not-shared"]
    assert "1 of 4 user prompts lack two responses" in found.cautions[1].text
    assert found.user_prompts.tolist() == [0, 2, 3]
    assert found.n_system == 4
    assert found.observed.value == rest.observed.value
    assert prompt_variance(rewards, mode="p1").n_user == 4


def test_one_response_tells_no_noise():
    rewards = np.array([[[1.0], [0.0]], [[0.0], [0.0]], [[1.0], [1.0]]])
    with pytest.raises(DesignError, match="or take mode='p1'") as caught:
        prompt_variance(rewards)
    found = prompt_variance(rewards, mode="p1")

    assert caught.value.code == "items-differ"
    assert found.among_responses.value == 0
    assert "few-responses" in codes(found)
    assert "leaves all of their noise" in found.cautions[0].text


@pytest.mark.parametrize(
    ("n_responses", "words"), [(2, "half of their"), (5, "1/5 of their")]
)
def test_how_much_noise_the_plug_in_leaves_is_told(n_responses, words):
    rng = np.random.default_rng(9)
    found = prompt_variance(binary(rng, rng.random((9, 2)), n_responses), mode="p1")

    assert words in found.cautions[0].text
    assert codes(prompt_variance(binary(rng, rng.random((9, 2)), 10), mode="p1")) == []


def test_all_alike_has_no_interval():
    found = prompt_variance(np.ones((9, 3, 4)))

    assert found.observed.value == found.among_system_prompts.value == 0
    assert math.isnan(found.observed.interval.low)
    assert "constant-over-system-prompts" in codes(found)
    assert codes(found.share) == ["constant-over-system-prompts"]


def test_no_noise_leaves_the_share_whole():
    rewards = np.repeat(np.arange(9.0)[:, None, None] * np.ones((9, 2, 1)), 4, axis=-1)
    found = prompt_variance(rewards)

    assert found.share.value == 1
    assert found.among_responses.value == 0
    assert math.isnan(found.share.interval.low)


def test_few_system_prompts_are_told_and_two_have_no_interval():
    rng = np.random.default_rng(10)
    rewards = binary(rng, rng.random((7, 5)), 6)

    assert "few-system-prompts" in codes(prompt_variance(rewards))
    two = prompt_variance(rewards[:2]).observed
    assert math.isnan(two.interval.low)
    assert math.isnan(two.se)
    assert codes(two) == ["few-system-prompts"]


def test_less_spread_than_noise_is_negative_and_told():
    rewards = np.tile([0.0, 1.0], (9, 4, 3))
    found = prompt_variance(rewards)

    assert found.among_system_prompts.value < 0
    assert "negative-component" in codes(found)


@pytest.mark.parametrize(
    ("rewards", "options", "code"),
    [
        (np.ones((3, 2)), {}, "responses-shape"),
        (np.ones((3, 0, 2)), {}, "responses-shape"),
        (np.ones((1, 3, 2)), {}, "too-few-replicates"),
        (np.full((3, 2, 2), nan), {}, "too-few-replicates"),
        (np.full((3, 2, 2), math.inf), {}, "missing-scores"),
        (np.ones((3, 2, 2)), {"mode": "raw"}, "unknown-method"),
        (np.ones((3, 2, 2)), {"confidence_level": 1.5}, "bad-confidence-level"),
        (np.ones((3, 2, 2)), {"user_prompts": []}, "subset-size"),
        (np.ones((3, 2, 2)), {"user_prompts": [2]}, "subset-size"),
        (np.ones((3, 2, 2)), {"user_prompts": [1, 1]}, "subset-size"),
    ],
)
def test_what_cannot_be_used_is_refused(rewards, options, code):
    with pytest.raises(DesignError) as caught:
        prompt_variance(rewards, **options)

    assert caught.value.code == code


def test_ways_out():
    rng = np.random.default_rng(11)
    found = prompt_variance(binary(rng, rng.random((8, 3)), 5))
    row = json.loads(json.dumps(found.to_dict()))

    assert row["among_system_prompts"]["value"] == found.among_system_prompts.value
    assert [r["user_prompt"] for r in row["per_prompt"]] == [0, 1, 2]
    assert found.to_frame()["quantity"].tolist() == [
        "observed",
        "among_responses",
        "among_system_prompts",
        "share",
    ]
    assert len(found.prompt_frame()) == 3


def test_half_a_million_responses_in_six_milliseconds():
    """32 × 1,000 × 16; three times as long where the machine is busy."""
    rng = np.random.default_rng(12)
    rewards = binary(rng, rng.random((32, 1_000)), 16)
    prompt_variance(rewards)
    took = []
    for _ in range(5):
        start = time.process_time()
        prompt_variance(rewards)
        took.append(time.process_time() - start)

    assert min(took) < 0.018
