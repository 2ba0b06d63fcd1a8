"""What to buy next as a printed table, and in sentences."""

from __future__ import annotations

import pandas as pd
import pytest

from harness.report.sheets.power import (
    gain_name,
    power_frame,
    power_sheet,
    scores_name,
    sentence,
)
from harness.report.sheets.sheet import as_text, markup
from harness.stats.facets import facet_scores
from harness.stats.power_table import Target, power_table


@pytest.fixture
def rows(simulated):
    """Return rows of two models at a task, of whose 60 items all were asked."""

    known = set()

    def rows(target=None, models=("zoo-small", "zoo-tiny"), **options):
        for model in sorted({*models} - known):
            known.add(model)
            simulated.task("facts", model=model, seeds=(0, 1, 2), steps=(0, 100, 800))
        tables = facet_scores(simulated.responses)
        return power_table(tables, simulated.attempts, target=target, **options)

    return rows


def test_a_part_has_the_design_as_run_and_what_more_would_do(rows):
    found, refused = rows()
    sheet = power_sheet(found, refused, target=Target(), power=0.8)
    (title, lines), _ = sheet.parts

    assert title.startswith("zoo-small · facts")
    assert lines[0][0] == "as run"
    assert [line[0] for line in lines[1:]] == ["+2 training seeds"]
    assert lines[0][1:4] == ("60", "3", "1")
    assert "narrow this by" in as_text(sheet)
    assert "All 60 items of the task are asked." in sheet.sentences[0]
    assert markup(sheet, "md").count("\n| zoo-") == 4


def test_csv_has_a_row_for_each_design(rows):
    found, _ = rows()
    frame = power_frame(found, Target())

    assert frame["design"].tolist() == ["as run", "+2 train_seed"] * 2
    assert frame["se"].iloc[0] == found[0].now.se.value
    assert frame["narrower_by"].iloc[1] == pytest.approx(found[0].gains[0].narrower_by)
    assert pd.isna(frame["repeat"]).all()


def test_a_target_is_told_with_its_price(rows):
    found, refused = rows()
    target = Target(se=0.95 * found[0].now.se.value)
    found, refused = rows(target)
    sheet = power_sheet(found, refused, target=target, power=0.8)

    assert sheet.parts[0][1][-1][0] == "cheapest"
    assert "The cheapest that does has 60 items" in sheet.sentences[0]

    reached = Target(se=1.0)
    found, refused = rows(reached)
    words = sentence(found[0], reached, 0.8)
    assert words.endswith("The design as run reaches what is asked.")

    beyond = Target(se=1e-6)
    found, refused = rows(beyond)
    words = sentence(found[0], beyond, 0.8)
    assert words.endswith("No design within what the task holds reaches what is asked.")


def test_templates_that_a_person_has_to_word_are_told(simulated):
    for name in ("plain", "polite"):
        simulated.task("facts", seeds=(0, 1), steps=(0, 9), template=name)
    tables = facet_scores(simulated.responses)

    def told(target, **costs):
        rows, refused = power_table(
            tables, simulated.attempts, target=target, costs=costs
        )
        sheet = power_sheet(rows, refused, target=target, power=0.8)
        return sheet, sheet.sentences[0]

    sheet, words = told(Target(se=1e-6))
    assert words.endswith(
        "under these templates; `--cost template=SECONDS` allows for others."
    )
    assert "+2 templates" in [line[0] for line in sheet.parts[0][1]]

    sheet, words = told(Target(se=1e-6), template=0)
    assert words.endswith("No design within what the task holds reaches what is asked.")

    sheet, _ = told(Target(seconds=1e9), template=0)
    assert "30 more templates, which a person has to word" in "".join(sheet.notes)


def test_a_budget_buys_the_best(rows):
    target = Target(seconds=1e4)
    found, refused = rows(target)
    sheet = power_sheet(found, refused, target=target, power=0.8)

    assert sheet.parts[0][1][-1][0] == "best"
    assert "The best for this has 60 items" in sheet.sentences[0]


def test_a_difference_is_told_as_one(rows):
    target = Target(difference=0.5)
    found, refused = rows(target)
    sheet = power_sheet(found, refused, target=target, power=0.9)

    assert "standard error of a difference of two models" in sheet.remarks[0]
    assert "in 90 % of cases" in sheet.remarks[0]
    assert sheet.remarks[0].endswith("alone: another asked the same costs its own")
    assert "its difference to another" in sheet.sentences[0]
    assert set(power_frame(found, target)["of"]) == {"difference"}


def test_what_is_assumed_or_held_is_said(rows):
    found, refused = rows(models=("zoo-small",), fixed=["item"])
    words = sentence(found[0], Target(), 0.8)

    assert "correlate by 0.50 (assumed)" in words
    assert "for other training seeds under these items and this template." in words
    sheet = power_sheet(found, refused, target=Target(), power=0.8)
    assert "[assumed-correlation]" in sheet.notes[0]


def test_nothing_left_to_be_uncertain_about_is_said(rows):
    found, _ = rows(fixed=["item", "train_seed"])
    words = sentence(found[0], Target(), 0.8)

    assert "there is no standard error of its score (nothing that varies" in words


def test_many_rows_are_told_in_the_table(rows):
    found, _ = rows()
    sheet = power_sheet(found * 4, (), target=Target(), power=0.8)

    assert len(sheet.sentences) == 7
    assert sheet.sentences[-1] == "2 rows more: see the table."


def test_what_was_refused_is_named(simulated):
    simulated.task("facts", seeds=(0, 1), steps=(0, 100))
    tables = facet_scores(simulated.responses)
    rows, refused = power_table(tables, simulated.attempts.iloc[:0])
    sheet = power_sheet(rows, refused, target=Target(), power=0.8)

    assert sheet.parts == ()
    assert "[no-timings]" in sheet.remarks[1]
    assert scores_name(refused[0][0]) in sheet.remarks[1]


def test_one_more_is_one(rows):
    found, _ = rows()
    from dataclasses import replace

    (gain,) = found[0].gains
    assert gain_name(replace(gain, n_added=1)) == "+1 training seed"
