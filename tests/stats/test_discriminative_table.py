"""The items on which templates differ, from stored answers."""

import json

import numpy as np
import pytest

from harness.errors import InputError
from harness.report.sheets.select import discriminative_sheet
from harness.selection import discriminative_selection
from harness.stats.discriminative_table import discriminative_table
from harness.stats.facets import facet_scores
from harness.stats.prompts.held_out import select_discriminative
from harness.streams import stream


@pytest.fixture
def prompted(templated):
    """Return answers to six items under nine templates; two of them tell templates."""

    def make(*, seeds=(1,), n_templates=9, n_repeats=4):
        rng = np.random.default_rng(4)
        p = np.full((n_templates, 6), 0.5)
        p[:, 2] = p[:, 5] = np.linspace(0.05, 0.95, n_templates)
        scores = ((rng.random((n_repeats, n_templates, 6)) < p) * 1).swapaxes(0, 1)
        tables = facet_scores(templated(scores, seeds=seeds))
        return tables, scores.swapaxes(1, 2).astype(float)

    return make


def test_a_row_is_the_choice_by_one_checkpoint(prompted):
    tables, rewards = prompted()
    (row,), refused = discriminative_table(tables, 2)
    alone = select_discriminative(
        rewards, 2, rng=stream(0, "discriminative items of m task (1,) (10,)")
    )
    document = json.loads(json.dumps(row.to_dict(), allow_nan=False))

    assert refused == ()
    assert row.found.to_dict() == alone.to_dict()
    assert row.found.user_prompts.tolist() == [2, 5]
    assert document["train_seed"] == 1
    assert document["is_partial"] is False


def test_options_reach_the_choice(prompted):
    tables, _ = prompted()

    def found(**options):
        (row,), _ = discriminative_table(tables, **options)
        return row.found.to_dict()

    base = found()
    assert found(size=3)["held_out"] != base["held_out"]
    assert found(mode="p1")["mode"] == "p1"
    assert found(hold_out="both")["hold_out"] == "both"
    assert found(confidence_level=0.9)["confidence_level"] == 0.9
    assert found(entropy=1) != base


def test_checkpoints_have_splits_of_their_own(prompted):
    """Two seeds that answer alike: the choice is one, and its halves are others."""
    (one, two), _ = discriminative_table(prompted(seeds=(1, 2))[0], 2)

    assert one.found.score == two.found.score
    assert one.found.held_out.value != two.found.held_out.value


def test_one_template_is_refused(prompted):
    rows, ((scores, error),) = discriminative_table(prompted(n_templates=1)[0])

    assert rows == ()
    assert (scores.task, error.code) == ("task", "too-few-replicates")


def test_a_selection_has_the_items_and_what_held_up(prompted):
    rows, _ = discriminative_table(prompted()[0], 2)
    selection = discriminative_selection(rows, entropy=0)
    (task,) = selection.tasks

    assert selection.kind == "discriminative"
    assert (task.items, task.item_ids) == ((2, 5), ("i2", "i5"))
    assert task.task_digest is None
    assert task.chosen_on.templates == tuple(f"t{t}" for t in range(9))
    gain = rows[0].found.gain
    assert task.fidelity["gain_over_random"] == {
        "value": gain.value,
        "low": gain.interval.low,
        "high": gain.interval.high,
    }


def test_two_checkpoints_choose_items_of_a_task_once(prompted):
    rows, _ = discriminative_table(prompted(seeds=(1, 2))[0], 2)
    with pytest.raises(InputError) as caught:
        discriminative_selection(rows, entropy=0)

    assert caught.value.code == "duplicate-task"
    assert "m seed 1 step 10 cloze, m seed 2 step 10 cloze" in str(caught.value)


def test_the_sheet_has_a_row_for_each_way_and_says_what_was_taken(prompted):
    rows, refused = discriminative_table(prompted()[0], 2)
    sheet = discriminative_sheet(rows, refused)
    (((title, lines),), (sentence,)) = sheet.parts, sheet.sentences

    assert title.startswith("m seed 1 step 10, task")
    assert len(lines) == 6
    assert "2 of 6 items were taken, at 2, 5." in sentence
    assert "more on them than on random items by 0." in sentence
    assert len(sheet.frame()) == 6


def test_all_items_are_no_choice_and_one_was_taken(prompted):
    tables = prompted()[0]
    (every,) = discriminative_sheet(discriminative_table(tables, 6)[0]).sentences
    (one,) = discriminative_sheet(discriminative_table(tables, 1)[0]).sentences

    assert every.endswith(
        ": all 6 items were taken, which is no choice; ask for fewer with --size."
    )
    assert "1 of 6 items was taken, at " in one


def test_two_answers_to_each_leave_nothing_to_judge_by(prompted):
    rows, _ = discriminative_table(prompted(n_repeats=2)[0], 2)
    told = discriminative_sheet(rows).sentences + tuple(
        c.code for row in rows for c in row.cautions
    )

    assert "nothing could be held out" in told[0]
