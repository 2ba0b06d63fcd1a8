"""What a report's data hold, given a store's tables."""

import datetime
import math

import numpy as np
import pandas as pd
import pytest

from harness.errors import SchemaError
from harness.report.figures.style import styles
from harness.report.gather import gather
from harness.stats.facets import facet_scores
from harness.stats.ledger_table import ledger_table
from harness.stats.power_table import power_table
from harness.stats.tables import score_tables
from harness.stats.variance import variance_table


def test_rows_are_the_variance_table(simulated):
    simulated.task("a", n_items=20, steps=(0, 10), seeds=(0, 1))
    simulated.task("b", n_items=20, steps=(0, 10), seeds=(0, 1))

    found = simulated.data().variance

    wanted = variance_table(score_tables(simulated.responses))
    assert [row.to_dict() for row in found] == [row.to_dict() for row in wanted]


def test_trend_is_mean_and_sample_sd_over_seeds(simulated):
    simulated.task("a", n_items=30, steps=(0, 10), seeds=(0, 1, 2))

    (row,) = simulated.data().rows
    scores = row.variance.discrete.curve.scores

    assert [point.step for point in row.discrete] == [0, 10]
    for column, point in enumerate(row.discrete):
        assert point.mean == pytest.approx(np.mean(scores[:, column]))
        assert point.sd == pytest.approx(np.std(scores[:, column], ddof=1))
        assert dict(point.scores) == dict(enumerate(scores[:, column]))


def test_one_seed_has_no_sd_in_its_trend(simulated):
    simulated.task("a", n_items=20, steps=(0, 10), seeds=(3,))

    (row,) = simulated.data().rows

    assert all(math.isnan(point.sd) for point in row.discrete)
    assert [seed for seed, _ in row.discrete[0].scores] == [3]


def test_formulations_of_the_same_items_share_a_panel(zoo):
    panels = [
        {(r.variance.task, r.variance.model) for r in panel.rows}
        for panel in zoo.panels
    ]

    assert {
        (f"zoo_facts_{formulation}", model)
        for formulation in ("choice", "cloze")
        for model in ("zoo-small", "zoo-large")
    } in panels
    assert sum(len(panel) for panel in panels) == len(zoo.rows)
    assert len(zoo.pairs) == 2


def test_the_same_items_in_other_units_have_their_own_panel(simulated):
    simulated.task("a", items="i", n_items=20, steps=(0,))
    simulated.task("b", items="i", n_items=20, steps=(0,), generates=True)

    assert len(simulated.data().panels) == 2


def test_models_asked_different_items_share_a_panel_with_a_caution(simulated):
    simulated.task("a", model="m", n_items=20, steps=(0,))
    simulated.task("a", model="n", n_items=12, n_items_total=20, steps=(0,))

    data = simulated.data()

    assert len(data.panels) == 1
    assert "items-differ" in [caution.code for caution in data.cautions]


def test_a_trial_done_at_the_second_attempt_did_not_fail(simulated):
    simulated.task("a", n_items=20, steps=(0,), seeds=(0, 1))
    attempts = simulated.attempts
    first = attempts.iloc[[0]].assign(
        attempt_id="earlier",
        status="failed",
        error_code="worker-died",
        error="killed",
        finished_at=attempts["finished_at"].iloc[0] - datetime.timedelta(seconds=9),
    )

    data = gather(simulated.responses, pd.concat([first, attempts]), title="t")

    assert data.failures == ()
    assert (data.provenance.n_attempts, data.provenance.n_trials) == (3, 2)


def test_failures_are_counted_by_error(zoo):
    (failure,) = zoo.failures

    assert (failure.task, failure.n_failed, failure.n_trials) == ("zoo_broken", 4, 4)
    assert (failure.error_code, failure.error) == ("disk-full", "no space left")
    assert zoo.provenance.n_failed == 4


def test_nothing_done_is_a_report_too(nothing):
    assert nothing.rows == ()
    assert nothing.provenance.n_done == 0
    assert nothing.failures[0].n_failed == 10


