"""Is every state told from the others, and does a quiet night stay quiet?"""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import replace

import jsonschema
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from harness.errors import DesignError, InputError, SchemaError
from harness.gate.judge import judge
from harness.gate.references import read_baseline, read_checkpoint
from harness.gate.results import Confirmation
from harness.gate.schema import gate_schema
from harness.marks import Marks, Reference
from harness.report.sheets.calibration import calibration_lines
from harness.report.sheets.gate import alarm_sentences

N = 12
TODAY = dt.date(2026, 3, 1)


CONFIRMED = Confirmation(
    tasks=("b",),
    unchangeable=(),
    already=(),
    one_sided=(),
    n_trials=2,
    n_failed=0,
    cleared=("b",),
)


def quiet(*tasks: str, level: float = 0.5, seed: int = 5) -> dict[str, np.ndarray]:
    """Return levels of nights on which nothing changes but by chance."""
    rng = np.random.default_rng(seed)
    return {task: rng.normal(level, 0.02, N) for task in tasks}


@pytest.fixture
def spoiled(nights):
    """Return twelve nights of three tasks, the last one spoiled at task b."""
    levels = quiet("a", "b", "c")
    levels["b"][-1] -= 0.9
    return nights(levels)


@pytest.fixture
def judged(policy, marks):
    """Return a judge whose policy is told by its keys."""

    def judged(responses, *, known=None, baseline=None, candidate=None, **said):
        trials = said.pop("trials", None)
        return judge(
            responses,
            policy=policy(**said),
            marks=marks() if known is None else known,
            trials=trials,
            baseline=baseline,
            candidate=candidate,
            on=TODAY,
        )

    return judged


def states(result):
    return {cell.task: cell.state for cell in result.cells}


def cell_of(result, task):
    return next(cell for cell in result.cells if cell.task == task)


# ---- states ---------------------------------------------------------------------


def test_a_spoiled_task_is_named_and_the_others_are_not(spoiled, judged):
    result = judged(spoiled)

    assert states(result) == {"a": "passed", "b": "regression", "c": "passed"}
    assert result.status == "failed"
    assert (result.candidate, result.baselines) == (
        Reference(model="m", step=N),
        (Reference(model="m", step=1),),
    )
    assert result.look == N - 1
    red = cell_of(result, "b")
    assert red.against_history is not None
    assert red.against_history.is_below
    assert red.with_noise.high < 0
    assert red.p_value <= red.p_adjusted <= red.level == pytest.approx(0.025)


def test_a_quiet_night_passes(nights, judged):
    result = judged(nights(quiet("a", "b", "c")))

    assert result.status == "passed"
    assert {*states(result).values()} <= {"passed", "no worse", "improved"}


def test_a_small_benchmark_can_pass(nights, judged):
    """With 30 items no loss of 5 points can be excluded, and the gate passes all the
    same: where 784 discordant pairs are needed to pass, nothing small ever does."""
    result = judged(nights(quiet("a"), n_items=30), delta=0.05)

    assert states(result) == {"a": "passed"}
    assert result.status == "passed"
    assert cell_of(result, "a").reasons == ("not shown to be worse",)


def test_fewer_items_than_asked_for_are_inconclusive(nights, judged):
    responses = nights(quiet("a"), n_items=20)

    assert judged(responses).status == "inconclusive"
    assert "20 items" in cell_of(judged(responses), "a").reasons[0]
    assert judged(responses, min_items=20).status == "passed"


def test_a_gain_beyond_noise_is_an_improvement(nights, judged):
    levels = quiet("a")
    levels["a"][-1] += 1.5

    result = judged(nights(levels))

    assert states(result) == {"a": "improved"}
    assert result.status == "passed"


def test_a_loss_is_excluded_where_items_are_many(nights, judged):
    result = judged(nights(quiet("a"), n_items=3000), delta=0.1)

    assert states(result) == {"a": "no worse"}


def test_a_loss_within_delta_is_none(spoiled, judged):
    result = judged(spoiled, deltas={"b": 0.5})

    assert states(result)["b"] == "passed"
    assert "less than the loss that counts as none" in cell_of(result, "b").reasons[0]


def test_a_regression_is_known_until_its_day_is_over(spoiled, judged, marks):
    known = marks(acknowledged=[("b", TODAY)])
    over = marks(acknowledged=[("b", TODAY - dt.timedelta(days=1))])

    still, late = judged(spoiled, known=known), judged(spoiled, known=over)

    assert states(still)["b"] == "known"
    assert still.status == "passed"
    assert [cell.task for cell in still.acknowledged] == ["b"]
    assert "acknowledged until 2026-03-01" in cell_of(still, "b").reasons[0]
    assert states(late)["b"] == "regression"
    assert "until 2026-02-28, which is over" in cell_of(late, "b").reasons[1]


