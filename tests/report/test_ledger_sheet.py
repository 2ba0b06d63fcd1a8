"""The variance ledger as a printed table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.errors import DesignError
from harness.report.sheets.ledger import ledger_frame, ledger_sheet
from harness.report.sheets.sheet import as_text, markup
from harness.stats.facets import facet_scores
from harness.stats.ledger.ledger import variance_ledger
from harness.stats.ledger_table import ledger_table


@pytest.fixture
def rows(simulated):
    simulated.task("facts", model="zoo-tiny", seeds=(0, 1, 2), steps=(0, 800))
    return ledger_table(facet_scores(simulated.responses))[0]


def test_a_line_for_each_source(rows):
    sheet = ledger_sheet(rows, ())
    ((title, lines),) = sheet.parts

    assert title == "zoo-tiny · facts"
    assert [line[0] for line in lines[:3]] == [
        "item",
        "train_seed",
        "item × train_seed + error",
    ]
    assert dict(zip(["name", "levels", "sd"], lines[-1], strict=False))["sd"] == "–"
    assert "not estimated." in sheet.sentences[0]
    assert "[one-level]" in as_text(sheet)
    assert markup(sheet, "md").count("| zoo-tiny") == len(lines)


def test_csv_has_components_in_full(rows):
    frame = ledger_frame(rows)

    assert frame["variance"].iloc[0] == rows[0].ledger.effects[0].variance.value
    assert frame["model"].tolist() == ["zoo-tiny"] * len(frame)


def test_a_negative_component_has_no_sd_above_0(rows):
    (row,) = rows
    item = np.arange(40) % 2
    seed, items = np.indices((2, 40)).reshape(2, -1)
    ledger = variance_ledger(
        np.r_[item, 1 - item].astype(float), {"item": items, "train_seed": seed}
    )
    sheet = ledger_sheet([replace(row, ledger=ledger)], ())
    ((_, lines),) = sheet.parts

    assert lines[1][2] == "0"
    assert "[negative-component]" in as_text(sheet)
    assert "no noise that these answers show" in sheet.sentences[0]


def test_what_is_refused_is_told(rows):
    error = DesignError("one answer", code="too-few-replicates")
    sheet = ledger_sheet(rows, [(rows[0].scores, error)])

    assert sheet.remarks[-1] == "zoo-tiny · facts: one answer [too-few-replicates]"
