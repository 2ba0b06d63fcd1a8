"""A run of chosen items is marked partial wherever its numbers are shown."""

import io
import json
import sys
from dataclasses import replace

import pandas as pd
import pytest
from fakes import FAKE, fake_plan, here

from harness import cli
from harness.store import Store
from harness.sweep import sweep

TABLES = {
    "variance": "10 part.",
    "variance --by step": "t1 (partial run)",
    "variance --by seed": "t1 (partial run)",
    "snr --last 2": "10 part.",
    "items": "10 part.",
    "irt --fit rasch": "part.",
    "subset evaluate --sizes 3 --method stratified": "t1 (partial run)",
    "select stable --sizes 3": "t1 (partial run)",
    "power": "t1 (partial run)",
}
"""Commands, and the words in their tables that say so."""


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    """A store of ten items of forty, put to two models of six seeds."""
    path = tmp_path_factory.mktemp("partial") / "store"
    plan = fake_plan(
        models=("a", "b"), seeds=range(6), steps=(0, 10, 100), tasks=("t1",)
    )
    some = tuple(replace(trial, items=tuple(range(0, 40, 4))) for trial in plan.trials)
    sweep(replace(plan, trials=some), Store.create(path), here(FAKE))
    return path


@pytest.fixture
def evalvar(monkeypatch, capfd):
    def run(words, *more):
        monkeypatch.setattr(sys, "argv", ["evalvar", *words.split(), *map(str, more)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return capfd.readouterr().out

    return run


@pytest.mark.parametrize("command", TABLES)
def test_tables_say_that_a_run_is_partial(evalvar, partial, command):
    verb, *options = command.split(" --")
    words = [f"--{option}" for option in options]
    told = evalvar(" ".join([verb, str(partial), *words]))

    assert TABLES[command] in told
    if "--by" not in command:
        assert "10 of the task's 40 items were asked" in told
        assert "[partial-run]" in told


@pytest.mark.parametrize("command", TABLES)
def test_csv_says_that_a_run_is_partial(evalvar, partial, command):
    verb, *options = command.split(" --")
    words = [f"--{option}" for option in options]
    told = evalvar(" ".join([verb, str(partial), *words, "--format", "csv"]))
    frame = pd.read_csv(io.StringIO(told))

    if verb == "variance" and "--by" not in command:
        assert frame["cautions"].str.contains("partial-run").all()
    else:
        assert frame["is_partial"].all()


@pytest.mark.parametrize("command", [c for c in TABLES if "--by" not in c])
def test_json_says_that_a_run_is_partial(evalvar, partial, command):
    verb, *options = command.split(" --")
    words = [f"--{option}" for option in options]
    told = evalvar(" ".join([verb, str(partial), *words, "--json"]))
    rows = json.loads(told)["rows"]

    assert rows
    assert all(row["is_partial"] for row in rows)
    assert all("partial-run" in [c["code"] for c in row["cautions"]] for row in rows)


def test_the_status_says_that_trials_are_partial(evalvar, partial):
    assert "t1: a partial run, 10 of 40 items" in evalvar("status", partial)
    assert json.loads(evalvar("status", partial, "--json"))["n_partial"] == 36


def test_the_page_says_that_a_run_is_partial(evalvar, partial):
    page = evalvar("report", partial, "-o", "-", "--subsets", "3")

    assert "partial: 10 of 40 items" in page
    for section in ("caution-partial-run", "10 of the task&#39;s 40 items were asked"):
        assert section in page
    assert page.count("<code>partial-run</code>") >= 4


def test_a_selection_from_a_partial_run_knows_the_whole_task(
    evalvar, partial, tmp_path
):
    evalvar("select stable", partial, "--size", 3, "-o", tmp_path / "items.json")
    (task,) = json.loads((tmp_path / "items.json").read_text())["tasks"]

    assert task["n_items_total"] == 40
    assert set(task["items"]) <= set(range(0, 40, 4))
    assert "partial-run" in [c["code"] for c in task["cautions"]]