def test_an_acknowledged_task_is_known_where_it_would_be_inconclusive(
    nights, judged, marks
):
    known = marks(acknowledged=[("a", TODAY)])
    few = nights({"a": [0.5, 0.5], "b": [0.5, 0.5]}, n_items=20)
    unknown_noise = nights({"a": [1.5, -1.0], "b": [0.5, 0.5]})

    for responses, said in ((few, {"critical": ["a"]}), (unknown_noise, {})):
        result = judged(responses, known=known, **said)
        cell = cell_of(result, "a")

        assert cell.state == "known"
        assert cell.decision == "pass"
        assert cell.reasons[0] == "acknowledged until 2026-03-01: because"
        assert cell.reasons[1].startswith("else inconclusive: ")
        assert result.status == "passed"
        assert result.tiers[0].reason == "no new regression, 1 known"


def test_a_known_regression_that_is_gone_has_recovered(nights, judged, marks):
    result = judged(nights(quiet("a")), known=marks(acknowledged=[("a", None)]))

    assert states(result) == {"a": "recovered"}
    assert result.status == "passed"


def test_a_loss_that_history_predicts_is_not_red(nights, judged):
    """All checkpoints since the baseline are that much worse: one was lucky."""
    levels = quiet("a")
    levels["a"][0] += 1.0

    cell = cell_of(judged(nights(levels)), "a")

    assert cell.state == "passed"
    assert cell.reasons == (
        "worse than the baseline, and not below what history predicts",
    )


def test_a_drop_that_stays_above_the_baseline_is_told(nights, judged):
    levels = quiet("a")
    levels["a"][0] -= 1.5
    levels["a"][-1] -= 0.6

    cell = cell_of(judged(nights(levels)), "a")

    assert cell.state in {"passed", "no worse", "improved"}
    assert cell.against_history is not None
    assert cell.against_history.is_below


def test_without_history_the_gate_goes_by_noise(nights, judged):
    levels = {task: row[-4:] for task, row in quiet("a").items()}
    levels["a"][-1] -= 0.9

    cell = cell_of(judged(nights(levels)), "a")

    assert cell.against_history is None
    assert cell.noise.source == "3 checkpoints before it"
    assert cell.state == "regression"
    assert cell.p_value == cell.p_baseline


def test_where_noise_is_unknown_a_loss_is_inconclusive(nights, judged):
    levels = {"a": np.array([1.5, -1.0]), "b": np.array([0.5, 0.5])}
    responses = nights(levels)

    result = judged(responses)

    assert states(result) == {"a": "inconclusive", "b": "passed"}
    assert result.status == "inconclusive"
    assert "is not known" in cell_of(result, "a").reasons[0]
    assert not cell_of(result, "a").noise.is_known
    assert states(judged(responses, noise=0))["a"] == "regression"
    assert states(judged(responses, noise=0.02))["a"] == "regression"
    assert states(judged(responses, noise=0.5))["a"] == "passed"


def test_seeds_tell_noise_where_there_is_one_checkpoint_before(nights, judged):
    levels = {"a": np.array([0.5, 0.5])}
    seeds = [nights(levels, train_seed=s, seed=s) for s in (1, 2, 3)]
    responses = pd.concat(
        [
            part.assign(attempt_id=part["attempt_id"] + f" {s}")
            for s, part in enumerate(seeds)
        ],
        ignore_index=True,
    )

    cell = cell_of(judged(responses), "a")

    assert cell.noise.source == "3 training seeds"
    assert cell.noise.df == 2
    assert cell.against_baseline.baseline.n_seeds == 3


def test_what_cannot_be_compared_is_inconclusive(nights, judged):
    responses = nights(quiet("a"))
    is_last = (responses["step"] == N).to_numpy(dtype=bool)
    responses.loc[is_last, "prompt_digest"] += "x"
    responses.loc[is_last, "template_digest"] = "other"

    result = judged(responses)

    assert states(result) == {"a": "inconclusive"}
    assert cell_of(result, "a").reasons[0].startswith("not comparable: ")
    assert result.environment[0].blocks
    assert result.environment[0].tasks == ("a",)
    assert states(judged(responses, allow=["chat template", "prompts"])) != states(
        result
    )


