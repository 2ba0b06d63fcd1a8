"""What readers see of a store, whatever happened to those who wrote it."""

import datetime as dt
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from fakes import N_ITEMS, commit, fake_plan, run_fake

import harness.store
from harness.errors import InputError, StoreError
from harness.frames import AGGREGATES, IDENTITY, JOINED, MARKS, RESPONSES, TRIALS
from harness.store import Store

EXAMPLE = Path(__file__).parent.parent / "results/example"

FIRST, SECOND, *_ = fake_plan().trials


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "store")


@pytest.fixture
def full(tmp_path):
    """Eight trials of two tasks."""
    run_fake(tmp_path / "store")
    return Store(tmp_path / "store")


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


AGGREGATE = dict.fromkeys(AGGREGATES.names) | {
    "aggregate_id": "a1",
    "model": "m",
    "task": "t",
    "formulation": "",
    "template": "default",
    "metric": "acc,none",
    "backend": "lm-eval 0.3.0",
    "value": 0.25,
}

MARK = dict.fromkeys(MARKS.names) | {
    "mark_id": "m1",
    "kind": "tag",
    "name": "release",
    "reason": "shipped",
    "set_at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
}


def without(path: Path, column: str) -> pa.Table:
    """Write a table anew as if there had never been such a column."""
    table = DeltaTable(path)
    older = table.to_pyarrow_table().drop_columns(column)
    text = table.metadata().description
    shutil.rmtree(path)
    write_deltalake(path, older, description=text)
    return older


def test_a_store_without_the_column_of_clusters_is_read_and_added_to(tmp_path):
    run_fake(tmp_path / "store")
    older = without(tmp_path / "store/responses", "cluster")

    there = Store(tmp_path / "store")
    assert there.responses(["cluster"])["cluster"].isna().all()

    rows = older.slice(0, 1).append_column("cluster", pa.array(["a"]))
    there.append(TRIALS.empty_table(), [rows])
    assert there.responses(["cluster"])["cluster"].tolist().count("a") == 1


def test_a_store_that_does_not_say_which_way_is_better_is_read_and_added_to(tmp_path):
    run_fake(tmp_path / "store")
    before = Store(tmp_path / "store").info().content_digest
    older = without(tmp_path / "store/trials", "lower_is_better")

    there = Store(tmp_path / "store")
    assert there.responses()["lower_is_better"].isna().all()
    assert there.trials()["lower_is_better"].null_count == older.num_rows
    assert there.info().content_digest == before

    row = {**older.slice(0, 1).to_pylist()[0], "trial_id": "other"}
    row |= {"attempt_id": "other", "lower_is_better": '["wer"]'}
    there.append(pa.Table.from_pylist([row], schema=TRIALS), [])
    said = Store(there.path).trials()["lower_is_better"].to_pylist()
    assert sorted(map(str, said)) == ["None"] * older.num_rows + ['["wer"]']


def test_a_store_without_another_column_is_refused_in_a_line(full):
    without(Path(full.path, "trials"), "generation")

    for opened in (Store, Store.create):
        with pytest.raises(InputError, match="trials lacks generation, ") as caught:
            opened(full.path)
        assert caught.value.code == "store-format"


# ---- what others said ------------------------------------------------------------


def test_aggregates_are_there_once_however_often_they_are_added(store):
    assert store.aggregates().num_rows == 0

    rows = pa.Table.from_pylist([AGGREGATE], schema=AGGREGATES)
    store.append_aggregates(rows)
    store.append_aggregates(rows)

    assert Store(store.path).aggregates().to_pylist() == [AGGREGATE]


def test_marks_are_read_in_the_order_in_which_they_were_set(store):
    assert store.marks().num_rows == 0

    earlier = MARK | {"mark_id": "m0", "set_at": MARK["set_at"] - dt.timedelta(days=1)}
    for mark in (MARK, earlier):
        store.append_marks(pa.Table.from_pylist([mark], schema=MARKS))

    assert Store.create(store.path).marks().to_pylist() == [earlier, MARK]
    assert store.compact()["marks"] == 1


