"""The variance table: from responses to rows, and what it says when it cannot."""

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import DesignError, SchemaError
from harness.stats import variance
from harness.stats.estimate import Estimate
from harness.stats.tables import formulation_pairs, score_tables
from harness.stats.variance import variance_frame

nan = math.nan

N = 100
WORKED = {
    (seed, step): n_right
    for seed, line in enumerate(([30, 34, 37, 41], [28, 35, 36, 40], [31, 33, 39, 39]))
    for step, n_right in zip((0, 10, 100, 1000), line, strict=True)
}
"""Right answers of 100 in the worked example of docs/explanation/variance.md."""


def variance_table(responses, *, discrete=None, continuous=None, task=None, **options):
    tables = score_tables(
        responses, discrete=discrete, continuous=continuous, task=task
    )
    return variance.variance_table(tables, **options)


def right(n_right, n=N):
    return [1] * n_right + [0] * (n - n_right)


@pytest.fixture
def worked(simulated):
    return simulated({cell: right(n_right) for cell, n_right in WORKED.items()})


def only(table):
    (row,) = table
    return row


def test_the_worked_example_from_its_responses(worked):
    row = only(variance_table(worked))

    assert (row.n_items, row.n_seeds, row.n_checkpoints) == (100, 3, 4)
    assert (row.chance, row.is_partial, row.cautions) == (0.5, False, ())
    discrete = row.discrete
    assert discrete.metric == "acc"
    assert discrete.curve.train_seeds == (0, 1, 2)
    assert discrete.curve.steps == (0, 10, 100, 1000)
    np.testing.assert_allclose(
        discrete.curve.scores, np.reshape(list(WORKED.values()), (3, 4)) / 100
    )
    assert discrete.mean.value == pytest.approx(0.40)
    assert discrete.seed_sd.value == pytest.approx(0.0126376, abs=5e-8)
    assert discrete.seed_sd_last.value == pytest.approx(0.01)
    # Wilson's half-widths of 41, 40 and 39 of 100, over 1.959964, by hand.
    z = 1.959964
    wilson = [
        z / (1 + z**2 / 100) * math.sqrt(p * (1 - p) / 100 + z**2 / 40000)
        for p in (0.41, 0.40, 0.39)
    ]
    assert discrete.item_se_last.value == pytest.approx(np.mean(wilson) / z, rel=1e-6)
    assert discrete.snr.value == pytest.approx(40)
    assert discrete.snr_above_chance.value == pytest.approx(-10)
    assert discrete.monotonicity.value == pytest.approx(0.970957, abs=5e-7)
    assert discrete.item_half_width.value == pytest.approx(
        discrete.curve.half_widths.mean()
    )
    # One checkpoint, 41 of 100: Wilson's [.3187, .5080], by scipy.
    assert discrete.curve.half_widths[0, 3] == pytest.approx(0.09464, abs=5e-5)
    assert row.continuous is not None
    assert row.continuous.metric == "prob_correct"
    assert row.continuous.mean.n == 100
    # By hand: the seeds differ in 2 items, 1 of 3 each, so that within items there is a
    # sum of squares of 4/3, of which 100 * .0002 between seeds, the rest residual with
    # 2 * 99 degrees of freedom: 1.31333 / 198 = .0066330.
    item_part = (4 / 3 - 0.02) / 198 / 100
    assert discrete.corrected_sd.value == pytest.approx(math.sqrt(0.0001 - item_part))
    assert discrete.seed_share.value == pytest.approx(1 - item_part / 0.0001)
    assert [caution.code for caution in row.all_cautions] == [
        "shape-of-seeds",
        "conservative-interval",
        "few-discordant-items",
        "few-steps",
        "few-reversals",
        "negative-component",
    ]


