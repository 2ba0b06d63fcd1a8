"""What templates do to each run at its last step, from stored answers."""

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.discriminative_table import discriminative_table
from harness.stats.facets import facet_scores
from harness.stats.last_step_prompts import last_step_prompts
from harness.stats.prompt_table import prompt_table
from harness.stats.prompts.grid import prompt_grid


@pytest.fixture
def prompted(templated):
    """Return a maker of answers, all others at the last step, and that one's scores."""

    def make(*, seeds=(1, 2), n_templates=4, n_repeats=4):
        rng = np.random.default_rng(4)
        last = rng.integers(0, 2, (n_templates, n_repeats, 6))
        steps = {10: 1 - last, 20: last}
        parts = [templated(s, seeds=seeds, step=step) for step, s in steps.items()]
        return pd.concat(parts), last.transpose(0, 2, 1).astype(float)

    return make


def test_each_run_has_its_last_step(prompted):
    frame, rewards = prompted()
    rows, refused = last_step_prompts(facet_scores(frame))

    assert refused == ()
    assert [row.scores.levels["train_seed"] for row in rows] == [(1,), (2,)]
    assert {row.scores.levels["step"] for row in rows} == {(20,)}
    wanted = prompt_grid(rewards, bounds=(0, 1))
    assert rows[0].grid.to_dict() == wanted.to_dict()
    assert rows[0].chosen is None


def test_parts_are_what_their_own_tables_say(prompted):
    tables = facet_scores(prompted(seeds=(1,))[0])
    ((row,), _) = last_step_prompts(tables, size=2, confidence_level=0.9, entropy=3)

    last = [tables[0].checkpoints()[-1]]
    ((split,), _) = prompt_table(last, confidence_level=0.9)
    ((chosen,), _) = discriminative_table(last, 2, confidence_level=0.9, entropy=3)
    assert row.split.to_dict() == split.to_dict()
    assert row.chosen.to_dict() == chosen.to_dict()
    assert set(row.cautions) == {*split.cautions, *chosen.cautions}


def test_one_template_is_refused_once(prompted):
    rows, refused = last_step_prompts(facet_scores(prompted(n_templates=1)[0]))

    assert rows == ()
    (((who, error)),) = refused
    assert who.task == "task"
    assert error.code == "too-few-replicates"


def test_one_response_leaves_the_map(prompted):
    frame, _ = prompted(n_repeats=1, seeds=(1,))
    ((row,), _) = last_step_prompts(facet_scores(frame), size=2)

    assert row.grid.fewest_responses == 1
    assert isinstance(row.split, DesignError)
    assert row.split.code == "items-differ"
    assert isinstance(row.chosen, DesignError)


def test_templates_without_a_common_item_are_refused(prompted):
    frame, _ = prompted(n_templates=2, seeds=(1,))
    own = frame["template"].map({"t0": 0, "t1": 1})
    apart = frame[frame["item_index"] % 2 == own]
    rows, ((_, error),) = last_step_prompts(facet_scores(apart))

    assert rows == ()
    assert error.code == "items-differ"
