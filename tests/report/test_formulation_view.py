"""Choice against cloze below their curves: every number, and what is not compared."""

import math
from dataclasses import replace

from harness.errors import DesignError
from harness.report import text
from harness.report.views.trend import panel_views


def test_a_panel_has_a_line_for_each_model_of_its_pair(zoo):
    (panel,) = [p for p in panel_views(zoo) if p.formulations]

    assert panel.tasks == ("zoo_facts_choice", "zoo_facts_cloze")
    assert [line.model for line in panel.formulations.lines] == [
        row.cloze.model for row in zoo.comparisons
    ]
    for line, row in zip(panel.formulations.lines, zoo.comparisons, strict=True):
        found = row.comparison
        estimates = [
            found.choice.mean,
            found.cloze.mean,
            found.difference,
            found.difference_over_seeds,
            found.crossing,
            found.choice.seed_sd,
            found.cloze.seed_sd,
            found.choice.snr,
            found.cloze.snr,
            found.choice.monotonicity,
            found.cloze.monotonicity,
            found.correlation,
            row.over_models,
        ]
        for cell, estimate in zip(line.cells[3:], estimates, strict=True):
            if math.isnan(estimate.value):
                assert (cell.value, cell.reason) == (None, estimate.cautions[0].text)
            else:
                assert cell.value == estimate.value
    assert panel.findings == text.formulation_sentences(zoo.comparisons)


def test_panels_without_a_pair_have_no_table(little):
    (panel,) = panel_views(little)

    assert panel.formulations is None
    assert panel.findings == ()


def test_a_pair_that_is_not_compared_says_why(zoo):
    first = zoo.comparisons[0]
    reason = DesignError("no item in both", code="items-differ")
    bare = replace(
        zoo, comparisons=(), uncompared=((first.choice, first.cloze, reason),)
    )

    notes = [note for panel in panel_views(bare) for note in panel.notes]

    words = (
        f"{first.cloze.model}: choice and cloze cannot be compared, no item in both."
    )
    assert notes.count(words) == 1


def test_labels_of_tasks_tell_formulations_apart(zoo):
    whos = [row.who for row in zoo.items]

    names = text.task_labels(whos)

    assert len(set(names)) == len(names)
    assert "zoo_pairs" in names
    both = [replace(whos[0], formulation=f) for f in ("choice", "cloze")]
    assert text.task_labels(both) == [
        f"{both[0].task} · choice",
        f"{both[0].task} · cloze",
    ]