def test_every_option_changes_the_number(worked):
    def summary(**options):
        return only(variance_table(worked, **options))

    plain = summary().discrete
    assert summary(ddof=0).discrete.seed_sd.value == pytest.approx(0.0103186, abs=5e-8)
    assert summary(ddof=0).discrete.snr.value > plain.snr.value
    assert summary(ddof=0).discrete.seed_sd_last.value == pytest.approx(
        0.01 * math.sqrt(2 / 3)
    )
    wide = summary(confidence_level=0.99).discrete
    for name in ("mean", "seed_sd", "seed_sd_last", "snr"):
        assert getattr(wide, name).interval.high > getattr(plain, name).interval.high
    assert wide.item_half_width.value > plain.item_half_width.value
    assert wide.mean.confidence_level == 0.99
    assert summary(rank_method="tau-a").discrete.monotonicity.value == pytest.approx(
        (1 + 1 + 5 / 6) / 3
    )
    assert summary(discrete="brier").discrete.metric == "brier"
    assert summary(discrete="brier").chance == -0.5
    other = summary(continuous="margin").continuous
    assert other.metric == "margin"
    assert other.mean.value != summary().continuous.mean.value


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"confidence_level": 1}, "bad-confidence-level"),
        ({"confidence_level": 95}, "bad-confidence-level"),
        ({"confidence_level": nan}, "bad-confidence-level"),
        ({"ddof": 3}, "bad-ddof"),
        ({"rank_method": "pearson"}, "unknown-method"),
        ({"discrete": "accuracy"}, "unknown-metric"),
    ],
)
def test_bad_options_are_refused(worked, options, code):
    with pytest.raises(DesignError) as caught:
        variance_table(worked, **options)

    assert caught.value.code == code


def test_no_responses_and_no_columns(worked):
    with pytest.raises(DesignError, match="run the suite"):
        variance_table(worked.iloc[:0])
    with pytest.raises(SchemaError):
        variance_table(worked.drop(columns="step"))


def test_ten_identical_repeats_leave_everything_unchanged(worked):
    tenfold = pd.concat([worked.assign(repeat=i) for i in range(10)])

    once, again = only(variance_table(worked)), only(variance_table(tenfold))

    for one, other in (
        (once.discrete, again.discrete),
        (once.continuous, again.continuous),
    ):
        for a, b in zip(one.estimates, other.estimates, strict=True):
            assert (b.value, b.interval, b.se) == (
                pytest.approx(a.value, nan_ok=True),
                pytest.approx(a.interval, nan_ok=True),
                pytest.approx(a.se, nan_ok=True),
            )
            assert b.n == a.n
    assert again.cautions == ()


def test_repeats_are_averaged_by_item_first(simulated):
    """Item 0 right in 1 of 2 repeats, item 1 in both: 0.75, and still 2 items."""
    frame = pd.concat(
        [simulated({(0, 1): [0, 1]}), simulated({(0, 1): [1, 1]}, repeat=1)]
    )
    mean = only(variance_table(frame)).discrete.mean

    assert (mean.value, mean.n) == (0.75, 2)
    assert "Hall" in mean.method


def comparable(table):
    return json.dumps([row.to_dict() for row in table])


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 2**32 - 1))
def test_order_of_rows_changes_no_digit(worked, entropy):
    worked = pd.concat([worked, worked.assign(repeat=1, target_index=1)])
    shuffled = worked.sample(frac=1, random_state=np.random.default_rng(entropy))

    assert comparable(variance_table(shuffled)) == comparable(variance_table(worked))


def test_names_of_seeds_do_not_matter(worked):
    renamed = worked.assign(train_seed=worked["train_seed"].map({0: 77, 1: 5, 2: 31}))

    one, other = only(variance_table(worked)), only(variance_table(renamed))

    assert other.discrete.curve.train_seeds == (5, 31, 77)
    for a, b in zip(one.discrete.estimates, other.discrete.estimates, strict=True):
        assert b.value == pytest.approx(a.value)


