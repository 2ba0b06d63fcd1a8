"""Curves over user prompts and responses: all subsets by force, the law, edges."""

import json
import math
from itertools import combinations

import numpy as np
import pytest
from stats.prompts.designs import binary, two_way

from harness.errors import DesignError
from harness.stats.prompts.components import prompt_components
from harness.stats.prompts.curves import prompt_curves
from harness.stats.prompts.variance import prompt_variance


def codes(result):
    return [caution.code for caution in result.cautions]


def rewards_of(seed, n_system=9, n_user=5, n_responses=4):
    rng = np.random.default_rng(seed)
    return binary(rng, rng.random((n_system, n_user)), n_responses)


def at(curves, design, *, n_user=None, n_responses=None):
    (point,) = [
        p
        for p in curves.points
        if p.design == design
        and n_user in (None, p.n_user)
        and n_responses in (None, p.n_responses)
    ]
    return point


@pytest.mark.parametrize("mode", ["p1", "unbiased"])
@pytest.mark.parametrize("n_user", [1, 2, 3, 4, 5])
def test_a_point_is_the_mean_over_all_subsets(mode, n_user):
    rewards = rewards_of(1)
    each = [
        prompt_variance(rewards, mode=mode, user_prompts=subset)
        for subset in combinations(range(5), n_user)
    ]
    point = at(
        prompt_curves(rewards, mode=mode, n_users=[n_user]), "fixed-m", n_user=n_user
    )
    among = np.mean([e.among_system_prompts.value for e in each])
    responses = np.mean([e.among_responses.value for e in each])

    assert point.among_system_prompts.value == pytest.approx(among)
    assert point.among_responses.value == pytest.approx(responses)
    assert point.snr.value == pytest.approx(among / responses)


def test_the_interval_at_all_user_prompts_is_that_of_their_variance():
    rewards = rewards_of(2)
    found = prompt_variance(rewards)
    point = at(prompt_curves(rewards), "fixed-m", n_user=5)

    for name in ("among_system_prompts", "among_responses"):
        ours, theirs = getattr(point, name), getattr(found, name)
        assert ours.interval == pytest.approx(theirs.interval)
        assert ours.se == pytest.approx(theirs.se)


def test_responses_divide_the_noise_alone():
    curves = prompt_curves(rewards_of(3), n_responses=[1, 8], n_total=60)
    one, eight = (at(curves, "over-m", n_responses=m) for m in (1, 8))
    budget = [p for p in curves.points if p.design == "fixed-km"]

    assert one.among_responses.value == pytest.approx(8 * eight.among_responses.value)
    assert one.among_system_prompts == eight.among_system_prompts
    assert {p.n_user * p.n_responses for p in budget} == {60}
    assert len({round(p.among_responses.value, 15) for p in budget}) == 1


def test_the_law_in_components():
    """σ²_α + σ²_γ / U, times (N - 1) / N for these system prompts."""
    rewards = rewards_of(4)
    found = prompt_components(rewards)
    curves = prompt_curves(rewards, n_users=[1, 2, 4])
    for n_user in (1, 2, 4):
        law = found.system.value + found.interaction.value / n_user
        point = at(curves, "fixed-m", n_user=n_user)
        assert point.among_system_prompts.value == pytest.approx(8 / 9 * law)

    assert curves.common.value == pytest.approx(8 / 9 * found.system.value)
    assert curves.per_prompt.value == pytest.approx(
        8 / 9 * (found.system.value + found.interaction.value)
    )


def test_the_law_holds_for_user_prompts_never_asked():
    """Of 200 user prompts with true means, random U of them: mean over 4,000 draws."""
    rng = np.random.default_rng(5)
    _, means = two_way(
        rng,
        n_system=6,
        n_user=200,
        n_responses=1,
        system=0.01,
        user=0.05,
        interaction=0.03,
        response=0,
        shape="normal",
    )
    curves = prompt_curves(np.repeat(means[..., None], 2, axis=-1), n_users=[1, 3, 9])
    for n_user in (1, 3, 9):
        draws = rng.random((4_000, 200)).argsort(1)[:, :n_user]
        variances = means[:, draws].mean(-1).var(0)
        error = (
            variances.mean()
            - at(curves, "fixed-m", n_user=n_user).among_system_prompts.value
        )
        assert abs(error) < 4 * variances.std() / math.sqrt(4_000)


