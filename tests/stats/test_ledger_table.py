"""A ledger for each model and task, from responses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.facets import facet_scores
from harness.stats.ledger.ledger import variance_ledger
from harness.stats.ledger_table import ledger_table


@pytest.fixture
def tables(simulated):
    """Return scores of 3 seeds at 2 steps under 2 templates, 25 items."""

    def make(**columns):
        rng = np.random.default_rng(1)
        parts = [
            simulated(
                {
                    (seed, step): rng.integers(0, 2, 25)
                    for seed in range(3)
                    for step in (10, 20)
                },
                template=f"template {t}",
                template_digest=f"d{t}",
                **columns,
            )
            for t in range(2)
        ]
        return facet_scores(pd.concat(parts, ignore_index=True))

    return make


def names(row):
    return [effect.name for effect in row.ledger.effects]


def test_the_last_step_counts_and_is_not_estimated(tables):
    ((row,), refused) = ledger_table(tables())
    last = row.scores

    assert refused == ()
    assert last.levels["step"] == (20,)
    assert names(row) == [
        "item",
        "train_seed",
        "template",
        "item × train_seed",
        "item × template",
        "train_seed × template",
        "item × train_seed × template + error",
        "step",
    ]
    found = variance_ledger(
        last.scores, {n: last.of(n) for n in ("item", "train_seed", "template")}
    )
    assert row.ledger.effects[:-1] == found.effects


def test_all_steps_are_a_facet(tables):
    ((row,), _) = ledger_table(tables(), all_steps=True, confidence_level=0.8)

    assert row.ledger.counts["step"] == 2
    assert "train_seed × step" in names(row)
    assert row.to_dict()["steps"] == [10, 20]
    assert row.to_dict()["confidence_level"] == 0.8


def test_few_shot_seeds_matter_where_there_are_examples(tables):
    ((row,), _) = ledger_table(tables(num_fewshot=5))

    assert names(row)[-1] == "fewshot_seed"


def test_repeats_matter_where_answers_are_written(tables):
    """Likelihoods are the same each time; a task without a chance level is written."""
    (table,) = tables()
    ((row,), _) = ledger_table([replace(table, formulation="", chance=np.nan)])

    assert names(row)[-1] == "repeat"
    assert not row.ledger.effects[-1].is_estimated


def test_a_single_answer_is_refused(simulated):
    tables = facet_scores(simulated({(0, 1): [1.0]}))
    rows, ((who, error),) = ledger_table(tables)

    assert rows == ()
    assert error.code == "too-few-replicates"
    assert who.metric == "acc"


def test_answers_of_which_none_could_be_scored_are_refused(simulated):
    tables = facet_scores(simulated({(0, 1): [np.nan, np.nan]}))
    rows, ((_, error),) = ledger_table(tables)

    assert rows == ()
    assert error.code == "missing-scores"


def test_a_level_that_is_none_is_an_error(tables):
    with pytest.raises(DesignError) as error:
        ledger_table(tables(), confidence_level=2)

    assert error.value.code == "bad-confidence-level"
