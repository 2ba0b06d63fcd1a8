"""Scores with their facets: which belong together, and by what they differ."""

import numpy as np
import pandas as pd
import pytest

from harness.stats.facets import FACETS, facet_scores, shared_templates
from harness.stats.tables import score_tables


@pytest.fixture
def prompted(simulated):
    """Return responses of 2 templates × 3 items × 2 repeats, and their scores."""
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 2, (2, 2, 3))  # template, repeat, item
    parts = [
        simulated(
            {(1, 10): scores[t, k]},
            template=f"template {t}",
            template_digest=f"d{t}",
            task_digest=f"t{t}",
            repeat=k,
            sampled=True,
        )
        for t in range(2)
        for k in range(2)
    ]
    return pd.concat(parts), scores.transpose(0, 2, 1)


def test_templates_stand_together(prompted):
    frame, scores = prompted
    (table,) = facet_scores(frame)

    assert table.varied == ("item", "template", "repeat")
    assert table.levels["template"] == ("template 0", "template 1")
    assert table.levels["item"] == ("i0", "i1", "i2")
    assert table.item_indexes == (0, 1, 2)
    assert table.codes.shape == (12, len(FACETS))
    np.testing.assert_array_equal(table.tensor("template", "item"), scores)
    np.testing.assert_array_equal(
        table.tensor("item"), scores.transpose(1, 0, 2).reshape(3, 4)
    )


def test_the_order_of_rows_does_not_matter(prompted):
    frame, scores = prompted
    (table,) = facet_scores(frame.sample(frac=1, random_state=1))

    np.testing.assert_array_equal(table.tensor("template", "item"), scores)


def test_missing_answers_leave_gaps_at_the_end(prompted, codes):
    frame, scores = prompted
    gone = (frame["template"] == "template 1") & (frame["item_index"] == 2)
    (table,) = facet_scores(frame[~gone | (frame["repeat"] == 1)])

    assert table.tensor("template", "item")[1, 2, 0] == scores[1, 2, 1]
    assert np.isnan(table.tensor("template", "item")[1, 2, 1])


def test_unscored_answers_are_left_out_and_told(simulated, codes):
    (table,) = facet_scores(simulated({(1, 10): [1, np.nan, 0]}))

    assert table.scores.tolist() == [1, 0]
    assert table.levels["item"] == ("i0", "i2")
    assert table.is_partial
    assert codes(table) == ["unscored-responses"]


def test_one_name_for_two_wordings_is_two_templates(prompted):
    frame, _ = prompted
    (table,) = facet_scores(frame.assign(template="same"))

    assert table.levels["template"] == ("same (t0, d0)", "same (t1, d1)")


def test_other_settings_are_not_pooled(simulated):
    frame = pd.concat(
        [
            simulated({(1, 10): [1, 0]}),
            simulated({(1, 10): [1, 1]}, dtype="float16", weights_digest="w"),
        ]
    )
    tables = facet_scores(frame)

    assert [table.settings for table in tables] == ["dtype float16", "dtype float32"]
    assert [table.scores.tolist() for table in tables] == [[1, 1], [1, 0]]


def test_each_checkpoint_by_itself(simulated):
    cells = {(1, 10): [1, 0], (1, 20): [1, 1], (2, 20): [0, 1]}
    (table,) = facet_scores(simulated(cells))
    apart = table.checkpoints()

    assert [c.levels["train_seed"] + c.levels["step"] for c in apart] == [*cells]
    assert [c.scores.tolist() for c in apart] == [*cells.values()]
    assert not apart[0].is_partial
    assert table.varied == ("item", "train_seed", "step")


def test_a_seed_without_effect_is_no_level(simulated, codes):
    cells = {(seed, 10): [1, 0, 1] for seed in (1, 2)}
    same = np.random.default_rng(1).uniform(size=3)

    class Same:
        def __init__(self):
            self.values = iter([*same, *same])

        def uniform(self, low, high):
            return low + next(self.values) * (high - low)

    frame = simulated(cells, rng=Same())
    (table,) = facet_scores(frame)

    assert table.levels["train_seed"] == (1,)
    assert codes(table) == ["identical-seeds"]


def test_answers_of_replaced_weights_do_not_count(simulated, codes):
    old, new = (
        simulated(
            {(1, 10): scores},
            weights_digest=weights,
            finished_at=pd.Timestamp(when, tz="UTC"),
        )
        for scores, weights, when in (
            ([0, 0], "old", "2026-01-01"),
            ([1, 1], "new", "2026-01-02"),
        )
    )
    (table,) = facet_scores(pd.concat([old, new]))

    assert table.scores.tolist() == [1, 1]
    assert codes(table) == ["replaced-weights"]
    assert facet_scores(pd.concat([old.assign(task="old task"), new]))[0].task == "task"


def test_what_two_trials_asked_counts_once(simulated, codes):
    """The first of them counts, in whatever order the rows come."""
    few, all_ = (
        simulated({(1, 10): scores}, finished_at=pd.Timestamp(when, tz="UTC"))
        for scores, when in (([0, 0], "2026-01-01"), ([1, 1, 1], "2026-01-02"))
    )
    for parts in ([few, all_], [all_, few]):
        (table,) = facet_scores(pd.concat(parts))

        assert table.tensor("item").tolist() == [[0], [0], [1]]
        assert table.varied == ("item",)
        assert "answered-twice" in codes(table)


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_means_are_those_of_the_table_of_scores(simulated, kind):
    rng = np.random.default_rng(5)
    cells = {(s, t): rng.integers(0, 2, 20) for s in (1, 2) for t in (10, 20, 30)}
    frame = simulated(cells, rng=rng)
    (table,), (pivot,) = facet_scores(frame, kind=kind), score_tables(frame)

    np.testing.assert_allclose(
        table.tensor("train_seed", "step", "item")[..., 0], pivot.of(kind).scores
    )
    assert table.metric == pivot.of(kind).metric
    assert table.chance == pivot.of(kind).chance


def test_tasks_without_a_continuous_metric_are_left_out(joined):
    row = {"item_id": "i", "output_type": "loglikelihood_rolling"}

    assert facet_scores(joined([row]), kind="continuous") == ()


def test_templates_carry_their_digests(prompted):
    frame, _ = prompted
    (table,) = facet_scores(frame)

    assert table.template_digests == (("t0", "d0"), ("t1", "d1"))
    second = table.only(table.of("template") == 1)
    assert second.levels["template"] == ("template 1",)
    assert second.template_digests == (("t1", "d1"),)
    assert second.items == ((0, "i0"), (1, "i1"), (2, "i2"))


def test_templates_are_shared_by_name_and_words(prompted):
    frame, _ = prompted
    other = frame.assign(model="other", weights_digest="v")
    other["template_digest"] = other["template_digest"].replace({"d0": "chat"})
    both = facet_scores(pd.concat([frame, other]))
    names, (caution,) = shared_templates(both)
    assert names == ("template 0", "template 1")
    assert caution.code == "settings-differ"
    assert "1 of 2 (template 0)" in caution.text

    other["task_digest"] = other["task_digest"].replace({"t0": "reworded"})
    names, (caution,) = shared_templates(facet_scores(pd.concat([frame, other])))
    assert names == ("template 1",)
    assert caution.code == "other-wording"

    other["template"] = "x" + other["template"]
    assert shared_templates(facet_scores(pd.concat([frame, other]))) == ((), ())
