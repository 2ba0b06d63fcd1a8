"""Comparisons of equal models as a printed table and as sentences."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import DesignError
from harness.report.sheets.calibration import (
    calibration_frame,
    calibration_lines,
    calibration_sheet,
)
from harness.report.sheets.sheet import as_text, markup
from harness.stats.calibration import Calibration
from harness.stats.estimate import Caution, Estimate, Interval, undefined


@pytest.fixture
def row():
    """Return a maker of rows with so many false alarms and such an interval."""

    def make(draws="repeats", n_false=3, ends=(0.01, 0.1), **labels):
        few = Caution("few-pairs", "3 pairs of equal models say little")
        rate = undefined("rate", n=1, method="m", code=few.code, text=few.text)
        if ends is not None:
            rate = Estimate(
                quantity="rate",
                value=n_false / 80,
                interval=Interval(*ends),
                n=40,
                method="m",
            )
        return Calibration(
            **{
                "draws": draws,
                "task": None,
                "formulation": None,
                "num_fewshot": None,
                "generation": None,
                "metric": None,
                "n_pairs": 80,
                "n_false": n_false,
                "nominal": 0.05,
                "rate": rate,
                "p_values": np.linspace(0, 1, 80),
                "differences": np.zeros(80),
                "band": 0.2,
                "cautions": rate.cautions,
                **labels,
            }
        )

    return make


TASK = {
    "task": "facts",
    "formulation": "cloze",
    "num_fewshot": 5,
    "generation": '{"temperature": 0.7}',
    "metric": "acc",
}


def test_a_part_for_each_kind_and_a_line_for_each_task(row):
    sheet = calibration_sheet([row(), row(**TASK), row("training seeds")])
    (first, lines), (second, (alone,)) = sheet.parts

    assert first == "repeats of the same checkpoint"
    assert second.startswith("halves of the training seeds")
    assert lines[0][:6] == ("all tasks", "–", "–", "80", "40", "3")
    assert lines[1][:3] == ("facts 5-shot (temperature 0.7)", "cloze", "acc")
    assert alone[6:9] == ("4", "[1, 10]", "5")
    assert markup(sheet, "md").count("| repeats of the same checkpoint") == 2


def test_sentences_say_what_the_gate_must_know(row):
    quiet, loud, few = (
        calibration_lines([one])
        for one in (
            row(),
            row(n_false=20, ends=(0.15, 0.4)),
            row("few-shot seeds", ends=None),
        )
    )

    assert quiet == (
        "A/A, repeats of the same checkpoint: false alarms 3 of 80 pairs (4 %, 95 % "
        "interval [1, 10] %, nominal 5 %)",
    )
    assert loud[0].endswith(
        "nominal 5 %): more than there may be, so verdicts are less sure than they say"
    )
    assert few[0].endswith("3 of 80 pairs; too few for a rate, nominal 5 %")
    assert calibration_lines([])[0].startswith(
        "A/A: no checkpoint was measured twice, "
    )
    assert len(calibration_lines([row(), row(**TASK)])) == 1
    assert calibration_lines([row(**TASK)]) == quiet  # one task has no row of all


def test_what_has_no_rate_says_why(row):
    sheet = calibration_sheet([row(ends=None)])

    assert sheet.parts[0][1][0][6:8] == ("–", "")
    assert "[few-pairs]" in as_text(sheet)


def test_what_was_refused_is_told(row):
    class Scores:
        model, task, num_fewshot, generation, settings = "m", "facts", 0, "", ""

    error = DesignError("nothing twice", code="too-few-replicates")
    sheet = calibration_sheet([row()], [(Scores, error)])

    assert sheet.remarks[-1] == "m · facts: nothing twice [too-few-replicates]"


def test_csv_has_rates_in_full(row):
    frame = calibration_frame([row(), row(**TASK)])

    assert frame["value"].tolist() == [3 / 80, 3 / 80]
    assert frame["task"].tolist() == [None, "facts"]
    assert {"n_pairs", "n_false", "nominal", "low", "high"} <= {*frame.columns}