def test_an_empty_store_is_a_report_too(simulated):
    data = simulated.data()

    assert data.rows == ()
    assert data.provenance.started_at is None


@pytest.mark.parametrize(
    ("column", "value"), [("dtype", "bfloat16"), ("batch_size", 8), ("max_length", 99)]
)
def test_settings_that_differ_within_a_model_are_rows_told_once(
    simulated, column, value
):
    simulated.task("a", n_items=20, steps=(0, 10), seeds=(0, 1))
    simulated.task("a", n_items=20, steps=(0, 10), seeds=(0, 1), **{column: value})

    data = simulated.data()

    assert data.cautions == ()
    assert [c.code for v in data.variance for c in v.cautions] == ["mixed-settings"] * 2
    assert len({v.settings for v in data.variance}) == 2
    assert any(str(value) in v.settings for v in data.variance)
    # One figure, in which no two curves look alike.
    assert len(data.panels) == 1
    assert len(set(styles(data.rows).values())) == 2


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("dtype", "bfloat16", "dtype"),
        ("max_length", None, "max length"),
        ("task_digest", "other", "task"),
    ],
)
def test_settings_that_differ_between_models_are_told(simulated, column, value, words):
    simulated.task("a", model="m", n_items=20, steps=(0, 10))
    simulated.task("a", model="n", n_items=20, steps=(0, 10), **{column: value})

    data = simulated.data()

    (caution,) = data.cautions
    assert caution.code == "settings-differ"
    assert f"asked a under different settings ({words})" in caution.text
    assert [v.settings for v in data.variance] == ["", ""]
    # With a row under the other's settings there is a pair that compares.
    simulated.task("a", model="n", n_items=20, steps=(0, 10))
    assert simulated.data().cautions == ()


def test_devices_that_differ_within_a_task_are_told(simulated):
    simulated.task("a", n_items=20, steps=(0,), seeds=(0, 1))
    simulated.task("a", n_items=20, steps=(10,), seeds=(0, 1), device="cuda:0")

    (caution,) = simulated.data().cautions

    assert caution.code == "mixed-devices"
    assert "cpu, cuda:0" in caution.text


def test_failed_trials_are_those_of_the_row_s_settings(simulated):
    simulated.task("a", n_items=20, steps=(0,))
    simulated.task("a", n_items=20, steps=(0,), dtype="bfloat16", max_length=None)
    simulated.fail("a", steps=(10,), seeds=(0,), dtype="bfloat16", max_length=None)

    rows = simulated.data().rows

    assert {r.variance.dtype: r.n_failed for r in rows} == {"bfloat16": 1, "float32": 0}


def test_options_reach_the_table_and_the_bands(simulated):
    simulated.task("a", n_items=30, steps=(0, 10), seeds=(0, 1, 2))
    tables = simulated.responses, simulated.attempts
    options = {"ddof": 0, "confidence_level": 0.5, "rank_method": "tau-a"}
    metrics = {"discrete": "acc_norm", "continuous": "margin"}

    (row,) = gather(*tables, title="t", **options, **metrics).rows

    scored = score_tables(simulated.responses, **metrics)
    (wanted,) = variance_table(scored, **options)
    assert row.variance.to_dict() == wanted.to_dict()
    for column, point in enumerate(row.discrete):
        assert point.sd == pytest.approx(wanted.discrete.curve.scores[:, column].std())


def test_bands_end_at_the_bounds_of_the_score(simulated):
    simulated.task("a", n_items=6, steps=(0, 100, 200, 400), seeds=(0, 1, 2, 3))

    (row,) = simulated.data().rows

    for point in row.discrete:
        assert point.low == max(0, point.mean - point.sd)
        assert point.high == min(1, point.mean + point.sd)
    assert any(point.mean + point.sd > 1 for point in row.discrete)


def test_settings_that_differ_between_tasks_are_no_matter(simulated):
    simulated.task("a", n_items=20, steps=(0,), batch_size=8)
    simulated.task("b", n_items=20, steps=(0,), batch_size=64)

    assert simulated.data().cautions == ()


