"""Variance between templates of each checkpoint and task, from stored answers."""

import json

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.facets import facet_scores
from harness.stats.prompt_table import prompt_table, template_rewards
from harness.stats.prompts.components import prompt_components
from harness.stats.prompts.curves import prompt_curves
from harness.stats.prompts.variance import prompt_variance


@pytest.fixture
def prompted(templated):
    """Return a maker of answers to templates × repeats × items, and their scores."""

    def make(*, n_templates=9, n_repeats=3, **columns):
        rng = np.random.default_rng(4)
        scores = rng.integers(0, 2, (n_templates, n_repeats, 6))
        return templated(scores, **columns), scores.transpose(0, 2, 1).astype(float)

    return make


def test_a_row_is_what_the_functions_return(prompted):
    frame, rewards = prompted()
    ((row,), refused) = prompt_table(facet_scores(frame), mode="p1")

    assert refused == ()
    variance = prompt_variance(rewards, mode="p1")
    assert row.variance.to_dict() == variance.to_dict()
    assert row.components == prompt_components(rewards)
    assert row.curves == prompt_curves(rewards, mode="p1")


def test_each_checkpoint_has_a_row_of_its_own(prompted):
    frame, _ = prompted(seeds=(1, 2))
    rows, _ = prompt_table(facet_scores(frame))

    assert [row.scores.levels["train_seed"] for row in rows] == [(1,), (2,)]


def test_options_are_passed_on(prompted):
    tables = facet_scores(prompted()[0])
    ((plain,), _), ((p1,), _) = (
        prompt_table(tables, mode=mode) for mode in ("unbiased", "p1")
    )
    ((narrow,), _) = prompt_table(tables, confidence_level=0.5)

    assert p1.variance.among_system_prompts != plain.variance.among_system_prompts
    assert p1.curves.mode == "p1"
    for part in ("variance", "components", "curves"):
        assert getattr(narrow, part).confidence_level == 0.5
    with pytest.raises(DesignError):
        prompt_table(tables, confidence_level=2)


def test_what_has_one_template_or_answer_is_refused_with_the_reason(prompted):
    one, _ = prompted(task="one template", n_templates=1)
    single, _ = prompted(task="single answers", n_repeats=1)
    frame = pd.concat([one, single, prompted()[0]])
    rows, refused = prompt_table(facet_scores(frame))

    assert [row.scores.task for row in rows] == ["task"]
    assert {who.task: error.code for who, error in refused} == {
        "one template": "too-few-replicates",
        "single answers": "items-differ",
    }


def test_fewshot_seeds_are_answers_and_told(prompted, codes):
    frame, _ = prompted(n_repeats=2)
    other = frame.assign(fewshot_seed=1, num_fewshot=2)
    (table,) = facet_scores(pd.concat([frame.assign(num_fewshot=2), other]))
    found, cautions = template_rewards(table)
    ((row,), _) = prompt_table([table])

    assert found.shape == (9, 6, 4)
    assert [c.code for c in cautions] == ["fewshot-seeds-as-responses"]
    assert "fewshot-seeds-as-responses" in codes(row)


def test_the_way_out(prompted):
    ((row,), _) = prompt_table(facet_scores(prompted()[0]))
    told = json.loads(json.dumps(row.to_dict()))

    assert told["templates"] == [f"t{t}" for t in range(9)]
    assert told["item_ids"] == [f"i{i}" for i in range(6)]
    assert told["variance"]["observed"]["value"] == row.variance.observed.value
    assert told["components"]["n_system"] == 9
    assert told["curves"]["n_user"] == 6
