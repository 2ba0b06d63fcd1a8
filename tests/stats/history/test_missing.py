"""Runs that should be there: nights, steps, tasks, seeds, and paces that are none."""

import datetime as dt
import json
import math
from dataclasses import replace

import pytest
from stats.history.designs import START, history

from harness.stats.history.missing import missing_runs

DAY = dt.timedelta(days=1)


def at(days, **fields):
    """Return a history by date, with points on these days."""
    one = history([0.5] * len(days), by="date", **fields)
    points = [
        replace(point, when=START + day * DAY)
        for point, day in zip(one.points, days, strict=True)
    ]
    return replace(one, points=tuple(points))


def with_steps(steps, *, seeds=(0,), **fields):
    one = history([0.5] * len(steps), **fields)
    points = [
        replace(point, step=step, train_seeds=seeds)
        for point, step in zip(one.points, steps, strict=True)
    ]
    return replace(one, points=tuple(points))


def told(*some, **options):
    (found,) = missing_runs(some, **options)
    return [(run.what, run.n, run.text) for run in found.runs]


def test_nights_that_are_missing():
    nights = at([0, 1, 2, 4, 5, 8, 9])

    assert told(nights) == [
        ("date", 1, "1 run expected from 2026-03-04 on"),
        ("date", 2, "2 runs expected from 2026-03-07 on"),
    ]
    assert missing_runs([nights])[0].pace == 1


@pytest.mark.parametrize(("days", "n"), [(3.4, 0), (4.6, 1), (7, 3)])
def test_nights_that_are_missing_since(days, n):
    found = told(at([0, 1, 2, 3]), now=START + days * DAY)

    assert [run[1] for run in found] == [n] * (n > 0)


def test_tasks_of_one_night_are_one_run():
    tasks = [at([0, 1, 2, 3]), at([0.1, 1.1, 2.1, 3.1], task="other")]

    assert told(*tasks) == []


def test_steps_that_are_missing():
    steps = with_steps([100, 200, 300, 500, 600, 700])

    assert told(steps) == [("step", 1, "1 run expected from step 400 on")]
    assert missing_runs([steps])[0].runs[0].step == 400


def test_checkpoints_that_grow_rarer_are_not_missing():
    assert told(with_steps([0, 40, 80, 160, 240, 320, 480, 640])) == []


@pytest.mark.parametrize(
    "found",
    [
        missing_runs([with_steps([1, 2, 4, 8, 16, 32, 64])]),
        missing_runs([with_steps([1, 2])]),
        missing_runs([at([0, 1])], now=START + 9 * DAY),
        missing_runs([at([0, 0.6, 3, 9, 10, 30])]),
    ],
)
def test_where_there_is_no_pace_nothing_is_missing(found):
    assert found[0].runs == ()
    assert math.isnan(found[0].pace)
    assert [caution.code for caution in found[0].cautions] == ["no-pace"]


def test_tasks_that_some_checkpoints_lack():
    whole = with_steps([100, 200, 300, 400, 500])
    other = with_steps([500], task="other", formulation="choice")

    assert told(whole, other) == [
        (
            "task",
            4,
            "other choice default is missing at step 100, step 200, step 300 and "
            "1 more",
        )
    ]


def test_seeds_that_some_checkpoints_lack():
    some = with_steps([100, 200, 300, 400], seeds=(0, 1))
    last = replace(some.points[3], train_seeds=(0,))
    found = replace(some, points=(*some.points[:3], last))

    assert told(found) == [("seed", 1, "training seed 1 is missing at step 400")]


def test_a_checkpoint_without_a_step_can_lack_a_task():
    whole, other = with_steps([None, 100]), with_steps([100], task="other")

    assert told(whole, other)[0][2] == "other default is missing at no step"


def test_each_model_for_itself_and_as_json():
    found = missing_runs(
        [with_steps([1, 2, 3, 5, 6]), with_steps([1, 2, 3, 4], model="b")]
    )
    documents = json.loads(json.dumps([one.to_dict() for one in found]))

    assert [len(one["runs"]) for one in documents] == [1, 0]
    assert documents[0]["runs"][0]["expected"] is None
    assert missing_runs([at([0, 1, 2, 4])])[0].to_dict()["runs"][0]["expected"] == (
        "2026-03-04T02:00:00+00:00"
    )