# ---- what counts -----------------------------------------------------------------


def test_an_empty_store_has_its_columns(store):
    assert store.status() == {}
    assert store.attempts().schema.names == TRIALS.names
    assert list(store.responses().columns) == JOINED.names
    assert store.responses().empty
    assert store.verify() == []
    info = store.info()
    assert (info.n_trials_done, info.n_responses, info.n_bytes) == (0, 0, 0)


def test_a_crash_between_the_two_commits_leaves_nothing_visible(store, monkeypatch):
    def crash_at_trials(address, *rest, **options):
        if address.endswith("trials"):
            raise KeyboardInterrupt
        write_deltalake(address, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "write_deltalake", crash_at_trials)
        with pytest.raises(KeyboardInterrupt):
            commit(store, FIRST, "crashed")

    assert store._table("responses").to_pyarrow_table().num_rows == N_ITEMS
    assert store.responses().empty
    assert (store.status(), store.info().n_responses, store.verify()) == ({}, 0, [])

    commit(store, FIRST, "again")
    assert set(store.responses()["attempt_id"]) == {"again"}
    assert len(store.responses()) == N_ITEMS
    assert store.verify() == []


@pytest.mark.parametrize("order", [("early", "late"), ("late", "early")])
def test_of_two_drivers_the_one_that_was_done_first_counts(store, order):
    for attempt_id in order:
        commit(store, FIRST, attempt_id, minute=5 if attempt_id == "late" else 1)

    assert store.attempts().num_rows == 2
    assert store.trials()["attempt_id"].to_pylist() == ["early"]
    assert set(store.responses()["attempt_id"]) == {"early"}
    assert store.info().n_responses == len(store.responses()) == N_ITEMS


def test_a_tie_between_drivers_is_decided_alike_for_every_reader(store):
    for attempt_id in ("b", "a"):
        commit(store, FIRST, attempt_id)

    assert store.trials()["attempt_id"].to_pylist() == ["a"]


def test_failed_then_done_is_done(store):
    commit(store, FIRST, "failed", minute=0, error="no space left")
    assert store.status() == {FIRST.trial_id: "failed"}
    commit(store, FIRST, "done", minute=1)
    assert store.status() == {FIRST.trial_id: "done"}
    commit(store, FIRST, "failed later", minute=2, error="no space left")

    assert store.status() == {FIRST.trial_id: "done"}
    assert len(store.responses()) == N_ITEMS


def test_a_failed_trial_is_a_row_with_its_last_error(store):
    commit(store, FIRST, "one", minute=0, error="first")
    commit(store, FIRST, "two", minute=1, error="second")
    commit(store, SECOND, "three")

    (failed,) = (t for t in store.trials().to_pylist() if t["status"] == "failed")
    assert (failed["status"], failed["error_code"]) == ("failed", "trial-raised")
    assert failed["error"] == "second"
    assert set(store.responses()["trial_id"]) == {SECOND.trial_id}
    assert (store.info().n_trials_done, store.info().n_trials_failed) == (1, 1)


# ---- what is read ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "n_trials"),
    [
        ({}, 8),
        ({"task": "t1"}, 4),
        ({"model": "toy"}, 8),
        ({"model": "toy", "task": "t2"}, 4),
        ({"task": "t3"}, 0),
        ({"model": "t1"}, 0),
    ],
)
def test_models_and_tasks_are_chosen(full, chosen, n_trials):
    rows = full.responses(**chosen)

    assert len(rows) == n_trials * N_ITEMS
    for name, value in chosen.items():
        assert set(rows[name]) <= {value}


def test_columns_are_chosen_and_come_in_that_order(full):
    everything = full.responses()
    some = full.responses(["step", "target_index", "task"])

    assert list(everything.columns) == JOINED.names
    pd.testing.assert_frame_equal(some, everything[["step", "target_index", "task"]])


def test_each_response_carries_the_identity_of_its_trial(full):
    rows = full.response_table(["attempt_id", *IDENTITY]).to_pylist()
    of = {row["attempt_id"]: row for row in full.trials().to_pylist()}

    assert len(rows) == 8 * N_ITEMS
    for row in rows:
        assert {n: row[n] for n in IDENTITY} == {
            n: of[row["attempt_id"]][n] for n in IDENTITY
        }


