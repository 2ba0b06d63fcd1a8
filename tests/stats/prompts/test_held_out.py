"""Chosen user prompts on responses that did not choose them: planted worlds, edges."""

import json
import math

import numpy as np
import pytest
from stats.prompts.designs import WORKED, binary, two_way

from harness.errors import DesignError
from harness.stats.prompts.components import prompt_components
from harness.stats.prompts.held_out import CHOICE_NAMES, select_discriminative
from harness.stats.prompts.variance import prompt_variance

N_SYSTEM, N_USER, N_RESPONSES = 16, 20, 16
DRAWN = ("random", "difficulty")


def codes(result):
    return [caution.code for caution in result.cautions]


def held_out(found):
    return {row.choice: row.score for row in found.rows}


def alike(rng):
    """No system prompt is better; user prompts are hard and easy."""
    return np.broadcast_to(rng.uniform(0.2, 0.8, (1, N_USER)), (N_SYSTEM, N_USER))


def planted(rng):
    """System prompts differ on the first three user prompts alone."""
    chances = alike(rng).copy()
    chances[:, :3] = rng.uniform(0.05, 0.95, (N_SYSTEM, 3))
    return chances


def homogeneous(rng):
    """System prompts differ by the same on all, as on IFBench."""
    easy, good = rng.uniform(0.3, 0.7, (1, N_USER)), rng.normal(0, 0.12, (N_SYSTEM, 1))
    return np.clip(easy + good, 0.02, 0.98)


def judged(world, n_tables, seed=1, **options):
    rng = np.random.default_rng(seed)
    for _ in range(n_tables):
        chances = world(rng)
        rewards = binary(rng, chances, N_RESPONSES)
        yield (
            chances,
            rewards,
            select_discriminative(rewards, n_splits=8, n_draws=200, rng=rng, **options),
        )


@pytest.mark.parametrize("mode", ["p1", "unbiased"])
def test_the_choice_is_the_largest_variance_and_says_that_it_is_too_high(mode):
    ((_, rewards, found),) = judged(planted, 1, mode=mode)
    same = prompt_variance(rewards, mode=mode, user_prompts=found.user_prompts)

    assert set(found.user_prompts) <= {0, 1, 2}
    assert found.score.value == pytest.approx(same.among_system_prompts.value)
    assert codes(found.score) == ["in-sample"]
    assert (found.method, found.n_subsets) == ("exhaustive", math.comb(N_USER, 2))
    assert list(held_out(found)) == list(CHOICE_NAMES)


def test_where_nothing_differs_the_winner_is_cursed_and_held_out_shows_it():
    """The true variance is 0; over 30 tables the score in sample is always above it."""
    found = [f for *_, f in judged(alike, 30)]
    scores = np.array([f.score.value for f in found])
    held = np.array([f.held_out.value for f in found])

    assert scores.min() > 0.002
    assert abs(held.mean()) < 4 * held.std(ddof=1) / math.sqrt(len(held))
    assert all("no-held-out-gain" in codes(f) for f in found)
    assert not any("homogeneous-prompts" in codes(f) for f in found)
    assert 0.2 < np.mean([f.beats_random for f in found]) < 0.8


def test_planted_user_prompts_are_found_and_hold_up():
    tables = list(judged(planted, 10))
    rows = [held_out(found) for *_, found in tables]
    scores = {name: np.mean([row[name].value for row in rows]) for name in rows[0]}
    true = [chances[:, f.user_prompts].mean(1).var() for chances, _, f in tables]

    assert sum(set(f.user_prompts) <= {0, 1, 2} for *_, f in tables) >= 6
    assert sum("no-held-out-gain" not in codes(f) for *_, f in tables) >= 6
    assert 0.6 * np.mean(true) < scores["discriminative"] < 1.05 * np.mean(true)
    assert scores["discriminative"] > 3 * max(
        scores[name] for name in ("random", "difficulty", "all")
    )
    assert np.mean([f.chosen_again.mean() for *_, f in tables]) > 0.5


