"""Choice against cloze, pair by pair, from tables of scores."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.formulation import compare_formulations, correlation_over_models
from harness.stats.formulation_table import formulation_table
from harness.stats.tables import score_tables
from harness.streams import stream

SEEDS, STEPS, N = (1, 2, 3), (0, 10, 20), 40


def answers(simulated, formulation, *, seed=1, model="m", step=0.1, **columns):
    rng = np.random.default_rng(seed)
    cells = {
        (s, t): (rng.random(N) < 0.3 + step * place).astype(int)
        for s in SEEDS
        for place, t in enumerate(STEPS)
    }
    columns = {"task": f"facts_{formulation}", "model": model, **columns}
    return simulated(cells, rng=rng, formulation=formulation, **columns)


def table(*frames, **options):
    return formulation_table(score_tables(pd.concat(frames)), **options)


@pytest.fixture
def pair(simulated):
    """Return answers by letter, which do not improve, and by text, which do."""
    return (
        answers(simulated, "choice", seed=1, step=0),
        answers(simulated, "cloze", seed=2, step=0.2),
    )


def test_a_row_is_the_comparison_of_its_two_tables(pair):
    (row,), refused = table(*pair)

    choice, cloze = score_tables(pd.concat(pair))
    alone = compare_formulations(
        choice.discrete.scores,
        cloze.discrete.scores,
        steps=STEPS,
        chance=0.5,
        rng=stream(0, f"formulations of facts_cloze by {cloze.model}"),
    )
    assert row.comparison.to_dict() == alone.to_dict()
    assert (row.choice.task, row.cloze.task) == ("facts_choice", "facts_cloze")
    assert refused == ()
    assert row.comparison.difference.interval.high < 0


def test_each_option_changes_the_number(pair):
    (plain,), _ = table(*pair)
    (again,), _ = table(*pair)
    (continuous,), _ = table(*pair, kind="continuous")
    (all_,), _ = table(*pair, ddof=0)
    (wide,), _ = table(*pair, confidence_level=0.99)
    (spearman,), _ = table(*pair, rank_method="spearman")

    assert plain.to_dict() == again.to_dict()
    assert continuous.metric == "prob_correct"
    assert all_.comparison.cloze.seed_sd.value < plain.comparison.cloze.seed_sd.value
    assert wide.comparison.difference.interval < plain.comparison.difference.interval
    ranks = [r.comparison.choice.monotonicity.value for r in (plain, spearman)]
    assert ranks[0] != ranks[1]


def test_items_are_paired_by_name_whatever_their_order(pair):
    (plain,), _ = table(*pair)
    choice, cloze = pair
    turned = cloze.assign(item_index=N - 1 - cloze["item_index"])
    (row,), _ = table(choice, turned)

    found = row.comparison.difference
    assert found.value == plain.comparison.difference.value
    assert found.se == pytest.approx(plain.comparison.difference.se)


def test_seeds_and_steps_are_paired_by_name(pair):
    """Each has six of nine checkpoints, and four in common: two more on each side."""
    choice, cloze = pair
    (row,), _ = table(choice[choice["train_seed"] != 2], cloze[cloze["step"] != 20])
    (same,), _ = table(*(f[(f["train_seed"] != 2) & (f["step"] != 20)] for f in pair))

    assert row.comparison.steps == (0, 10)
    assert row.comparison.n_seeds == 2
    assert row.comparison.difference == same.comparison.difference
    (caution,) = row.cautions
    assert caution.code == "checkpoints-differ"
    assert caution.text.startswith("4 checkpoints")


def test_correlation_is_over_the_models_of_the_same_tasks(simulated):
    frames = [
        answers(simulated, formulation, model=model, seed=10 * i + j, step=0.1 * i)
        for i, model in enumerate("mnop")
        for j, formulation in enumerate(("choice", "cloze"))
    ]
    rows, _ = table(*frames)

    means = np.array(
        [[r.comparison.choice.mean.value, r.comparison.cloze.mean.value] for r in rows]
    )
    assert len(rows) == 4
    assert {row.over_models for row in rows} == {correlation_over_models(*means.T)}


def test_one_model_has_no_correlation_over_models(pair):
    (row,), _ = table(*pair)

    assert math.isnan(row.over_models.value)
    assert [c.code for c in row.over_models.cautions] == ["few-models"]


def test_pairs_without_a_common_checkpoint_are_refused(pair):
    choice, cloze = pair
    rows, refused = table(choice[choice["step"] == 0], cloze[cloze["step"] == 20])

    assert rows == ()
    assert refused[0][0].task == "facts_choice"
    assert refused[0][2].code == "items-differ"


def test_checkpoints_without_a_step_have_no_place(pair):
    unnamed = [
        f[f["step"] == 0].assign(step=pd.NA).astype({"step": "Int64"}) for f in pair
    ]

    _, ((_, _, reason),) = table(*unnamed)

    assert reason.code == "items-differ"


def test_pairs_of_unlike_metrics_are_refused(pair):
    choice, cloze = score_tables(pd.concat(pair))
    cloze = replace(cloze, discrete=replace(cloze.discrete, metric="acc_norm"))

    _, ((_, _, reason),) = formulation_table([choice, cloze])

    assert reason.code == "metrics-differ"
    assert "facts_cloze by acc_norm" in str(reason)


def test_pairs_without_a_continuous_metric_have_no_row(pair):
    bare = [replace(t, continuous=None) for t in score_tables(pd.concat(pair))]

    assert formulation_table(bare, kind="continuous") == ((), ())


def test_an_option_that_nobody_knows_is_an_error(pair):
    with pytest.raises(DesignError) as caught:
        table(*pair, confidence_level=2)

    assert caught.value.code == "bad-confidence-level"


def test_row_as_json_and_as_frame(pair):
    (row,), _ = table(*pair)

    told = json.loads(json.dumps(row.to_dict(), allow_nan=False))
    assert told["model"] == "m"
    assert told["crossing"]["value"] is None
    assert told["correlation_over_models"]["value"] is None
    frame = row.to_frame()
    assert list(frame.columns[:3]) == ["model", "choice_task", "cloze_task"]
    assert set(frame["formulation"]) == {"choice", "cloze", "both"}