def test_categories_sort_by_name_whatever_came_first(tmp_path):
    run_fake(tmp_path / "s", tasks=("t2", "t10", "T"), models=("b", "a"))
    rows = Store(tmp_path / "s").responses()

    assert list(rows["task"].cat.categories) == ["T", "t10", "t2"]
    assert list(rows["model"].cat.categories) == ["a", "b"]
    assert rows.groupby("task", observed=True).size().index.to_list() == [
        "T", "t10", "t2",
    ]  # fmt: skip


def test_lists_and_maps_are_arrows(full):
    rows = full.responses()

    for name in ("choice_logprobs", "choice_chars", "metrics"):
        assert rows[name].dtype == pd.ArrowDtype(JOINED.field(name).type)
    assert rows["choice_logprobs"].to_list() == (
        full.response_table()["choice_logprobs"].to_pylist()
    )


def test_a_missing_seed_leaves_the_others_whole_numbers(tmp_path):
    run_fake(tmp_path / "s", seeds=(None, 2**53 + 1), steps=(None,))
    rows = Store(tmp_path / "s").responses()

    assert rows["train_seed"].dtype == pd.Int64Dtype()
    assert set(rows["train_seed"].dropna()) == {2**53 + 1}
    assert rows["train_seed"].isna().sum() == 2 * N_ITEMS
    assert rows["step"].isna().all()
    assert rows["target_tokens"].dtype == pd.Int32Dtype()


# ---- readers of other people -----------------------------------------------------

DUCKDB = """
WITH counted AS (
    SELECT DISTINCT ON (trial_id) *
    FROM trials
    WHERE status = 'done'
    ORDER BY trial_id, finished_at, attempt_id
)
SELECT r.*, t.model, t.train_seed, t.step, t.task
FROM responses AS r
JOIN counted AS t USING (attempt_id)
"""


def read_with_duckdb(path):
    # Through the tables' logs: a plain *.parquet would read replaced files too.
    trials = DeltaTable(f"{path}/trials").to_pyarrow_dataset()  # noqa: F841
    responses = DeltaTable(f"{path}/responses").to_pyarrow_dataset()  # noqa: F841
    return duckdb.sql(DUCKDB).df()


def read_with_pandas(path):
    trials = DeltaTable(f"{path}/trials").to_pandas()
    responses = DeltaTable(f"{path}/responses").to_pandas()
    counted = (
        trials[trials["status"] == "done"]
        .sort_values(["finished_at", "attempt_id"])
        .drop_duplicates("trial_id")
    )
    columns = ["attempt_id", "model", "train_seed", "step", "task"]
    return responses.merge(counted[columns], on="attempt_id")


@pytest.mark.parametrize("read", [read_with_duckdb, read_with_pandas])
@pytest.mark.parametrize("drop_replaced", [None, False, True])
def test_other_readers_see_the_same_rows(full, read, drop_replaced):
    commit(full, FIRST, "second driver", minute=10**6)
    commit(full, SECOND, "failed", error="no space left")
    if drop_replaced is not None:
        full.compact(drop_replaced=drop_replaced)
    columns = ["trial_id", "item_id", "target_index", "model", "step", "task"]
    keys = ["trial_id", "item_id"]
    ours, theirs = (
        frame[columns].sort_values(keys).reset_index(drop=True)
        for frame in (full.responses(), read(full.path))
    )

    assert len(theirs) == 8 * N_ITEMS
    pd.testing.assert_frame_equal(
        theirs.astype(object), ours.astype(object), check_dtype=False
    )


# ---- content ---------------------------------------------------------------------


