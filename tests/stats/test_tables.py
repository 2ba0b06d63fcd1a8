"""Tables of scores: which responses they hold."""

import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.tables import score_tables


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