def test_rows_stand_in_the_order_of_their_names(worked):
    frame = pd.concat(
        [
            worked.assign(model=model, task=task, num_fewshot=shots)
            for model, task, shots in [("b", "t", 0), ("a", "u", 5), ("a", "u", 0)]
        ]
    )

    rows = variance_table(frame)

    assert [(r.model, r.task, r.num_fewshot) for r in rows] == [
        ("a", "u", 0),
        ("a", "u", 5),
        ("b", "t", 0),
    ]


def test_a_row_does_not_depend_on_its_neighbours(worked, simulated):
    other = simulated({(0, 1): right(3)}, model="z")

    first, _ = variance_table(pd.concat([worked, other]))

    assert comparable([first]) == comparable(variance_table(worked))


def test_one_seed_and_one_checkpoint(simulated, codes):
    row = only(variance_table(simulated({(None, None): right(40)})))

    assert row.discrete.curve.train_seeds == row.discrete.curve.steps == (None,)
    assert row.discrete.mean.value == pytest.approx(0.4)
    assert row.discrete.mean.interval.low < 0.4 < row.discrete.mean.interval.high
    for name, code in [
        ("seed_sd", "one-seed"),
        ("snr", "one-seed"),
        ("snr_above_chance", "one-seed"),
        ("monotonicity", "one-checkpoint"),
    ]:
        estimate = getattr(row.discrete, name)
        assert math.isnan(estimate.value)
        assert codes(estimate) == [code]


def test_unnamed_steps_stand_before_the_named(simulated):
    row = only(
        variance_table(simulated({(None, None): right(30), (None, 8): right(60)}))
    )

    assert row.discrete.curve.steps == (None, 8)
    assert row.discrete.mean.value == pytest.approx(0.6)


def test_constant_scores_are_undefined_and_not_zero(simulated, codes):
    row = only(
        variance_table(
            simulated({(seed, step): right(50) for seed in (0, 1) for step in (1, 2)})
        )
    )

    for name, code in [
        ("seed_sd", "constant-over-seeds"),
        ("snr", "constant-over-seeds"),
        ("monotonicity", "constant-over-steps"),
    ]:
        estimate = getattr(row.discrete, name)
        assert math.isnan(estimate.value)
        assert codes(estimate) == [code]
    # The likelihoods differ, and can be told apart.
    assert row.continuous.seed_sd.value > 0


def test_missing_checkpoints_are_named(simulated, codes):
    cells = {c: right(n) for c, n in WORKED.items() if c not in {(0, 10), (2, 1000)}}
    row = only(variance_table(simulated(cells)))

    assert codes(row) == ["missing-checkpoints"]
    assert "2 of 12" in row.cautions[0].text
    assert "seed 0 step 10" in row.cautions[0].text
    assert np.isnan(row.discrete.curve.scores[0, 1])
    assert np.isnan(row.discrete.curve.half_widths[2, 3])
    # The last step that all have is 100: 37, 36 and 39 of 100.
    assert codes(row.discrete.mean) == ["unequal-last-steps"]
    assert row.discrete.mean.value == pytest.approx(1.12 / 3)
    assert codes(row.discrete.snr) == ["shape-of-seeds", "unequal-last-steps"]
    assert codes(row.discrete.monotonicity) == ["few-steps", "few-reversals"]


def test_identical_seeds_are_not_replicates(worked, codes):
    twin = worked[worked["train_seed"] == 0].assign(train_seed=9)
    once = only(variance_table(worked))
    row = only(variance_table(pd.concat([worked, twin])))

    assert codes(row) == ["identical-seeds"]
    assert "seed 9" in row.cautions[0].text
    assert row.n_seeds == 3
    assert row.discrete.seed_sd.value == once.discrete.seed_sd.value


def test_a_checkpoint_stored_twice_is_told(worked, codes):
    rest = worked[~((worked["train_seed"] == 1) & (worked["step"] == 10))]
    copy = worked[(worked["train_seed"] == 0) & (worked["step"] == 100)]
    row = only(variance_table(pd.concat([rest, copy.assign(train_seed=1, step=10)])))

    assert codes(row) == ["identical-checkpoints"]
    assert "1 checkpoints" in row.cautions[0].text