def test_content_has_no_attempts_order_or_commits_in_it(tmp_path):
    trials = fake_plan().trials
    one, other = Store.create(tmp_path / "one"), Store.create(tmp_path / "other")
    for number, trial in enumerate(trials):
        commit(one, trial, f"one {number}", minute=number)
    at_once = [
        table.set_column(
            table.schema.get_field_index("attempt_id"),
            "attempt_id",
            pa.array([f"other {a}" for a in table["attempt_id"].to_pylist()]),
        )
        for table in (
            one.attempts(),
            one._table("responses").to_pyarrow_table(),
        )
    ]
    backwards = [table.take(list(range(table.num_rows))[::-1]) for table in at_once]
    other.append(backwards[0], [backwards[1]])

    assert other.info().content_digest == one.info().content_digest
    assert other.info().n_files < one.info().n_files


def test_content_has_every_answer_in_it(tmp_path):
    digests = {Store.create(tmp_path / "empty").info().content_digest}
    for name, tasks in {"a": ("t1",), "b": ("t2",), "c": ("t1", "t2")}.items():
        run_fake(tmp_path / name, tasks=tasks)
        digests.add(Store(tmp_path / name).info().content_digest)

    assert len(digests) == 4


def test_info_counts(full):
    commit(full, fake_plan(tasks=("t3",)).trials[0], "x", error="no space left")
    info = full.info()

    assert (info.n_trials_done, info.n_trials_failed) == (8, 1)
    assert (info.n_responses, info.n_checkpoints, info.n_tasks) == (8 * N_ITEMS, 4, 2)
    on_disk = list(Path(full.path).glob("*/*.parquet"))
    assert info.n_files == len(on_disk)
    assert info.n_bytes == sum(path.stat().st_size for path in on_disk)
    assert info.to_dict()["format"] == 1


@pytest.mark.parametrize("drop_replaced", [False, True])
def test_compacting_keeps_the_content(store, drop_replaced):
    for number, trial in enumerate(fake_plan().trials):
        commit(store, trial, f"attempt {number}")
    before = store.info()
    counts = store.compact(drop_replaced=drop_replaced)

    assert counts == {
        "responses_before": 8, "responses": 1, "trials_before": 8, "trials": 1,
    }  # fmt: skip
    after = store.info()
    assert after.content_digest == before.content_digest
    assert (after.n_files, after.n_responses) == (2, before.n_responses)
    assert store.verify() == []
    left = len(list(Path(store.path).glob("*/*.parquet")))
    assert left == (2 if drop_replaced else 18)


# ---- what is wrong with it -------------------------------------------------------


def test_a_missing_response_is_found(full):
    some = full.attempts()["attempt_id"][0].as_py()
    full._table("responses").delete(f"attempt_id = '{some}' AND item_index = 3")
    (problem,) = full.verify()

    trial_id = full.attempts()["trial_id"][0].as_py()
    assert problem == (
        f"trial {trial_id} has {N_ITEMS - 1} responses, {N_ITEMS} were written"
    )


def test_doubled_responses_are_found(full):
    rows = full._table("responses").to_pyarrow_table()
    write_deltalake(f"{full.path}/responses", rows.slice(0, 2), mode="append")
    problems = full.verify()

    assert any(f"has {N_ITEMS + 2} responses" in problem for problem in problems)
    assert problems[-1] == "2 responses stand twice in an attempt"


def test_responses_that_went_missing_altogether_are_found(full):
    full._table("responses").delete()

    assert len(full.verify()) == 8
    assert all(" has 0 responses" in problem for problem in full.verify())


# ---- places that are no store ----------------------------------------------------


def make_table(path, description):
    schema = TRIALS if path.endswith("trials") else RESPONSES
    DeltaTable.create(path, schema=schema, description=description)


@pytest.mark.parametrize(
    ("description", "shown"),
    [
        ("evalvar.store/0", "format 0"),
        ("evalvar.store/2", "format 2"),
        ("sales of 2025", "format unknown"),
        (None, "format unknown"),
    ],
)
@pytest.mark.parametrize("opened", [Store, Store.create])
@pytest.mark.parametrize("table", ["responses", "trials"])
def test_another_format_is_refused_untouched(
    tmp_path, description, shown, opened, table
):
    if opened is Store:  # a whole store, of which one table is another's
        run_fake(tmp_path, tasks=("t1",))
        shutil.rmtree(tmp_path / table)
    make_table(f"{tmp_path}/{table}", description)
    before = files(tmp_path)
    with pytest.raises(InputError, match=shown) as caught:
        opened(tmp_path)

    assert caught.value.code == "store-format"
    assert "another folder" in str(caught.value)
    assert files(tmp_path) == before


