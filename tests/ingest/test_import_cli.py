"""evalvar import: what it prints, where it writes, and what its exit status says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from ingest.lm_eval_files import TIME, choice_sample, write_run, write_samples

from harness import cli
from harness.cli.streams import MOST_PROBLEMS
from harness.store import Store

DATA = Path(__file__).parent / "data" / "lm_eval"


@pytest.fixture
def evalvar(tmp_path: Path, monkeypatch, capfd):
    """Run a command in a folder of its own; returns status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["evalvar", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capfd.readouterr()

    return run


def test_what_comes_in_is_told_and_where_to_go_on(evalvar, tmp_path: Path) -> None:
    status, out, err = evalvar("import", DATA, "--store", "mine")

    assert status == 0
    assert "importing: 100%" in err
    assert "zoo_agreement        8    2" in out
    assert out.splitlines()[-3:] == [
        "6 new trials of 6, with 48 responses",
        "store: mine",
        "next: evalvar compare mine",
    ]
    assert Store(tmp_path / "mine").info().n_responses == 48
    assert "0 new trials of 6" in evalvar("import", DATA, "--store", "mine")[1]


def test_scores_without_items_are_shown_and_said_to_be_no_more(
    evalvar, tmp_path: Path
) -> None:
    results = {"arc <b>easy</b>": {"acc": 0.4, "acc_stderr": 0.01, "ppl": 12.5}}
    arguments = "pretrained=acme/toy-1b,revision=step3000"
    config = {"model": "gpt2", "model_args": arguments, "num_fewshot": 5}
    (tmp_path / "old.json").write_text(
        json.dumps({"results": results, "versions": {}, "config": config})
    )

    status, out, _ = evalvar("import", "old.json", "--store", "s")
    assert status == 0
    assert out.splitlines()[0].startswith("2 scores without items, 2 of them new")
    assert out.splitlines()[-1] == "next: evalvar status s"

    status, out, _ = evalvar("status", "s")
    lines = [line.split() for line in out.splitlines()]
    assert status == 0
    assert lines[0] == "model seed step task metric value ± se n source".split()
    assert " ".join(lines[1]) == (
        "acme/toy-1b – 3000 arc <b>easy</b> (5-shot) acc,none 0.400 ± 0.010 – "
        "lm-eval 0.3, old.json"
    )
    assert "12.50 – lm-eval" in " ".join(lines[2])
    assert out.splitlines()[-1].startswith("2 scores without items. No paired test")
    shown = json.loads(evalvar("status", "s", "--json")[1])["aggregates"]
    assert [(one["metric"], one["value"], one["se"]) for one in shown] == [
        ("acc,none", 0.4, 0.01),
        ("ppl,none", 12.5, None),
    ]

    for command in ("compare", "variance"):
        status, out, err = evalvar(command, "s")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "only 2 scores without items" in err
        assert err.endswith("[nothing-stored]\n")

    assert evalvar("report", "s", "-o", "r.html")[0] == 0
    page = (tmp_path / "r.html").read_text()
    assert '<a href="#aggregates">Without items</a>' in page
    assert "arc &lt;b&gt;easy&lt;/b&gt; (5-shot)" in page
    assert "<b>easy" not in page
    assert "0.400 ± 0.010" in page


def test_scores_stand_below_the_trials_of_a_store(evalvar, tmp_path: Path) -> None:
    write_run(tmp_path / "in", tasks={"toy_mc": {}, "other": {}})
    out = evalvar("import", "in", "--store", "s")[1]
    assert out.splitlines()[-1] == "next: evalvar compare s"

    out = evalvar("status", "s")[1]
    assert "1 trials done, 0 failed\n" in out
    assert "other" in out.partition("failed\n")[2]


def test_where_a_file_is_broken_the_others_go_in(evalvar, tmp_path: Path) -> None:
    write_run(tmp_path / "in")
    for n in range(MOST_PROBLEMS + 1):
        (tmp_path / f"in/{n}.json").write_text('{"results": {')

    status, out, err = evalvar("import", "in")
    assert status == 5
    assert "1 new trial of 1, with 6 responses\nstore: results/imported" in out
    lines = err.splitlines()
    assert (
        "in/0.json:1: it is no JSON: Expecting property name enclosed in double" in err
    )
    assert lines[-2:] == [
        "1 more problems; `evalvar import --json` lists all",
        "21 left out, everything else was taken",
    ]
    status, out, _ = evalvar("import", "in", "--json")
    assert status == 5
    said = json.loads(out)
    assert (said["schema"], said["store"]) == ("evalvar.import/1", "results/imported")
    assert (said["n_new"], len(said["problems"])) == (0, 21)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_no_store_is_made_for_nothing(evalvar, tmp_path: Path, dry) -> None:
    (tmp_path / "empty").mkdir()
    for words in (["empty"], ["nowhere"]):
        status, out, err = evalvar("import", *words, *dry)
        assert (status, out) == (2, "")
        assert err.endswith("[results-missing]\n")
    status, out, err = evalvar("import", DATA, "--pattern", "none{step}", *dry)
    assert (status, out) == (2, "")
    assert err.endswith("[pattern-field]\n")
    status, out, _ = evalvar("import", DATA, "--dry-run", "--store", "mine")
    assert (status, [*tmp_path.iterdir()]) == (0, [tmp_path / "empty"])


def test_where_all_is_broken_the_status_is_2(evalvar, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"results": {')

    status, out, err = evalvar("import", "bad.json", "--dry-run")
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == "1 left out, nothing was taken"


def test_what_is_not_known_is_said_once_and_what_to_do(evalvar, tmp_path: Path) -> None:
    config = {"model": "hf", "model_args": {"pretrained": "./final"}}
    for seed in (0, 1):
        folder = tmp_path / f"in/seed{seed}"
        samples = [choice_sample(i, shift=seed) for i in range(4)]
        write_run(folder, {"toy_mc": samples}, config=config, model_name="./final")

    _, out, _ = evalvar("import", "in", "--dry-run")
    assert "final  unknown  unknown  toy_mc      4    2" in out
    assert "no file says the training seed; give it by the path: --pattern " in out
    assert out.count("training seed") == 1
    assert "no file says the dtype\n" in out
    _, out, _ = evalvar("import", "in", "--dry-run", "--pattern", "seed{train_seed}")
    assert "final  unknown  0–1 (2)  toy_mc      4    2" in out
    assert "training seed" not in out


def test_scores_without_items_are_counted_as_such(evalvar, tmp_path: Path) -> None:
    write_run(tmp_path / "in", {}, tasks={"toy_mc": {}})

    status, out, _ = evalvar("import", "in", "--store", "mine")
    assert status == 0
    assert out.startswith("1 score without items, 1 of them new")
    assert "0 of them new" in evalvar("import", "in", "--store", "mine")[1]


def test_items_that_belong_together_are_told_by_a_field(
    evalvar, tmp_path: Path
) -> None:
    write_run(tmp_path / "in")

    evalvar("import", "in", "--store", "mine", "--cluster-field", "passage")
    assert set(Store(tmp_path / "mine").responses()["cluster"]) == {"p0", "p1", "p2"}
    status, _, err = evalvar("import", "in", "--store", "other", "--cluster-field", "x")
    assert status == 2
    assert "its doc has no field 'x'; it has choices, gold, passage, question" in err


def test_a_named_file_that_is_no_result_is_told(evalvar, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes")
    write_samples(tmp_path / f"samples_toy_mc_{TIME}.jsonl", [choice_sample(0)])

    status, out, err = evalvar("import", "notes.md", f"samples_toy_mc_{TIME}.jsonl")
    assert status == 5
    assert "1 new trial" in out
    assert "notes.md: it is none of " in err
    assert "; if it is, say which with --format [unknown-format]" in err