def test_where_system_prompts_differ_alike_nothing_is_gained():
    """The paper's IFBench: said in so many words, and no subset beats all."""
    tables = [found for *_, found in judged(homogeneous, 8)]

    assert sum("homogeneous-prompts" in codes(found) for found in tables) >= 6
    for found in tables:
        assert "no-held-out-gain" in codes(found)
        assert found.consistency.value > 0.6
        assert not found.gain.interval.low > 0


@pytest.mark.parametrize(("consistency", "most"), [(0.0, 0), (0.45, 2), (0.5, 3)])
def test_system_prompts_are_rarely_called_alike_that_are_not(consistency, most):
    """Of 40 tables; by the value of consistency alone it would be 3, 14 and 25."""
    rng = np.random.default_rng(3)
    told = 0
    for _ in range(40):
        rewards, _ = two_way(
            rng,
            n_system=16,
            n_user=15,
            n_responses=8,
            system=consistency,
            user=1,
            interaction=1 - consistency if consistency else 0,
            response=8,
            shape="normal",
        )
        found = select_discriminative(rewards, n_splits=2, n_draws=200, rng=rng)
        told += "homogeneous-prompts" in codes(found)

    assert told <= most


def test_that_system_prompts_are_alike_is_told_with_the_interval():
    ((*_, found),) = judged(homogeneous, 1)
    (text,) = (c.text for c in found.cautions if c.code == "homogeneous-prompts")
    low, high = found.consistency.interval

    assert low > 0.5
    assert f"{found.consistency.value:.2g} [{low:.2g}, {high:.2g}]" in text


def test_system_prompts_too_can_be_held_out():
    """Chosen on half of them, user prompts on which all differ hold up on the rest."""
    rows = [held_out(f) for *_, f in judged(planted, 8, hold_out="both")]
    ours, theirs = (
        np.mean([row[name].value for row in rows])
        for name in ("discriminative", "random")
    )

    assert ours > 3 * theirs


def test_noise_that_holds_for_these_system_prompts_alone_is_not_a_gain():
    """Each differs on each user prompt anew: other system prompts gain nothing."""

    def own(rng):
        return np.clip(0.5 + rng.normal(0, 0.15, (N_SYSTEM, N_USER)), 0.02, 0.98)

    gains = {
        hold_out: np.array(
            [f.gain.value for *_, f in judged(own, 20, hold_out=hold_out)]
        )
        for hold_out in ("responses", "both")
    }
    se = gains["both"].std(ddof=1) / math.sqrt(20)

    assert abs(gains["both"].mean()) < 4 * se
    assert gains["responses"].mean() > gains["both"].mean() + 0.001


