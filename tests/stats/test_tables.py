"""Tables of scores: which responses they hold."""

import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.tables import score_tables
from harness.stats.variance import variance_table


def test_only_one_formulation(simulated):
    frame = pd.concat(
        [
            simulated({(1, 10): [1, 0]}, formulation="choice"),
            simulated({(1, 10): [1, 1]}, formulation="cloze"),
        ]
    )

    (table,) = score_tables(frame, formulation="cloze")

    assert table.formulation == "cloze"


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ((None, None), (None, 10, 20, 30)),
        ((20, None), (20, 30)),
        ((None, 20), (10, 20)),
        ((20, 20), (20,)),
    ],
)
def test_only_a_range_of_steps(simulated, steps, kept):
    cells = {(1, step): [1, 0, 1] for step in (None, 10, 20, 30)}

    (table,) = score_tables(simulated(cells), steps=steps)

    assert table.steps == kept


def test_a_range_without_checkpoints_is_refused(simulated):
    with pytest.raises(DesignError, match="no responses") as caught:
        score_tables(simulated({(1, 10): [1, 0]}), steps=(11, None))

    assert caught.value.code == "no-responses"


def test_more_of_an_error_rate_is_less_of_a_score(joined):
    rows = [
        {"item_id": f"i{i}", "item_index": i, "step": step}
        | {"output_type": "generate_until", "metrics": [("wer,none", rate)]}
        for step, rates in ((1, [0.25, 0.5]), (2, [0.5, 1.0]), (3, [0.75, 1.5]))
        for i, rate in enumerate(rates)
    ]
    (table,) = score_tables(joined(rows), discrete="wer,none")
    (row,) = variance_table([table])

    assert table.discrete.metric == "wer,none (negated: less is better)"
    assert table.discrete.scores[0].tolist() == [
        [-0.25, -0.5],
        [-0.5, -1],
        [-0.75, -1.5],
    ]
    assert [caution.code for caution in table.cautions] == ["negated"]
    assert row.discrete.metric == table.discrete.metric
    assert row.discrete.monotonicity.value == -1
