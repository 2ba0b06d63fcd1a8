"""Points of a history: which answers count, by step and by date, and what changed."""

import datetime as dt
import math

import numpy as np
import pytest
from stats.history.designs import START, frame, night

from harness.errors import DesignError, SchemaError
from harness.stats.history.points import histories

nan = math.nan


def codes(history):
    return [caution.code for caution in history.cautions]


def means(history):
    return history.means.tolist()


def steps(history):
    return [point.step for point in history.points]


# ---- by step ---------------------------------------------------------------------


def test_a_point_for_each_step_in_their_order():
    (found,) = histories(
        frame(
            night([1, 1, 0, 1], step=200, day=0),
            night([1, 0, 0, 0], step=100, day=1),
            night([1, 1, 1, 1], step=None, day=2),
        )
    )

    assert steps(found) == [None, 100, 200]
    assert means(found) == [1, 0.25, 0.75]
    assert found.scores.tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 1]]
    assert found.points[2].se_items == pytest.approx(0.25)
    assert found.points[1].when == START + dt.timedelta(days=1)
    assert found.points[1].n_items == 4
    assert [point.place for point in found.points] == [0, 1, 2]
    assert [point.label for point in found.points] == [
        "2026-03-03",
        "step 100",
        "step 200",
    ]
    assert not found.is_partial


def test_seeds_and_repeats_are_pooled_as_their_mean():
    (found,) = histories(
        frame(
            night([1, 1], step=1, seed=0),
            night([0, 0], step=1, seed=1),
            night([1, 0], step=1, seed=1, repeat=1),
            night([1, 1], step=2, seed=0),
            night([1, 0], step=2, seed=1),
        )
    )

    assert found.train_seeds == (0, 1)
    assert found.seed_scores.tolist() == [[1, 0.25], [1, 0.5]]
    assert found.run_scores[0].tolist()[1] == [0, 0.5]
    assert math.isnan(found.run_scores[1, 0, 1])
    assert found.scores.tolist() == [[0.75, 0.5], [1, 0.5]]
    assert means(found) == [0.625, 0.75]
    assert found.points[0].train_seeds == (0, 1)
    assert codes(found) == []


def test_points_of_other_seeds_are_told():
    (found,) = histories(
        frame(
            night([1, 1], step=1, seed=0),
            night([1, 0], step=1, seed=1),
            night([1, 1], step=2, seed=0),
        )
    )

    assert codes(found) == ["unequal-seeds"]
    assert found.points[1].train_seeds == (0,)
    assert found.weights.tolist()[1][1] == -1


def test_of_weights_since_replaced_the_last_count():
    (found,) = histories(
        frame(
            night([0, 0], step=1, day=0, weights_digest="old"),
            night([1, 1], step=1, day=1, weights_digest="new"),
            night([1, 0], step=2, day=0),
        )
    )

    assert means(found) == [1, 0.5]
    assert codes(found) == ["replaced-points"]


def test_of_settings_those_evaluated_last_count_and_what_changed_is_told():
    (found,) = histories(
        frame(
            night([0, 0], step=1, day=0),
            night([1, 1], step=2, day=0),
            night([1, 0], step=2, day=1, dtype="float16", task_digest="other"),
        )
    )

    assert means(found) == [0, 0.5]
    assert [str(change) for change in found.points[1].changes] == [
        "task: 01234567 → other",
        "dtype: float32 → float16",
    ]
    assert found.points[0].changes == ()
    assert codes(found) == ["replaced-points"]


def test_versions_of_packages_are_settings_too():
    first, second = night([1], step=1), night([1], step=2)
    versions = {
        first[0]["attempt_id"]: {"torch": "2.8.0", "lm-eval": "0.4.9"},
        second[0]["attempt_id"]: {"torch": "2.9.1", "lm-eval": "0.4.9"},
    }
    (found,) = histories(frame(first, second), versions=versions)

    assert [str(c) for c in found.points[1].changes] == ["torch: 2.8.0 → 2.9.1"]
    assert found.to_frame()["changes"].tolist() == ["", "torch: 2.8.0 → 2.9.1"]


