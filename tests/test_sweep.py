"""A plan is carried out: what is committed, told and left for the next time."""

import dataclasses
import time

import pytest
from fakes import N_ITEMS, fake_plan, here, outcome, run_fake

import harness.store
import harness.sweep
from harness.errors import StoreError
from harness.run.backend import FakeBackend
from harness.store import Store
from harness.sweep import nothing_to_do, placement_of, seconds_per_request, sweep


@pytest.fixture
def undisturbed(tmp_path):
    run_fake(tmp_path / "undisturbed")
    return Store(tmp_path / "undisturbed").info().content_digest


def stopped_after(n, stop):
    """Return an executor that finishes `n` trials and then raises `stop`."""

    def execute(trials):
        yield from here()(trials[:n])
        raise stop

    return execute


def test_everything_is_done_once(tmp_path, undisturbed):
    first = run_fake(tmp_path / "s")
    second = run_fake(tmp_path / "s")

    assert (first.n_done, first.n_failed, first.errors) == (8, 0, ())
    assert (second.n_done, second.n_failed) == (0, 0)
    store = Store(tmp_path / "s")
    assert set(store.status().values()) == {"done"}
    assert store.attempts().num_rows == 8
    assert store.info().content_digest == undisturbed


@pytest.mark.parametrize("n", [0, 3, 8])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError("a bug")])
def test_what_was_finished_is_kept_whatever_ends_it(tmp_path, undisturbed, n, stop):
    with pytest.raises(type(stop) if isinstance(stop, Exception) else stop):
        run_fake(tmp_path / "s", execute=stopped_after(n, stop))
    store = Store(tmp_path / "s")
    assert len(store.status()) == n
    assert store.verify() == []

    assert run_fake(tmp_path / "s").n_done == 8 - n
    assert store.attempts().num_rows == 8
    assert store.info().content_digest == undisturbed