def test_the_same_zeros_and_ones_prove_nothing(joined):
    """Without likelihoods two seeds may be right and wrong alike."""
    frame = joined(
        [
            {
                "train_seed": seed,
                "item_id": f"i{i}",
                "output_type": "generate_until",
                "text": "yes" if i < 3 else "no",
                "target": "yes",
            }
            for seed in (0, 1)
            for i in range(5)
        ]
    )
    row = only(variance_table(frame))

    assert row.n_seeds == 2
    assert row.continuous is None
    assert row.chance == 0
    assert row.discrete.mean.value == pytest.approx(0.6)
    assert row.discrete.seed_sd.cautions[0].code == "constant-over-seeds"


def test_items_not_shared_are_left_out_and_counted(simulated, codes):
    """Seed 1 lacks the last two items: means are over the first 8."""
    frame = simulated({(0, 1): right(4, 10), (1, 1): right(2, 8)})
    row = only(variance_table(frame))

    assert row.n_items == 10
    assert row.discrete.mean.n == 8
    np.testing.assert_allclose(row.discrete.curve.scores, [[4 / 8], [2 / 8]])
    texts = {caution.code: caution.text for caution in row.discrete.mean.cautions}
    assert texts["items-not-shared"].startswith("2 of 10")


def test_unscored_responses_are_left_out_and_counted(simulated, codes):
    frame = simulated({(0, 1): [1, 1, nan, 0], (1, 1): [nan, 1, nan, 1]})
    mean = only(variance_table(frame)).discrete.mean

    assert mean.n == 2
    assert mean.value == 0.75
    assert "unscored-responses" in codes(mean)
    text = next(c.text for c in mean.cautions if c.code == "unscored-responses")
    assert text.startswith("3 answers")
    assert "2 items" in text


def test_a_checkpoint_of_nan_weights_counts_as_not_evaluated(simulated, codes):
    frame = simulated({(0, 1): right(4, 10), (1, 1): [nan] * 10, (2, 1): right(6, 10)})
    row = only(variance_table(frame))

    assert row.discrete.mean.value == pytest.approx(0.5)
    assert row.discrete.mean.n == 10
    assert "unscored-checkpoints" in codes(row.discrete.mean)
    assert np.isnan(row.discrete.curve.scores[1, 0])


@pytest.mark.parametrize(
    "cells",
    [
        {(0, 1): [1, nan], (1, 1): [nan, 1]},
        {(0, 1): [nan, nan], (1, 1): [nan, nan]},
    ],
)
def test_no_shared_item_leaves_nothing_to_say(simulated, cells, codes):
    row = only(variance_table(simulated(cells)))

    for estimate in row.discrete.estimates:
        assert math.isnan(estimate.value)
    assert "no-shared-items" in codes(row.discrete.mean)
    assert row.n_items == 2
    assert comparable([row])


def test_one_score_for_all_items_has_no_interval(simulated, codes):
    frame = simulated({(0, 1): [1, 1], (1, 1): [0, 0]})
    row = only(variance_table(frame))

    assert row.discrete.mean.value == 0.5
    assert math.isnan(row.discrete.mean.interval.low)
    assert codes(row.discrete.mean) == ["constant-over-items"]
    # Each checkpoint alone is all right or all wrong, and has Wilson's.
    assert row.discrete.item_half_width.value > 0

    one = only(variance_table(simulated({(0, 1): [1]}), continuous="prob_correct"))
    assert math.isnan(one.continuous.item_half_width.value)
    assert codes(one.continuous.item_half_width) == ["constant-over-items"]
    assert math.isnan(one.continuous.mean.se)


def test_checkpoints_asked_differently_are_told(worked, codes):
    more = worked[worked["step"] == 10].assign(fewshot_seed=1)
    assert codes(only(variance_table(pd.concat([worked, more])))) == ["unequal-repeats"]

    alike = pd.concat([worked, worked.assign(fewshot_seed=1)])
    assert codes(only(variance_table(alike))) == []