# ---- by date ---------------------------------------------------------------------


def test_by_date_a_checkpoint_has_a_point_for_each_evaluation():
    trials = [
        night([1, 1], step=1, day=0),
        night([1, 0], step=1, day=1, sample_seed=1),
        night([0, 0], step=2, day=0.5),
    ]
    (found,) = histories(frame(*trials), by="date")

    assert steps(found) == [1, 2, 1]
    assert means(found) == [1, 0, 0.5]
    assert found.weights[:, 0].tolist() == [0, 1, 0]
    assert found.by == "date"


def test_a_night_may_go_past_midnight():
    late = dt.datetime(2026, 3, 1, 23, 50, tzinfo=dt.UTC)
    trials = [
        night([1, 1], step=1, seed=0, finished_at=late),
        night([0, 0], step=1, seed=1, finished_at=late + dt.timedelta(hours=2)),
        night([1, 0], step=1, seed=0, finished_at=late + dt.timedelta(hours=24)),
        night([1, 0], step=1, seed=1, finished_at=late + dt.timedelta(hours=26)),
    ]
    (found,) = histories(frame(*trials), by="date")

    assert means(found) == [0.5, 0.5]
    assert [point.when.day for point in found.points] == [2, 3]


def test_new_weights_under_an_old_name_are_a_point_of_their_own():
    trials = [
        night([1, 1], step=None, day=0, weights_digest="a"),
        night([0, 0], step=None, day=0.2, weights_digest="b"),
        night([0, 1], step=None, day=0.3, weights_digest="b", repeat=1),
    ]
    (found,) = histories(frame(*trials), by="date")

    assert means(found) == [1, 0.25]
    assert [point.label for point in found.points] == ["2026-03-01"] * 2
    assert codes(found) == []


def test_answers_without_a_date_have_no_place_by_date():
    trials = [night([1, 1], step=1, finished_at=None), night([1, 0], step=2, day=1)]
    (dated,) = histories(frame(*trials), by="date")
    (stepped,) = histories(frame(*trials))

    assert steps(dated) == [2]
    assert codes(dated) == ["undated"]
    assert steps(stepped) == [1, 2]
    assert stepped.points[0].when is None
    assert stepped.to_dict()["points"][0]["when"] is None


def test_a_point_without_step_and_date_has_a_name_all_the_same():
    (found,) = histories(frame(night([1, 1], step=None, finished_at=None)))

    assert found.points[0].label == "no step"


def test_nothing_is_left_where_nothing_has_a_date():
    assert histories(frame(night([1], step=1, finished_at=None)), by="date") == ()


# ---- items -----------------------------------------------------------------------


def test_scores_are_of_the_items_that_all_points_share():
    (found,) = histories(
        frame(
            night([1, 1, 0, 1], step=1),
            night([1, nan, 0, 0], step=2),
            night([1, 1, 0, 0, 1], step=3),
        )
    )

    assert found.item_indexes == (0, 2, 3)
    assert means(found) == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    assert codes(found) == ["items-not-shared", "partial-run"]


def test_points_of_other_items_are_left_out():
    (found,) = histories(
        frame(
            night([1, 1], step=1, n_items_total=6),
            night([1, 1, 0, 1, 1, 0], step=2),
            night([1, 0, 0, 0, 1, 1], step=3),
        )
    )

    assert steps(found) == [2, 3]
    assert codes(found) == ["other-points"]
    assert found.points[1].place == 1


def test_where_no_item_is_shared_there_is_no_score():
    (found,) = histories(
        frame(
            night([1, nan, 1, nan], step=1),
            night([nan, 1, nan, 1], step=2),
        )
    )

    assert found.item_indexes == ()
    assert np.isnan(found.means).all()


def test_what_could_not_be_scored_at_all_has_no_history():
    trials = frame(night([nan, nan], step=1), night([1, 0], step=1, task="other"))

    assert [found.task for found in histories(trials)] == ["other"]


# ---- which -----------------------------------------------------------------------


