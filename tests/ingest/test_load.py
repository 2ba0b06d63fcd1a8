"""Foreign results into a store: once, whole, and as their paths complete them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from ingest.lm_eval_files import choice_sample, write_run

from harness.errors import InputError
from harness.frames import JOINED, TRIALS
from harness.ingest import load
from harness.ingest.load import import_results, load_results
from harness.store import Store

SILENT = {"model": "hf", "model_args": {"pretrained": "./final"}, "batch_size": "8"}
"""Of a run whose model's name says nothing."""


def silent_run(folder: Path, shift: float = 0.0) -> Path:
    samples = [choice_sample(i, shift=shift) for i in range(6)]
    return write_run(folder, {"toy_mc": samples}, config=SILENT, model_name="./final")


def test_importing_twice_adds_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "in", tasks={"toy_mc": {}, "other": {}})
    store = Store.create(tmp_path / "store")

    first = import_results(store, [tmp_path / "in"])
    content = Store(tmp_path / "store").info().content_digest
    again = import_results(store, [tmp_path / "in"])
    assert (first.n_new, first.n_new_responses, first.n_new_aggregates) == (1, 6, 1)
    assert (again.n_new, again.n_new_responses, again.n_new_aggregates) == (0, 0, 0)
    assert (len(again.trials), again.n_aggregates) == (1, 1)
    assert Store(tmp_path / "store").info().content_digest == content
    assert Store(tmp_path / "store").attempts().num_rows == 1
    assert Store(tmp_path / "store").aggregates().num_rows == 1


def test_other_answers_are_another_trial(tmp_path: Path) -> None:
    write_run(tmp_path / "in")
    store = Store.create(tmp_path / "store")
    import_results(store, [tmp_path / "in"])

    samples = [choice_sample(i, shift=1.0) for i in range(6)]
    write_run(tmp_path / "in", {"toy_mc": samples}, time="2026-11-26T00-00-00.0")
    assert import_results(store, [tmp_path / "in"]).n_new == 1
    assert Store(tmp_path / "store").info().n_trials_done == 2


def test_a_store_and_memory_have_the_same(tmp_path: Path) -> None:
    write_run(tmp_path / "in")
    store = Store.create(tmp_path / "store")
    import_results(store, [tmp_path / "in"])
    loaded = load_results([tmp_path / "in"])

    stored = store.responses()
    assert list(loaded.responses.columns) == list(stored.columns) == JOINED.names
    assert list(loaded.trials.columns) == TRIALS.names
    for column in set(JOINED.names) - {"attempt_id"}:
        pd.testing.assert_series_equal(loaded.responses[column], stored[column])


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "in")
    store = Store.create(tmp_path / "store")

    assert import_results(store, [tmp_path / "in"], dry_run=True).n_new == 1
    assert import_results(None, [tmp_path / "in"], dry_run=True).n_new == 1
    assert Store(tmp_path / "store").attempts().num_rows == 0


def test_what_is_large_is_read_twice_and_written_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "in")
    whole = Store.create(tmp_path / "whole")
    import_results(whole, [tmp_path / "in"])
    monkeypatch.setattr(load, "HELD_BYTES", 10)
    pieces = Store.create(tmp_path / "pieces")

    assert import_results(pieces, [tmp_path / "in"]).n_new_responses == 6
    assert pieces.info().content_digest == whole.info().content_digest
    assert pieces.verify() == []


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "in")
    told: list[tuple[float, float, str]] = []

    import_results(None, [tmp_path / "in"], listen=lambda *what: told.append(what))
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1] == (size, size, "")
    assert told[0][2].startswith("results_")


KILLED = """
import sys
from harness.ingest import load
from harness.store import Store

load.HELD_BYTES = 10  # a commit for each
store, folder = sys.argv[1:]
load.import_results(Store(store), [folder], listen=lambda *w: print(w, flush=True))
"""


def test_an_import_that_is_killed_leaves_whole_trials(tmp_path: Path) -> None:
    for n in range(6):
        samples = [choice_sample(i, shift=n / 7) for i in range(300)]
        write_run(tmp_path / "in" / str(n), {"toy_mc": samples})
    store = Store.create(tmp_path / "store")
    command = [sys.executable, "-c", KILLED, str(store.path), str(tmp_path / "in")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(6):
            process.stdout.readline()
        time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)

    done = Store(tmp_path / "store").info()
    assert done.n_trials_done < 6
    assert done.n_responses == 300 * done.n_trials_done
    assert Store(tmp_path / "store").verify() == []
    again = import_results(store, [tmp_path / "in"])
    assert again.n_new == 6 - done.n_trials_done
    assert Store(tmp_path / "store").info().n_responses == 1800