def test_a_partial_run_does_not_pass(nights, judged):
    responses = nights(quiet("a"))
    is_left_out = (responses["step"] == N) & (responses["item_index"] >= 100)
    responses = responses[~is_left_out.to_numpy(dtype=bool)]

    assert "a partial run: 100 of the 400 items" in str(
        cell_of(judged(responses), "a").reasons
    )
    assert judged(responses).status == "inconclusive"
    assert judged(responses, allow_partial=True).status == "passed"


def test_a_cells_scores_are_over_the_items_of_its_difference(nights, judged):
    responses = nights(quiet("a"))
    is_asked = (responses["step"] != N) | (responses["item_index"] < 100)
    part = responses[is_asked.to_numpy(dtype=bool)]
    (cell,) = judged(part, allow_partial=True).cells
    row = cell.against_baseline
    gap = row.candidate.score.value - row.baseline.score.value

    assert row.n_items == row.baseline.score.n == row.candidate.score.n == 100
    assert row.difference.value == pytest.approx(gap, abs=1e-12)


def test_a_part_that_both_sides_answered_is_no_partial_run(nights, judged):
    responses = nights(quiet("a"), n_items_total=1000)

    assert judged(responses).status == "passed"


# ---- tiers, missing tasks -------------------------------------------------------


def test_supporting_regressions_are_tolerated_up_to_a_number(nights, judged):
    levels = quiet(*"abcdefgh")
    levels["b"][-1] -= 0.9
    one_of_six = nights(levels)
    two = {"tasks": ["*"], "tolerate": 1}

    result = judged(one_of_six, critical=None, supporting=two)

    assert result.status == "passed"
    assert states(result)["b"] == "regression"
    assert cell_of(result, "b").decision == "pass"
    assert cell_of(result, "b").reasons[-1] == "tolerated"
    assert result.tiers[0].reason == "1 regression; 1 tolerated"
    strict = judged(one_of_six, critical=None, supporting={**two, "tolerate": 0})
    assert strict.status == "failed"


def test_a_regression_of_the_supporting_mean_fails(nights, judged):
    levels = quiet("a", "b", "c", "d", seed=7)
    for row in levels.values():
        row[-1] -= 0.25

    result = judged(
        nights(levels, n_items=1500),
        critical=None,
        supporting={"tasks": ["*"], "tolerate": 4},
    )

    (tier,) = result.tiers
    assert tier.mean is not None
    assert tier.mean.task == "average"
    assert tier.mean.state == "regression"
    assert tier.mean.against_history is not None
    assert result.status == "failed"
    assert "the mean over its tasks is a regression" in tier.reason


def test_advisory_regressions_fail_nothing(spoiled, judged):
    result = judged(spoiled, critical=["a", "c"], advisory=["*"])

    assert result.status == "passed"
    assert states(result)["b"] == "regression"
    assert "the tier fails nothing" in result.tiers[1].reason


def test_tasks_of_no_tier_are_not_judged(spoiled, judged):
    result = judged(spoiled, critical=["a"])

    assert states(result) == {"a": "passed"}
    assert result.ungated == ("b", "c")


@pytest.mark.parametrize(
    ("rule", "status"),
    [("fail", "failed"), ("inconclusive", "inconclusive"), ("ignore", "passed")],
)
def test_a_missing_task_means_what_the_policy_says(nights, judged, rule, status):
    responses = nights(quiet("a", "b"))
    is_gone = (responses["task"] == "b") & (responses["step"] == N)
    responses = responses[~is_gone.to_numpy(dtype=bool)]

    result = judged(responses, critical={"tasks": ["*"], "missing": rule})

    assert result.status == status
    assert [(one.task, one.reason) for one in result.missing] == [
        ("b", "m@12 was not asked it")
    ]
    assert not result.missing[0].is_broken


def test_a_missing_supporting_task_is_tolerated_like_a_regression(nights, judged):
    responses = nights(quiet("a", "b"))
    is_gone = (responses["task"] == "b") & (responses["step"] == N)
    responses = responses[~is_gone.to_numpy(dtype=bool)]

    def of(tolerate):
        tier = {"tasks": ["*"], "missing": "fail", "tolerate": tolerate}
        return judged(responses, critical=None, supporting=tier)

    assert of(1).status == "passed"
    assert of(1).missing[0].decision == "pass"
    assert of(1).missing[0].reason.endswith("; tolerated")
    assert of(0).status == "failed"
    assert of(0).missing[0].decision == "fail"