def test_scores_held_out_by_a_plain_loop():
    """Two splits of four responses, judged by the two that did not choose."""
    rng = np.random.default_rng(4)
    rewards = binary(rng, rng.random((9, 4)), 4)
    found = select_discriminative(rewards, 2, n_splits=2, n_draws=200, rng=7)
    again = np.random.default_rng(7)
    again.random((200, 4))
    ours, every = [], []
    for _ in range(2):
        order = again.random(rewards.shape).argsort(-1)
        shuffled = np.take_along_axis(rewards, order, -1)
        by, on = shuffled[..., ::2], shuffled[..., 1::2]
        chosen = select_discriminative(by, 2, rng=1).user_prompts
        again.random((200, 2))  # others as hard, of 2
        again.random((200, 2))
        ours.append(prompt_variance(on, user_prompts=chosen).among_system_prompts)
        every.append(prompt_variance(on).among_system_prompts.value)
    values = np.array([estimate.value for estimate in ours])

    assert found.held_out.value == pytest.approx(values.mean())
    assert held_out(found)["all"].value == pytest.approx(np.mean(every))
    assert found.gain_over_all.value == pytest.approx((values - every).mean())
    assert found.held_out.se > np.sqrt(values.var(ddof=1) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("hold_out", ["responses", "both"])
def test_held_out_intervals_cover(hold_out):
    """The mean score of such choices, in 100 tables where two user prompts tell."""

    def two(rng):
        chances = alike(rng).copy()
        chances[:, :2] = rng.uniform(0.05, 0.95, (N_SYSTEM, 2))
        return chances

    found = [f.held_out for *_, f in judged(two, 100, hold_out=hold_out)]
    truth = np.mean([estimate.value for estimate in found])
    held = [e.interval.low <= truth <= e.interval.high for e in found]

    assert np.mean(held) > 0.88


def test_baselines_are_what_they_say():
    """Raw variance is fooled by noise, which is most where chances are near a half."""
    rng = np.random.default_rng(5)
    chances = np.broadcast_to(np.repeat([0.5, 0.02], [10, 10]), (12, 20)).copy()
    chances[:, 10:12] = np.where(np.arange(12) % 4 == 0, 0.4, 0.02)[:, None]
    rows = held_out(select_discriminative(binary(rng, chances, 8), 2, rng=1))

    assert rows["raw-variance"].value < rows["per-prompt"].value
    assert rows["raw-variance"].value < rows["discriminative"].value
    assert rows["random"].interval.low < rows["random"].value
    assert rows["random"].value < rows["random"].interval.high


def test_draws_are_those_of_means_over_splits_or_of_single_splits():
    """Where no user prompt is unlike another, random ones and those as hard are alike.

    Over 20 splits the mean of one subset is surer than on one split.
    """
    rng = np.random.default_rng(2)
    rewards = binary(rng, np.full((12, 20), 0.5), 8)
    rows = held_out(select_discriminative(rewards, 2, rng=1))
    widths = [e.interval.high - e.interval.low for e in map(rows.get, DRAWN)]

    assert rows["random"].method.endswith(
        "central of 1000 draws by their mean over splits"
    )
    assert rows["difficulty"].method.endswith("central of 1000 draws of single splits")
    assert widths[0] < widths[1]


def test_the_same_rng_gives_the_same_and_another_other_splits():
    rng = np.random.default_rng(6)
    rewards = binary(rng, rng.random((8, 6)), 8)
    one, two, three = (select_discriminative(rewards, rng=s) for s in (1, 1, 2))

    assert one.to_dict() == two.to_dict()
    assert one.held_out.value != three.held_out.value
    assert one.score == three.score


def test_options_change_the_number():
    rng = np.random.default_rng(7)
    rewards = binary(rng, rng.random((8, 6)), 8)
    plain = select_discriminative(rewards, rng=1)

    assert select_discriminative(rewards, n_splits=3, rng=1).held_out != plain.held_out
    assert select_discriminative(rewards, mode="p1", rng=1).score != plain.score
    both = select_discriminative(rewards, hold_out="both", rng=1)
    assert both.held_out.value != plain.held_out.value
    narrow = select_discriminative(rewards, confidence_level=0.5, rng=1)
    assert narrow.held_out.interval.low > plain.held_out.interval.low
    fewer = select_discriminative(rewards, n_draws=200, rng=1)
    assert held_out(fewer)["random"] != held_out(plain)["random"]
    assert len(select_discriminative(rewards, 3, rng=1).user_prompts) == 3


def test_a_greedy_choice_is_told():
    rng = np.random.default_rng(8)
    found = select_discriminative(binary(rng, rng.random((8, 9)), 4), 4, budget=10)

    assert found.method == "greedy"
    assert "greedy-search" in codes(found)
    assert "126 subsets" in found.cautions[0].text


def test_too_few_responses_choose_and_are_not_judged():
    rng = np.random.default_rng(9)
    found = select_discriminative(binary(rng, rng.random((8, 5)), 3), 2, rng=1)

    assert found.score.value > 0
    assert math.isnan(found.held_out.value)
    assert codes(found.held_out) == codes(found.gain) == ["few-responses"]
    assert math.isnan(found.beats_random)
    assert np.isnan(found.chosen_again).all()
    assert codes(found) == ["few-responses"]
    assert found.to_dict()["beats_random"] is None
    assert found.to_dict()["chosen_again"] == [None, None]


def test_missing_responses_leave_user_prompts_out_or_halves_smaller():
    rng = np.random.default_rng(10)
    rewards = binary(rng, rng.random((8, 5)), 8)
    rewards[0, 1, 4:] = math.nan
    rewards[3, 2] = math.nan
    found = select_discriminative(rewards, 2, rng=1)

    assert "items-not-shared" in codes(found)
    assert 2 not in found.user_prompts
    assert found.n_user_total == 4
    assert not math.isnan(found.held_out.value)


def test_half_of_the_user_prompts_leaves_no_others_as_hard():
    rng = np.random.default_rng(11)
    found = select_discriminative(binary(rng, rng.random((8, 5)), 6), 3, rng=1)

    assert codes(held_out(found)["difficulty"]) == ["few-user-prompts"]


def test_all_user_prompts_are_no_choice():
    rng = np.random.default_rng(12)
    rewards = binary(rng, rng.random((8, 3)), 6)
    found = select_discriminative(rewards, 3, rng=1)

    assert found.gain.value == found.gain_over_all.value == 0
    assert codes(found.gain) == ["constant-over-system-prompts"]
    assert "no-held-out-gain" in codes(found)
    assert found.beats_random == 0.5


def test_one_user_prompt_has_no_consistency():
    rng = np.random.default_rng(13)
    found = select_discriminative(binary(rng, rng.random((8, 1)), 6), 1, rng=1)

    assert codes(found.consistency) == ["few-user-prompts"]


def test_consistency_is_that_of_the_components():
    rng = np.random.default_rng(14)
    rewards = binary(rng, rng.random((8, 6)), 6)
    found = select_discriminative(rewards, rng=1)

    assert found.consistency == prompt_components(rewards).consistency


def test_halves_of_few_system_prompts_have_no_interval():
    rng = np.random.default_rng(15)
    rewards = binary(rng, rng.random((5, 6)), 6)
    found = select_discriminative(rewards, hold_out="both", n_splits=2, rng=1)
    four = select_discriminative(rewards[:4], hold_out="both", rng=1)

    assert "few-system-prompts" in codes(found.held_out)
    assert math.isnan(four.held_out.interval.low)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"size": 3}, "subset-size"),
        ({"size": 0}, "subset-size"),
        ({"size": 1, "hold_out": "items"}, "unknown-method"),
        ({"size": 1, "mode": "raw"}, "unknown-method"),
        ({"size": 1, "hold_out": "both"}, "too-few-replicates"),
        ({"size": 1, "n_splits": 1}, "too-few-resamples"),
        ({"size": 1, "n_draws": 199}, "too-few-resamples"),
        ({"size": 1, "confidence_level": 2}, "bad-confidence-level"),
    ],
)
def test_what_cannot_be_asked_is_refused(options, code):
    with pytest.raises(DesignError) as caught:
        select_discriminative(WORKED, **options)

    assert caught.value.code == code


def test_ways_out():
    rng = np.random.default_rng(16)
    found = select_discriminative(binary(rng, rng.random((8, 6)), 6), rng=1)
    row = json.loads(json.dumps(found.to_dict()))
    frame = found.to_frame()

    assert row["user_prompts"] == found.user_prompts.tolist()
    assert row["held_out"][0]["value"] == found.held_out.value
    assert frame["choice"].tolist() == list(CHOICE_NAMES)
    assert frame.columns[:3].tolist() == ["choice", "n_user", "quantity"]
    assert frame["n_user"].tolist() == [2, 6, 2, 2, 2, 2]