@pytest.mark.parametrize("missing", ["nothing", "empty", "else", "loop"])
def test_where_there_is_no_store_the_way_to_one_is_said(tmp_path, missing):
    (tmp_path / "empty").mkdir()
    (tmp_path / "else").mkdir()
    (tmp_path / "else/notes.txt").write_text("keep me")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = files(tmp_path)
    with pytest.raises(InputError, match="evalvar run SUITE") as caught:
        Store(tmp_path / missing)

    assert caught.value.code == "store-missing"
    assert files(tmp_path) == before


@pytest.mark.parametrize("place", ["else", "file"])
def test_what_holds_something_else_is_not_made_a_store(tmp_path, place):
    (tmp_path / "else").mkdir()
    (tmp_path / "else/notes.txt").write_text("keep me")
    (tmp_path / "file").write_text("keep me")
    with pytest.raises(InputError, match="something else is there") as caught:
        Store.create(tmp_path / place)

    assert caught.value.code == "not-a-store"
    assert len(list(tmp_path.rglob("*"))) == 3


def test_a_file_is_not_read_as_a_store(tmp_path):
    (tmp_path / "file").write_text("keep me")
    with pytest.raises(InputError, match="something else is there") as caught:
        Store(tmp_path / "file")

    assert caught.value.code == "not-a-store"


def test_no_name_is_no_store():
    with pytest.raises(InputError, match="name is empty") as caught:
        Store("")

    assert caught.value.code == "not-a-store"


@pytest.mark.parametrize("table", ["responses", "trials"])
def test_a_table_that_went_missing_is_named(full, table):
    shutil.rmtree(Path(full.path, table))
    with pytest.raises(InputError, match=f"its table {table} is missing") as caught:
        Store(full.path)

    assert caught.value.code == "store-missing"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file/store", "Not a directory"),
        ("loop", "File exists|symbolic links"),
        ("x" * 300, "name too long"),
        ("gone://bucket/store", "Unknown scheme: gone"),
        ("a[b", "cannot have '\\['"),
        ("a%20b", "cannot have '%20'"),
        ("a\\b", r"cannot have '\\\\'"),
        ("a\nb", r"cannot have '\\n'"),
    ],
)
def test_a_place_that_cannot_be_made_is_one_line(tmp_path, monkeypatch, place, why):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("keep me")
    Path("loop").symlink_to("loop")
    with pytest.raises(StoreError, match=why) as caught:
        Store.create(place)

    assert caught.value.code == "store-not-written"
    assert "\n" not in str(caught.value).removeprefix(place)


@pytest.mark.parametrize("made", ["", "responses", "trials"])
def test_what_was_half_made_is_completed(tmp_path, made):
    """A driver was killed while it made the store."""
    if made:
        make_table(f"{tmp_path}/{made}", "evalvar.store/1")

    assert Store.create(tmp_path).info().n_responses == 0


