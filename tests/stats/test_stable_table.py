"""The fewest items of each task, from tables of scores."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.errors import InputError
from harness.report.sheets.select import stable_sheet
from harness.selection import stable_selection
from harness.stats.respondents import respondents
from harness.stats.stable_table import stable_table
from harness.stats.subsets.stable import Tolerances, select_stable
from harness.stats.tables import score_tables
from harness.streams import stream

QUICK = {"confidence_level": 0.8, "n_draws": 50, "methods": ["stratified"]}


@pytest.fixture
def tables(simulated):
    """Return a maker of answers to a task of 30 items, by three models of two seeds."""

    def make(task="task", **columns):
        rng = np.random.default_rng(3)
        frames = []
        for place, model in enumerate(("m", "n", "o")):
            cells = {
                (seed, step): (rng.random(30) < 0.2 + 0.1 * place + step / 50) * 1
                for seed in range(2)
                for step in (0, 20)
            }
            frames.append(simulated(cells, model=model, task=task, rng=rng, **columns))
        return pd.concat(frames)

    return make


def test_a_row_is_the_search_among_its_respondents(tables):
    (who,) = people = respondents(score_tables(tables()))
    (row,), refused = stable_table(people, sizes=[10], **QUICK)
    alone = select_stable(
        who.scores,
        models=who.models,
        train_seeds=who.train_seeds,
        steps=who.steps,
        sizes=[10],
        item_ids=who.item_ids,
        rng=stream(0, "stable items of task"),
        **QUICK,
    )
    document = json.loads(json.dumps(row.to_dict(), allow_nan=False))

    assert refused == ()
    assert row.found.to_dict() == alone.to_dict()
    assert document["task"] == "task"
    assert document["is_partial"] is False
    assert document["frontier"]["rows"][1]["missed"]


def test_options_reach_the_search(tables):
    people = respondents(score_tables(tables()))

    def found(**options):
        (row,), _ = stable_table(
            people, **{"n_items": 5, "sizes": [5], **QUICK}, **options
        )
        return row.found

    base = found().to_dict()
    assert found().to_dict() == base
    assert found(entropy=1).to_dict() != base
    assert found(tolerances=Tolerances(max_error=0.5)).tolerances.max_error == 0.5


def test_what_is_refused_is_told(tables):
    rows, ((who, error),) = stable_table(
        respondents(score_tables(tables())), sizes=[31], **QUICK
    )

    assert rows == ()
    assert (who.task, error.code) == ("task", "subset-size")


def test_a_selection_has_places_and_ids_and_whom_they_were_chosen_on(tables):
    # The task has 40 items, of which every second was asked.
    frame = tables(n_items_total=60)
    frame["item_index"] = 2 * frame["item_index"]
    people = respondents(score_tables(frame))
    rows, _ = stable_table(people, n_items=5, sizes=[5], **QUICK)
    (task,) = stable_selection(rows, entropy=3).tasks
    (subset,) = (row.found.subset for row in rows)

    assert task.items == tuple(2 * j for j in subset.items.tolist())
    assert task.item_ids == tuple(f"i{j}" for j in subset.items)
    assert task.n_items_total == 60
    assert task.task_digest == "t"
    assert task.chosen_on.models == ("m", "n", "o")
    assert task.chosen_on.train_seeds == (0, 1)
    assert task.chosen_on.steps == (0, 20)
    assert task.fidelity["held_out"] == "model"
    assert "tolerances-missed" in [c.code for c in task.cautions]


def test_nothing_is_selected_where_no_size_will_do(tables):
    rows, _ = stable_table(respondents(score_tables(tables())), sizes=[3], **QUICK)
    with pytest.raises(InputError) as caught:
        stable_selection(rows, entropy=0)

    assert caught.value.code == "tolerances-missed"


def test_a_task_in_both_formulations_is_chosen_of_once(tables):
    frames = [tables(), tables(formulation="choice")]
    people = respondents(score_tables(pd.concat(frames)))
    rows, _ = stable_table(people, n_items=5, sizes=[5], **QUICK)
    with pytest.raises(InputError) as caught:
        stable_selection(rows, entropy=0)

    assert caught.value.code == "duplicate-task"
    assert "task is there 2 times (choice, cloze)" in str(caught.value)


def test_the_sheet_marks_what_was_taken_and_what_the_others_miss(tables):
    people = respondents(score_tables(tables()))
    loose = Tolerances(
        max_error=0.2, max_extra_sd=9, max_monotonicity_loss=2, min_rank_agreement=-1
    )
    (row,), _ = stable_table(people, sizes=[5, 20], tolerances=loose, **QUICK)
    sheet = stable_sheet([row])
    ((title, lines),) = sheet.parts
    misses = {(line[0], line[1]): line[10] for line in lines}
    frame = sheet.frame()

    assert title.startswith("task ¹")
    assert misses["full", "30"] == ""
    assert [key for key, word in misses.items() if word == "taken"] == [
        (row.found.chosen.method, str(row.found.chosen.n_items))
    ]
    assert frame["is_chosen"].sum() == 1
    assert "items were taken, " in sheet.sentences[0]
    assert (
        "On models that had no part in the search the error is 0."
        in (sheet.sentences[0])
    )


def test_the_sheet_says_what_a_size_that_was_asked_for_misses(tables):
    people = respondents(score_tables(tables()))
    (row,), _ = stable_table(people, n_items=3, sizes=[3], **QUICK)
    ((_, lines),) = stable_sheet([row]).parts

    assert sum(line[10].startswith("taken, though: error") for line in lines) == 1
    assert (
        "no size of random items that was searched meets"
        in (stable_sheet([row]).sentences[0])
    )


def test_the_sheet_says_where_nothing_was_taken_or_held_out(tables):
    people = respondents(score_tables(tables()))
    (row,), _ = stable_table(people, sizes=[3], **QUICK)
    blind = replace(row, found=replace(row.found, held_out=None, control=None))
    taken = replace(blind.found, chosen=row.found.frontier.rows[1])

    assert stable_sheet([row]).sentences == (
        "task: no size that was searched meets all tolerances.",
    )
    assert (
        stable_sheet([replace(blind, found=taken)])
        .sentences[0]
        .endswith("How they do on models that had no part in it cannot be seen.")
    )