# ---- identity ------------------------------------------------------------------------


def test_an_interrupted_import_keeps_what_it_has_read(tmp_path: Path) -> None:
    for model in "abc":
        (tmp_path / f"{model}.csv").write_text(f"item_id,model,score\ni,{model},1\n")

    def stop(done: float, total: float, name: str) -> None:
        if name == "c.csv":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_results(tmp_path / "s", [tmp_path], listen=stop)
    store = Store(tmp_path / "s")

    assert store.verify() == []
    assert sorted(store.trials()["model"].to_pylist()) == ["a", "b"]
    assert import_results(store, [tmp_path]).n_new == 1


def test_whole_trials_do_not_wait_for_long(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(load, "COMMIT_SECONDS", -1.0)
    stored = []

    def look(done: float, total: float, name: str) -> None:
        if name != "a.csv":
            stored.append(len(Store(tmp_path / "s").trials()))

    for model in "abc":
        (tmp_path / f"{model}.csv").write_text(f"item_id,model,score\ni,{model},1\n")
    import_results(tmp_path / "s", [tmp_path], listen=look)

    assert stored == [1, 2, 3]


def test_a_pattern_completes_what_a_file_does_not_say(tmp_path: Path) -> None:
    for seed in (0, 1):
        silent_run(tmp_path / f"tiny/seed{seed}/step40", shift=seed)

    silent = load_results([tmp_path])
    assert set(silent.trials["model"]) == {"final"}
    assert silent.unknown["train_seed"] == silent.unknown["step"] == 2
    told = load_results([tmp_path], pattern="seed{train_seed}/step{step}")
    assert told.trials["train_seed"].tolist() == [0, 1]
    assert told.trials["step"].tolist() == [40, 40]
    assert not {"train_seed", "step"} & set(told.unknown)
    assert not told.problems


def test_a_path_that_contradicts_its_file_is_told(tmp_path: Path) -> None:
    write_run(tmp_path / "step2000")

    loaded = load_results([tmp_path], pattern="step{step}")
    assert loaded.trials["step"].tolist() == [1000]
    (problem,) = {p.reason for p in loaded.problems}
    assert problem == "its step is 1000, by its path 2000; the file is believed"
    assert not any(p.is_left_out for p in loaded.problems)


def test_a_pattern_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path)

    with pytest.raises(InputError, match="matches none of 2 files") as caught:
        load_results([tmp_path], pattern="nobody{step}")
    assert caught.value.code == "pattern-field"


def test_files_that_a_pattern_does_not_match_are_counted(tmp_path: Path) -> None:
    silent_run(tmp_path / "a/step40")
    silent_run(tmp_path / "b", shift=1)

    loaded = load_results([tmp_path], pattern="step{step}")
    (problem,) = loaded.problems
    assert "does not match 2 of 4 files" in problem.reason
    assert len(loaded.trials) == 2


def test_a_run_without_a_model_s_name_has_that_of_its_folder(tmp_path: Path) -> None:
    """lm-eval draws a name at random then, and makes a folder of it."""
    write_run(
        tmp_path,
        config={"model": "dummy", "model_args": ""},
        model_name="qdpv68r5",
        model_name_sanitized="qdpv68r5",
    )

    loaded = load_results([tmp_path])
    assert loaded.trials["model"].tolist() == ["qdpv68r5"]
    assert loaded.unknown["model"] == 1


# ---- what is there -------------------------------------------------------------------


