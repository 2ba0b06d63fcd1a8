"""What broke: new, known, acknowledged, over; and what a history's table says."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from stats.history.designs import history

from harness.errors import DesignError
from harness.stats.clusters import clustered_se
from harness.stats.history.regressions import to_frame
from harness.stats.history.table import history_table
from harness.stats.pairs import paired_difference


def course(*levels, sd=0.004, seed=1, **fields):
    """Return a history of (level, number of points)."""
    rng = np.random.default_rng(seed)
    level = np.concatenate([np.full(n, float(value)) for value, n in levels])
    return history(level + sd * rng.standard_normal(len(level)), **fields)


def row_of(one, **options):
    (row,), refused = history_table([one], **({"trend": "none"} | options))

    assert refused == ()
    return row


def broken(one, **options):
    return row_of(one, **options).regressions


def codes(found):
    return [caution.code for caution in found.cautions]


# ---- what broke ------------------------------------------------------------------


def test_a_quiet_history_is_on_course():
    row = row_of(course((0.7, 12)))

    assert row.state == "on course"
    assert row.last_is == "inside"
    assert row.regressions == ()
    assert not row.change.steps


def test_a_last_point_far_below_is_new_and_not_yet_confirmed():
    one = course((0.7, 10), (0.5, 1))
    row = row_of(one)
    (found,) = row.regressions

    assert row.state == found.state == "new"
    assert row.last_is == "below"
    assert not found.is_confirmed
    assert found.is_active
    assert (found.first_bad.place, found.last_good.place) == (10, 9)
    assert found.age == 1
    assert found.days == 0
    assert found.size.value == pytest.approx(-0.2, abs=0.01)
    assert found.p_value < 1e-4
    assert found.task == "task"


def test_a_loss_at_items_in_clusters_is_as_sure_as_these():
    one = course((0.7, 10), (0.5, 2), n_items=100)
    rng = np.random.default_rng(2)
    scores = one.scores + np.repeat(rng.normal(0, 0.1, (12, 10)), 10, axis=1)
    clusters = np.repeat(np.arange(10), 10)
    alone, together = (
        broken(replace(one, scores=scores, clusters=codes))[0].difference
        for codes in (None, clusters)
    )
    of_items = scores[10:].mean(0) - scores[:10].mean(0)
    expected = clustered_se(of_items, clusters, kind="cr1")

    assert together.value == alone.value
    assert together.se == pytest.approx(float(expected))
    assert together.se > 1.5 * alone.se


def test_the_second_point_confirms_it_and_it_is_still_new():
    (found,) = broken(course((0.7, 10), (0.5, 2)))

    assert found.state == "new"
    assert found.is_confirmed
    assert found.first_bad.place == 10
    assert found.between == (found.first_bad, found.first_bad)
    assert found.age == 2
    assert found.days == 1


def test_the_third_point_makes_it_known():
    (found,) = broken(course((0.7, 10), (0.5, 3)))

    assert found.state == "known"
    assert found.current.place == 12
    assert found.best.score > 0.69
    assert found.best.place < 10


def test_the_size_is_paired_over_items():
    one = course((0.7, 10), (0.5, 3))
    (found,) = broken(one)
    scores = one.scores
    expected = paired_difference(scores[10:].mean(0), scores[:10].mean(0)).difference

    assert found.difference == expected
    assert found.difference.n == 100
    assert broken(one, confidence_level=0.5)[0].difference.interval != (
        found.difference.interval
    )


def test_what_somebody_knows_is_acknowledged_and_still_there():
    one = course((0.7, 10), (0.5, 3))
    asked = []

    def is_acknowledged(task, model):
        asked.append((task, model))
        return True

    row = row_of(one, is_acknowledged=is_acknowledged)

    assert asked == [("task", "m")]
    assert row.state == "acknowledged"
    assert row.regressions[0].is_active
    assert (
        row_of(course((0.7, 10), (0.5, 1)), is_acknowledged=is_acknowledged).state
        == "acknowledged"
    )


def test_it_is_over_when_the_level_is_back():
    row = row_of(course((0.7, 10), (0.5, 4), (0.7, 3)))
    (found,) = row.regressions

    assert row.state == found.state == "recovered"
    assert not found.is_active
    assert [step.size.value > 0 for step in row.change.steps] == [False, True]


def test_it_is_not_over_when_half_of_it_is_back():
    (found,) = broken(course((0.7, 10), (0.5, 4), (0.6, 4)))

    assert found.state == "known"


def test_a_second_loss_does_not_end_the_first():
    found = broken(course((0.8, 8), (0.6, 6), (0.5, 4)))

    assert [one.state for one in found] == ["known", "known"]
    assert [one.first_bad.place for one in found] == [8, 14]


def test_a_night_that_failed_is_over_and_no_step():
    one = course((0.7, 9), (0.2, 1), (0.7, 3))
    row = row_of(one)
    (found,) = row.regressions

    assert row.change.steps == ()
    assert row.state == found.state == "recovered"
    assert not found.is_confirmed
    assert (found.last_good.place, found.first_bad.place) == (8, 9)
    assert found.size.value == pytest.approx(-0.5, abs=0.02)
    assert found.size.interval.low < found.size.value < found.size.interval.high
    assert row.expected.interval.low > 0.6


@pytest.mark.parametrize(
    "levels",
    [
        [(0.7, 10), (0.9, 3)],
        [(0.7, 9), (0.95, 1), (0.7, 3)],
        [(0.7, 10), (0.9, 1)],
        [(0.2, 1), (0.7, 10)],
    ],
)
def test_a_gain_and_a_first_point_that_is_low_are_no_regressions(levels):
    row = row_of(course(*levels))

    assert row.regressions == ()
    assert row.state in ("improved", "on course")


def test_a_smaller_gain_is_no_loss():
    means = np.concatenate([0.05 * np.arange(10), 0.45 + 0.02 * np.arange(1, 6)])
    rng = np.random.default_rng(1)
    rising = history(means + 0.002 * rng.standard_normal(15))

    assert broken(rising, trend="linear") == ()

    falling = history(
        np.append(0.05 * np.arange(10), [0.2, 0.25, 0.3])
        + 0.002 * rng.standard_normal(13)
    )
    assert [one.first_bad.place for one in broken(falling, trend="linear")] == [10]


def test_a_slower_last_point_is_no_loss():
    rng = np.random.default_rng(2)
    means = 0.05 * np.arange(11) + 0.002 * rng.standard_normal(11)
    means[10] = means[9] + 0.01

    row = row_of(history(means), trend="linear")
    assert row.last_is == "below"
    assert row.regressions == ()

    means[10] = means[9] - 0.05
    assert len(broken(history(means), trend="linear")) == 1


def test_quiet_nights_raise_no_alarm_too_often():
    rng = np.random.default_rng(8)
    nights = [history(0.7 + 0.01 * rng.standard_normal(15)) for _ in range(1500)]
    rows, _ = history_table(nights, trend="none")
    states = [row.state for row in rows]

    # Half of 5 % are below by chance, and 1 % makes a step; 3.5 % of 3,000 elsewhere.
    assert np.mean([state == "new" for state in states]) < 0.05
    assert np.mean([state == "on course" for state in states]) > 0.9


# ---- the table -------------------------------------------------------------------


def test_few_points_are_told_and_nothing_is_made_of_them():
    row = row_of(course((0.7, 3), (0.2, 1)))

    assert row.state == "too few points"
    assert "few-points" in codes(row)
    assert row.last_is == "unknown"


def test_by_step_levels_slope_and_by_date_they_do_not():
    rising = 0.02 * np.arange(15) + 0.002 * np.random.default_rng(1).standard_normal(15)
    (stepped,), _ = history_table([history(rising)])
    (dated,), _ = history_table([history(rising, by="date")])

    assert stepped.state == "on course"
    assert stepped.change.slope > 0.015
    assert dated.change.slope == 0
    assert dated.state == "improved"


def test_options_change_what_is_said():
    one = course((0.7, 12), (0.69, 8), sd=0.004, seed=3)

    assert row_of(one, false_alarms=0.2).change.steps
    assert not row_of(one, false_alarms=0.001).change.steps
    quiet = course((0.7, 20))
    assert row_of(quiet, last_n=5).expected.n == 5
    assert row_of(quiet, last_n=5).noise.last_n == 5


def test_no_item_at_every_point_is_refused():
    one = course((0.7, 6), item_indexes=(), n_items=0)
    rows, refused = history_table([one])

    assert rows == ()
    assert refused[0][1].code == "items-differ"


def test_histories_together_say_what_they_say_alone():
    some = [course((0.7, n), (0.5, 3), seed=n) for n in (4, 8, 12)]
    rows, _ = history_table(some, trend="none")

    for one, row in zip(some, rows, strict=True):
        assert [r.first_bad.place for r in row.regressions] == [
            r.first_bad.place for r in broken(one)
        ]


def test_a_row_as_json_and_regressions_as_a_frame():
    row = row_of(course((0.7, 10), (0.5, 3)))
    document = json.loads(json.dumps(row.to_dict(), allow_nan=False))

    assert document["state"] == "known"
    assert document["regressions"][0]["first_bad"]["label"] == "step 1000"
    assert document["regressions"][0]["days"] == 2
    assert document["change"]["steps"][0]["place"] == 10
    assert to_frame(row.regressions)["first_bad"].tolist() == ["step 1000"]


def test_without_dates_an_age_is_in_points_only():
    one = course((0.7, 10), (0.5, 3))
    points = [
        type(p)(**{n: getattr(p, n) for n in p.__slots__} | {"when": None})
        for p in one.points
    ]
    undated = history(one.means, points=tuple(points))
    (found,) = broken(undated)

    assert math.isnan(found.days)
    assert found.to_dict()["days"] is None
    assert found.age == 3


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"last_n": 1}, "bad-n-last"),
        ({"confidence_level": 2}, "bad-confidence-level"),
        ({"false_alarms": 0}, "bad-share"),
    ],
)
def test_what_cannot_be_asked(options, code):
    with pytest.raises(DesignError) as caught:
        history_table([course((0.7, 6))], **options)

    assert caught.value.code == code


def test_57_tasks_of_200_points_are_quick():
    import time

    some = [course((0.7, 120), (0.6, 80), seed=s) for s in range(57)]
    history_table(some[:1])
    begin = time.perf_counter()
    history_table(some)

    # Half a second alone on two cores; others may be at work beside.
    assert time.perf_counter() - begin < 5
