"""evalvar compare: sources, names, files, and how a table reads."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import jsonschema
import pytest
from ingest.lm_eval_files import choice_sample, results, write_run

from harness import cli, load
from harness.marks import set_mark
from harness.store import Store

EXAMPLE = Path(__file__).parents[1] / "results/example"

needs_checkout = pytest.mark.skipif(
    not EXAMPLE.is_dir(), reason="only a checkout has the example"
)


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


def lm_eval_run(folder: Path, model: str, shift: float) -> None:
    samples = [choice_sample(i, shift=shift) for i in range(40)]
    config = results()["config"] | {
        "model_args": f"pretrained={model}",
        "model_revision": "main",
    }
    names = {"model_name": model, "model_name_sanitized": model.replace("/", "__")}
    write_run(folder, {"arc": samples}, config=config, **names)


def test_two_folders_of_lm_eval_are_compared_at_once(evalvar, tmp_path: Path) -> None:
    lm_eval_run(tmp_path / "old", "org/base", 0)
    lm_eval_run(tmp_path / "new", "org/tuned", 3)
    status, out, err = evalvar("compare", "old", "new", "--json")
    document = json.loads(out)

    assert (status, err) == (0, "")
    assert document["schema"] == "evalvar.compare/1"
    assert document["baseline"] == "org/base"
    (task,) = document["tasks"]
    assert task["differences"][0]["n_items"] == 40
    assert task["differences"][0]["candidate"]["name"] == "org/tuned"


def test_models_of_one_name_go_by_their_source(evalvar, tmp_path: Path) -> None:
    lm_eval_run(tmp_path / "old", "base", 0)
    lm_eval_run(tmp_path / "new", "base", 3)
    status, out, _ = evalvar("compare", "old", "new")

    assert status == 0
    assert out.startswith("new/base against old/base")
    assert "arc" in out
    assert "evalvar power" not in out


def test_scores_without_items_cannot_be_paired(evalvar, tmp_path: Path) -> None:
    where = write_run(tmp_path / "old")
    for samples in where.glob("samples_*"):
        samples.unlink()
    status, _, err = evalvar("compare", "old")

    assert status == 2
    assert "old: scores without items, which cannot be paired" in err


@needs_checkout
def test_every_file_is_written_before_the_table_is_printed(
    evalvar, tmp_path: Path
) -> None:
    names = ["page.html", "page.md", "page.json", "page.csv"]
    outputs = [word for name in names for word in ("-o", name)]
    status, out, _ = evalvar(
        "compare", EXAMPLE, "zoo-tiny@640", "zoo-tiny@320", *outputs
    )

    assert status == 0
    assert out.splitlines()[-4:] == [f"report: {name}" for name in names]
    page, markdown, document, table = ((tmp_path / n).read_text() for n in names)
    assert "<html" in page
    assert markdown.startswith("| candidate | task |")
    assert json.loads(document)["schema"] == "evalvar.compare/1"
    assert table.startswith("task,formulation,")


@needs_checkout
def test_tags_and_the_baseline_stand_for_checkpoints(evalvar, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "store")
    store = Store(tmp_path / "store")
    set_mark(store, "tag", name="release", model="zoo-tiny", step=320, reason="r")
    set_mark(store, "baseline", model="zoo-tiny", step=160, reason="r")
    words = ("compare", "store", "baseline", "tag:release", "--json", "--task")
    status, out, _ = evalvar(*words, "zoo_agreement")
    choices = json.loads(out)["choices"]

    assert status == 0
    assert [(c["name"], c["step"]) for c in choices] == [
        ("baseline", 160),
        ("tag:release", 320),
    ]
    lm_eval_run(tmp_path / "foreign", "base", 0)
    status, _, err = evalvar("compare", "foreign", "base", "baseline")
    assert status == 2
    assert "baseline is for one store, which keeps tags; here are 0" in err


@needs_checkout
def test_clusters_come_from_a_file(evalvar, tmp_path: Path) -> None:
    responses = Store(EXAMPLE).responses(["item_id"], task="zoo_facts_cloze")
    items = sorted(responses["item_id"].unique())
    lines = [f"{item},{k // 3}" for k, item in enumerate(items)]
    (tmp_path / "clusters.csv").write_text("\n".join(["item_id,cluster", *lines]))
    (tmp_path / "other.csv").write_text("item,passage\na,b\n")
    words = ("compare", EXAMPLE, "--task", "zoo_facts_cloze", "--json", "--clusters")
    _, out, _ = evalvar(*words, "clusters.csv")

    assert json.loads(out)["tasks"][0]["differences"][0]["difference"]["n"] == 100
    status, _, err = evalvar(*words, "other.csv")
    assert status == 2
    assert "lacks the column item_id; it needs item_id and cluster" in err
    status, _, err = evalvar(*words, "nowhere.csv")
    assert "nowhere.csv: cannot be read: No such file or directory" in err


@needs_checkout
def test_options_reach_the_comparison(evalvar) -> None:
    words = ("compare", EXAMPLE, "--json", "--task", "zoo_facts_cloze")
    _, out, _ = evalvar(
        *words, "--step", 320, "--these-checkpoints", "--continuous",
        "--delta", "zoo_facts_cloze=0.5", "--sequential", "spending", "--look", 2,
        "--baseline", "zoo-tiny", "--confidence", 0.9,
    )  # fmt: skip
    document = json.loads(out)
    (row,) = document["tasks"][0]["differences"]

    assert document["baseline"] == "zoo-tiny"
    assert {c["step"] for c in document["choices"]} == {320}
    assert document["fixed"] == ["train_seed"]
    assert document["looks"] == "level spent at look 2 (open)"
    assert document["confidence_level"] > 0.95
    assert (row["metric"], row["delta"]) == ("prob_correct", 0.5)
    assert row["verdict"] == "better"


@needs_checkout
def test_the_document_is_as_its_schema_says(evalvar) -> None:
    _, schema, _ = evalvar("schema", "compare")
    schema = json.loads(schema)
    words = ("compare", EXAMPLE, "zoo-tiny@640", "zoo-tiny@640#1", "zoo-small@640#2")
    _, out, _ = evalvar(*words, "--json", "--sequential", "cs")
    document = json.loads(out)

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    named = schema["properties"]["tasks"]["items"]["properties"]["differences"]["items"]
    assert set(document) == set(schema["properties"])
    assert set(document["tasks"][0]["differences"][0]) == set(named["properties"])
    assert [row["draws"] for row in document["calibration"]][:1] == ["training seeds"]


@needs_checkout
def test_equal_models_are_told_of_in_every_format(evalvar, tmp_path: Path) -> None:
    told = "A/A, halves of the training seeds of one model at one step: false alarms "
    words = ("compare", EXAMPLE, "zoo-tiny", "zoo-small")
    table, markdown = (
        " ".join(evalvar(*words, "--format", name)[1].split())
        for name in ("table", "md")
    )
    lm_eval_run(tmp_path / "old", "org/base", 0)
    lm_eval_run(tmp_path / "new", "org/tuned", 3)
    _, unknown, _ = evalvar("compare", "old", "new", "--format", "md")

    assert told in table
    assert told in markdown
    assert "A/A: no checkpoint was measured twice" in unknown


@needs_checkout
def test_a_page_is_called_as_its_sentences_are(evalvar, tmp_path: Path) -> None:
    evalvar("compare", EXAMPLE, "zoo-tiny", "zoo-small", "-o", "page.html")

    assert "zoo-small against zoo-tiny</title>" in (tmp_path / "page.html").read_text()


@needs_checkout
@pytest.mark.parametrize(
    ("words", "code"),
    [(("",), "bad-option"), (("nowhere",), "results-missing")],
)
def test_words_that_name_nothing(evalvar, words, code) -> None:
    status, _, err = evalvar("compare", *words)

    assert status == 2
    assert err.endswith(f"[{code}]\n")
    assert err.count("\n") == 1


def test_a_store_without_answers_has_nothing_to_compare(
    evalvar, tmp_path: Path
) -> None:
    Store.create(tmp_path / "empty")
    status, _, err = evalvar("compare", "empty")

    assert status == 2
    assert "empty: no finished trial; there is nothing to compare" in err


def test_what_is_read_is_not_written_over(evalvar, tmp_path: Path) -> None:
    lines = [f"i{i},{m},t,{i % 2}" for i in range(40) for m in "AB"]
    text = "\n".join(["item_id,model,task,score", *lines])
    for name in ("runs", "x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.csv").write_text(text)
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "runs/t.csv")
    beside = ["-o", "runs/x.csv", "-o", "runs/x.json", "-o", "runs/x.html"]

    for source in ("runs", "runs/t.csv"):
        for output in ("runs/t.csv", "x/../runs/t.csv", "link.csv"):
            status, _, err = evalvar("compare", source, "-o", output)
            assert (status, err[-14:]) == (2, "[file-exists]\n")
    for _ in range(2):
        assert evalvar("compare", "runs", *beside)[0] == 0
    assert (tmp_path / "runs/t.csv").read_text() == text


def test_a_file_is_written_once(evalvar, tmp_path: Path) -> None:
    words = ("compare", EXAMPLE, "-o", "x.html", "-o", tmp_path / "x.html")
    status, _, err = evalvar(*words)

    assert (status, err.count("written twice")) == (2, 1)
    assert not (tmp_path / "x.html").exists()


def test_a_store_is_not_written_into(evalvar, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "s")
    for words in (
        ("compare", "s", "-o", "s/trials/x.csv"),
        ("report", "s", "-o", "s/trials/_delta_log/00000000000000000000.json"),
        ("gate", "s", "-o", "json=s/responses/x"),
    ):
        status, _, err = evalvar(*words)
        assert (status, err[-14:]) == (2, "[file-exists]\n")
    assert Store(tmp_path / "s").verify() == []


def test_what_cannot_be_read_is_told_and_is_no_question_not_asked(
    evalvar, tmp_path: Path
) -> None:
    lm_eval_run(tmp_path / "runs", "acme/x", 0)
    lm_eval_run(tmp_path / "runs", "acme/y", 3)
    (cut,) = (tmp_path / "runs/acme__y").glob("samples_*")
    other = cut.with_name(cut.name.replace("arc", "toy"))
    for folder in (cut.parent, tmp_path / "runs/acme__x"):
        (folder / other.name).write_text(cut.read_text())
    other.write_text(other.read_text()[:-40])
    (tmp_path / "runs/junk.eval").write_text("junk")
    status, out, err = evalvar("compare", "runs", "--json")
    document = json.loads(out)
    reason = document["uncompared"][0]["reason"]

    assert status == 5
    assert [line.split(": ")[0] for line in err.splitlines()[:2]] == [
        "runs/acme__y/" + other.name + ":40",
        "runs/junk.eval",
    ]
    assert err.splitlines()[2] == "2 left out, everything else was compared"
    assert reason.startswith("acme/y has answers to it that could not be read: runs/")
    (caution,) = [c for c in document["cautions"] if c["code"] == "left-out"]
    assert caution["text"].startswith("2 of the files or parts of them could not be")
    assert repr(load(tmp_path / "runs")).endswith("; 2 problems>")

    other.unlink()
    _, out, _ = evalvar("compare", "runs", "--json")
    reason = json.loads(out)["uncompared"][0]["reason"]
    assert reason.startswith("acme/y has no answers to it in what could be read; runs/")


def test_a_run_that_is_there_twice_is_counted(evalvar, tmp_path: Path) -> None:
    lm_eval_run(tmp_path / "runs", "acme/x", 0)
    lm_eval_run(tmp_path / "runs", "acme/y", 3)
    shutil.copytree(tmp_path / "runs/acme__x", tmp_path / "runs/copy")
    status, out, err = evalvar("compare", "runs", "--json")
    (caution,) = [
        c for c in json.loads(out)["cautions"] if c["code"] == "duplicated-runs"
    ]

    assert status == 0
    assert "[results-twice]" in err
    assert caution["text"].startswith("1 of the files or parts of them are there twice")


def test_two_sources_are_never_one(evalvar, tmp_path: Path) -> None:
    for place, shift in (("P", 0), ("Q", 3)):
        lm_eval_run(tmp_path / place / "results", "acme/m", shift)
        lm_eval_run(tmp_path / place / "results", "acme/n", shift)
    _, out, _ = evalvar("compare", "P/results", "Q/results", "--json")
    names = [choice["name"] for choice in json.loads(out)["choices"]]

    assert names == ["P/acme/m", "P/acme/n", "Q/acme/m", "Q/acme/n"]
    _, out, _ = evalvar("compare", "P", "P/../P", "./P", "acme/m", "acme/n", "--json")
    assert json.loads(out)["baseline"] == "acme/m"


def test_a_source_here_has_the_name_of_its_folder(
    evalvar, tmp_path: Path, monkeypatch
) -> None:
    for place, shift in (("P", 0), ("Q", 3)):
        lm_eval_run(tmp_path / place, "acme/m", shift)
    monkeypatch.chdir(tmp_path / "P")
    _, out, _ = evalvar("compare", ".", "../Q", "--json")

    assert json.loads(out)["baseline"] == "P/acme/m"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--json", "--format", "csv"), "--json and --format csv contradict"),
        (("--continuous", "--metric", "acc"), "--continuous and --metric contradict"),
        (("--task", "foo"), "no answer is of task 'foo'; choose of arc"),
        (("acme/x@5", "acme/y"), "acme/x has no step 5, for its step is not known"),
        (("acme/x#0", "acme/y"), "acme/x has no training seed 0, for none is known"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    evalvar, tmp_path: Path, words, message
) -> None:
    lm_eval_run(tmp_path / "runs", "acme/x", 0)
    lm_eval_run(tmp_path / "runs", "acme/y", 3)
    status, out, err = evalvar("compare", "runs", *words)

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("evalvar: " + message)


def test_a_store_s_command_tells_of_results_how_they_become_one(
    evalvar, tmp_path: Path
) -> None:
    lm_eval_run(tmp_path / "runs/a", "org/base", 0)
    (tmp_path / "t.csv").write_text("item_id,model,score\na,m,1\n")
    (tmp_path / "notes").mkdir()
    for command in ("gate", "calibrate", "status"):
        for source in ("runs", "t.csv"):
            status, out, err = evalvar(command, source)
            assert (status, out) == (2, "")
            assert f"`evalvar import {source} --store NEW` makes one" in err

    assert "evalvar run" in evalvar("gate", "notes")[2]


def test_answers_without_scores_are_refused_in_a_line(evalvar, tmp_path: Path) -> None:
    def write(name: str, scores: dict[str, str]) -> Path:
        lines = [f"{i},{m},t,{s}" for m, s in scores.items() for i in range(40)]
        path = tmp_path / name
        path.write_text("\n".join(["item_id,model,task,score", *lines]), "utf-8")
        return path

    status, out, err = evalvar("compare", write("one.csv", {"A": "nan", "B": "1"}))
    both = evalvar("compare", write("both.csv", {"A": "nan", "B": "nan"}))

    assert (status, out) == (2, "")
    assert "at t A, the baseline, gave answers that could not be scored" in err
    assert err.endswith("[nothing-scored]\n")
    assert both[0] == 2