def test_the_mean_is_of_what_can_be_compared(nights, judged):
    responses = nights(quiet("a", "b", "c"))
    is_other = (responses["step"] == N) & (responses["task"] == "c")
    is_other = is_other.to_numpy(dtype=bool)
    responses.loc[is_other, "prompt_digest"] += "x"
    responses.loc[is_other, "template_digest"] = "other"

    result = judged(responses, critical=None, supporting=["*"])

    mean = result.tiers[0].mean
    assert mean is not None
    assert mean.against_history is not None
    own = [cell_of(result, task).against_history.score for task in "ab"]
    assert mean.against_history.score == pytest.approx(np.mean(own))


def test_a_task_that_is_named_must_be_there(nights, judged):
    result = judged(nights(quiet("a")), critical=["a", "gone", "g*"])

    assert result.status == "failed"
    assert [one.task for one in result.missing] == ["gone"]


def at(responses, task, step):
    """Return where a checkpoint's answers to a task are."""
    rows = (responses["task"] == task) & (responses["step"] == step)
    return rows.to_numpy(dtype=bool)


@pytest.mark.parametrize(
    ("rule", "status"),
    [("fail", "failed"), ("inconclusive", "inconclusive"), ("ignore", "passed")],
)
def test_answers_without_scores_are_missing(nights, judged, rule, status):
    responses = nights(quiet("a", "b"))
    responses.loc[at(responses, "b", N), "status"] = "nan-logprob"

    result = judged(responses, critical={"tasks": ["*"], "missing": rule})

    assert result.status == status
    assert states(result) == {"a": "passed"}
    assert [(one.task, one.reason) for one in result.missing] == [
        ("b", "the answers of m@12 could not be scored")
    ]


def test_a_baseline_without_scores_is_inconclusive(nights, judged):
    responses = nights(quiet("a", "b"))
    responses.loc[at(responses, "b", 1), "status"] = "nan-logprob"
    neither = responses.copy()
    neither["status"] = "nan-logprob"

    for result in (judged(responses), judged(neither)):
        assert result.status == "inconclusive"
        assert result.missing[-1].reason == "the answers of m@1 could not be scored"


def test_a_condition_that_the_candidate_lacks_is_missing(nights, judged):
    none, five = nights(quiet("a", "b")), nights(quiet("b"), num_fewshot=5)
    five["attempt_id"] += " 5-shot"
    is_there = five["step"] < N
    responses = pd.concat([none, five[is_there]], ignore_index=True)

    result = judged(responses)

    assert result.status == "failed"
    assert states(result) == {"a": "passed", "b": "passed"}
    assert [one.reason for one in result.missing] == [
        "as cloze, 5-shot: m@12 was not asked it"
    ]


def test_sides_of_unlike_metrics_are_not_compared(nights, judged):
    def scored_by(metric, model):
        made = nights({"a": [0.5]}, n_items=40, model=model)
        made["attempt_id"] += model
        made[["output_type", "choice_logprobs"]] = ["generate_until", None]
        return made.assign(metrics=[[(f"{metric},none", 1.0)]] * len(made))

    both = [scored_by("f1", "m"), scored_by("exact_match", "n")]

    result = judged(pd.concat(both, ignore_index=True), candidate="n")

    assert result.status == "inconclusive"
    assert [(one.reason, one.decision) for one in result.missing] == [
        ("n@1 and m@1 are scored by unlike metrics", "inconclusive")
    ]


def test_a_trial_that_failed_is_broken(nights, judged):
    responses = nights(quiet("a", "b"))
    is_gone = (responses["task"] == "b") & (responses["step"] == N)
    trials = pd.DataFrame(
        {
            "attempt_id": ["x"],
            "model": ["m"],
            "step": pd.array([N], "Int64"),
            "task": ["b"],
            "status": ["failed"],
            "error_code": ["trial-raised"],
            "task_version": ["1"],
            "versions": [None],
        }
    )

    result = judged(responses[~is_gone.to_numpy(dtype=bool)], trials=trials)

    assert result.missing[0].is_broken
    assert result.missing[0].reason == "its trial failed [trial-raised]"


def test_a_task_that_the_baseline_lacks_is_inconclusive(nights, judged):
    responses = nights(quiet("a", "b"))
    is_new = (responses["task"] == "b") & (responses["step"] < N)

    result = judged(responses[~is_new.to_numpy(dtype=bool)])

    assert result.status == "inconclusive"
    assert result.missing[0].reason == "m@1 was not asked it"


