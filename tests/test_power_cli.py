"""From a store to the suite that buys what it lacks, and back to the store."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import types
from pathlib import Path

import pyarrow as pa
import pytest
from toy import make_files

from harness import cli
from harness.run.backend import EVIDENCE, FakeBackend
from harness.run.worker import run_here
from harness.store import Store
from harness.streams import stream

SUITE = """\
# A small one.
suite: toy
checkpoints:
  - pattern: runs/{model}/seed{train_seed}/step{step}
    train_seed: [0, 1]
tasks:
  - {task: t1, items: 20}   # of 400
repeats: 2
"""


class SampledBackend(FakeBackend):
    """Holds 400 items, and answers each anew as often as it is asked."""

    name = "sampled fake 2"

    def __init__(self) -> None:
        super().__init__(n_items=400)

    def describe(self, requests):
        infos = super().describe(requests)
        return [dataclasses.replace(info, sampled=True) for info in infos]

    def answer(self, trial):
        once = super().answer(trial)
        rows = []
        for repeat in trial.repeat_numbers:
            for row in once.rows.to_pylist():
                name = f"{trial.trial_id}/{row['item_id']}/{repeat}"
                noise = stream(0, name).normal()
                better = max(row["choice_logprobs"]) + noise
                right = row["choice_logprobs"][row["target_index"]] >= better - 1
                metrics = {"acc,none": float(right)}
                rows.append({**row, "repeat": repeat, "metrics": metrics})
        return dataclasses.replace(once, rows=pa.Table.from_pylist(rows, EVIDENCE))


@pytest.fixture
def evalvar(tmp_path: Path, monkeypatch, capfd):
    """Run a command in a folder with a suite, without models; returns what it said."""
    for seed in range(4):
        make_files(tmp_path / f"runs/m/seed{seed}/step5", weights=str(seed))
    (tmp_path / "suite.yaml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    backend = types.ModuleType("harness.run.lm_eval")
    backend.LMEvalBackend = SampledBackend
    pool = types.ModuleType("harness.run.pool")
    pool.cluster = lambda address: contextlib.nullcontext()

    def run_on_ray(trials, *, backend, placement, workers, max_tries, idle):
        where = "test_power_cli:SampledBackend"
        yield from run_here(
            trials, backend=where, placement=placement, max_tries=max_tries
        )

    pool.run_on_ray = run_on_ray
    monkeypatch.setitem(sys.modules, "harness.run.lm_eval", backend)
    monkeypatch.setitem(sys.modules, "harness.run.pool", pool)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["evalvar", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capfd.readouterr()

    return run


def document(out: str):
    found = json.loads(out)
    assert found["schema"] == "evalvar.power/1"
    return found["rows"]


COSTS = ("--cost", "load=1", "--cost", "item=0", "--cost", "answer=0.01")


def test_the_suite_that_is_written_asks_just_what_is_missing(evalvar):
    evalvar("run", "suite.yaml")
    (now,) = document(evalvar("power", "results/toy", "--json")[1])
    target = 0.7 * now["now"]["se"]["value"]
    ask = ("power", "results/toy", "--se", target, *COSTS)
    status, out, err = evalvar(
        *ask, "--suite", "suite.yaml", "--write", "grown/more.yaml", "--json"
    )
    (row,) = document(out)
    wanted = row["wanted"]
    n_items, n_seeds, n_repeats = (
        int(wanted["counts"][facet]) for facet in ("item", "train_seed", "repeat")
    )

    assert status == 0
    assert (n_seeds, n_repeats) == (2, 2), "items are the cheapest here"
    assert wanted["se"]["value"] <= target
    assert "evalvar plan grown/more.yaml" in err
    text = Path("grown/more.yaml").read_text()
    assert f"{{task: t1, items: {n_items}}}" in text
    assert text.startswith("# A small one.\n")

    plan = json.loads(evalvar("plan", "grown/more.yaml", "--json")[1])
    assert {
        (trial["n_answers"], trial["n_answers_stored"]) for trial in plan["trials"]
    } == {(n_items * n_repeats, 20 * 2)}
    assert f"80 of {4 * n_items:,}" in evalvar("plan", "grown/more.yaml")[1]

    assert evalvar("run", "grown/more.yaml")[1].startswith("toy: 2 trials done")
    rows = Store("results/toy").responses(["train_seed", "item_index", "repeat"])
    assert len(rows) == len(rows.drop_duplicates()) == n_items * n_seeds * n_repeats
    assert Store("results/toy").verify() == []
    assert evalvar("run", "grown/more.yaml")[2].endswith("is stored already\n")

    (after,) = document(evalvar("power", "results/toy", "--json")[1])
    assert after["now"]["counts"] == wanted["counts"]
    low, high = wanted["se"]["low"], wanted["se"]["high"]
    assert low < after["now"]["se"]["value"] < high


def test_seeds_that_are_there_are_asked(evalvar):
    evalvar("run", "suite.yaml")
    costs = ("--cost", "load=1e-9", "--cost", "item=100", "--cost", "answer=100")
    ask = ("power", "results/toy", "--fixed", "item", "--budget", 8005, *costs)
    status, _, err = evalvar(*ask, "--suite", "suite.yaml", "--write", "suite.yaml")

    assert status == 0
    seeds = Path("suite.yaml").read_text().split("train_seed: ")[1].split("\n")[0]
    assert seeds in ("[0, 1]", "[0, 1, 2]")
    assert "written: suite.yaml" in err


def test_a_suite_that_asks_for_enough_stays_as_it_was(evalvar):
    evalvar("run", "suite.yaml")
    where = ("--suite", "suite.yaml", "--write", "same.yaml")
    _, _, err = evalvar("power", "results/toy", "--se", 1, *where)

    assert "note: the designs as run reach what is asked" in err
    assert Path("same.yaml").read_text() == SUITE


def test_tables_are_for_people_and_for_files(evalvar):
    evalvar("run", "suite.yaml")
    table = evalvar("power", "results/toy", "--difference", 0.2)[1]
    csv = evalvar("power", "results/toy", "--format", "csv")[1]
    md = evalvar("power", "results/toy", "--format", "md", "--task", "t1")[1]

    told = "Two models asked the same are told apart in 80 % of cases"
    assert told in " ".join(table.split())
    assert csv.splitlines()[0].startswith("model,task,formulation")
    assert md.startswith("| task | design |")


def test_what_only_a_person_can_do_is_said(evalvar):
    evalvar("run", "suite.yaml")
    costs = ("--cost", "load=0", "--cost", "item=9", "--cost", "answer=9")
    wish = ("--fixed", "item", "--fixed", "repeat", "--budget", 3000, *costs)
    where = ("--suite", "suite.yaml", "--write", "-")
    _, out, err = evalvar("power", "results/toy", *wish, *where)

    assert out.startswith("# A small one.\n")
    assert out.endswith("repeats: 2\n"), "nothing but the suite"
    assert "written:" not in err
    assert "to do: train" in err


def test_each_option_changes_a_number(evalvar):
    evalvar("run", "suite.yaml")
    plain = document(evalvar("power", "results/toy", "--json")[1])
    for option in (
        ("--power", "0.9"),
        ("--confidence", "0.9"),
        ("--correlation", "0.9"),
        ("--fixed", "item"),
        ("--cost", "answer=5"),
        ("--metric", "prob_correct"),
        ("--se", "0.05"),
        ("--difference", "0.2"),
        ("--budget", "100"),
    ):
        other = document(evalvar("power", "results/toy", "--json", *option)[1])
        assert other != plain, option


def test_a_store_with_nothing_to_compare_is_refused(evalvar):
    one = SUITE.replace("[0, 1]", "[0]").replace("items: 20", "items: 1")
    Path("suite.yaml").write_text(one.replace("repeats: 2", "repeats: 1"))
    evalvar("run", "suite.yaml")
    status, out, err = evalvar("power", "results/toy")

    assert (status, out) == (2, "")
    assert err.endswith("[too-few-replicates]\n")


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("bad-target", ["--write", "x.yaml", "--se", "0.1"]),
        ("bad-target", ["--write", "x.yaml", "--suite", "suite.yaml"]),
        ("bad-target", ["--se", "0.1", "--difference", "0.1"]),
        (
            "bad-target",
            ["--se", "1e-9", "--write", "x.yaml", "--suite", "suite.yaml"],
        ),
        ("bad-target", ["--cost", "load"]),
        ("bad-target", ["--cost", "load=many"]),
        ("bad-target", ["--cost", "load=-1"]),
        ("bad-target", ["--cost", "load=inf"]),
        ("bad-target", ["--cost", "load=nan"]),
        ("bad-target", ["--cost", "load=1", "--cost", "load=2"]),
        ("bad-target", ["--se", "inf"]),
        ("bad-target", ["--budget", "nan"]),
        ("bad-option", ["--suite", "suite.yaml"]),
        ("bad-option", ["--write", ""]),
        (
            "bad-option",
            ["--se", "0.1", "--write", "-", "--suite", "suite.yaml", "--json"],
        ),
        ("unknown-facet", ["--cost", "colour=1"]),
        ("unknown-facet", ["--fixed", "colour"]),
        ("bad-power", ["--power", "0.1"]),
        ("nothing-stored", ["--model", "none"]),
        ("nothing-stored", ["--task", "none"]),
    ],
)
def test_what_cannot_be_used_is_one_line(evalvar, code, options):
    evalvar("run", "suite.yaml")
    status, out, err = evalvar("power", "results/toy", *options)

    assert (status, out) == (2, "")
    assert err.endswith(f"[{code}]\n")
    assert not Path("x.yaml").exists()
