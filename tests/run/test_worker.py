"""One worker, one model in memory, and failures that become outcomes."""

from dataclasses import replace

import pytest
from fakes import FAKE, N_ITEMS, STARTED, fake_checkpoint, fake_plan

from harness.errors import CheckpointError
from harness.frames import RESPONSES
from harness.run.backend import EVIDENCE, FakeBackend, Placement
from harness.run.worker import RETRIED, Worker, run_here, tables, worker_died

TRIALS = fake_plan().trials
FIRST = TRIALS[0]


@pytest.fixture
def worker():
    return Worker(FAKE, Placement())


def raise_at(worker, monkeypatch, method, error, times=10**6):
    """Let a method of the worker's backend raise the first few times."""
    real, calls = getattr(worker.backend, method), []

    def raising(*arguments):
        calls.append(arguments)
        if len(calls) <= times:
            raise error
        return real(*arguments)

    monkeypatch.setattr(worker.backend, method, raising)
    return calls


def test_a_checkpoint_is_loaded_once_for_its_trials(worker):
    outcomes = [worker.run(trial) for trial in TRIALS]

    assert worker.backend.loads == list(
        dict.fromkeys(str(trial.checkpoint) for trial in TRIALS)
    )
    assert [o.load_seconds > 0 for o in outcomes] == [True, False] * 4
    assert all(o.error_code is None for o in outcomes)


@pytest.mark.parametrize(
    "other",
    [
        {"gguf_file": "b.gguf"},
        {"tokenizer_digest": "letters"},
        {"weights_digest": "trained on"},
    ],
)
def test_a_folder_may_hold_two_checkpoints(worker, other):
    """Two GGUF files in one folder are two models."""
    there = replace(fake_checkpoint(), gguf_file="a.gguf")
    for checkpoint in (there, replace(there, **other), there):
        worker.run(replace(FIRST, checkpoint=checkpoint))

    assert len(worker.backend.loads) == 3


def test_an_exception_becomes_an_outcome_that_says_where(worker, monkeypatch):
    raise_at(worker, monkeypatch, "answer", ZeroDivisionError("division by zero"))
    outcome = worker.run(FIRST)

    assert outcome.answers is None
    assert outcome.error_code == "trial-raised"
    assert outcome.error.startswith(
        "t1 on toy seed 0 step 0: ZeroDivisionError: division by zero (test_worker.py:"
    )
    assert outcome.started_at <= outcome.finished_at
    assert outcome.seconds > 0


def test_an_error_raised_on_purpose_keeps_its_code_and_words(worker, monkeypatch):
    error = CheckpointError("weights are cut off", code="checkpoint-unreadable")
    raise_at(worker, monkeypatch, "load", error)
    outcome = worker.run(FIRST)

    assert (outcome.answers, outcome.error_code) == (None, "checkpoint-unreadable")
    assert outcome.error == "weights are cut off"


def test_a_failed_load_is_tried_anew_by_the_next_trial(worker, monkeypatch):
    """The model that was there before is not taken for the new one."""
    worker.run(FIRST)
    loads = raise_at(worker, monkeypatch, "load", OSError("disk"), times=1)
    other, *_ = (t for t in TRIALS if t.checkpoint != FIRST.checkpoint)

    assert worker.run(other).error_code == "trial-raised"
    assert worker.run(FIRST).error_code is None
    assert [checkpoint for (checkpoint,) in loads] == [
        other.checkpoint, FIRST.checkpoint,
    ]  # fmt: skip


def test_a_failure_after_the_answers_is_no_success(worker, monkeypatch):
    raise_at(worker, monkeypatch, "provenance", RuntimeError("no device"))
    outcome = worker.run(FIRST)

    assert outcome.answers is None
    assert outcome.error_code == "trial-raised"


@pytest.mark.parametrize(
    ("code", "max_tries", "n_raised", "tries", "done"),
    [
        (None, 2, 1, 2, True),
        (None, 2, 2, 2, False),
        (None, 1, 1, 1, False),
        ("checkpoint-unreadable", 3, 2, 3, True),
        ("logprobs-not-finite", 3, 1, 1, False),
        ("unknown-task", 3, 1, 1, False),
    ],
)
def test_only_what_another_try_may_cure_is_retried(
    monkeypatch, code, max_tries, n_raised, tries, done
):
    left = [n_raised]

    def load(self, checkpoint):
        if left[0]:
            left[0] -= 1
            raise CheckpointError("no", code=code) if code else OSError("no")

    monkeypatch.setattr(FakeBackend, "load", load)
    ((trial, outcome, n),) = run_here(
        [FIRST], backend=FAKE, placement=Placement(), max_tries=max_tries
    )

    assert trial is FIRST
    assert (n, outcome.answers is not None) == (tries, done)
    assert (code or "trial-raised") in RETRIED or n == 1


def test_a_dead_worker_is_a_failure_that_is_retried():
    outcome = worker_died(FIRST, "killed by the system", STARTED)

    assert outcome.answers is None
    assert outcome.error_code in RETRIED
    assert outcome.error == (
        "t1 on toy seed 0 step 0: the worker died: killed by the system"
    )
    assert outcome.started_at == STARTED <= outcome.finished_at


def test_answers_get_the_identifiers_that_tables_join_on(worker, monkeypatch):
    rows = tables(worker.run(FIRST), "trial", "attempt")

    assert rows.select(RESPONSES.names).schema.names == RESPONSES.names
    assert set(rows["trial_id"].to_pylist()) == {"trial"}
    assert set(rows["attempt_id"].to_pylist()) == {"attempt"}
    raise_at(worker, monkeypatch, "answer", ValueError("no"))
    assert tables(worker.run(FIRST), "trial", "attempt") is None


# ---- the stand-in for models -----------------------------------------------------


def test_the_fake_answers_alike_whoever_asks_and_in_what_order(worker):
    forwards = {t.trial_id: worker.run(t).answers.rows for t in TRIALS}
    other = Worker(FAKE, Placement())
    for trial in reversed(TRIALS):
        assert other.run(trial).answers.rows.equals(forwards[trial.trial_id])

    assert all(rows.schema == EVIDENCE for rows in forwards.values())


def test_the_fake_asks_every_checkpoint_the_same_and_gets_other_answers(worker):
    one, other = (
        worker.run(t).answers.rows
        for t in TRIALS
        if t.info.task == "t1" and t.checkpoint.step == 0
    )
    for column in ("item_id", "target_index", "prompt_digest"):
        assert one[column] == other[column]
    assert one["choice_logprobs"] != other["choice_logprobs"]


def test_the_fake_answers_only_the_items_of_the_trial(worker):
    some = worker.run(replace(FIRST, items=(3, 5))).answers.rows
    everything = worker.run(FIRST).answers.rows

    assert some["item_index"].to_pylist() == [3, 5]
    assert everything.num_rows == N_ITEMS
    assert some.equals(everything.take([3, 5]))
    assert worker.run(replace(FIRST, items=())).answers.rows.num_rows == 0


def test_the_fake_learns(worker):
    def mean(step):
        trials = fake_plan(seeds=range(5), steps=(step,)).trials
        answers = [worker.run(trial).answers.rows for trial in trials]
        metrics = [m for rows in answers for m in rows["metrics"].to_pylist()]
        return sum(dict(m)["acc,none"] for m in metrics) / len(metrics)

    assert mean(0) < mean(100) < mean(10_000)