def test_a_tier_says_what_it_counts(nights, judged):
    levels = quiet(*"abcd")
    levels["a"][-1] -= 0.9
    levels["b"][-1] -= 0.9
    responses = nights(levels)

    one = judged(responses, critical=["a", "gone"])
    two = judged(responses, critical=None, supporting=["*"])

    assert one.tiers[0].reason == "1 regression, 1 task missing"
    assert judged(responses, critical=["c", "gone"]).tiers[0].reason == "1 task missing"
    assert two.tiers[0].reason == "2 regressions; 1 tolerated"
    assert two.status == "failed"


def test_a_mean_needs_checkpoints_that_all_tasks_have(nights, judged):
    responses = nights(quiet("a", "b"))
    step = responses["step"].to_numpy(dtype=int)
    is_a = (responses["task"] == "a").to_numpy(dtype=bool)
    is_end = (step == 1) | (step == N)
    apart = responses[is_end | (is_a == (step % 2 == 0))]
    apart = apart[(apart["step"] > 1) | (apart["task"] == "b")]

    def mean_of(some, baseline):
        result = judged(some, critical=None, supporting=["*"], baseline=baseline)
        return result.tiers[0].mean

    assert mean_of(responses, "m@1").against_history is not None
    assert mean_of(responses, "m@1").noise.is_known
    assert mean_of(responses[is_end], "m@1").against_history is None
    assert mean_of(responses[is_end], "m@1").noise.source == "unknown"
    assert mean_of(apart, "m@1") is None


# ---- who is compared ------------------------------------------------------------


def test_baseline_and_candidate_may_be_named(spoiled, judged):
    result = judged(spoiled, baseline="m@2", candidate="m@11")

    assert str(result.candidate) == "m@11"
    assert list(map(str, result.baselines)) == ["m@2"]
    assert result.status == "passed"
    assert cell_of(result, "b").against_history.n_points == 10


def test_a_tag_is_a_baseline(spoiled, judged, marks):
    (mark,) = marks(3).marks
    tagged = Marks((replace(mark, kind="tag", name="release", reason=""),))

    for word in ("release", "tag:release"):
        result = judged(spoiled, known=tagged, baseline=word)
        assert list(map(str, result.baselines)) == ["m@3"]


def test_a_task_may_have_a_baseline_of_its_own(spoiled, judged, marks):
    (mark,) = marks(1).marks
    own = replace(
        mark, task="b", step=5, set_at=mark.set_at + dt.timedelta(1), mark_id="o"
    )

    result = judged(spoiled, known=Marks((mark, own)))

    assert cell_of(result, "b").against_baseline.baseline.step == 5
    assert cell_of(result, "a").against_baseline.baseline.step == 1


def test_the_baseline_itself_is_nothing_to_judge(spoiled, judged, marks):
    result = judged(spoiled, known=marks(N))

    assert result.status == "inconclusive"
    assert not result.cells
    (caution,) = result.cautions
    assert caution.code == "candidate-is-baseline"
    assert caution.text == (
        "m@12 is the baseline itself, so that there is nothing to judge; --candidate "
        "takes another, such as m@9, m@10, m@11"
    )
    assert result.tiers[0].reason == "nothing was compared"


def test_the_baseline_itself_has_one_verdict_whatever_else_is_named(
    nights, judged, marks
):
    alone = judged(
        nights({"arc_easy": [0.5]}), critical=["gone", "arc_esay"], advisory=["*"]
    )
    other = nights({"a": [0.5]}, model="other")
    both = pd.concat([nights({"a": [0.5]}), other], ignore_index=True)

    assert alone.status == "inconclusive"
    assert {one.task: one.reason for one in alone.missing} == {
        "gone": "no checkpoint here was asked it",
        "arc_esay": "no checkpoint here was asked it; the nearest is arc_easy",
    }
    assert alone.cautions[0].text.endswith("; no other checkpoint is here")
    assert judged(both).cautions[0].text.endswith("takes another, such as other")


def test_nothing_compared_is_inconclusive(nights, judged):
    old, new = nights(quiet("a")), nights({"b": [0.5]}, model="new")
    responses = pd.concat([old, new], ignore_index=True)

    result = judged(responses, critical=None, advisory=["*"], candidate="new")

    assert result.status == "inconclusive"
    assert {one.decision for one in result.missing} == {"pass"}