@pytest.mark.parametrize("name", ["two words", "run:1", "100%", "a#b?c", "ünï", "{x}"])
def test_any_folder_name_will_do(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    commit(Store.create(name), FIRST, "x")

    assert len(Store(name).responses()) == N_ITEMS
    assert list(Path().iterdir()) == [Path(name)]


# ---- places that fail ------------------------------------------------------------


@pytest.mark.parametrize("harm", ["cut", "removed", "garbage"])
@pytest.mark.parametrize("table", ["responses", "trials"])
def test_a_spoilt_file_is_one_line(full, harm, table):
    path = next(Path(full.path, table).glob("*.parquet"))
    if harm == "removed":
        path.unlink()
    else:
        n = path.stat().st_size
        path.write_bytes(path.read_bytes()[:50] if harm == "cut" else b"\0" * n)
    reads = {"trials": full.trials, "responses": full.responses}[table]
    for read in (reads, full.info, full.verify):
        with pytest.raises(StoreError, match="cannot be read: ") as caught:
            read()

        assert caught.value.code == "store-not-read"
        assert str(caught.value).isprintable()
        assert str(caught.value).count(path.name) == 1
        assert "<unknown>" not in str(caught.value)


def test_what_no_file_is_at_fault_for_names_none(full):
    with pytest.raises(StoreError, match="nothing") as caught:
        full._read("trials", ["nothing"])

    assert "trials/" not in str(caught.value)


@pytest.mark.parametrize("content", [b"{garbage\nmore", b"\xff\x00\x1b[31m", b""])
def test_a_spoilt_log_is_one_line(full, content):
    log = next(Path(full.path).glob("trials/_delta_log/*00.json"))
    log.write_bytes(content)
    for opened in (Store, Store.create):
        with pytest.raises(StoreError, match="cannot be read: ") as caught:
            opened(full.path)

        assert caught.value.code == "store-not-read"
        assert str(caught.value).isprintable()


@pytest.fixture
def disk(tmp_path):
    """A file system of 512 KiB; returns its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(command).returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_what_was_stored(disk):
    store = Store.create(disk / "store")
    commit(store, FIRST, "first")
    before = store.info()
    (disk / "filler").write_bytes(b"x" * shutil.disk_usage(disk).free)
    with pytest.raises(StoreError, match="No space left on device") as caught:
        commit(store, SECOND, "second")

    assert caught.value.code == "store-not-written"
    assert str(caught.value).endswith("what was stored before is untouched")
    assert Store(store.path).info() == before
    assert store.verify() == []

    (disk / "filler").unlink()
    commit(store, SECOND, "again")
    assert len(store.responses()) == 2 * N_ITEMS


def test_a_read_only_store_is_read_and_not_written(disk):
    store = Store.create(disk / "store")
    commit(store, FIRST, "first")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

    assert len(Store(store.path).responses()) == N_ITEMS
    for write in (
        lambda: Store.create(store.path),
        lambda: Store.create(disk / "new"),
        lambda: commit(store, SECOND, "second"),
        store.compact,
    ):
        with pytest.raises(StoreError, match=r"(?i)read-only") as caught:
            write()

        assert caught.value.code == "store-not-written"
        assert "\n" not in str(caught.value)


# ---- several drivers -------------------------------------------------------------

DRIVER = """
import sys
from fakes import commit, fake_plan
from harness.store import Store

store = Store.create(sys.argv[1])
for trial in fake_plan(seeds=(int(sys.argv[2]),), steps=range(4)).trials:
    commit(store, trial, trial.trial_id)
    print(trial.trial_id, flush=True)
"""


def test_a_killed_driver_among_several_leaves_whole_commits(tmp_path):
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", DRIVER, tmp_path / "store", str(seed)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(3)
    ]
    told = drivers[0].stdout.readline().split()
    drivers[0].send_signal(signal.SIGKILL)
    ends = [driver.communicate(timeout=120) for driver in drivers]
    told += [trial_id for out, _ in ends for trial_id in out.split()]

    assert [d.returncode for d in drivers] == [-signal.SIGKILL, 0, 0], ends
    store = Store(tmp_path / "store")
    done = store.status()
    assert set(told) <= set(done)
    assert len(told) >= 1 + 8 + 8
    assert store.verify() == []
    assert len(store.responses()) == len(done) * N_ITEMS


def test_a_table_that_another_driver_just_made_is_taken(tmp_path, monkeypatch):
    def made_meanwhile(address, **options):
        create(address, **options)
        raise harness.store.DeltaError("version 0 is there already")

    create = DeltaTable.create
    monkeypatch.setattr(DeltaTable, "create", made_meanwhile)

    assert Store.create(tmp_path / "s").info().n_responses == 0


@pytest.mark.skipif(not EXAMPLE.is_dir(), reason="only a checkout has the example")
def test_the_example_is_whole():
    store = Store(EXAMPLE)

    assert store.verify() == []
    assert store.info().n_trials_done == 480
