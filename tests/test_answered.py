"""What is stored is not asked again, whichever trial brought it."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from fakes import here, outcome
from hypothesis import given
from hypothesis import strategies as st
from toy import make_files

from harness.answered import answered, trials_of_parts
from harness.plan import make_plan, n_answers, without
from harness.run.backend import EVIDENCE, FakeBackend
from harness.store import Store
from harness.streams import choose_items, stream
from harness.suite import Suite
from harness.sweep import sweep


class SampledBackend(FakeBackend):
    """Answers each item as often as it is asked, by draws of the trial's own."""

    name = "sampled fake 1"

    def describe(self, requests):
        return [
            dataclasses.replace(info, sampled=True, draws_fewshot=True)
            for info in super().describe(requests)
        ]

    def answer(self, trial):
        once = super().answer(trial)
        rows = []
        for repeat in trial.repeat_numbers:
            draws = stream(trial.entropy, f"{trial.trial_id}/{repeat}")
            for row in once.rows.to_pylist():
                metrics = {"acc,none": float(draws.random() < 0.5)}
                rows.append({**row, "repeat": repeat, "metrics": metrics})
        return dataclasses.replace(once, rows=pa.Table.from_pylist(rows, EVIDENCE))


@pytest.fixture
def ask(tmp_path: Path):
    """Plan a suite of two checkpoints and run what the store lacks; returns both."""
    for seed in (0, 1):
        make_files(tmp_path / f"m/seed{seed}/step5", weights=str(seed))
    store = Store.create(tmp_path / "store")

    def ask(*, run: bool = True, backend: str = "SampledBackend", **changes):
        kind = {"SampledBackend": SampledBackend, "FakeBackend": FakeBackend}[backend]
        suite = {
            "suite": "s",
            "checkpoints": [{"pattern": "{model}/seed{train_seed}/step{step}"}],
            "tasks": [{"task": "t", "items": changes.pop("items", None)}],
            **changes,
        }
        plan = make_plan(
            Suite.model_validate(suite),
            kind(),
            base=tmp_path,
            status=store.status(),
            answered=partial(answered, store),
        )
        if run:
            module = "test_answered" if backend == "SampledBackend" else None
            where = f"{module or 'harness.run.backend'}:{backend}"
            result = sweep(plan, store, here(where))
            assert result.errors == ()
        return plan

    ask.store = store
    return ask


def cells(store) -> list[tuple[int, int, int]]:
    rows = store.responses(["train_seed", "item_index", "repeat"])
    return sorted(rows.itertuples(index=False, name=None))


def test_more_items_and_repeats_ask_the_rest_alone(ask):
    ask(items=10, repeats=2)
    grown = ask(items=30, repeats=3)

    assert sorted((t.n_items, t.first_repeat, t.repeats) for t in grown.remaining) == [
        *[(10, 2, 1)] * 2,
        *[(20, 0, 3)] * 2,
    ]
    assert [grown.n_stored(trial) for trial in grown.trials] == [20, 20]
    assert cells(ask.store) == [
        (seed, item, repeat)
        for seed in (0, 1)
        for item in choose_items(0, 40, 30)
        for repeat in range(3)
    ]
    assert ask.store.verify() == []

    again = ask(items=30, repeats=3, run=False)
    assert again.remaining == ()
    assert again.n_done == len(again.trials) == 2
    assert {row["status"] for row in again.to_dict()["trials"]} == {"done"}


def test_fewer_items_are_there_already(ask):
    ask(backend="FakeBackend")

    assert ask(backend="FakeBackend", items=7, run=False).remaining == ()


def test_the_rest_of_all_items_is_asked(ask):
    ask(backend="FakeBackend", items=7)
    ask(backend="FakeBackend", items=12)
    grown = ask(backend="FakeBackend")

    assert [trial.n_items for trial in grown.remaining] == [28, 28]
    assert len(cells(ask.store)) == 80
    assert grown.to_dict()["n_remaining"] == 2
    assert ask(backend="FakeBackend", run=False).remaining == ()


def gone_after(n_answers, minute):
    """Return what answers so many items of each trial, and then is not there."""

    def execute(trials):
        for trial in trials:
            came = outcome(trial, minute=minute)
            rows = came.answers.rows.slice(0, n_answers)
            yield (
                trial,
                dataclasses.replace(
                    came,
                    answers=None,
                    partial=dataclasses.replace(came.answers, rows=rows),
                    error="nobody is there",
                    error_code="server-failed",
                ),
                1,
            )

    return execute


