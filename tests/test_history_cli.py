"""Histories and marks on the command line: a loss that is told, known and over."""

import datetime as dt
import json
import sys

import numpy as np
import pyarrow as pa
import pytest
from stats.history.designs import night

from harness import cli
from harness.frames import RESPONSES, TRIALS
from harness.store import Store

DROP, BACK = 8, 12
"""Places of the points at which the loss begins and ends."""


NOTHING = "nothing-stored"


@pytest.fixture
def evalvar(monkeypatch, capfd):
    """Run a command in this process; returns its exit status, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["evalvar", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capfd.readouterr()

    return run


def stored(path, n_points, **columns):
    """Store nights of a task that loses a fifth of its items at one of them."""
    rng = np.random.default_rng(3)
    trials, responses = [], []
    for k in range(n_points):
        n_right = 140 - 40 * (DROP <= k < BACK) + int(rng.integers(-2, 3))
        rows = night(
            [float(i < n_right) for i in range(200)], step=100 * k, day=k, **columns
        )
        trials.append(
            {name: rows[0].get(name) for name in TRIALS.names}
            | {
                "status": "done",
                "repeats": 1,
                "n_items": 200,
                "versions": [("torch", "2.9" if k > 5 else "2.8")],
            }
        )
        own = [{name: row.get(name) for name in RESPONSES.names} for row in rows]
        responses.append(pa.Table.from_pylist(own, schema=RESPONSES))
    Store.create(path).append(pa.Table.from_pylist(trials, schema=TRIALS), responses)
    return path


@pytest.fixture
def lost(tmp_path):
    """A store whose last three points lie low."""
    return stored(tmp_path / "store", DROP + 3)


def test_a_loss_is_told_with_what_changed(evalvar, lost):
    status, out, _ = evalvar("history", lost, "--by", "date")

    assert status == 0
    assert "▼ known regression" in out
    assert "◇ m step 600: torch: 2.8 → 2.9 (task)" in out
    assert (
        "m · task: ▼ known regression since step 800 of 2026-03-09, −0.208 [−0.268, "
        "−0.156] over 200 items, after step 700; 3 points so far." in out
    )


def test_numbers_in_full_as_csv(evalvar, lost):
    _, points, _ = evalvar("history", lost, "--by", "date", "--format", "csv")
    _, nothing, _ = evalvar("history", lost, "--missing", "--format", "csv")
    header, *rows = points.splitlines()
    table = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]

    assert len(table) == 11
    assert [row["step"] for row in table if row["step_size"]] == ["800"]
    assert table[8]["level"] == table[9]["level"] != table[7]["level"]
    assert {row["state"] for row in table} == {"known"}
    assert nothing == "what,model,task,step,train_seed,expected,n,text\n"


def test_a_last_point_alone_is_said_to_be_one(evalvar, tmp_path):
    store = stored(tmp_path / "store", DROP + 1)
    _, out, _ = evalvar("history", store, "--by", "date")

    assert "▼ new regression since step 800" in out
    assert "one point so far, the next will tell." in out


def test_what_is_acknowledged_is_still_shown_until_the_day(evalvar, lost):
    marked = evalvar("ack", lost, "task", "--until", "2999-12-31", "--reason", "known")
    _, during, _ = evalvar("history", lost, "--by", "date")
    _, after, _ = evalvar("history", lost, "--by", "date", "--on", "3000-01-01")

    assert marked == (
        0,
        "regressions at task are acknowledged until 2999-12-31\n",
        "",
    )
    assert "▽ acknowledged since step 800" in during
    assert "▼ known regression since step 800" in after


def test_what_is_over_is_told_as_over(evalvar, tmp_path):
    store = stored(tmp_path / "store", BACK + 4)
    _, out, _ = evalvar("history", store, "--by", "date")

    assert "↺ recovered since step 800" in out
    assert "over by step 1500." in out


def test_levels_slope_where_that_is_asked(evalvar, lost):
    for course, slope in (("none", 0), ("linear", None)):
        _, out, _ = evalvar("history", lost, "--course", course, "--json")
        (row,) = json.loads(out)["rows"]
        assert (row["change"]["slope"] == slope) is (slope == 0)


def test_a_baseline_is_moved_with_a_reason_and_remembered(evalvar, lost, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTOR", "sam")
    evalvar("tag", lost, "release", "--model", "m", "--step", "500")
    evalvar("baseline", "set", lost, "--tag", "release", "--reason", "it is out")
    evalvar(
        "baseline", "set", lost, "--model", "m", "--task", "task", "--reason", "why"
    )
    _, shown, _ = evalvar("baseline", "show", lost, "--json")
    evalvar("baseline", "set", lost, "--model", "m", "--step", "0", "--reason", "anew")
    _, at_last, _ = evalvar("baseline", "show", lost)
    _, history, _ = evalvar("baseline", "history", lost)
    _, tags, _ = evalvar("tag", lost)

    first, second = json.loads(shown)["marks"]
    assert (first["name"], first["step"], first["task"]) == ("release", 500, None)
    assert (second["step"], second["task"], second["author"]) == (1000, "task", "sam")
    assert "anew" in at_last
    assert "it is out" not in at_last
    assert [line.split()[-1] for line in history.splitlines()[1:]] == [
        "anew",
        "why",
        "out",
    ]
    assert "m@500" in tags


def test_where_nothing_was_said_it_says_so(evalvar, lost):
    assert evalvar("tag", lost) == (0, "none was set\n", "")
    assert evalvar("baseline", "show", lost) == (0, "none was set\n", "")


def test_marks_as_json(evalvar, lost):
    today = dt.datetime.now(dt.UTC).date().isoformat()
    _, out, _ = evalvar("tag", lost, "release", "--model", "m", "--json")
    document = json.loads(out)

    assert document["schema"] == "evalvar.tag/1"
    assert (document["step"], document["kind"]) == (1000, "tag")
    assert document["set_at"][:10] == today


def test_nights_that_are_missing_are_told(evalvar, lost):
    _, out, _ = evalvar(
        "history", lost, "--missing", "--by", "date", "--on", "2026-03-14"
    )
    _, json_, _ = evalvar(
        *("history", lost, "--missing", "--by", "date", "--on", "2026-03-14", "--json")
    )

    assert "m: a run every 1 days" in out
    assert "3 runs expected from 2026-03-12 on" in out
    assert json.loads(json_)["rows"][0]["runs"][0]["n"] == 3


def test_hostile_names_cannot_steer_a_terminal(evalvar, tmp_path):
    store = stored(tmp_path / "store", DROP + 3, model="a\x1b[31mb", task="t\n[red]")
    for words in (
        ("history", store, "--by", "date"),
        ("history", store, "--by", "date", "--format", "md"),
        ("history", store, "--missing"),
        ("ack", store, "t\n[red]", "--until", "2999-12-31", "--reason", "known"),
        ("tag", store, "x", "--model", "a\x1b[31mb"),
        ("tag", store),
    ):
        status, out, _ = evalvar(*words)
        assert status == 0
        assert "\x1b" not in out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("tag", "STORE", "a\nb", "--model", "m"), "bad-mark"),
        (("tag", "STORE", "a"), "bad-mark"),
        (("tag", "STORE", "--model", "m"), "bad-mark"),
        (("tag", "STORE", "a", "--model", "m", "--step", "first"), "bad-steps"),
        (("tag", "STORE", "a", "--model", "m", "--step", "7"), "nothing-stored"),
        (("baseline", "set", "STORE", "--model", "m"), "bad-option"),
        (("baseline", "set", "STORE", "--tag", "a", "--reason", "x"), "unknown-tag"),
        (
            ("baseline", "set", "STORE", "--tag", "a", "--step", "1", "--reason", "x"),
            "bad-option",
        ),
        (("ack", "STORE", "task", "--until", "soon", "--reason", "x"), "bad-mark"),
        (("ack", "STORE", "no", "--until", "2999-12-31", "--reason", "x"), NOTHING),
        (("history", "STORE", "--missing", "--last", "3"), "bad-option"),
        (("history", "STORE", "--on", "yesterday"), "bad-mark"),
        (("history", "STORE", "--false-alarms", "0.5"), "bad-share"),
        (("baseline", "set", "STORE", "--reason", "why"), "bad-mark"),
        (
            ("ack", "STORE", "task", "--until", "2020-01-01", "--reason", "x"),
            "bad-mark",
        ),
        (("history", "STORE", "--confidence", "1"), "bad-confidence-level"),
        (("history", "STORE", "--model", "none"), "nothing-stored"),
    ],
)
def test_what_cannot_be_asked_is_one_line(evalvar, lost, words, code):
    status, out, err = evalvar(*(lost if w == "STORE" else w for w in words))

    assert (status, out) == (2, "")
    assert err.startswith("evalvar: ")
    assert err.endswith(f"[{code}]\n")
    assert len(err.splitlines()) == 1


def test_answers_without_a_date_have_no_order_by_date(evalvar, tmp_path):
    (tmp_path / "t.csv").write_text("item_id,model,task,score,step\na,m,t,1,5\n")
    store = tmp_path / "store"
    evalvar("import", tmp_path / "t.csv", "--store", store)
    for words in ((), ("--json",), ("--missing",)):
        status, out, err = evalvar("history", store, "--by", "date", *words)
        assert (status, out) == (2, "")
        assert err.endswith("take that of steps, by step [no-responses]\n")
