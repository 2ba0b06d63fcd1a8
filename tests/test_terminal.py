"""What a terminal shows, whatever a model or a task is called."""

import json
from dataclasses import replace

import pytest
from fakes import HOSTILE, commit, fake_plan

from harness import terminal
from harness.doctor import Finding
from harness.records import Template
from harness.store import Store

NAME = "a[red]b�[31mc d"
"""How `fakes.HOSTILE` is shown: markup as it stands, on one line."""

LONG = "a_task_with_a_name_that_does_not_fit_a_terminal_of_eighty_columns_" * 3


@pytest.fixture
def shown(capsys):
    def read():
        out, err = capsys.readouterr()
        assert err == ""
        assert all(line.isprintable() for line in out.splitlines())
        return out

    return read


@pytest.fixture
def failed(tmp_path):
    """A store with three failures, two of them alike, and one success."""
    store = Store.create(tmp_path / "s")
    trials = fake_plan(models=(HOSTILE,), seeds=(None, 1), steps=(10,)).trials
    commit(store, trials[0], "0", error=f"[bold]{HOSTILE}[/]")
    commit(store, trials[1], "1", error="no space left")
    commit(store, trials[2], "2", error="no space left")
    commit(store, trials[3], "3")
    return store.trials().to_pandas()


def test_a_plan_has_a_row_for_each_model_and_condition(shown):
    plan = fake_plan(models=("a", "b"))
    done = {trial.trial_id: "done" for trial in plan.trials[:3]}
    failed = {plan.trials[4].trial_id: "failed"}
    terminal.show_plan(replace(plan, status=done | failed, seconds_per_request=0.01))
    head, *rows, end = shown().splitlines()

    assert head.split() == [
        "model", "task", "formulation", "few-shot", "items", "trials", "remaining",
    ]  # fmt: skip
    assert [row.split() for row in rows] == [
        ["a", "t1", "cloze", "0", "40", "4", "2"],
        ["a", "t2", "cloze", "0", "40", "4", "3"],
        ["b", "t1", "cloze", "0", "40", "4", "4"],
        ["b", "t2", "cloze", "0", "40", "4", "4"],
    ]
    assert end == (
        "8 checkpoints, 16 trials: 3 stored, 13 remain (1 failed before), "
        "2080 requests, about 21 worker-seconds"
    )


def test_a_plan_tells_how_much_of_its_trials_is_stored(shown):
    plan = fake_plan(seeds=(0,), steps=(10,))
    first, _ = plan.trials
    rest = replace(first, items=tuple(range(10, 40)))
    terminal.show_plan(replace(plan, left={first.trial_id: (rest,)}))
    head, *rows, end = shown().splitlines()

    assert head.split()[-2:] == ["answers", "stored"]
    assert [row.split()[-3:] for row in rows] == [
        ["10", "of", "40"],
        ["0", "of", "40"],
    ]
    assert end == "1 checkpoints, 2 trials: 0 stored, 2 remain, 280 requests"


def test_a_plan_shows_hostile_names_as_they_are(shown):
    plan = fake_plan(models=(HOSTILE,), tasks=(HOSTILE,))
    template = Template(name=HOSTILE, system_prompt="x")
    trials = [
        replace(t, items=(1, 2), request=replace(t.request, template=template))
        for t in plan.trials
    ]
    terminal.show_plan(replace(plan, trials=tuple(trials)))
    out = shown()

    assert out.count(NAME) == 3
    assert "2 of 40" in out


def test_a_status_counts_and_tells_each_error_once(shown, failed):
    terminal.show_status(failed)
    out = shown()

    assert [line.split()[-2:] for line in out.splitlines()[1:3]] == [
        ["0", "2"], ["1", "1"],
    ]  # fmt: skip
    assert f"1 × [bold]{NAME}[/] [trial-raised]\n" in out
    assert "2 × no space left [trial-raised]\n" in out
    assert out.endswith("1 trials done, 3 failed\n")


def test_a_status_as_json_keeps_whole_numbers_and_exact_names(failed):
    document = json.loads(json.dumps(terminal.status_dict(failed), allow_nan=False))

    assert (document["n_done"], document["n_failed"]) == (1, 3)
    rows = sorted(document["failed"], key=lambda row: str(row["train_seed"]))
    assert [row["train_seed"] for row in rows] == [1, None, None]
    assert all(type(row["step"]) is int for row in rows)
    assert {row["model"] for row in rows} == {HOSTILE}
    assert {row["error_code"] for row in rows} == {"trial-raised"}


def test_an_empty_status(shown, tmp_path):
    trials = Store.create(tmp_path / "s").trials().to_pandas()
    terminal.show_status(trials)

    assert shown().splitlines()[-1] == "0 trials done, 0 failed"
    assert terminal.status_dict(trials) == {
        "n_done": 0,
        "n_partial": 0,
        "n_failed": 0,
        "failed": [],
    }


def test_a_pipe_gets_whole_names_and_lines(shown, tmp_path):
    store = Store.create(tmp_path / "s")
    commit(store, fake_plan(tasks=(LONG,)).trials[0], "0", error=f"{LONG} {LONG}")
    terminal.show_status(store.trials().to_pandas())
    out = shown()
    terminal.show_mapping({"path": LONG})

    assert f" {LONG} " in out
    assert f"1 × {LONG} {LONG} [trial-raised]" in out
    assert LONG in shown()


def test_names_and_values_in_two_columns(shown):
    terminal.show_mapping({"n_files": 3, "path": HOSTILE})

    files, path = shown().splitlines()
    assert files.split() == ["files", "3"]
    assert path.strip() == f"path   {NAME}"


def test_findings_have_a_mark_each(shown):
    terminal.show_findings(
        [
            Finding(what="numpy", level="ok", text="2.0"),
            Finding(what="ray", level="note", text="pip install 'evalvar[run]'"),
            Finding(what="cache", level="error", text=f"{HOSTILE}: cannot be written"),
        ]
    )
    out = shown()

    assert [line.split()[0] for line in out.splitlines()] == ["✓", "·", "✗"]
    assert "pip install 'evalvar[run]'" in out
    assert f"{NAME}: cannot be written" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("plain", "plain"),
        ("two\n  lines\r", "two lines"),
        ("\x1b]0;title\x07", "�]0;title�"),
        ("\u202eright to left", "�right to left"),
        (3, "3"),
    ],
)
def test_one_line_steers_nothing(words, line):
    assert terminal.one_line(words) == line