def test_a_trial_that_failed_midway_twice_is_seen_as_a_whole(ask):
    def seen():
        trials = trials_of_parts(ask.store)
        is_done = trials["status"] == "done"
        failed = trials[~is_done]
        return sorted(failed["n_items"]), set(trials["n_items"][is_done])

    for n, minute in ((10, 0), (20, 1)):
        plan = ask(run=False, backend="FakeBackend")
        sweep(plan, ask.store, gone_after(n, minute))
        n_done = n + 10 * minute

        assert seen() == ([40 - n_done] * 2, {n_done})

    plan = ask(run=False, backend="FakeBackend")
    sweep(plan, ask.store, lambda ts: ((t, outcome(t, minute=2), 1) for t in ts))

    assert seen() == ([], {40})
    assert len(ask.store.trials()) == 2 * (3 + 1)
    assert ask(run=False, backend="FakeBackend").remaining == ()


def test_chosen_items_are_a_partial_run_until_the_others_are_asked(ask):
    def seen():
        trials = trials_of_parts(ask.store)
        return sorted(zip(trials["repeats"], trials["n_items"], strict=True))

    ask(items=7, repeats=1)
    ask(items=7, repeats=3)
    assert seen() == [(1, 7)] * 2 + [(2, 7)] * 2
    ask(repeats=3)
    assert seen() == [(1, 40)] * 2 + [(2, 40)] * 2 + [(3, 40)] * 2


def test_a_store_with_nothing_in_parts_is_seen_as_it_is(ask):
    assert trials_of_parts(ask.store).empty

    ask(backend="FakeBackend")
    seen = trials_of_parts(ask.store)
    assert seen.equals(ask.store.trials().to_pandas())


def test_a_failure_stands_until_as_much_was_asked_again(ask):
    plan = ask(run=False, backend="FakeBackend")
    sweep(plan, ask.store, gone_after(0, 0))
    some = ask(run=False, backend="FakeBackend", items=7)
    sweep(some, ask.store, lambda ts: ((t, outcome(t, minute=1), 1) for t in ts))

    assert sorted(trials_of_parts(ask.store)["status"]) == ["done"] * 2 + ["failed"] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"entropy": 1},
        {"sample_seeds": [3]},
        {"fewshot_seeds": [3]},
        {"resources": {"batch_size": 3}},
        {"templates": [{"name": "default", "system_prompt": "Be brief."}]},
    ],
    ids=str,
)
def test_what_can_change_an_answer_asks_all_again(ask, change):
    ask(items=10, repeats=2)
    grown = ask(items=20, repeats=2, run=False, **change)

    assert grown.remaining == grown.trials


def test_only_what_is_not_done_is_looked_up(ask, monkeypatch):
    ask(items=10)
    monkeypatch.setattr(Store, "cells", None)

    assert ask(items=10, run=False).remaining == ()


def test_a_part_that_failed_is_tried_again(ask):
    ask(items=10)
    (first, *_) = ask(items=20, run=False).remaining
    plan = ask(items=20, run=False)
    failed = dataclasses.replace(plan, status={first.trial_id: "failed"})

    assert failed.n_failed == 1
    assert failed.remaining == plan.remaining


@given(st.data())
def test_what_is_left_is_everything_else_once(data):
    """A plain loop over cells beside the blocks."""
    (info,) = SampledBackend(n_items=6).describe([make_request()])
    wanted = data.draw(st.sets(st.integers(0, 5), min_size=1))
    trial = make_trial(
        info,
        items=None if len(wanted) == 6 else tuple(sorted(wanted)),
        repeats=data.draw(st.integers(1, 5)),
    )
    subsets = st.tuples(st.sets(st.integers(0, 5)), st.sets(st.integers(0, 6)))
    blocks = data.draw(st.lists(subsets.map(lambda b: tuple(map(sorted, b)))))
    left = without(trial, blocks)
    found = [
        (item, repeat)
        for part in left
        for item in part.item_indexes
        for repeat in part.repeat_numbers
    ]

    there = {(i, r) for items, repeats in blocks for i in items for r in repeats}
    asked = {(i, r) for i in trial.item_indexes for r in trial.repeat_numbers}
    assert sorted(found) == sorted(asked - there)
    assert sum(map(n_answers, left)) == len(found)
    assert len({part.trial_id for part in left}) == len(left)
    if not there & asked:
        assert left == (trial,)


def make_request():
    from harness.records import TaskRequest

    return TaskRequest(task="t")


def make_trial(info, **changes):
    from fakes import fake_plan

    (trial, *_) = fake_plan().trials
    return dataclasses.replace(trial, info=info, **changes)
