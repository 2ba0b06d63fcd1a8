"""What broke, as text: states, small curves, what acknowledges it, what is missing."""

import datetime as dt
import re

import numpy as np
import pytest
from report.conftest import Simulated
from report.reading import figures_in

from harness.report.page import page_of, render
from harness.report.views.regressions import regressions_section, states
from harness.stats.history.missing import Missing, MissingRun
from harness.stats.history.points import Change, History, Point
from harness.stats.history.table import history_table

HOSTILE = "<b>evil</b></script><script>alert(1)</script>"


def history(task, levels, *, model="m", n_items=200, changes=()):
    """Return a history whose points lie at these levels, by date."""
    rng = np.random.default_rng(len(task))
    difficulty = rng.random(n_items)
    scores = (difficulty < np.asarray(levels)[:, None]).astype(float)
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    points = tuple(
        Point(
            place=k,
            model=model,
            when=start + dt.timedelta(days=k),
            step=100 * k,
            train_seeds=(0,),
            score=float(row.mean()),
            se_items=0.03,
            n_items=n_items,
            changes=changes if k == 3 else (),
        )
        for k, row in enumerate(scores)
    )
    return History(
        model=model,
        task=task,
        formulation="",
        num_fewshot=0,
        template="default",
        generation="",
        metric="acc",
        by="date",
        points=points,
        train_seeds=(0,),
        scores=scores,
        seed_scores=scores.mean(1)[:, None],
        run_scores=scores.mean(1)[:, None, None],
        weights=np.arange(len(points))[:, None],
        item_indexes=tuple(range(n_items)),
        n_items_total=n_items,
        chance=0.25,
    )


def wobble(n, level, seed=0):
    """Return quiet levels."""
    return list(np.random.default_rng(seed).normal(level, 0.01, n))


def courses(task="boolq"):
    """Return the courses of a quiet, a broken and a mended task."""
    changed = (Change(what="dtype", before="float16", after="bfloat16"),)
    some = [
        history("arc_easy", wobble(12, 0.6), changes=changed),
        history(task, wobble(8, 0.7) + wobble(4, 0.5, 1)),
        history("piqa", wobble(6, 0.7) + wobble(4, 0.5, 1) + wobble(5, 0.7, 2)),
    ]
    rows, _ = history_table(some)
    return rows


def shown(rows, **more):
    return page_of([regressions_section(rows, **more)], title="t", kind="k")


@pytest.fixture(scope="module")
def html():
    return shown(courses())


def lines_of(html):
    table = html.partition('<table id="regressions-table"')[2].partition("</table>")[0]
    return re.findall(r"<tr[^>]*>.*?</tr>", table.partition("<tbody>")[2], re.DOTALL)


def test_what_broke_stands_first_with_its_state(html):
    found = [re.search('data-state="([^"]*)"', line)[1] for line in lines_of(html)]

    assert found == ["known", "recovered", "on course"]
    assert states(courses()) == ("known", "recovered", "on course")
    assert "▼ known regression since step 800" in html
    assert "4 points" in lines_of(html)[0]


def test_each_course_has_a_small_curve_with_its_words(html):
    first = lines_of(html)[0]

    assert first.count("<polyline") == 3
    assert 'class="bad"' in first
    assert re.search(
        r'role="img" aria-label="0\.\d+ at step 0 to .* first bad step 800"', first
    )
    assert 'class="bad"' not in lines_of(html)[2]
    assert 'class="changed"' in lines_of(html)[2]
    xs = [float(x) for x in re.findall(r"([\d.]+),[\d.]+ ", first)]
    assert 0 <= min(xs) < max(xs) <= 150


def test_only_what_is_active_is_to_be_acknowledged(html):
    commands = re.findall(r'<code class="command">([^<]*)</code>', html)

    assert commands == [
        "evalvar ack STORE boolq --model m --until YYYY-MM-DD --reason &#34;…&#34;"
    ]


def test_changes_of_settings_are_told(html):
    assert "m, step 300: dtype: float16 → bfloat16 (arc_easy)" in html


def test_missing_runs_are_told():
    run = MissingRun(
        what="date",
        model="m",
        task="",
        step=None,
        train_seed=None,
        expected=None,
        n=1,
        text="no run of m on 2026-01-09",
    )
    lacking = Missing(model="m", by="date", pace=1.0, runs=(run,))

    assert "no run of m on 2026-01-09" in shown(courses(), missing=(lacking,))


def test_points_are_in_a_table_of_their_own(html):
    table = html.partition('<table id="regression-points-table"')[2]

    assert table.partition("</table>")[0].count("<tr data-task") == 12 + 12 + 15


def test_many_points_leave_quiet_courses_out():
    rows = courses() * 30
    html = shown(rows)
    table = html.partition('<table id="regression-points-table"')[2]

    assert "evalvar history STORE --format csv" in html
    assert table.partition("</table>")[0].count("<tr data-task") == 30 * (12 + 15)


def test_hostile_tasks_are_text_and_no_commands():
    html = shown(courses(task=f"{HOSTILE}; rm -rf /"))

    assert "<b>evil" not in html
    assert html.count("<script") == 4
    assert "ack STORE &#39;&lt;b&gt;" in html


def test_no_history_names_the_commands():
    assert "<code>evalvar history STORE</code>" in shown(())


def test_a_report_has_comparison_and_courses(zoo):
    html = render(zoo)
    names = re.findall(r'<li><a href="#([^"]+)">', html)

    assert names[1:6] == ["scoreboard", "differences", "flips", "regressions", "trend"]
    assert {"difference-forest", "flip-bars"} <= set(figures_in(html))
    board = html.partition('<table id="scoreboard-table"')[2].partition("</table>")[0]
    assert "rank 1" in board


def test_one_model_has_nothing_to_compare(little):
    assert "Fewer than two models were evaluated" in render(little)


def test_an_acknowledged_loss_is_so_as_of_the_last_trial():
    from harness.marks import Mark, Marks
    from harness.report.gather import gather

    simulated = Simulated()
    for k in range(12):
        simulated.task("t", seeds=(0,), steps=(100 + k,), n_items=80, learns=k < 10)
    mark = Mark(
        mark_id="1",
        kind="acknowledged",
        name="",
        model=None,
        step=None,
        task="t",
        reason="known",
        until=dt.date(2026, 11, 20),
        author=None,
        set_at=dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
    )
    data = gather(
        simulated.responses, simulated.attempts, title="t", marks=Marks((mark,))
    )

    (row,) = data.courses
    assert [one.state for one in row.regressions] == ["acknowledged"]


def test_trends_mark_the_first_bad_step_and_changed_settings(simulated):
    for k in range(12):
        simulated.task(
            "t",
            seeds=(0,),
            steps=(100 + k,),
            n_items=80,
            learns=k < 10,
            dtype="float32" if k else "float16",
        )
    data = simulated.data()
    marks = {
        trace["name"]: trace["x"]
        for figure in figures_in(render(data)).values()
        for trace in figure["data"]
        if trace.get("meta", {}).get("part") == "mark"
    }

    assert marks == {"▼ first bad point": [110], "◇ a setting changed": [101]}


def test_courses_that_are_too_short_say_so():
    short, _ = history_table([history("a", wobble(2, 0.5))])
    long, _ = history_table([history("b", wobble(12, 0.5))])

    assert "No course has enough points" in shown(short)
    assert "list more steps" in shown(short)
    assert "Nothing broke in 1 course; 1 more too short to tell." in shown(
        (*short, *long)
    )
