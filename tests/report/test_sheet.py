"""A sheet's text, whoever wrote it: no terminal, page or spreadsheet obeys it."""

import csv

import pandas as pd
import pytest

from harness.report.sheets.sheet import Sheet, as_text, markup

EVIL = "\x1b[31m=cmd()\u202e\x00\n<b>[red] :x: |"

SHEET = Sheet(
    columns=(("name", False),),
    parts=((EVIL, ((EVIL,),)),),
    label="model",
    notes=(EVIL,),
    remarks=(EVIL,),
    sentences=(EVIL,),
    frame=lambda: pd.DataFrame(
        {
            "model": pd.Categorical([EVIL, "-1"]),
            "task": ["=1+1", None],
            "n": [-1, 2],
            "value": [-0.5, float("nan")],
        }
    ),
)


@pytest.mark.parametrize("text", [as_text(SHEET), markup(SHEET, "md")])
def test_nothing_steers_a_terminal(text):
    assert text.replace("\n", "").isprintable()
    assert "�" in text


def test_words_are_shown_as_they_are():
    *_, last = as_text(SHEET).splitlines()

    assert last == "�[31m=cmd()���<b>[red] :x: |"
    assert markup(SHEET, "md").count(r"&lt;b&gt;\[red\] :x: \|") == 5


def test_no_spreadsheet_runs_a_name():
    first, second = csv.DictReader(markup(SHEET, "csv").splitlines())

    assert first["model"] == "�[31m=cmd()���<b>[red] :x: |"
    assert second["model"] == "'-1"
    assert (first["task"], second["task"]) == ("'=1+1", "")
    assert (first["n"], first["value"], second["value"]) == ("-1", "-0.5", "")


def test_what_no_number_is_read_without_stands_above_the_table():
    sheet = Sheet(
        columns=(("task", False),),
        parts=(("", (("t",),)),),
        frame=pd.DataFrame,
        alarms=("they are *the* same\x1b",),
    )

    assert as_text(sheet).startswith("they are *the* same\ufffd")
    assert markup(sheet, "md").startswith(
        "**they are \\*the\\* same\ufffd**\n\n| task |"
    )