def test_a_task_without_a_baseline_is_inconclusive(spoiled, judged, marks):
    (mark,) = marks(1).marks

    result = judged(spoiled, known=Marks((replace(mark, task="a"),)))

    assert states(result) == {"a": "passed"}
    assert {one.reason for one in result.missing} == {"there is no baseline for it"}
    assert result.status == "inconclusive"


def test_a_task_whose_baseline_is_the_candidate_is_not_judged(spoiled, judged, marks):
    (mark,) = marks(1).marks
    later = mark.set_at + dt.timedelta(1)
    own = replace(mark, task="b", step=N, set_at=later, mark_id="o")

    result = judged(spoiled, known=Marks((mark, own)))

    assert states(result) == {"a": "passed", "c": "passed"}
    assert not result.missing
    assert result.status == "passed"
    assert result.cautions[0].text == "m@12 is the baseline itself of b: not judged"


def test_looks_at_another_model_are_counted_since_the_baseline_was_set(
    nights, judged, marks
):
    old = nights({"a": [0.5]}, model="old")
    new = nights(quiet("a"), model="new", seed=1)
    new["attempt_id"] += " new"
    responses = pd.concat([old, new], ignore_index=True)
    (mark,) = marks(1, model="old").marks
    set_at = mark.set_at + dt.timedelta(days=N - 2, hours=1)
    known = Marks((replace(mark, set_at=set_at),))

    result = judged(responses, known=known, candidate="new")

    assert result.look == 2
    assert judged(responses, known=Marks(), baseline="old", candidate="new").look == N


def test_a_candidate_that_was_asked_nothing_lacks_all(nights, judged, marks):
    old, new = nights(quiet("a")), nights({"other": [0.5]}, model="new")
    responses = pd.concat([old, new], ignore_index=True)

    result = judged(responses, critical=["a"], candidate="new")

    assert result.status == "failed"
    assert not result.cells
    assert result.missing[0].reason == "new@1 was not asked it"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"known": Marks()}, "no-baseline"),
        ({"baseline": "tag:none"}, "unknown-tag"),
        ({"baseline": "none"}, "unknown-model"),
        ({"candidate": "m@99"}, "bad-steps"),
        ({"candidate": "m@x"}, "bad-steps"),
        ({"critical": ["other*"]}, "unknown-task"),
    ],
)
def test_who_is_not_there_is_told(spoiled, judged, said, code):
    with pytest.raises(InputError) as caught:
        judged(spoiled, **said)

    assert caught.value.code == code


def test_a_model_may_have_an_at_in_its_name(nights):
    responses = nights(quiet("a")).assign(model="a@b")

    assert read_checkpoint("a@b", responses) == Reference(model="a@b", step=N)
    assert read_checkpoint("a@b@3", responses) == Reference(model="a@b", step=3)


def test_checkpoints_may_have_no_steps(nights, judged, marks):
    rng = np.random.default_rng(1)
    models = [
        nights({"a": [level]}, seed=4).assign(
            model=name, step=pd.array([pd.NA] * 400, "Int64"), attempt_id=name
        )
        for name, level in zip(("old", "new"), rng.normal(0.5, 0.01, 2), strict=True)
    ]
    responses = pd.concat(models, ignore_index=True)

    result = judged(responses, known=marks(None, model="old"), candidate="new")

    assert states(result) == {"a": "passed"}
    assert read_baseline("old", Marks(), responses)("a") == Reference(
        model="old", step=None
    )


def test_another_table_is_refused(judged):
    with pytest.raises(SchemaError):
        judged(pd.DataFrame({"a": [1]}))


def test_history_may_go_by_date(spoiled, judged):
    by_date = judged(spoiled, history={"by": "date"})

    assert states(by_date)["b"] == "regression"
    assert cell_of(by_date, "b").against_history.n_points == 10


@pytest.mark.parametrize(
    ("levels", "said", "why"),
    [
        ([0.5] * 4, {}, "3 before it; 5 needed"),
        ([0.5], {"candidate": "other"}, "no checkpoints before it"),
        (
            [0.5] * 8 + [1.5] * 4,
            {},
            "a step was found 3 checkpoints before it; 3 on the present level, 5 "
            "needed",
        ),
        (
            [0.5] * 8 + [2, 2, -9, 2, 2, 2],
            {},
            "a step was found 5 checkpoints before it; 4 on the present level but for "
            "1 that stand out, 5 needed",
        ),
        (
            [0.5] * 3 + [-9] + [0.5] * 2,
            {},
            "4 of 5 before it but for 1 that stand out; 5 needed",
        ),
        ([99] * 8, {}, "all 7 scores are equal, so that nothing is known of noise"),
        ([0.5] * 4, {"noise": 0}, ""),
        ([0.5] * 8, {}, ""),
    ],
)
def test_why_history_predicts_nothing_is_told(nights, judged, levels, said, why):
    responses = nights({"a": levels}, n_items=3000)
    if said.get("candidate"):
        other = nights({"a": [0.5]}, n_items=3000, model="other")
        responses = pd.concat([responses, other], ignore_index=True)

    cell = cell_of(judged(responses, **said), "a")

    assert cell.no_prediction == why
    assert (cell.against_history is None) is (bool(why) or said.get("noise") == 0)


