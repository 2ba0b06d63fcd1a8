"""The items of each task, by all checkpoints that answered them."""

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.item_table import item_table
from harness.stats.items import analyse_items
from harness.stats.respondents import respondents
from harness.stats.tables import score_tables


@pytest.fixture
def people(simulated):
    """Two models of three seeds and three steps on 30 items of rising difficulty."""
    rng = np.random.default_rng(5)
    ease = np.linspace(0.95, 0.05, 30)
    frames = []
    for model, shift in (("large", 0.2), ("small", -0.1)):
        cells = {
            (seed, step): (rng.random(30) < ease + shift + step / 100).astype(int)
            for seed in (1, 2, 3)
            for step in (0, 10, 20)
        }
        frames.append(simulated(cells, model=model, rng=rng))
    return respondents(score_tables(pd.concat(frames)))


def test_a_row_for_each_task_is_the_analysis_of_its_respondents(people):
    (row,), _ = item_table(people)

    alone = analyse_items(
        people[0].scores, item_ids=people[0].item_ids, n_independent=6
    )
    np.testing.assert_array_equal(row.analysis.item_rest, alone.item_rest)
    assert (row.analysis.n_respondents, row.analysis.n_independent) == (18, 6)
    assert row.stability is not None
    assert [model for model, _ in row.pruning] == ["large", "small"]
    codes = [caution.code for caution in row.cautions]
    assert "dependent-respondents" in codes


def test_each_option_changes_the_result_and_nothing_else_does(people):
    ((plain,), _), ((again,), _) = item_table(people), item_table(people)
    (wide,), _ = item_table(people, confidence_level=0.99)
    (half,), _ = item_table(people, share=0.5)
    (other,), _ = item_table(people, entropy=1)

    assert plain.to_dict() == again.to_dict()
    assert np.nanmax(wide.analysis.high - plain.analysis.high) > 0
    assert half.pruning[0][1].kept.sum() < plain.pruning[0][1].kept.sum()
    assert other.stability.random.value != plain.stability.random.value


def test_one_model_leaves_none_to_judge_pruning_on(simulated):
    rng = np.random.default_rng(3)
    cells = {(seed, 0): rng.integers(0, 2, 12) for seed in range(5)}

    (row,), _ = item_table(respondents(score_tables(simulated(cells))))

    assert row.pruning == ()
    assert "one-model" in [caution.code for caution in row.cautions]


def test_too_few_checkpoints_to_halve_have_no_stability(simulated):
    cells = {(1, 0): [1, 0, 1, 0], (2, 0): [1, 1, 0, 0], (3, 0): [1, 0, 0, 0]}

    (row,), _ = item_table(respondents(score_tables(simulated(cells))))

    assert row.stability is None
    assert row.to_dict()["stability"] is None
    assert "too-few-respondents" in [caution.code for caution in row.cautions]


@pytest.mark.parametrize("share", [0, 1.0, 2, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused(people, share):
    with pytest.raises(DesignError) as caught:
        item_table(people, share=share)

    assert caught.value.code == "bad-share"


def test_a_share_that_leaves_nothing_of_a_short_task_is_told(simulated):
    cells = {(seed, 0): [1, seed % 2, 0] for seed in range(4)}
    frames = [simulated(cells, model=model) for model in ("m", "n")]

    (row,), _ = item_table(respondents(score_tables(pd.concat(frames))), share=0.1)

    assert row.pruning == ()
    assert "bad-share" in [caution.code for caution in row.cautions]


def test_what_a_task_does_not_allow_is_kept_with_its_reason(people, simulated):
    lone = respondents(score_tables(simulated({(1, 0): [1, 0, 1]}, task="lone")))

    rows, refused = item_table((*people, *lone))

    assert [row.who.task for row in rows] == ["task"]
    assert [(who.task, error.code) for who, error in refused] == [
        ("lone", "too-few-respondents")
    ]
