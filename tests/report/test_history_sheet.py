"""The sheet of histories: what each cell and sentence says, and where lists end."""

import datetime as dt

import numpy as np
import pytest
from stats.history.designs import history

from harness.marks import Mark
from harness.report.sheets.history import history_sheet, marks_sheet, missing_sheet
from harness.report.sheets.sheet import as_text, markup
from harness.stats.history.missing import missing_runs
from harness.stats.history.points import Change
from harness.stats.history.table import history_table


def noisy(*levels, sd=0.01, seed=1, **fields):
    rng = np.random.default_rng(seed)
    means = np.concatenate([np.full(n, float(level)) for level, n in levels])
    return history(means + sd * rng.standard_normal(len(means)), **fields)


def sheet_of(*some):
    rows, refused = history_table(some, trend="none")
    return history_sheet(rows, refused)


def test_of_many_steps_the_last_are_shown():
    one = noisy((0.2, 8), (0.5, 8), (0.3, 8), (0.7, 8), sd=0.001, seed=3)
    ((_, (cells,)),) = sheet_of(one).parts

    assert cells[6] == "… −0.200 at step 1600, +0.400 at step 2400"
    assert cells[10] == "↺ recovered"


def test_where_a_loss_began_is_told_as_a_range():
    (sentence,) = sheet_of(noisy((0.5, 12), (0.47, 12), sd=0.012, seed=3)).sentences

    assert sentence.startswith(
        "m · task: ▼ known regression since step 1200 (between step 1000 and step 1300)"
    )
    assert sentence.endswith("over 100 items, after step 1100; 12 points so far.")


@pytest.mark.parametrize("n", [3, 25])
def test_what_changed_is_told_once_for_all_tasks_and_lists_end(n):
    one = noisy((0.5, n + 1))
    for point in one.points[1:]:
        object.__setattr__(
            point, "changes", (Change(what="torch", before="2.8", after="2.9"),)
        )
    tasks = [history(one.means, task=f"t{k}", points=one.points) for k in range(5)]
    remarks = sheet_of(*tasks).remarks

    assert remarks[0] == "◇ m step 100: torch: 2.8 → 2.9 (t0, t1, t2 and 2 more)"
    assert len(remarks) == min(n, 21)
    assert ("… and 5 more changes of settings" in remarks) is (n == 25)


def test_a_task_without_shared_items_is_told():
    (remark,) = sheet_of(noisy((0.5, 6), item_indexes=(), n_items=0)).remarks

    assert remark.startswith("task: no item of task has a score at all 6 points")
    assert remark.endswith("[items-differ]")
    assert sheet_of().sentences == ()


def test_paces_and_why_there_is_none():
    text = as_text(missing_sheet(missing_runs([noisy((0.5, 2))])))

    assert "m: no pace ¹" in text
    assert "[no-pace]" in text
    assert "m: a checkpoint every 100 steps" in as_text(
        missing_sheet(missing_runs([noisy((0.5, 6))]))
    )


def test_a_mark_in_full():
    mark = Mark(
        mark_id="1",
        kind="acknowledged",
        name="",
        model=None,
        step=None,
        task="t",
        reason="known",
        until=dt.date(2026, 12, 31),
        author=None,
        set_at=dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
    )
    sheet = marks_sheet([mark])

    ((_, (cells,)),) = sheet.parts
    assert cells[2:] == ("all models", "t", "2026-11-01", "unknown", *cells[6:])
    assert cells[6:] == ("2026-12-31", "known")
    assert markup(sheet, "csv").splitlines()[1].endswith("2026-11-01T00:00:00+00:00")