def test_places_without_results_are_told(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\0" * 99)

    for paths, code in (
        ([tmp_path / "nowhere"], "results-missing"),
        ([tmp_path], "results-missing"),
        ([""], "results-missing"),
        ([tmp_path / "weights.bin"], "unknown-format"),
    ):
        with pytest.raises(InputError) as caught:
            load_results(paths)
        assert caught.value.code == code
    with pytest.raises(InputError, match="there is no format 'helm'; it is one of"):
        load_results([tmp_path], format="helm")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"item,val\na,1\n", "it lacks model and score"),
        ("t.TSV", b"", "it is empty"),
        ("t.csv", "item_id,model,score\n".encode("utf-16"), "it is UTF-16"),
        ("t.parquet", b"PAR0", "it is no Parquet"),
        ("t.txt", b"item,val\na,1\n", "it is none of csv"),
    ],
)
def test_a_table_that_is_named_is_told_what_it_lacks(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        load_results([tmp_path / name])

    with pytest.raises(InputError, match="no results of"):
        load_results([tmp_path])


def test_sources_that_are_none_say_what_they_are(tmp_path: Path) -> None:
    Store.create(tmp_path / "s")
    for path, says in (("", "is empty"), (tmp_path / "s", "is a store already")):
        with pytest.raises(InputError, match=says) as caught:
            load_results([path])
        assert caught.value.code == "results-missing"


def test_where_all_is_broken_the_first_is_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text('{"results": {')

    with pytest.raises(
        InputError, match=r"a\.json:1: it is no JSON.*and 1 more problem"
    ):
        load_results([tmp_path])


def test_a_folder_of_results_is_told_from_a_store(tmp_path: Path) -> None:
    write_run(tmp_path / "in")
    import_results(Store.create(tmp_path / "in/store"), [tmp_path / "in"])

    again = import_results(Store(tmp_path / "in/store"), [tmp_path / "in"])
    assert (again.n_new, again.n_other_files) == (0, 0)


def test_the_result_is_plain_json(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "bad.json").write_text('{"results": {')

    said = json.loads(json.dumps(import_results(None, [tmp_path]).to_dict()))
    assert (said["n_new"], said["n_left_out"], said["n_files"]) == (1, 1, 3)
    assert said["trials"][0]["task"] == "toy_mc"
    assert said["problems"][0]["line"] == 1


def test_of_a_large_file_it_is_told_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path)
    monkeypatch.setattr(load, "TOLD_BYTES", 10)
    told: list[str] = []

    import_results(None, [tmp_path], listen=lambda done, total, what: told.append(what))
    assert any(what.endswith(".jsonl: 6 answers") for what in told)


@pytest.mark.parametrize("pattern", ["nobody{step}", "{colour}"])
def test_a_pattern_is_refused_before_anything_is_written(
    tmp_path: Path, pattern: str
) -> None:
    write_run(tmp_path / "in")

    with pytest.raises(InputError, match="pattern"):
        import_results(tmp_path / "store", [tmp_path / "in"], pattern=pattern)
    assert not (tmp_path / "store").exists()


def test_a_store_is_made_when_there_is_something_to_write(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/bad.json").write_text('{"results": {')
    found = import_results(tmp_path / "store", [tmp_path / "in"])
    assert (found.n_found, found.n_left_out) == (0, 1)
    write_run(tmp_path / "in", tasks={"other": {}})
    import_results(tmp_path / "store", [tmp_path / "in"], dry_run=True)
    assert not (tmp_path / "store").exists()

    import_results(tmp_path / "store", [tmp_path / "in"])
    assert Store(tmp_path / "store").aggregates().num_rows == 1


def test_what_stands_there_twice_counts_once_and_is_told(tmp_path: Path) -> None:
    samples = [choice_sample(i) for i in range(6)]
    write_run(tmp_path / "in", {"toy_mc": [*samples, samples[2], samples[5]]})
    write_run(tmp_path / "in/copy", {"toy_mc": samples})
    first, _ = sorted((tmp_path / "in").rglob("samples_*"))

    loaded = load_results([tmp_path / "in"])
    assert len(loaded.responses) == 6
    said = {(p.file, p.reason) for p in loaded.problems}
    assert {p.code for p in loaded.problems} == {"results-twice"}
    assert not any(p.is_left_out for p in loaded.problems)
    assert (str(first), "2 of its samples stand there twice and count once") in said
    assert len(said) == 2
    assert any(f"those of {first}" in reason for _, reason in said)


def test_a_problem_says_whose_answers_are_gone(tmp_path: Path) -> None:
    write_run(tmp_path / "in", {"a": [choice_sample(0)], "b": [choice_sample(0)]})
    a, b = sorted((tmp_path / "in").rglob("samples_*"))
    a.write_text(a.read_text() + '{"doc_id": 1,')
    b.write_text("")

    problems = import_results(None, [tmp_path / "in"]).problems
    assert [(p.file, p.model, p.task) for p in problems] == [
        (str(b), "acme/toy-1b", "b"),
        (str(a), "acme/toy-1b", "a"),
    ]