def test_versions_and_truncation_are_told(simulated):
    simulated.task("a", n_items=20, steps=(0,), seeds=(0,), n_truncated=3)
    simulated.task(
        "b",
        n_items=20,
        steps=(0,),
        seeds=(0,),
        versions=[("torch", "2.6.0")],
    )

    codes = [caution.code for caution in simulated.data().cautions]

    assert codes == ["mixed-versions", "truncated-prompts"]


def test_replaced_weights_are_told_once_and_not_averaged(simulated):
    simulated.task("a", n_items=20, steps=(0, 10), seeds=(0, 1))
    simulated.task("a", n_items=20, steps=(10,), seeds=(0, 1), weights_digest="new")

    data = simulated.data()

    assert data.cautions == ()
    (row,) = data.variance
    (caution,) = row.cautions
    assert caution.code == "replaced-weights"
    assert caution.text.startswith("2 checkpoints were")
    assert "40 older answers are left out" in caution.text
    weights = {weights for *_, weights, _ in data.provenance.checkpoints}
    assert weights == {"new", "0123456789abcdef"}


def test_no_path_of_the_machine_is_in_the_data(zoo):
    assert "/nowhere/else" not in repr(zoo)


def test_order_of_rows_does_not_matter(simulated):
    from harness.report.page import render

    simulated.task("a", n_items=20, steps=(0, 10), seeds=(0, 1))
    simulated.fail("b", steps=(0,), seeds=(0, 1))
    responses, attempts = simulated.responses, simulated.attempts
    shuffled = gather(responses.iloc[::-1], attempts.iloc[::-1], title="t")

    assert render(shuffled) == render(gather(responses, attempts, title="t"))


@pytest.mark.parametrize("drop", ["host", "versions", "status"])
def test_a_missing_column_is_named(simulated, drop):
    simulated.task("a", n_items=20, steps=(0,))

    with pytest.raises(SchemaError, match=drop) as caught:
        gather(simulated.responses, simulated.attempts.drop(columns=drop), title="t")

    assert caught.value.code == "missing-columns"


def test_pairs_are_compared_by_their_tables(zoo):
    wanted = [(choice.task, cloze.task, choice.model) for choice, cloze in zoo.pairs]

    found = [(c.choice.task, c.cloze.task, c.choice.model) for c in zoo.comparisons]
    assert found == wanted
    assert zoo.uncompared == ()


def test_larger_models_are_targets_of_decisions(simulated):
    for model in ("s", "t", "S", "T"):
        simulated.task("a", model=model, n_items=20, seeds=(0, 1))

    data = gather(
        simulated.responses,
        simulated.attempts,
        title="t",
        larger={"s": "S", "t": "T"},
    )

    assert all(signal.models == ("s", "t") for signal in data.signals)
    assert all(signal.averaging is not None for signal in data.signals)


def test_ledgers_and_powers_are_those_of_the_last_step(simulated):
    simulated.task("a", n_items=20, steps=(0, 10), seeds=(0, 1))
    simulated.fail("b", seeds=(0,), steps=(0,))

    data = simulated.data()

    facets = facet_scores(simulated.responses)
    (ledger,), _ = ledger_table(facets)
    (power,), refused = power_table(facets, simulated.attempts)
    assert [row.to_dict() for row in data.ledgers] == [ledger.to_dict()]
    assert [row.to_dict() for row in data.powers] == [power.to_dict()]
    assert data.unpredicted == refused == ()


def test_a_score_without_a_prediction_is_kept_with_the_reason(simulated):
    """Two models that share no item leave nothing to compare."""
    for model, items in (("m", "i"), ("n", "j")):
        simulated.task("a", model=model, items=items, n_items=20, seeds=(0, 1))

    data = simulated.data()

    assert len(data.ledgers) == 2
    assert data.powers == ()
    assert [(who.model, e.code) for who, e in data.unpredicted] == [
        ("m", "missing-scores"),
        ("n", "missing-scores"),
    ]