def test_a_listener_that_raises_loses_nothing(tmp_path):
    def listen(progress):
        if progress.n_finished == 3:
            raise ValueError("cannot draw")

    with pytest.raises(ValueError, match="cannot draw"):
        run_fake(tmp_path / "s", listen=listen)

    assert len(Store(tmp_path / "s").status()) == 3


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError("no space left")])
def test_a_commit_cut_short_is_tried_again_and_doubles_nothing(
    tmp_path, undisturbed, monkeypatch, stop
):
    """Ctrl-C, or a full disk, between the responses and their trials."""
    real, calls = harness.store.write_deltalake, []

    def cut_short(address, *rest, **options):
        calls.append(address)
        if len(calls) == 2:
            assert address.endswith("trials")
            raise stop
        real(address, *rest, **options)

    monkeypatch.setattr(harness.sweep, "COMMIT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "write_deltalake", cut_short)
        with pytest.raises((KeyboardInterrupt, StoreError)):
            run_fake(tmp_path / "s")

    store = Store(tmp_path / "s")
    assert len(store.status()) == 1, "finished, so stored by the second try"
    assert store.verify() == []
    assert len(store.responses()) == N_ITEMS

    run_fake(tmp_path / "s")
    assert store.info().content_digest == undisturbed


@pytest.mark.parametrize(("seconds", "n_commits"), [(0.0, 8), (3600.0, 1)])
def test_commits_come_by_time(tmp_path, monkeypatch, seconds, n_commits):
    monkeypatch.setattr(harness.sweep, "COMMIT_SECONDS", seconds)
    run_fake(tmp_path / "s")

    logs = list((tmp_path / "s/trials/_delta_log").glob("*.json"))
    assert len(logs) == 1 + n_commits
    assert len(list((tmp_path / "s/responses").glob("*.parquet"))) == n_commits


def test_what_is_finished_is_committed_while_nothing_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(harness.sweep, "COMMIT_SECONDS", 0.05)
    store, plan, seen = Store.create(tmp_path / "s"), fake_plan(), []

    def execute(trials):
        yield trials[0], outcome(trials[0]), 1
        yield None
        time.sleep(0.06)
        yield None
        seen.append(len(store.status()))

    sweep(plan, store, execute)
    assert seen == [1]


def test_failed_trials_are_stored_with_their_error_and_tried_again(tmp_path):
    broken = here("fakes:RaisingBackend")
    result = run_fake(tmp_path / "s", execute=broken, tasks=("t1", "bad"))

    assert (result.n_done, result.n_failed) == (4, 4)
    failed = [t for t in Store(tmp_path / "s").trials().to_pylist() if t["error"]]
    assert {t["task"] for t in failed} == {"bad"}
    assert {t["status"] for t in failed} == {"failed"}
    assert {t["error_code"] for t in failed} == {"trial-raised"}
    assert {t["tries"] for t in failed} == {2}
    assert all("ZeroDivisionError: on\nbad" in t["error"] for t in failed)

    assert run_fake(tmp_path / "s", tasks=("t1", "bad")).n_done == 4
    assert set(Store(tmp_path / "s").status().values()) == {"done"}


def test_errors_are_told_once_on_one_line_and_only_the_first(tmp_path):
    def same(trials):
        for trial in trials:
            yield trial, outcome(trial, error="no\n  space left"), 1

    def different(trials):
        for number, trial in enumerate(trials):
            yield trial, outcome(trial, error=f"error {number}"), 1

    assert run_fake(tmp_path / "same", execute=same).errors == (
        "no space left [trial-raised]",
    )
    assert run_fake(tmp_path / "other", execute=different).errors == tuple(
        f"error {number} [trial-raised]" for number in range(5)
    )


def test_progress_counts_trials_and_requests(tmp_path):
    heard = []
    broken = here("fakes:RaisingBackend")
    run_fake(tmp_path / "s", execute=broken, listen=heard.append, tasks=("t1", "bad"))

    requests = 4 * N_ITEMS
    assert [p.n_finished for p in heard] == list(range(1, 9))
    assert {p.n_total for p in heard} == {8}
    assert [p.requests_finished for p in heard] == [requests * n for n in range(1, 9)]
    assert {p.requests_total for p in heard} == {8 * requests}
    assert [p.outcome.answers is None for p in heard] == [False, True] * 4
    seconds = [p.seconds for p in heard]
    assert seconds == sorted(seconds)
    assert seconds[0] >= 0


def test_a_row_says_where_its_answers_came_from(tmp_path):
    plan = fake_plan()
    store = Store.create(tmp_path / "s")
    sweep(plan, store, here())
    rows = {row["trial_id"]: row for row in store.attempts().to_pylist()}

    assert len({row["attempt_id"] for row in rows.values()}) == 8
    for trial in plan.trials:
        row, checkpoint = rows[trial.trial_id], trial.checkpoint
        assert (row["model"], row["train_seed"], row["step"]) == (
            checkpoint.model, checkpoint.train_seed, checkpoint.step,
        )  # fmt: skip
        assert row["weights_digest"] == checkpoint.weights_digest
        assert row["location"] == checkpoint.source, "no folder of this machine"
        assert (row["task"], row["task_digest"]) == (
            trial.info.task, trial.info.task_digest,
        )  # fmt: skip
        assert (row["suite"], row["suite_digest"]) == ("fake", plan.suite.digest)
        assert row["entropy"] == str(2**80), "text, for it exceeds 64 bits"
        assert (row["backend"], row["device"]) == (FakeBackend.name, "none")
        assert row["n_items"] == row["n_items_total"] == N_ITEMS
        assert row["n_requests"] == 4 * N_ITEMS
        assert row["host"]
        assert row["started_at"] <= row["finished_at"]
        assert row["started_at"].utcoffset().total_seconds() == 0
        assert 0 <= row["load_seconds"] <= row["seconds"]


def test_a_failed_trial_says_what_it_ran_on(tmp_path):
    run_fake(tmp_path / "s", execute=here("fakes:RaisingBackend"), tasks=("bad",))
    rows = Store(tmp_path / "s").attempts().to_pylist()

    assert {row["device"] for row in rows} == {"none"}
    assert {row["n_truncated"] for row in rows} == {None}


def test_words_that_are_no_unicode_cost_nobody_their_answers(tmp_path):
    """A server names itself, and a file's name may be any bytes."""

    def execute(trials):
        for number, trial in enumerate(trials):
            came = outcome(trial, error="no \ud800" if number == 0 else None)
            said = {"versions": {"system_fingerprint": "\ud800 1 \U0001f600"}}
            yield trial, dataclasses.replace(came, provenance=said), 1

    result = run_fake(tmp_path / "s", execute=execute)
    rows = Store(tmp_path / "s").attempts().to_pylist()

    assert (result.n_done, result.n_failed) == (7, 1)
    assert {dict(row["versions"])["system_fingerprint"] for row in rows} == {
        "\ufffd 1 \U0001f600"
    }
    assert {row["error"] for row in rows} == {None, "no \ufffd"}


def test_speed_is_that_of_the_trials_done(tmp_path):
    def two_seconds_each(trials):
        for number, trial in enumerate(trials):
            yield trial, outcome(trial, error="slow" if number % 2 else None), 1

    run_fake(tmp_path / "s", execute=two_seconds_each)
    store = Store(tmp_path / "s")

    assert seconds_per_request(store.trials()) == pytest.approx(2.0 / (4 * N_ITEMS))
    assert seconds_per_request(Store.create(tmp_path / "new").trials()) is None


def test_nothing_to_do_is_a_result_like_any_other():
    assert nothing_to_do().to_dict() == {
        "n_done": 0,
        "n_failed": 0,
        "errors": [],
        "n_errors": 0,
        "seconds": 0.0,
        "forward_seconds": 0.0,
    }


def test_models_go_where_the_suite_says():
    plan = fake_plan()
    resources = plan.suite.resources.model_copy(
        update={"gpus": 0.5, "cpus": 3, "batch_size": 7, "dtype": "float16"}
    )
    suite = plan.suite.model_copy(
        update={"resources": resources, "allow_remote_code": ["toy"]}
    )
    placed = placement_of(
        type(plan)(
            suite=suite, trials=(), status={}, cautions=(), seconds_per_request=None
        )
    )

    assert (placed.gpus, placed.cpus, placed.batch_size) == (0.5, 3, 7)
    assert (placed.dtype, placed.device, placed.max_length) == ("float16", "auto", None)
    assert placed.remote_code == ("toy",)
