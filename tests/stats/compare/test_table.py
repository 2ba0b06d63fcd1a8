"""Comparisons of models over tasks: what is compared, judged, refused and told."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from harness.errors import DesignError
from harness.records import digest
from harness.stats.compare.results import AVERAGE, Choice
from harness.stats.compare.rounds import UNSCORED
from harness.stats.compare.table import compare
from harness.stats.compare.verdicts import judged
from harness.stats.estimate import UNDEFINED, Interval
from harness.stats.pairs import paired_difference
from harness.stats.power.difference import detectable_difference
from harness.stats.sequential import (
    always_valid_p,
    confidence_sequence,
    read_rule,
    spend,
)


def only(comparison):
    (task,) = comparison.tasks
    (row,) = task.differences
    return row


def test_a_difference_is_candidate_less_baseline_over_the_items_of_both(
    answered, compared, right
):
    a, b = right(1, 0.5), right(2, 0.7)
    row = only(compared(answered({("a", "t"): a, ("b", "t"): b})))
    pair = paired_difference(b[0], a[0])

    assert_allclose(row.difference.value, b.mean() - a.mean())
    assert_allclose(row.difference.interval, pair.difference.interval)
    assert row.difference.interval == row.over_items == row.corrected
    assert_allclose((row.p_value, row.p_adjusted), pair.p_value)
    assert (row.flips.n_gained, row.flips.n_lost) == (pair.n_better, pair.n_worse)
    assert row.verdict == "better"
    assert (row.baseline.name, row.candidate.name) == ("a", "b")
    assert row.test == "exact McNemar test"
    assert [c.code for c in row.difference.cautions] == ["no-training-seeds"]


def test_flips_name_the_places_of_items_the_largest_changes_first(answered, compared):
    a = np.array([[1, 1, 0, 0, 1, 0], [1, 0, 0, 0, 1, 0]], dtype=float)
    b = np.array([[0, 0, 1, 0, 1, 1], [0, 0, 1, 0, 1, 0]], dtype=float)
    row = only(compared(answered({("a", "t"): a, ("b", "t"): b}), min_items=2))

    assert row.flips.lost == (0, 1)
    assert row.flips.gained == (2, 5)
    assert (row.flips.n_worse, row.flips.n_better, row.flips.n_equal) == (2, 2, 2)
    assert row.flips.n_lost is None
    assert not row.flips.is_counted
    counted = only(compared(answered({("a", "t"): a[0], ("b", "t"): b[0]})))
    assert (counted.flips.n_both, counted.flips.n_neither) == (1, 1)


def test_seeds_widen_the_interval_and_can_be_fixed(answered, compared, right):
    rng = np.random.default_rng(3)
    tables = {
        (m, "t"): np.vstack([right([k, s], 0.5 + 0.1 * rng.normal()) for s in range(4)])
        for k, m in enumerate("ab")
    }
    responses = answered(tables)
    row = only(compared(responses))
    fixed = only(compared(responses, fixed={"train_seed"}))

    assert row.difference.interval.low < row.over_items.low
    assert row.difference.interval.high > row.over_items.high
    assert fixed.difference.interval == row.over_items
    assert row.difference.cautions == fixed.difference.cautions == ()
    assert row.baseline.n_seeds == 4
    assert_allclose(row.baseline.seed_sd, tables["a", "t"].mean(1).std(ddof=1))


def test_two_seeds_are_told_to_be_few_and_one_to_be_none(answered, compared, right):
    two = {("a", "t"): right(1, 0.5, n_seeds=2), ("b", "t"): right(2, 0.5, n_seeds=3)}
    one = {("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.5, n_seeds=3)}

    assert [c.code for c in only(compared(answered(two))).difference.cautions] == [
        "few-seeds"
    ]
    (caution,) = only(compared(answered(one))).difference.cautions
    assert caution.code == "no-training-seeds"
    assert "since a has one; " in caution.text
    lone = {key: table[:1] for key, table in two.items()}
    (caution,) = only(compared(answered(lone))).difference.cautions
    assert "since a and b have one; " in caution.text


def test_steps_of_the_same_runs_are_paired_by_seed(simulated, right):
    early = {(s, 100): right([1, s], 0.3 + 0.1 * s)[0] for s in range(4)}
    late = {
        (s, 200): np.maximum(right([2, s], 0.2)[0], early[s, 100]) for s in range(4)
    }
    responses = simulated({**early, **late})
    same = [Choice(name="e", model="m", step=100), Choice(name="l", model="m")]
    row = only(compare(responses, same))
    other = responses.assign(
        model=np.where(responses["step"] == 200, "n", "m"),
        weights_digest=responses["step"].astype(str),
    )
    apart = only(
        compare(other, [Choice(name="e", model="m"), Choice(name="l", model="n")])
    )

    assert row.candidate.step == 200
    assert row.difference.value == apart.difference.value
    assert row.difference.se < apart.difference.se / 2


def test_seeds_may_be_named(answered, compared, right):
    responses = answered({("m", "t"): right(1, 0.5, n_seeds=4)})
    halves = [
        Choice(name="first", model="m", train_seeds=(0, 1)),
        Choice(name="second", model="m", train_seeds=(2, 3)),
    ]
    row = only(compare(responses, halves))

    assert (row.baseline.train_seeds, row.candidate.train_seeds) == ((0, 1), (2, 3))


def test_tasks_are_corrected_for_each_candidate(answered, compared, right):
    scores = {("a", f"t{t}"): right([1, t], 0.5) for t in range(4)}
    scores |= {("b", f"t{t}"): right([2, t], 0.5 + 0.04 * t) for t in range(4)}
    comparison = compared(answered(scores))
    p = np.array([row.p_value for row in comparison.differences])

    order = np.sort(p)
    holm = np.maximum.accumulate(order * np.arange(4, 0, -1))
    adjusted = sorted(row.p_adjusted for row in comparison.differences)
    assert_allclose(adjusted, np.minimum(holm, 1))
    for row in comparison.differences:
        low, high = row.corrected
        assert low <= row.difference.interval.low
        assert (low > 0 or high < 0) == (row.p_adjusted < 0.05)
        assert (row.verdict in ("better", "worse")) == (row.p_adjusted < 0.05)


def test_few_items_that_differ_are_told(answered, compared, codes):
    a = np.arange(100) % 2 * 1.0
    b = a.copy()
    b[:3] = 1 - b[:3]
    row = only(compared(answered({("a", "t"): a, ("b", "t"): b})))
    assert "few-discordant" in codes(row)

    half = np.vstack([a, a])
    half[1, :8] = 1 - half[1, :8]
    row = only(
        compared(answered({("a", "t"): np.vstack([a, a]), ("b", "t"): half}),
                 fixed={"train_seed"})
    )  # fmt: skip
    assert "one-score-prevails" in codes(row)


def test_few_items_are_not_judged_and_do_not_count_in_the_correction(
    answered, compared, right
):
    scores = {("a", "few"): right(1, 0.1, n_items=8), ("a", "t"): right(2, 0.5)}
    scores |= {("b", "few"): right(3, 0.9, n_items=8), ("b", "t"): right(4, 0.6)}
    few, many = compared(answered(scores)).differences

    assert (few.verdict, few.reason) == ("too few data", "8 items; 30 needed")
    assert math.isnan(few.p_adjusted)
    assert many.p_adjusted == many.p_value


def test_items_that_allow_no_small_p_value_are_too_few(answered, compared):
    scores = {("a", "t"): np.zeros(5), ("b", "t"): np.ones(5)}
    row = only(compared(answered(scores), min_items=2))

    assert row.verdict == "too few data"
    assert row.reason == "5 items allow no p-value so small; 6 needed"
    assert row.p_value == 0.0625


def test_verdicts_are_read_from_the_corrected_interval():
    assert judged(Interval(0.01, 0.2))[0] == "better"
    assert judged(Interval(-0.2, -0.01))[0] == "worse"
    assert judged(Interval(-0.02, 0.2))[0] == "unclear"
    assert judged(Interval(-0.02, 0.2), delta=0.03)[0] == "no worse"
    assert judged(Interval(-0.03, 0.2), delta=0.03)[0] == "unclear"
    assert judged(UNDEFINED)[0] == "too few data"


def test_delta_may_be_of_some_tasks(answered, compared, right):
    scores = {(m, t): right(1, 0.5) for m in "ab" for t in ("t1", "t2")}
    first, second = compared(answered(scores), delta={"t1": 0.05}).differences

    assert (first.verdict, first.delta) == ("no worse", 0.05)
    assert (second.verdict, second.delta) == ("unclear", None)


def test_detectable_difference_is_that_of_power(answered, compared, right):
    a, b = right(1, 0.5, n_items=2000), right(2, 0.5, n_items=2000)
    row = only(compared(answered({("a", "t"): a, ("b", "t"): b})))
    d = (b - a)[0]

    assert_allclose(
        row.smallest_detectable,
        detectable_difference(d.var(ddof=1), 0, 2000),
        rtol=0.02,
    )


def test_clusters_are_those_stored_or_given(answered, compared, right):
    passage = np.repeat(np.arange(40), 5)
    a, b = right(1, 0.5, n_items=40)[0][passage], right(2, 0.5, n_items=40)[0][passage]
    responses = answered({("a", "t"): a, ("b", "t"): b})
    alone = only(compared(responses))
    named = passage[responses["item_index"].astype(int)].astype(str)
    stored = only(compared(responses.assign(cluster=named)))
    given = dict(zip(responses["item_id"], named, strict=True))

    assert_allclose(stored.difference.se / alone.difference.se, 5**0.5, rtol=0.02)
    assert stored.difference.n == 40
    assert only(compared(responses, clusters=given)).difference == stored.difference
    with pytest.raises(DesignError, match=r"none of 1 items .* \['x'\], is among") as e:
        compared(responses, clusters={"x": "1"})
    assert e.value.code == "missing-clusters"
    some = {item: c for item, c in given.items() if item != "ti3"}
    with pytest.raises(DesignError, match="1 of 200 items of t have no cluster") as e:
        compared(responses, clusters=some)
    assert e.value.code == "missing-clusters"


def test_unlike_questions_are_named_and_have_no_difference(answered, compared, right):
    responses = answered({("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.6)})
    other = responses["model"] == "b"
    responses.loc[other, "template_digest"] = "chat"
    responses.loc[other, "prompt_digest"] += "chat"
    row = only(compared(responses))

    assert row.verdict == "not comparable"
    assert row.reason == "chat template differs"
    assert math.isnan(row.difference.value)
    assert math.isnan(row.p_value)
    allowed = only(compared(responses, allow=["chat template"]))
    assert allowed.difference.value > 0
    assert [(m.what, m.blocks) for m in allowed.mismatches] == [
        ("chat template", False)
    ]


def test_another_condition_is_told_as_what_differs(answered, compared, right):
    responses = answered({("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.6)})
    responses.loc[responses["model"] == "b", "num_fewshot"] = 5
    responses.loc[responses["model"] == "b", "prompt_digest"] += "5"
    row = only(compared(responses))

    assert row.verdict == "not comparable"
    assert "few-shot examples" in row.reason


def test_items_are_paired_by_content_and_how_many_is_told(answered, compared, right):
    a, b = right(1, 0.5, n_items=100)[0], right(2, 0.6, n_items=100)[0]
    responses = answered({("a", "t"): a, ("b", "t"): b})
    gone = (responses["model"] == "b") & (responses["item_index"] < 3)
    row = only(compared(responses[~gone]))

    assert (row.n_items, row.n_unpaired) == (97, 3)
    assert_allclose(row.difference.value, (b - a)[3:].mean())
    assert "items-not-shared" in [c.code for c in row.difference.cautions]
    mixed = responses.assign(item_index=(responses["item_index"] * 7) % 100)
    mixed = pd.concat([responses[responses["model"] == "a"],
                       mixed[mixed["model"] == "b"]])  # fmt: skip
    assert only(compared(mixed)).difference.value == pytest.approx((b - a).mean())


def test_fewer_than_95_percent_of_the_items_are_refused_unless_allowed(
    answered, compared, right
):
    responses = answered({(m, "t"): right(1, 0.5, n_items=100) for m in "ab"})
    of_b = responses["model"] == "b"
    other = of_b & (responses["item_index"] < 10)
    responses.loc[other, "item_id"] += "new"
    row = only(compared(responses))

    assert row.verdict == "not comparable"
    assert "90 are shared, 90 % of the smaller side's and less than 95 %" in (
        row.mismatches[0].text
    )
    assert only(compared(responses, allow=["items"])).n_items == 90


def test_a_question_that_is_there_twice_counts_twice(answered, compared, right):
    a, b = right(1, 0.5, n_items=40)[0], right(2, 0.6, n_items=40)[0]
    responses = answered({("a", "t"): a, ("b", "t"): b})
    twin = responses["item_index"] == 7
    responses.loc[twin, ["item_id", "prompt_digest"]] = ["ti3", "ti3"]
    row = only(compared(responses))

    assert row.n_items == 40
    assert_allclose(row.difference.value, (b - a).mean())


def test_average_weighs_tasks_alike_and_is_no_mean_of_errors(answered, compared, right):
    sizes = {"t1": 50, "t2": 400}
    scores = {
        (m, t): right([k, n], 0.5, n_items=n)
        for k, m in enumerate("ab")
        for t, n in sizes.items()
    }
    comparison = compared(answered(scores))
    ses = [row.difference.se for row in comparison.differences]
    (row,) = comparison.average.differences

    assert row.task == AVERAGE
    values = [row.difference.value for row in comparison.differences]
    assert_allclose(row.difference.value, np.mean(values))
    assert_allclose(row.difference.se, math.hypot(*ses) / 2)
    assert row.p_adjusted == row.p_value
    assert row.flips.n_lost == sum(r.flips.n_lost for r in comparison.differences)
    assert_allclose(
        row.baseline.score.value,
        np.mean([r.baseline.score.value for r in comparison.differences]),
    )


def test_a_cluster_is_of_its_task_unless_tasks_share_questions(
    answered, compared, right
):
    scores = {(m, t): right([k, len(t)], 0.5, n_items=100)
              for k, m in enumerate("ab") for t in ("t", "uu")}  # fmt: skip
    responses = answered(scores)
    named = responses["item_index"].astype(int) // 5
    responses = responses.assign(cluster="doc" + named.astype(str))
    alone = compared(responses).average.differences[0]
    given = dict(zip(responses["item_id"], responses["cluster"], strict=True))
    both = compared(responses, clusters=given).average.differences[0]
    alike = responses.assign(item_id=responses["item_index"].astype(str))
    shared = compared(alike).average.differences[0]

    assert alone.difference.n == 40
    assert both.difference.n == shared.difference.n == 20


def test_average_is_without_tasks_that_not_all_answered(answered, compared, right):
    scores = {(m, t): right(1, 0.5) for m in "ab" for t in ("t1", "t2", "t3")}
    del scores["b", "t2"]
    comparison = compared(answered(scores))

    (row,) = comparison.average.differences
    assert row.n_items == 400
    assert comparison.uncompared == (
        ("t2 (as cloze)", "b was not asked it"),
        (AVERAGE, "is without t2: not all choices can be compared at it"),
    )
    del scores["b", "t3"]
    assert compared(answered(scores)).average is None


def test_tasks_that_the_baseline_lacks_are_told(answered, compared, right):
    scores = {("a", "t1"): right(1, 0.5), ("b", "t1"): right(2, 0.5)}
    scores["b", "t2"] = right(3, 0.5)

    assert compared(answered(scores)).uncompared == (
        ("t2 (as cloze)", "a, the baseline, was not asked what b was"),
    )


def test_all_pairs_are_corrected_over_tasks_and_ranked(answered, compared, right):
    skill = {"a": 0.3, "b": 0.5, "c": 0.52, "d": 0.9}
    scores = {
        (m, t): right([k, len(t)], p, n_items=400)
        for k, (m, p) in enumerate(skill.items())
        for t in ("t", "tt")
    }
    comparison = compared(answered(scores))
    task = comparison.tasks[0]
    p = np.array([t.pairs.pairs.p_value for t in comparison.tasks])
    adjusted = np.array([t.pairs.p_adjusted for t in comparison.tasks])

    first, second = np.triu_indices(4, 1)
    flat = np.sort(p[:, first, second].ravel())
    holm = np.minimum(np.maximum.accumulate(flat * np.arange(12, 0, -1)), 1)
    assert_allclose(np.sort(adjusted[:, first, second].ravel()), holm)
    assert task.ranks[0].name == "d"
    ranges = {r.name: (r.low, r.high) for r in task.ranks}
    assert ranges == {"d": (1, 1), "b": (2, 3), "c": (2, 3), "a": (4, 4)}
    assert [r.name for r in task.ranks if r.is_top] == ["d"]
    low, high = task.pairs.low, task.pairs.high
    assert_allclose(low, -high.T)
    outside = (low > 0) | (high < 0)
    assert (outside == (task.pairs.p_adjusted < 0.05)).all()
    assert_allclose(
        task.pairs.pairs.difference[3, 0], task.differences[2].difference.value
    )


def test_metrics_of_which_less_is_better_are_negated(answered, compared, right):
    responses = answered({("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.7)})
    errors = 1 - right(1, 0.5)[0], 1 - right(2, 0.7)[0]
    wer = np.concatenate(errors)
    responses["metrics"] = [[("wer,none", value)] for value in wer]
    row = only(compared(responses, metric="wer,none"))

    assert row.metric == "wer,none (negated: less is better)"
    assert row.verdict == "better"
    assert_allclose(row.difference.value, errors[0].mean() - errors[1].mean())


def test_what_a_tool_says_of_its_metric_counts_for_all_that_say_nothing(
    answered, compared, right
):
    responses = answered({("a", "t"): right(1, 0.2), ("b", "t"): right(2, 0.6)})
    values = np.concatenate([right(1, 0.2)[0], right(2, 0.6)[0]])
    responses["metrics"] = [[("toxicity,none", value)] for value in values]
    is_first = responses["model"] == "a"
    said = np.where(is_first, '["toxicity"]', None)
    unsaid, worse = (
        only(compared(responses.assign(lower_is_better=one), metric="toxicity,none"))
        for one in (None, said)
    )

    assert (unsaid.verdict, worse.verdict) == ("better", "worse")
    assert worse.metric == "toxicity,none (negated: less is better)"
    assert_allclose(worse.difference.value, -unsaid.difference.value)


def test_tools_that_call_another_way_better_are_not_compared(answered, compared, right):
    responses = answered({("a", "t"): right(1, 0.2), ("b", "t"): right(2, 0.6)})
    responses["metrics"] = [[("toxicity,none", 1.0)]] * len(responses)
    is_first = responses["model"] == "a"
    said = np.where(is_first, '["toxicity"]', "[]")
    found = compared(responses.assign(lower_is_better=said), metric="toxicity,none")

    assert found.tasks[0].differences == ()
    assert "name one metric for both" in found.uncompared[0][1]


def test_the_baseline_may_be_any(answered, compared, right):
    responses = answered({("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.6)})
    forth, back = only(compared(responses)), only(compared(responses, baseline="b"))

    assert_allclose(forth.difference.value, -back.difference.value)
    assert_allclose(forth.difference.interval.low, -back.difference.interval.high)


def test_replayed_repeats_are_told_and_change_nothing(answered, compared, right):
    responses = answered({("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.6)})
    responses = responses.assign(sampled=True, output_type="multiple_choice")
    twice = pd.concat([responses, responses.assign(repeat=1)], ignore_index=True)
    once, replayed = compared(responses), compared(twice)

    assert [c.code for c in replayed.cautions] == ["replayed-repeats"]
    assert only(replayed).difference == only(once).difference


def test_results_are_json_and_tidy(answered, compared, right):
    scores = {
        (m, t): right([k, 1], 0.5) for k, m in enumerate("abc") for t in ("t", "u")
    }
    comparison = compared(answered(scores))
    document = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))

    assert document["verdicts"]["unclear"] == 4
    assert document["baseline"] == "a"
    assert len(document["tasks"][0]["differences"]) == 2
    frame = comparison.to_frame()
    assert frame["task"].tolist() == ["t", "t", "u", "u", "average", "average"]
    assert comparison.choices[0].label == "a step 100"


@pytest.mark.parametrize(
    ("names", "options", "code"),
    [
        ("a", {}, "too-few-respondents"),
        ("az", {}, "unknown-model"),
        ("ab", {"baseline": "z"}, "unknown-model"),
        ("ab", {"fixed": ["item"]}, "bad-option"),
        ("ab", {"min_items": 1}, "bad-option"),
        ("ab", {"delta": -1}, "bad-option"),
        ("ab", {"delta": {"z": 0.1}}, "unknown-task"),
        ("ab", {"allow": ["much"]}, "bad-option"),
        ("ab", {"correction": "much"}, "unknown-method"),
        ("ab", {"look": 2}, "bad-option"),
        ("ab", {"confidence_level": 2}, "bad-confidence-level"),
    ],
)
def test_what_cannot_be_asked(answered, compared, right, names, options, code):
    responses = answered({(m, "t"): right(1, 0.5, n_items=30) for m in "ab"})
    with pytest.raises(DesignError) as error:
        compared(responses, *names, **options)
    assert error.value.code == code


def test_steps_and_seeds_that_are_not_there(answered, right):
    responses = answered({(m, "t"): right(1, 0.5, n_items=30) for m in "ab"})
    a = Choice(name="a", model="a")

    for other, code in (
        (Choice(name="b", model="b", step=7), "bad-steps"),
        (Choice(name="b", model="b", train_seeds=(9,)), "unknown-model"),
    ):
        with pytest.raises(DesignError) as error:
            compare(responses, [a, other])
        assert error.value.code == code


def test_a_confidence_sequence_is_that_of_the_items(answered, compared, right):
    a, b = right(1, 0.5), right(2, 0.62)
    row = only(compared(answered({("a", "t"): a, ("b", "t"): b}), sequential="cs"))
    expected = confidence_sequence((b - a)[0])

    assert_allclose(row.sequential, expected.interval)
    assert row.corrected == row.sequential
    assert_allclose(row.p_value, always_valid_p((b - a)[0]))
    low, high = row.difference.interval
    assert row.sequential.low < low
    assert row.sequential.high > high
    assert row.test == "always valid p-value of a confidence sequence"


def test_a_confidence_sequence_of_other_scores_is_asymptotic(answered, compared, right):
    scores = {("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.6)}
    responses = answered(scores)
    row = only(compared(responses, kind="continuous", sequential="cs"))
    chosen = responses.sort_values("item_index")
    logprobs = np.stack(chosen["choice_logprobs"].map(np.asarray))
    p = np.exp(logprobs[:, 0]) / np.exp(logprobs).sum(1)
    model = chosen["model"].to_numpy()
    d = p[model == "b"] - p[model == "a"]
    expected = confidence_sequence(d)

    # Hall's ends follow the skewness; those of the sequence do not.
    assert_allclose(row.sequential, expected.interval, atol=0.01)
    assert_allclose(row.p_value, always_valid_p(d), rtol=0.5)
    assert (row.p_adjusted < 0.05) == (row.corrected.low > 0)


def test_looks_may_have_levels_of_their_own(answered, compared, right):
    responses = answered({(m, "t"): right(ord(m), 0.5) for m in "abc"})
    second = compared(responses, sequential="obrien-fleming:4", look=2)

    alpha = spend(0.05, 2, shape="obrien-fleming", n_looks=4, accumulates=True)
    assert_allclose(second.confidence_level, 1 - alpha)
    assert second.looks == (
        "level spent at look 2 of 4 (obrien-fleming): the same models with more data "
        "in 4 equal steps"
    )
    assert only_of(second, "b").difference.confidence_level == second.confidence_level
    assert only_of(second, "b").sequential is None
    nightly = compared(responses, sequential="spending", look=2)
    assert_allclose(nightly.confidence_level, 1 - spend(0.05, 2))
    assert nightly.looks == "level spent at look 2 (open)"
    with pytest.raises(DesignError) as error:
        compared(responses, sequential="often")
    assert error.value.code == "unknown-method"


@pytest.mark.slow
@pytest.mark.parametrize("words", ["pocock:5", "obrien-fleming:5"])
def test_looks_at_growing_data_hold_their_level_and_spend_it(words):
    rng, n_sims = np.random.default_rng(8), 4000
    d = rng.normal(0, 0.3, (n_sims, 500))
    found = np.zeros(n_sims, dtype=bool)
    for look in range(1, 6):
        part = d[:, : 100 * look]
        t = part.mean(1) / part.std(1, ddof=1) * math.sqrt(part.shape[1])
        found |= 2 * stats.norm.sf(np.abs(t)) < read_rule(words).level(look)

    assert 0.04 < found.mean() < 0.062


def only_of(comparison, name):
    rows = [row for row in comparison.differences if row.candidate.name == name]
    return rows[0]


def test_tasks_in_unlike_units_have_no_average(answered, compared, right):
    scores = {(m, t): right([k, len(t)], 0.5) for k, m in enumerate("ab")
              for t in ("t", "uu")}  # fmt: skip
    responses = answered(scores)
    likelihood = responses["task"] == "uu"
    responses.loc[likelihood, "output_type"] = "loglikelihood"
    responses.loc[likelihood, "target_logprob"] = -np.arange(400) / 100.0
    comparison = compared(responses, kind="continuous")

    assert comparison.average is None
    assert comparison.uncompared == (
        (AVERAGE, "tasks are scored in unlike units: prob_correct, logprob_correct"),
    )


def test_sides_scored_by_unlike_metrics_are_told(answered, compared, right):
    scores = {("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.5)}
    responses = answered(scores)
    of_b = responses["model"] == "b"
    responses.loc[of_b, ["choice_logprobs", "output_type"]] = [None, "unknown"]
    responses["metrics"] = [[("f1,none", 1.0)]] * len(responses)
    comparison = compared(responses)

    assert comparison.tasks[0].differences == ()
    assert comparison.uncompared[0][1] == (
        "b is scored by f1,none, the baseline by acc; name one metric for both"
    )


def test_a_side_that_no_metric_could_score_is_told(answered, compared, right):
    scores = {("a", "t"): right(1, 0.5), ("b", "t"): np.full(200, np.nan)}
    comparison = compared(answered(scores))

    assert comparison.uncompared[0][1] == f"b {UNSCORED}"


def test_a_baseline_without_scores_is_told_from_one_that_was_not_asked(
    answered, compared, right
):
    none = np.full(200, np.nan)
    scores = {("a", "t"): none, ("b", "t"): right(1, 0.5), ("b", "s"): right(2, 0.5)}
    found = compared(answered(scores))
    both = compared(answered({("a", "t"): none, ("b", "t"): none}))

    assert found.uncompared == (
        ("s (as cloze)", "a, the baseline, was not asked what b was"),
        ("t (as cloze)", f"a, the baseline, {UNSCORED}"),
    )
    assert both.uncompared == (("t (as cloze)", f"a, the baseline, {UNSCORED}"),)
    assert (found.is_unscored, both.is_unscored) == (False, True)


def test_want_of_scores_at_several_tasks_is_told_from_other_reasons(
    answered, compared, right
):
    """The average has a reason of its own, and is none for the tasks."""
    none = np.full(200, np.nan)
    scores = {("a", t): right(k, 0.5) for k, t in enumerate("st")}
    comparison = compared(answered(scores | {("b", t): none for t in "st"}))

    assert comparison.differences == ()
    assert [what for what, _ in comparison.uncompared][-1] == AVERAGE
    assert comparison.is_unscored


@pytest.mark.parametrize(
    ("wanted", "known"),
    [({"task": "foo"}, "task 'foo'; choose of t"), ({"formulation": "foo"}, "cloze")],
)
def test_a_task_that_nobody_was_asked_is_named(
    answered, compared, right, wanted, known
):
    responses = answered({("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.6)})
    with pytest.raises(DesignError, match=known) as e:
        compared(responses, **wanted)

    assert e.value.code == "unknown-task"


def test_runs_that_nothing_tells_apart_are_averaged_and_told(answered, compared, right):
    first = answered({("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.6)})
    again = answered({("a", "t"): right(3, 0.9)}).assign(attempt_id="again")
    both = pd.concat([first, again], ignore_index=True)

    assert "several-runs" in [c.code for c in compared(both).cautions]
    assert compared(first).cautions == ()


def test_scores_of_a_difference_are_over_its_items_and_ranks_over_those_of_all(
    answered, compared, right
):
    a, b, c = right(1, 0.5), right(2, 0.6), right(3, 0.7)
    b[:, :100] = np.nan
    c[:, 50:100] = np.nan
    scores = {("a", "t"): a, ("b", "t"): b, ("c", "t"): c}
    scores |= {(name, "t2"): table for (name, _), table in scores.items()}
    found = compared(answered(scores), allow=["items"])

    assert found.average is not None
    for task in (*found.tasks, found.average):
        for row in task.differences:
            gap = row.candidate.score.value - row.baseline.score.value
            assert_allclose(row.difference.value, gap, atol=1e-12)
    task = found.tasks[0]
    assert [row.baseline.score.n for row in task.differences] == [100, 150]
    assert [side.score.n for side in task.sides] == [200, 100, 150]
    assert {rank.score.n for rank in task.ranks} == {100}
    first = task.differences[0]
    assert (first.baseline.n_items, first.baseline.is_partial) == (200, False)
    assert_allclose(first.baseline.score.value, a[0, 100:].mean())
    assert "are in no score here" in first.cautions[1].text


def test_equal_models_have_an_average_that_is_not_too_few_data(
    answered, compared, right
):
    t, s = right(1, 0.5), right(2, 0.5)
    found = compared(
        answered({(name, "t"): t for name in "ab"} | {(name, "s"): s for name in "ab"}),
        delta=0.02,
    )
    (row,) = found.average.differences

    assert row.difference.value == 0
    assert_allclose(row.corrected, np.array([-1, 1]) * (1 - 0.05 ** (1 / 400)))
    assert row.verdict == "no worse"
    assert "rule of three" in row.difference.method
    assert row.p_value == 1


def test_clusters_know_items_by_name_and_by_place(answered, compared, right):
    scores = {("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.6)}
    responses = answered(scores)
    passage = {str(i): f"p{i // 5}" for i in range(200)}
    by_place = only(compared(responses, clusters=passage))
    index = responses["item_index"].astype(str)
    named = responses.assign(item_id=[digest(["t", f"q{i}"]) for i in index])
    by_name = only(compared(named, clusters={f"q{i}": c for i, c in passage.items()}))

    assert by_place.difference.n == by_name.difference.n == 40
    assert by_place.difference.se == by_name.difference.se


def test_a_place_is_of_one_task(answered, compared, right):
    tasks = {(m, t): right(i, 0.5) for m in "ab" for i, t in enumerate("tu")}
    passage = {str(i): f"p{i // 5}" for i in range(200)}
    made = compared(answered(tasks), clusters=passage)

    assert made.average.differences[0].difference.n == 80


def test_clusters_of_one_task_leave_others_alone(answered, compared, right):
    tasks = {(m, t): right(i, 0.5) for m in "ab" for i, t in enumerate("tu")}
    responses = answered(tasks)
    items = responses.loc[responses["task"] == "t", "item_id"].unique()
    pairs = {item: f"c{i // 2}" for i, item in enumerate(items)}
    made = compared(responses, clusters=pairs)
    of_t, of_u = (task.differences[0].difference.n for task in made.tasks)

    assert (of_t, of_u) == (100, 200)


def test_answers_that_could_not_be_read_are_not_taken_for_not_asked(
    answered, compared, right
):
    scores = {("a", "t"): right(1, 0.5), ("b", "t"): right(2, 0.6)}
    more = {("a", "u"): right(3, 0.5), ("b", "v"): right(3, 0.5)}
    responses = answered(scores | more)
    why = {("b", "u"): "x.jsonl:3: it is no JSON"}

    assert "b was not asked it" in dict(compared(responses).uncompared).values()
    told = dict(compared(responses, unread=why).uncompared)
    assert told["u (as cloze)"] == (
        "b has answers to it that could not be read: x.jsonl:3: it is no JSON"
    )
    assert told["v (as cloze)"] == "a, the baseline, was not asked what b was"
    unknown = dict(
        compared(responses, unread={("", ""): "x.eval: it is no ZIP"}).uncompared
    )
    assert unknown["u (as cloze)"] == (
        "b has no answers to it in what could be read; x.eval: it is no ZIP"
    )
    assert unknown["v (as cloze)"].startswith(
        "a, the baseline, has no answers to it in what"
    )