def test_the_ratio_at_fixed_m_is_flat_without_a_common_part():
    """M (A + (K - 1) B) / c: rises with K if B > 0, and falls at fixed K M if A > B."""
    rng = np.random.default_rng(6)
    shared = rng.uniform(0.1, 0.9, (16, 1)) * np.ones((1, 8))
    own = rng.uniform(0.1, 0.9, (16, 8))
    for chances, rises in ((shared, True), (own, False)):
        curves = prompt_curves(binary(rng, chances, 64), n_users=[1, 8])
        fixed_m = [at(curves, "fixed-m", n_user=k).snr.value for k in (1, 8)]
        fixed_km = [at(curves, "fixed-km", n_user=k).snr.value for k in (1, 8)]
        assert (fixed_m[1] > 3 * fixed_m[0]) is rises
        assert (fixed_km[1] > 0.8 * fixed_km[0]) is rises


@pytest.mark.slow
@pytest.mark.parametrize("n_user", [1, 3, 12])
def test_intervals_cover(n_user):
    """For other system prompts on the same user prompts, 500 tables."""
    rng = np.random.default_rng(7)
    slopes = rng.uniform(0.5, 1.5, 12)
    held = {"among_system_prompts": [], "snr": []}
    for _ in range(500):
        alpha, gamma = rng.normal(0, 0.08, (16, 1)), rng.normal(0, 0.1, (16, 12))
        means = 0.5 + (alpha + gamma) * slopes
        rewards = means[..., None] + rng.normal(0, 0.4, (16, 12, 4))
        point = at(prompt_curves(rewards, n_users=[n_user]), "fixed-m", n_user=n_user)
        one = (0.08**2 + 0.1**2) * (slopes**2).mean()
        pairs = 0.08**2 * (slopes.sum() ** 2 - (slopes**2).sum()) / (12 * 11)
        truth = {"among_system_prompts": 15 / 16 * (pairs + (one - pairs) / n_user)}
        noise = 15 / 16 * 0.4**2 / (4 * n_user)
        truth["snr"] = truth["among_system_prompts"] / noise
        for name, values in held.items():
            low, high = getattr(point, name).interval
            values.append(low <= truth[name] <= high)

    for values in held.values():
        assert 0.9 <= np.mean(values) <= 0.985


def test_sizes_not_given_are_powers_of_two_and_all():
    curves = prompt_curves(rewards_of(8, n_user=5, n_responses=8))

    assert [p.n_user for p in curves.points if p.design == "fixed-m"] == [1, 2, 4, 5]
    assert [p.n_responses for p in curves.points if p.design == "over-m"] == [
        1,
        2,
        4,
        8,
    ]
    assert (curves.n_responses, curves.n_total) == (8, 40)


def test_one_user_prompt_has_no_covariance():
    rewards = rewards_of(9, n_user=1)
    curves = prompt_curves(rewards)
    (point,) = [p for p in curves.points if p.design == "fixed-m"]

    assert codes(curves.common) == ["few-user-prompts"]
    assert "few-user-prompts" in codes(curves)
    assert point.among_system_prompts.value == pytest.approx(
        prompt_variance(rewards).among_system_prompts.value
    )


def test_no_noise_leaves_no_ratio():
    means = np.random.default_rng(10).random((9, 3, 1))
    curves = prompt_curves(np.repeat(means, 2, axis=-1))

    assert codes(curves.points[0].snr) == ["no-response-noise"]
    assert curves.points[0].among_responses.value == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"n_users": [0]}, "subset-size"),
        ({"n_users": [6]}, "subset-size"),
        ({"n_users": []}, "subset-size"),
        ({"n_responses": [0]}, "too-few-replicates"),
        ({"n_total": 0}, "too-few-replicates"),
        ({"mode": "raw"}, "unknown-method"),
        ({"confidence_level": 0}, "bad-confidence-level"),
    ],
)
def test_what_cannot_be_asked_is_refused(options, code):
    with pytest.raises(DesignError) as caught:
        prompt_curves(rewards_of(11), **options)

    assert caught.value.code == code


def test_ways_out():
    curves = prompt_curves(rewards_of(12))
    frame = curves.to_frame()
    row = json.loads(json.dumps(curves.to_dict()))

    assert frame.columns[:4].tolist() == [
        "design",
        "n_user",
        "n_responses",
        "quantity",
    ]
    assert len(frame) == 3 * len(curves.points) == 3 * len(row["points"])
    assert row["points"][0]["snr"]["value"] == curves.points[0].snr.value