def test_words_of_the_policy_that_are_of_no_task_are_told(spoiled, judged):
    said = {"critical": ["a", "ax*"], "advisory": "*", "deltas": {"bb": 0.5, "b*": 0.1}}

    result = judged(spoiled, **said)

    assert [(one.code, one.text) for one in result.cautions] == [
        ("no-such-task", "critical of the policy: ax* is no task here"),
        ("no-such-task", "deltas of the policy: bb is no task here; the nearest is b"),
    ]


def test_a_trend_is_followed(nights, judged):
    """A score that climbs by a line falls back to where it was six nights before."""
    rng = np.random.default_rng(3)
    climbing = 0.15 * np.arange(N) + rng.normal(0, 0.01, N)
    climbing[-1] -= 1.2
    responses = nights({"a": climbing}, n_items=2000)

    level = cell_of(judged(responses), "a").against_history
    line = cell_of(judged(responses, history={"trend": "linear"}), "a").against_history

    assert level is None  # the last level is too short to predict from
    assert line is not None
    assert line.is_below


# ---- level ----------------------------------------------------------------------


def test_looks_are_counted_and_paid_for(spoiled, judged):
    each, every = judged(spoiled), judged(spoiled, looks="all")

    assert each.look == every.look == N - 1
    assert every.tiers[0].level < each.tiers[0].level / 10
    first = judged(spoiled, looks="all", baseline="m@11")
    assert first.look == 1
    assert first.tiers[0].level > every.tiers[0].level


def test_a_level_is_asked_for_in_the_policy(spoiled, judged):
    result = judged(spoiled, confidence_level=0.9)

    assert result.tiers[0].level == pytest.approx(0.05)
    assert cell_of(result, "a").against_baseline.difference.confidence_level == 0.8


def test_the_correction_is_over_the_tasks_of_the_tier(spoiled, judged):
    result = judged(spoiled)
    alone = judged(spoiled, correction="none")

    worst = cell_of(result, "b")
    assert worst.p_adjusted == pytest.approx(3 * worst.p_value)
    assert cell_of(alone, "b").p_adjusted == cell_of(alone, "b").p_value
    with pytest.raises(DesignError):
        judged(spoiled, allow=["nothing"])


@pytest.mark.slow
def test_real_answers_on_quiet_nights_are_as_bad_as_seldom_as_said(nights, judged):
    """Ten runs of twelve nights, twelve tasks: items, checkpoints and all.

    Each bound is passed by chance in 1 of 1,000. Were quiet nights as bad three times
    as often as said, that of 0.1 would be kept in 1 of 200, that of 0.05 in 1 of 5.
    """
    names = "abcdefghijkl"
    cells = [
        cell
        for seed in range(100, 110)
        for cell in judged(
            nights(quiet(*names, seed=seed), n_items=100, seed=seed)
        ).cells
    ]
    p_values = np.array([cell.p_value for cell in cells])

    assert len(cells) == 120
    for level in (0.025, 0.05, 0.1, 0.2):
        assert (p_values <= level).sum() <= binom.isf(0.001, len(cells), level)
    for cell in cells:
        assert (cell.state == "regression") <= (cell.p_adjusted <= 0.025)


# ---- the document ---------------------------------------------------------------


def test_the_document_has_its_schema(spoiled, judged, marks, nights):
    levels = quiet("a", "b")
    other = nights(levels, dtype="float16")
    other = other[(other["step"] == N).to_numpy(dtype=bool)]
    same = nights(levels)
    same = same[(same["step"] < N).to_numpy(dtype=bool)]
    results = [
        judged(pd.concat([same, other], ignore_index=True)),
        replace(judged(spoiled), confirmation=CONFIRMED),
        judged(spoiled),
        judged(spoiled, critical=None, supporting=["*"]),
        judged(spoiled, known=marks(acknowledged=[("b", TODAY)])),
        judged(spoiled, critical=["a", "gone"]),
        judged(nights({task: row[:2] for task, row in levels.items()})),
        judged(spoiled, known=marks(N)),
    ]
    assert [one.what for one in results[0].environment] == ["dtype"]
    schema = gate_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)

    for result in results:
        document = {"schema": "evalvar.gate/1", **result.to_dict()}
        text = json.dumps(document, allow_nan=False)
        validator.validate(json.loads(text))


