"""An item response model of each task, from tables of scores."""

import json

import numpy as np
import pandas as pd
import pytest

from harness.stats.irt.fit import fit_irt
from harness.stats.irt_table import irt_table
from harness.stats.respondents import respondents
from harness.stats.tables import score_tables


def responses(simulated, n_runs=8, n_items=15, task="a", **columns):
    """Checkpoints of rising ability on items of rising difficulty."""
    rng = np.random.default_rng(7)
    difficulty = np.linspace(-1.5, 1.5, n_items)
    cells = {}
    for run in range(n_runs):
        for step in (0, 10):
            ability = rng.normal() + step / 10
            right = rng.random(n_items) < 1 / (1 + np.exp(difficulty - ability))
            cells[run, step] = right.astype(int)
    cells[0, 0][3] = 0
    return simulated(cells, task=task, **columns)


def people(*frames):
    return respondents(score_tables(pd.concat(frames)))


def test_a_row_is_the_fit_of_its_respondents(simulated):
    who = people(responses(simulated))

    (row,), refused = irt_table(who)

    alone = fit_irt(who[0].scores, n_independent=8)
    assert refused == ()
    assert row.fit.items.model == alone.items.model == "rasch"
    np.testing.assert_allclose(row.fit.items.difficulty, alone.items.difficulty)
    assert row.item_frame()["item_index"].tolist() == [
        who[0].item_indexes[j] for j in row.columns
    ]
    assert row.ability_frame()["step"].tolist() == [0, 10] * 8
    assert "too-few-for-slopes" in [caution.code for caution in row.cautions]
    json.dumps(row.to_dict(), allow_nan=False)


def test_options_reach_the_fit(simulated):
    who = people(responses(simulated))

    (rasch,), _ = irt_table(who, model="rasch")
    (one,), _ = irt_table(who, model="1pl")
    (girth,), _ = irt_table(who, model="rasch", method="girth")

    assert one.fit.items.discrimination[0] == pytest.approx(
        rasch.fit.items.ability_sd, rel=1e-3
    )
    assert "girth" in girth.fit.method
    (wide,), _ = irt_table(who, confidence_level=0.99)
    plain, wider = rasch.curve(7), wide.curve(7)
    assert (wider.bin_high - wider.bin_low).max() > (
        plain.bin_high - plain.bin_low
    ).max()


def test_constant_items_are_dropped_and_columns_still_point_right(simulated):
    frame = responses(simulated)
    frame.loc[frame["item_index"] == 4, "choice_logprobs"] = pd.Series(
        [[-1.0, -2.0]] * len(frame), index=frame.index
    )

    (row,), _ = irt_table(people(frame))

    assert row.fit.dropped == ("4",)
    assert 4 not in row.columns
    assert len(row.columns) == 14


def test_what_a_task_does_not_allow_is_kept_with_its_reason(simulated):
    few = responses(simulated, n_runs=2, task="few")
    means = pd.concat([few.assign(repeat=0), few.assign(repeat=1)], ignore_index=True)
    flip = means["repeat"] == 1
    means.loc[flip & (means["item_index"] == 0), "choice_logprobs"] = pd.Series(
        [[-2.0, -1.0]] * len(means), index=means.index
    )

    fitted, refused = irt_table(
        people(responses(simulated), few, means.assign(task="repeats"))
    )

    assert [row.who.task for row in fitted] == ["a"]
    assert [(who.task, error.code) for who, error in refused] == [
        ("few", "too-few-respondents"),
        ("repeats", "responses-not-binary"),
    ]
