"""What the command `export` takes, writes and refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from harness.cli import app
from harness.errors import HarnessError
from harness.ingest.load import import_results, load_results
from harness.store import Store

STORE = str(Path(__file__).parents[1] / "results/prompts")


def export(*words):
    return app(["export", STORE, *words], standalone_mode=False)


@pytest.mark.parametrize(
    ("to", "name", "told"),
    [
        ("lm-eval", "out", "trials in"),
        ("eee", "out", "evaluations"),
        ("every-eval-ever", "out", "evaluations"),
        ("parquet", "t.parquet", "scores"),
        ("csv", "t.csv", "scores"),
        ("openmetrics", "o.txt", "the last step of each model"),
    ],
)
def test_each_export_says_what_it_wrote(to, name, told, tmp_path, capsys):
    place = tmp_path / name
    only = [] if to == "lm-eval" else ["--metric", "exact_match"]
    export("--to", to, "-o", str(place), "--task", "zoo_recall", *only)

    assert place.exists()
    assert told in capsys.readouterr().out


def test_streams_have_nothing_but_the_table(capsys):
    export("--to", "csv", "-o", "-", "--metric", "exact_match")
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    export("--to", "openmetrics", "-o", "-")
    text = capsys.readouterr().out

    assert {row["metric"] for row in rows} == {"exact_match"}
    assert text.endswith("# EOF\n")


def test_responses_are_all_evidence(tmp_path, capsys):
    export("--to", "csv", "--table", "responses", "-o", str(tmp_path / "r.csv"))
    header = (tmp_path / "r.csv").read_text().splitlines()[0]

    assert "choice_logprobs" in header
    assert "responses" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--to", "csv", "-o", ""), "bad-option"),
        (("--to", "parquet", "-o", "-"), "bad-option"),
        (("--to", "lm-eval", "-o", "x", "--metric", "acc"), "bad-option"),
        (("--to", "csv", "-o", "x", "--timestamps"), "bad-option"),
        (("--to", "eee", "-o", "x", "--experiment", "x"), "bad-option"),
        (
            ("--to", "csv", "-o", "x", "--table", "responses", "--metric", "a"),
            "bad-option",
        ),
        (("--to", "csv", "-o", "x", "--metric", "charm"), "unknown-metric"),
        (("--to", "lm-eval", "-o", "x", "--model", "none"), "nothing-stored"),
        (("--to", "csv", "-o", "x", "--task", "none"), "nothing-stored"),
        (
            ("--to", "openmetrics", "-o", "x", "--confidence", "2"),
            "bad-confidence-level",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    words, code, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HarnessError) as caught:
        export(*words)

    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_stays(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for to in ("lm-eval", "eee"):
        with pytest.raises(HarnessError) as caught:
            export("--to", to, "-o", str(tmp_path))
        assert caught.value.code == "file-exists"

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("to", "name"),
    [("lm-eval", "out"), ("eee", "out"), ("csv", "t.csv"), ("openmetrics", "o.txt")],
)
def test_what_a_plain_table_says_is_enough(to, name, tmp_path):
    """Trials that tell neither step nor seed nor when, and one without a score."""
    (tmp_path / "t.csv").write_text("item,model,score\na,m,1\nb,m,\n")
    store = Store.create(tmp_path / "store")
    import_results(store, [tmp_path / "t.csv"])
    place = tmp_path / "new" / name
    words = ["export", str(tmp_path / "store"), "--to", to, "-o", str(place)]
    app(words, standalone_mode=False)
    if to == "openmetrics":
        assert 'evalvar_score{model="m"' in place.read_text()
        return
    back = load_results([place]).responses

    values = [value for one in back["metrics"] for _, value in one]
    assert values == [1.0]
    assert back["model"].unique().tolist() == ["m"]


@pytest.mark.parametrize("to", ["csv", "parquet", "openmetrics"])
def test_a_file_is_written_over_if_it_is_an_earlier_export_or_with_force(
    to, tmp_path, capsys
):
    note, place = tmp_path / "note", tmp_path / "mine"
    note.write_text("hi\n")
    place.touch()
    words = ("--to", to, "--task", "zoo_recall", "--metric", "exact_match", "-o")
    with pytest.raises(HarnessError) as caught:
        export(*words, str(note))
    export(*words, str(place))
    export(*words, str(place))

    assert (caught.value.code, note.read_text()) == ("file-exists", "hi\n")
    assert place.stat().st_size > 0
    export(*words, str(note), "--force")
    assert note.read_bytes() == place.read_bytes()


@pytest.mark.parametrize("to", ["lm-eval", "eee", "parquet", "mlflow"])
def test_what_cannot_be_a_stream_is_written_to_none(to, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HarnessError, match="has no stream") as caught:
        export("--to", to, "-o", "-")

    assert caught.value.code == "bad-option"
    assert list(tmp_path.iterdir()) == []