def test_a_task_without_a_chance_level_says_so(joined, codes):
    frame = joined(
        [
            {
                "train_seed": seed,
                "item_id": f"i{i}",
                "output_type": "loglikelihood",
                "target_logprob": -1.0 - seed - i,
                "target_is_greedy": (seed + i) % 3 == 0,
                "n_items_total": 50,
            }
            for seed in (0, 1)
            for i in range(4)
        ]
    )
    row = only(variance_table(frame))

    assert math.isnan(row.chance)
    assert row.is_partial
    assert codes(row.discrete.snr_above_chance) == ["no-chance-level"]
    # Means of -2.5 and -3.5: magnitude 3 over an SD of 1 / sqrt 2.
    assert row.continuous.snr.value == pytest.approx(3 * math.sqrt(2))
    assert row.to_dict()["chance"] is None


def test_bounded_scores_have_bounded_intervals(simulated):
    frame = simulated(
        {(seed, 1): [1] * 30 + [int(seed > 0)] for seed in range(3)},
    )

    assert only(variance_table(frame)).discrete.mean.interval.high == 1


def test_formulations_of_the_same_items_pair_up(simulated):
    def ask(n, **columns):
        return simulated({(0, 1): right(n // 2, n)}, **columns)

    frame = pd.concat(
        [
            ask(8, task="world_mc", formulation="choice"),
            ask(8, task="world_cloze", formulation="cloze"),
            ask(8, task="world_cloze", formulation="cloze", num_fewshot=5),
            ask(6, task="short", formulation="cloze"),
            ask(8, task="world_cloze", formulation="cloze", model="other"),
            ask(8, task="pairs", formulation=""),
        ]
    )

    pairs = formulation_pairs(variance_table(frame))

    assert [(a.task, b.task, b.num_fewshot, b.model) for a, b in pairs] == [
        ("world_mc", "world_cloze", 0, "m")
    ]


SETTING = [
    ("task_digest", "1a2b3c4d5e6f", "task 1a2b3c4d"),
    ("template_digest", "1a2b3c4d5e6f", "template 1a2b3c4d"),
    ("dtype", "float16", "dtype float16"),
    ("batch_size", 32, "batch size 32"),
    ("max_length", 512, "max length 512"),
    ("backend", "lm-eval 0.5", "backend lm-eval 0.5"),
]


@pytest.mark.parametrize(("column", "value", "words"), SETTING)
def test_answers_under_different_settings_are_not_pooled(
    worked, simulated, codes, column, value, words
):
    """The same checkpoints twice, once all wrong: a mean of both would be half."""
    other = simulated({cell: right(0) for cell in WORKED}, **{column: value})

    rows = variance_table(pd.concat([worked, other]))

    by_words = {row.settings: row for row in rows}
    assert len(by_words) == len(rows) == 2
    assert getattr(by_words[words], column) == value
    assert by_words[words].discrete.mean.value == 0
    (plain,) = (row for row in rows if row.settings != words)
    assert plain.discrete.mean.value == pytest.approx(0.40)
    assert plain.n_seeds == 3
    for row in rows:
        assert codes(row) == ["mixed-settings"]
        assert words.split()[0] in row.cautions[0].text
    frame = variance_frame(rows)
    assert set(frame["settings"]) == set(by_words)
    assert [row.to_dict()["settings"] for row in rows] == [*frame["settings"]]


def test_several_settings_are_told_together_and_nothing_else(worked):
    other = worked.assign(dtype="float16", batch_size=32)
    third = worked.assign(dtype="float16")

    rows = variance_table(pd.concat([worked, other, third]))

    assert [row.settings for row in rows] == [
        "dtype float16, batch size 32",
        "dtype float16, batch size 64",
        "dtype float32, batch size 64",
    ]


def test_an_unset_setting_is_one_too(worked):
    both = pd.concat([worked, worked.assign(max_length=512)])
    as_stored = both.astype({"max_length": "Int32", "dtype": "category"})

    rows = variance_table(both)

    assert comparable(rows) == comparable(variance_table(as_stored))
    assert {row.settings for row in rows} == {"max length 512", "max length unset"}


def test_settings_of_other_models_make_no_difference(worked, codes):
    rows = variance_table(
        pd.concat([worked, worked.assign(model="z", dtype="float16")])
    )

    assert [row.settings for row in rows] == ["", ""]
    assert [codes(row) for row in rows] == [[], []]


def test_generation_overrides_are_conditions_of_their_own(worked, codes):
    hot = worked.assign(generation='{"temperature": 0.7}')

    rows = variance_table(pd.concat([worked, hot]))

    assert [row.generation for row in rows] == ["", '{"temperature": 0.7}']
    assert [codes(row) for row in rows] == [[], []]
    assert variance_frame(rows)["generation"].tolist() == [r.generation for r in rows]


@pytest.mark.parametrize(("column", "value", "words"), SETTING)
def test_formulations_under_different_settings_do_not_pair(
    worked, column, value, words
):
    choice = worked.assign(task="mc", formulation="choice")
    other = choice.assign(**{column: value})

    pairs = formulation_pairs(variance_table(pd.concat([worked, choice, other])))

    # Each formulation is a task of its own, so their digests differ anyway.
    assert len(pairs) == (2 if column == "task_digest" else 1)
    assert {a.dtype for a, _ in pairs} == {"float32"}


def at(frame, hour):
    return frame.assign(finished_at=pd.Timestamp(2026, 11, 20, hour, tz="UTC"))


def test_answers_of_replaced_weights_are_left_out(worked, simulated, codes):
    """Seed 1's last two steps were overwritten: 40 right of 100 became 70."""
    cells = {(1, 100): right(60), (1, 1000): right(70)}
    new = at(simulated(cells, weights_digest="new"), 9)
    rest = at(worked, 3)

    row = only(variance_table(pd.concat([new, rest])))

    clean = rest[~((rest["train_seed"] == 1) & (rest["step"] >= 100))]
    wanted = only(variance_table(pd.concat([new, clean])))
    for a, b in zip(row.discrete.estimates, wanted.discrete.estimates, strict=True):
        assert a.value == pytest.approx(b.value)
    assert row.discrete.curve.scores[1, 3] == 0.70
    assert codes(row) == ["replaced-weights"]
    assert row.cautions[0].text == (
        "2 checkpoints were evaluated again with other weights; "
        "200 older answers are left out"
    )
    assert codes(wanted) == []


def test_the_weights_evaluated_last_count_whatever_their_digest(worked):
    for digest in ("a", "z"):
        new = at(worked.assign(weights_digest=digest, target_index=1), 9)
        row = only(variance_table(pd.concat([at(worked, 3), new])))

        assert row.discrete.mean.value == pytest.approx(0.6)


def test_weights_are_judged_by_all_tasks_of_a_checkpoint(worked, simulated, codes):
    """Task b was asked of the old weights only: at that step it has no answer."""
    old = at(worked.assign(task="b"), 3)
    new = simulated({(1, 1000): right(70)}, task="a", weights_digest="new")
    both = pd.concat([old, at(new, 9)])

    _, b = variance_table(both)
    alone = only(variance_table(both, task="b"))

    assert np.isnan(b.discrete.curve.scores[1, 3])
    assert codes(b) == ["replaced-weights", "missing-checkpoints"]
    assert comparable([alone]) == comparable([b])


def test_a_task_of_none_but_replaced_weights_keeps_its_row(worked, codes):
    old = at(worked.assign(task="b"), 3)
    new = at(worked.assign(weights_digest="new"), 9)

    b, _ = variance_table(pd.concat([old, new]))

    assert codes(b) == ["replaced-weights"]
    assert b.cautions[0].text.endswith("there is no other; run the suite again")
    for estimate in b.discrete.estimates:
        assert math.isnan(estimate.value)
    assert comparable([b])


def test_a_question_that_stands_twice_counts_twice(joined):
    """Right on the one that is there three times, wrong on the other: lm-eval's 3/4."""
    frame = joined(
        [
            {
                "item_id": "wrong" if place == 2 else "same",
                "item_index": place,
                "choice_logprobs": [-1.0, 0.0 if place == 2 else -2.0],
                "choice_chars": [1, 1],
                "choice_bytes": [1, 1],
                "choice_tokens": [1, 1],
                "target_index": 0,
                "n_items_total": 4,
            }
            for place in range(4)
        ]
    )
    row = only(variance_table(frame))

    assert row.discrete.mean.value == 0.75
    assert (row.n_items, row.discrete.mean.n, row.is_partial) == (4, 4, False)
    once = only(variance_table(frame[frame["item_index"] != 3]))
    moved = frame.assign(item_index=[3, 2, 1, 0])
    assert once.items_digest != row.items_digest
    assert only(variance_table(moved)).items_digest == row.items_digest


def test_the_spread_at_the_last_step_is_not_the_average_one(simulated, codes):
    """Seeds that agree but for the last step: .30 and .70 there, SD .2828, E half."""
    row = only(
        variance_table(
            simulated(
                {
                    (0, 1): right(50),
                    (1, 1): right(50),
                    (0, 2): right(30),
                    (1, 2): right(70),
                }
            )
        )
    )

    assert row.discrete.seed_sd_last.value == pytest.approx(math.sqrt(0.08))
    assert row.discrete.seed_sd.value == pytest.approx(math.sqrt(0.08) / 2)
    assert codes(row.discrete.seed_sd_last) == ["near-bound", "shape-of-seeds"]


def test_the_frame_has_a_row_for_each(worked, simulated):
    rows = variance_table(pd.concat([worked, simulated({(0, 1): right(3)}, model="z")]))
    frame = variance_frame(rows)

    assert frame["model"].tolist() == ["m", "z"]
    assert frame["snr_discrete"][0] == pytest.approx(40)
    assert frame["monotonicity_continuous"][0] == (
        rows[0].continuous.monotonicity.value
    )
    assert frame["cautions"].tolist()[1] == "near-the-edge one-seed one-checkpoint"
    assert np.isnan(frame["seed_sd"][1])
    assert list(variance_frame([])) == list(frame)


def test_a_row_without_likelihoods_still_has_its_columns(joined):
    frame = variance_frame(
        variance_table(
            joined(
                [
                    {
                        "item_id": "i",
                        "output_type": "generate_until",
                        "text": "a",
                        "target": "a",
                    }
                ]
            )
        )
    )

    assert frame["metric_continuous"].isna().all()
    assert frame[["snr_continuous", "monotonicity_continuous"]].isna().all(axis=None)


def test_json_holds_no_nan_and_every_null_has_a_caution(simulated):
    row = only(variance_table(simulated({(0, 1): right(3), (1, 2): right(5)})))
    document = json.loads(json.dumps(row.to_dict(), allow_nan=False))

    assert document["cautions"][0]["code"] == "missing-checkpoints"
    assert document["discrete"]["curve"]["scores"] == [[0.03, None], [None, 0.05]]
    for part in ("discrete", "continuous"):
        estimates = [v for v in document[part].values() if "value" in v]
        assert len(estimates) == 10
        for estimate in estimates:
            assert estimate["value"] is not None or estimate["cautions"]


def test_estimates_are_named_for_what_they_are(worked):
    for part in (only(variance_table(worked)).discrete,):
        for name in (
            "mean",
            "item_half_width",
            "item_se_last",
            "seed_sd",
            "seed_sd_last",
            "snr",
            "snr_above_chance",
            "monotonicity",
        ):
            estimate = getattr(part, name)
            assert isinstance(estimate, Estimate)
            assert estimate.quantity == name


def test_importing_the_statistics_is_light():
    code = (
        "import harness.stats.variance, sys;"
        "print([m for m in ('scipy', 'pandas', 'statsmodels') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"