def test_a_history_for_each_model_and_condition():
    trials = frame(
        night([1, 0], step=1),
        night([1, 0], step=1, model="b"),
        night([1, 0], step=1, num_fewshot=3),
        night([1, 0], step=1, task="other"),
    )
    found = histories(trials)

    assert [(one.model, one.task, one.num_fewshot) for one in found] == [
        ("b", "task", 0),
        ("m", "other", 0),
        ("m", "task", 0),
        ("m", "task", 3),
    ]
    assert len(histories(trials, model="b")) == 1
    assert len(histories(trials, task="other")) == 1
    assert len(histories(trials, formulation="")) == 4


def test_only_the_last_points():
    trials = [night([1, k % 2], step=k) for k in range(6)]
    (found,) = histories(frame(*trials), last=2)

    assert steps(found) == [4, 5]
    assert found.points[0].changes == ()


def test_another_metric_and_none():
    trials = frame(
        *[
            night([1, 0], step=k, metrics=[("other,none", 0.25), ("f1,none", 1.0)])
            for k in (1, 2)
        ]
    )

    assert means(histories(trials, metric="f1")[0]) == [1, 1]
    assert means(histories(trials)[0]) == [0.25, 0.25]
    assert histories(trials, kind="continuous") == ()
    rolling = frame(night([1], step=1, output_type="loglikelihood_rolling"))
    assert histories(rolling, kind="continuous") == ()
    with pytest.raises(DesignError) as caught:
        histories(trials, metric="nothing")
    assert caught.value.code == "unknown-metric"


def test_attempts_may_stand_in_any_order():
    trials = [night([k % 2, 1, 0], step=k % 3, seed=k // 3, day=k) for k in range(6)]
    whole = frame(*trials)
    mixed = whole.sample(frac=1, random_state=1)

    for by in ("step", "date"):
        (one,), (other,) = histories(whole, by=by), histories(mixed, by=by)
        assert one.to_dict() == other.to_dict()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"last": 0}, "bad-n-last"),
        ({"task": "none"}, "no-responses"),
        ({"by": "week"}, "unknown-method"),
    ],
)
def test_what_cannot_be_asked(options, code):
    with pytest.raises(DesignError) as caught:
        histories(frame(night([1], step=1)), **options)

    assert caught.value.code == code


def test_a_table_of_something_else_is_refused():
    with pytest.raises(SchemaError):
        histories(frame(night([1], step=1)).drop(columns="item_id"))


# ---- which way is better, and clusters -------------------------------------------


def test_of_an_error_rate_more_is_a_loss():
    def rate(errors, **columns):
        rows = night(errors, **columns)
        return [
            {**row, "metrics": [("wer,none", score)]}
            for row, score in zip(rows, errors, strict=True)
        ]

    (found,) = histories(
        frame(rate([0.25, 0.25], step=1), rate([0.5, 0.25], step=2)), metric="wer,none"
    )

    assert means(found) == [-0.25, -0.375]
    assert found.metric == "wer,none (negated: less is better)"
    assert codes(found) == ["negated"]


def test_items_in_clusters_have_their_standard_error():
    """Two clusters of two, both residuals of one sign: CR1 by hand."""
    rows = night([1, 1, 0, 0], step=1)
    named = [{**row, "cluster": "ab"[i // 2]} for i, row in enumerate(rows)]
    part = [{**row, "cluster": "a" if i < 2 else None} for i, row in enumerate(rows)]
    (alone,), (together,), (partly,) = (
        histories(frame(some)) for some in (rows, named, part)
    )

    assert alone.clusters is None
    assert alone.points[0].se_items == pytest.approx(math.sqrt(1 / 12))
    assert together.clusters.tolist() == [0, 0, 1, 1]
    assert together.points[0].se_items == pytest.approx(math.sqrt(2 / 16 * 2))
    assert partly.clusters.tolist() == [0, 0, 1, 2]
    assert partly.points[0].se_items == pytest.approx(
        math.sqrt((1 + 0.25 + 0.25) / 16 * 3 / 2)
    )
