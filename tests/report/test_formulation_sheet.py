"""Choice against cloze as a printed table, and in sentences."""

from dataclasses import replace

import pandas as pd
import pytest

from harness.errors import DesignError
from harness.report import text
from harness.report.sheets.formulation import formulation_sheet
from harness.report.sheets.sheet import as_text, markup
from harness.stats.estimate import Caution, Estimate, Interval
from harness.stats.formulation_table import formulation_table
from harness.stats.tables import score_tables


@pytest.fixture
def rows(simulated):
    """Return one pair, of which only cloze is learnt."""
    for formulation in ("cloze", "choice"):
        simulated.task(
            "facts",
            formulation=formulation,
            learns=formulation == "cloze",
            seeds=(0, 1, 2),
            steps=(0, 100, 800),
        )
    return formulation_table(score_tables(simulated.responses))[0]


def crossing(value, low, high):
    return Estimate(
        quantity="crossing",
        value=value,
        interval=Interval(low, high),
        n=60,
        method="m",
        cautions=(Caution("not-crossed", "choice is not above cloze"),),
    )


def test_a_pair_is_two_rows_and_the_first_has_what_both_share(rows):
    sheet = formulation_sheet(rows)
    ((model, (choice, cloze)),) = sheet.parts

    assert model == "zoo-small"
    assert (choice[1], cloze[1]) == ("choice", "cloze")
    assert choice[7] == text.score(rows[0].comparison.difference.value)
    assert set(cloze[7:]) == {""}
    assert "[not-crossed]" in as_text(sheet)
    assert any("[few-models]" in note for note in sheet.notes)


def test_csv_has_a_row_for_each_estimate(rows):
    lines = markup(formulation_sheet(rows), "csv").splitlines()

    assert lines[0].startswith("model,choice_task,cloze_task")
    assert len(lines) == 1 + 6 + 6 + 4


def test_a_pair_that_was_refused_is_a_remark(rows):
    reason = DesignError("no item in both", code="items-differ")
    sheet = formulation_sheet((), [(rows[0].choice, rows[0].cloze, reason)])

    assert sheet.parts == ()
    assert sheet.remarks == ("zoo-small, facts: no item in both",)


def test_sentences_claim_no_more_than_the_interval(rows):
    (row,) = rows
    (sentence,) = text.formulation_sentences(rows)

    assert "so by text these runs score more; with other seeds and items" in sentence
    assert "By letter it does not end ahead." in sentence
    unsure = replace(
        row.comparison,
        difference_over_seeds=replace(
            row.comparison.difference_over_seeds, interval=Interval(-0.8, 0.1)
        ),
    )
    (sentence,) = text.formulation_sentences([replace(row, comparison=unsure)])
    assert "these runs score more, though other seeds need not" in sentence
    open_ = replace(
        row.comparison,
        difference=replace(row.comparison.difference, interval=Interval(-0.1, 0.2)),
        crossing=crossing(100.0, 0.0, float("inf")),
    )
    (sentence,) = text.formulation_sentences([replace(row, comparison=open_)])
    assert "which need not be a difference" in sentence
    assert "ahead for good from step 100 [0, open]" in sentence
    above = replace(
        row.comparison,
        difference=replace(row.comparison.difference, interval=Interval(0.1, 0.2)),
    )
    (sentence,) = text.formulation_sentences([replace(row, comparison=above)])
    assert "so by letter these runs score more" in sentence


def test_a_crossing_reads_as_a_step_with_its_interval():
    assert text.crossing(crossing(100.0, 50.0, 800.0)) == "100 [50, 800]"
    assert text.crossing(crossing(float("nan"), 0.0, 0.0)) == text.UNDEFINED


def test_frame_of_the_sheet_is_tidy(rows):
    frame = formulation_sheet(rows).frame()

    assert isinstance(frame, pd.DataFrame)
    assert set(frame["formulation"]) == {"choice", "cloze", "both"}