def test_the_table_has_a_row_for_each_cell_the_worst_first(spoiled, judged):
    frame = judged(spoiled).to_frame()

    assert frame["task"].iloc[0] == "b"
    assert len(frame) == 3
    assert {"difference", "p_adjusted", "noise_sd", "state"} <= {*frame.columns}


def test_the_order_of_rows_does_not_matter(spoiled, judged):
    shuffled = spoiled.sample(frac=1, random_state=1).reset_index(drop=True)

    assert judged(shuffled).to_dict() == judged(spoiled).to_dict()


def test_equal_models_calibrate_the_paired_test(nights, judged):
    rng = np.random.default_rng(2)
    parts = []
    for seed in range(6):
        part = nights({"a": [0.5, 0.5, 0.5]}, seed=9)
        part["fewshot_seed"] = seed
        part["attempt_id"] += f" {seed}"
        flips = (rng.random(len(part)) < 0.2)[:, None]
        logprobs = np.stack(part["choice_logprobs"].to_list())
        swapped = np.where(flips, logprobs[:, ::-1], logprobs)
        parts.append(part.assign(choice_logprobs=list(swapped)))

    result = judged(pd.concat(parts, ignore_index=True), noise=0)

    (row,) = result.calibration
    assert (row.draws, row.n_pairs) == ("few-shot seeds", 45)
    (line,) = calibration_lines(result.calibration)
    assert line.startswith("A/A, few-shot seeds of the same checkpoint: ")
    assert " of 45 pairs (" in line
    (alarm,) = result.alarms
    assert (alarm.draws, alarm.n_comparisons) == ("few-shot seeds", 90)
    is_red = (row.p_values <= 0.1) & (np.abs(row.differences) >= 0)
    assert alarm.n_red == is_red.sum() > 0
    assert alarm.rate.value == alarm.n_red / 90
    assert alarm.nominal == pytest.approx(0.05)
    low, high = alarm.rate.interval
    assert low < alarm.rate.value < high < 0.5
    (told,) = alarm_sentences(result)
    assert "of 90 comparisons of equal models the paired look would be red" in told
    assert f" in {alarm.n_red} (" in told


def test_a_loss_within_delta_alarms_nobody(nights, judged):
    """Of the same pairs fewer are red, the larger the loss that counts as none."""
    rng = np.random.default_rng(2)
    part = nights({"a": [0.5]}, seed=9)
    logprobs = np.stack(part["choice_logprobs"].to_list())
    parts = []
    for seed in range(8):
        spoiled = (rng.random(len(part)) < 0.02 * seed)[:, None]
        worse = list(np.where(spoiled, np.sort(logprobs), logprobs))
        own = part.assign(choice_logprobs=worse, fewshot_seed=seed)
        own["attempt_id"] += f" {seed}"
        parts.append(own)
    responses = pd.concat(parts, ignore_index=True)

    def alarm(**said):
        (found,) = judged(responses, noise=0, **said).alarms
        return found

    assert alarm().n_red > alarm(delta=0.05).n_red > alarm(delta=1.0).n_red == 0
    assert alarm(deltas={"a": 1.0}).n_red == 0
    assert alarm(confidence_level=0.8).n_red > alarm().n_red


def test_few_pairs_of_equal_models_have_no_rate(nights, judged):
    parts = []
    for seed in range(2):
        part = nights({"a": [0.5]}, seed=seed).assign(fewshot_seed=seed)
        part["attempt_id"] += f" {seed}"
        parts.append(part)

    result = judged(pd.concat(parts, ignore_index=True), noise=0)

    (alarm,) = result.alarms
    assert alarm.n_comparisons == 2
    assert math.isnan(alarm.rate.value)
    assert [caution.code for caution in alarm.rate.cautions] == ["few-pairs"]
    (told,) = alarm_sentences(result)
    assert f"red in {alarm.n_red}, where 5 % may be" in told


def test_without_a_second_measurement_the_calibration_is_unknown(spoiled, judged):
    (line,) = calibration_lines(judged(spoiled).calibration)

    assert "no checkpoint was measured twice" in line
