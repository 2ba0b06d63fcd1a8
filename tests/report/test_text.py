"""How numbers and findings read."""

import io
import math
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from harness.errors import InputError
from harness.report import text
from harness.stats.estimate import Estimate, Interval

NAN = math.nan


@pytest.mark.parametrize(
    ("style", "value", "shown"),
    [
        (text.score, 0.71234, "0.712"),
        (text.score, -0.00001, "0.000"),
        (text.score, -12.3456, "\N{MINUS SIGN}12.35"),
        (text.score, NAN, "–"),
        (text.spread, 0.01234, "0.012"),
        (text.spread, 0.00001234, "0.000012"),
        (text.spread, 12.34, "12"),
        (text.spread, 0.0, "0"),
        (text.spread, NAN, "–"),
        (text.ratio, 1921.15, "1,921"),
        (text.ratio, 45.89, "45.9"),
        (text.ratio, 7.88, "7.88"),
        (text.correlation, -0.004, "0.00"),
        (text.duration, 61.04, "61.0 s"),
        (text.duration, 600, "10 min"),
        (text.duration, 9000, "2.5 h"),
    ],
)
def test_numbers(style, value, shown):
    assert style(value) == shown


def test_zero_and_undefined_are_told_apart():
    assert text.spread(0.0) != text.spread(NAN)


def test_names_cannot_steer_a_terminal():
    assert text.clean("a\x1b[31mb\u202ec\n") == "a\ufffd[31mb\ufffdc\ufffd"


def test_labels_say_only_what_tells_rows_apart(zoo):
    rows = [r for r in zoo.variance if r.model == "zoo-small"]

    assert text.labels(rows)[0] == "zoo_facts_choice"
    assert text.labels(zoo.variance)[0].endswith(" · zoo-large")
    assert len(set(text.labels(zoo.variance))) == len(zoo.variance)


def test_labels_stay_different_when_cleaned_or_cut(zoo):
    row = zoo.variance[0]
    odd = [replace(row, task="a\x01"), replace(row, task="a\x02")]
    long = [replace(row, task="x" * 50 + c + "y" * 50) for c in "pq"]

    assert len(set(text.labels(odd))) == 2
    assert len(set(text.labels(long, limit=20))) == 2


def test_a_pair_of_formulations_is_told_in_one_sentence(zoo):
    sentences = [s for s in text.findings(zoo.variance) if s.startswith("zoo-small")]

    (sentence,) = sentences
    assert "cloze scores 0.9" in sentence
    assert "climbs steadily" in sentence
    assert "By letter, on the same 60 items" in sentence
    assert "no more than guessing explains (chance 0.250)" in sentence
    assert "no clear trend" in sentence


def test_without_pairs_each_row_has_its_sentence(simulated):
    simulated.task("a", n_items=40)

    sentences = text.findings(simulated.data().variance)

    assert any(s.startswith("zoo-small, a: at the last checkpoint") for s in sentences)


def test_what_is_undefined_is_said_with_the_way_out(little):
    told = " ".join(text.findings(little.variance))

    assert "There is no seed SD for any row" in told
    assert "more training seeds in the suite" in told
    assert "There is no monotonicity" in told


def test_many_rows_are_summed_up(simulated):
    for i in range(12):
        simulated.task(f"task{i}", n_items=10, steps=(0,), seeds=(0, 1))

    sentences = text.findings(simulated.data().variance)

    assert "6 rows more stand in the table." in sentences
    assert len(sentences) <= 14


def test_a_partial_run_is_marked_everywhere(zoo):
    (row,) = [r for r in zoo.variance if r.is_partial]

    assert "(partial run)" in " ".join(text.findings([row]))
    assert "part." in text.variance_table_text([row])
    assert "30 part." in text.variance_markup([row], "md")


@pytest.mark.parametrize(
    ("value", "word"),
    [(0.95, "steadily"), (0.5, "setbacks"), (0.1, "no clear trend"), (-0.9, "falls")],
)
def test_trend_words(value, word):
    estimate = Estimate(quantity="monotonicity", value=value, n=3, method="m")

    assert word in text.trend_word(estimate)


def test_a_flat_score_has_no_trend_and_says_why(simulated):
    simulated.task("a", n_items=8, steps=(0, 1), generates=True, learns=False)
    (row,) = simulated.data().variance

    assert text.trend_sentence([row], "discrete").startswith(
        "It has no defined trend ("
    )


def test_chance_inside_the_interval_is_at_chance(zoo):
    row = zoo.variance[0]
    mean = replace(row.discrete.mean, interval=Interval(0.2, 0.3))

    inside = replace(row, discrete=replace(row.discrete, mean=mean), chance=0.25)
    outside = replace(inside, chance=0.31)
    unknown = replace(inside, chance=NAN)

    assert text.is_at_chance(inside)
    assert not text.is_at_chance(outside)
    assert not text.is_at_chance(unknown)


def test_terminal_table_has_each_row_and_note(zoo):
    shown = text.variance_table_text(zoo.variance, width=110)

    assert shown.count("zoo_facts_cloze") >= 2
    assert "[constant-over-seeds]" in shown
    assert max(map(len, shown.splitlines())) <= 110


def test_a_pipe_gets_no_escape_codes_and_no_markup(hostile):
    file = io.StringIO()
    text.show_variance(hostile.variance, console=Console(file=file, width=60))

    assert "\x1b" not in file.getvalue()
    assert "<b>evil</b></script>" in file.getvalue()


def test_csv_is_in_full_precision(zoo):
    frame = pd.read_csv(io.StringIO(text.variance_markup(zoo.variance, "csv")))

    wanted = [row.discrete.seed_sd.value for row in zoo.variance]
    assert frame["seed_sd"].tolist() == pytest.approx(wanted, rel=1e-15)


def test_markdown_escapes_names(hostile):
    shown = text.variance_markup(hostile.variance, "md")

    assert "<b>" not in shown
    assert "&lt;b&gt;evil" in shown
    table = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(hostile.variance)


def test_an_unknown_format_is_refused(zoo):
    with pytest.raises(InputError, match="md or csv") as caught:
        text.variance_markup(zoo.variance, "xls")

    assert caught.value.code == "unknown-format"
