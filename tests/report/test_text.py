"""How numbers and findings read."""

import io
import math
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from harness.errors import InputError
from harness.report import text
from harness.report.sheets.sheet import as_text, markup, show
from harness.report.sheets.variance import variance_sheet
from harness.stats.estimate import Caution, Estimate, Interval

NAN = math.nan


def shown_as_text(rows, **options):
    return as_text(variance_sheet(rows), **options)


def shown_as(rows, format_):
    return markup(variance_sheet(rows), format_)


GENERATION = '{"temperature": 0.7, "do_sample": true}'


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
        (text.spread, math.inf, "inf"),
        (text.score, 123456789.4, "123,456,789.4"),
        (text.score, -1e300, "\N{MINUS SIGN}1.0e+300"),
        (text.signed, 1e300, "+1.0e+300"),
        (text.spread, 2e300, "2.0e+300"),
        (text.spread, 3.4e-300, "3.4e-300"),
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
    start = (
        "zoo-small, zoo_facts_cloze against zoo_facts_choice: as cloze, these 5 runs"
    )

    (sentence,) = [s for s in text.findings(zoo.variance) if s.startswith(start)]

    assert "these 5 runs end at a mean of 0.9" in sentence
    assert "climbs steadily" in sentence
    assert (
        "By letter, on the same 60 items, these 5 runs end at a mean of 0.2" in sentence
    )
    assert "no more than guessing explains (chance 0.250)" in sentence
    assert "no clear trend" in sentence


def test_without_pairs_each_row_has_its_sentence(simulated):
    simulated.task("a", n_items=40)

    sentences = text.findings(simulated.data().variance)

    assert any(s.startswith("zoo-small, a: these 5 runs end at") for s in sentences)


def test_rows_beside_pairs_have_their_sentence_too(zoo):
    sentences = text.findings(zoo.variance)

    for task in ("zoo_pairs", "zoo_sums", "zoo_plain"):
        assert any(s.startswith(f"zoo-large, {task}: these 5 runs") for s in sentences)
    assert "1 row more stand in the table." in sentences


def test_the_spread_quoted_at_the_last_checkpoint_is_the_one_there(zoo):
    (row,) = [r for r in zoo.variance if r.is_partial]
    part = row.discrete
    there = text.spread(part.seed_sd_last.value)
    average = text.spread(part.seed_sd.value)
    assert there != average

    (sentence,) = [s for s in text.findings([row]) if "these 5 runs end at" in s]

    assert f"; SD {there} over seeds, " in sentence
    assert f"standard error {text.spread(part.item_se_last.value)} over" in sentence
    assert average not in sentence


def test_noise_of_seeds_is_held_against_one_standard_error_of_items(zoo):
    row = zoo.variance[0]

    def with_noise(sd, se):
        part = row.discrete
        part = replace(part, seed_sd_last=replace(part.seed_sd_last, value=sd))
        why = (Caution("constant-over-items", "all alike"),)
        error = replace(part.item_se_last, value=se, cautions=why)
        part = replace(part, item_se_last=error)
        return replace(row, discrete=part)

    # 1.5 standard errors: less than a half-width, and yet more than the items' noise.
    rows = [with_noise(0.015, 0.01), with_noise(0.009, 0.01), with_noise(0.02, 0.01)]
    rows += [with_noise(0.03, NAN)]
    told = " ".join(text.findings(rows))

    assert "moves a score by SD 0.0090" in told
    assert "in 2 of 3 rows that is more than another draw of items would" in told


def with_seeds(row, low, high):
    ratio = replace(row.discrete.snr_above_chance, interval=Interval(low, high))
    mean = replace(row.discrete.mean, interval=Interval(0.4, 0.6))
    discrete = replace(row.discrete, mean=mean, snr_above_chance=ratio)
    return replace(row, discrete=discrete, chance=0.25)


def test_above_chance_is_said_of_these_runs_and_seeds_may_leave_it_open(zoo):
    row = zoo.variance[0]
    doubt = "above chance (0.250), though another set of seeds might not be;"

    (opened,) = [
        s
        for s in text.findings([with_seeds(row, -0.1, 2.4)])
        if "these 5 runs end at a mean of" in s
    ]
    settled = " ".join(text.findings([with_seeds(row, 0.1, 2.4)]))

    assert doubt in opened
    assert "above chance (0.250);" in settled
    assert "another set of seeds" not in settled


def test_of_one_seed_nothing_is_said_of_seeds(little):
    told = " ".join(text.findings(little.variance))

    assert "this run ends at 0.9" in told
    assert "above chance (0.250);" in told
    assert "another set of seeds" not in told


def test_a_trend_of_some_seeds_says_of_how_many():
    estimate = Estimate(quantity="monotonicity", value=0.94, n=4, method="m")

    assert text.trend_word(estimate, 5) == (
        "climbs steadily in 4 of 5 seeds (monotonicity 0.94)"
    )
    assert text.trend_word(estimate, 4) == "climbs steadily (monotonicity 0.94)"


def test_rows_of_other_settings_and_generation_are_told_apart_everywhere(simulated):
    simulated.task("a", n_items=20, steps=(0, 10))
    simulated.task("a", n_items=20, steps=(0, 10), dtype="float16", batch_size=32)
    simulated.task("b", n_items=20, steps=(0, 10), generates=True)
    simulated.task(
        "b", n_items=20, steps=(0, 10), generates=True, generation=GENERATION
    )
    rows = simulated.data().variance
    words = ["(dtype float16, batch size 32)", "(dtype float32, batch size 64)"]
    words += ["(temperature 0.7, do sample true)"]

    assert text.labels(rows) == [
        "a · dtype float16, batch size 32",
        "a · dtype float32, batch size 64",
        "b",
        "b · temperature 0.7, do sample true",
    ]
    for shown in (
        shown_as_text(rows, width=200),
        shown_as(rows, "md"),
    ):
        for some in words:
            assert some in shown
    frame = pd.read_csv(io.StringIO(shown_as(rows, "csv")))
    assert frame["settings"].tolist()[:2] == [some[1:-1] for some in words[:2]]
    assert frame["generation"].tolist()[-1] == GENERATION
    told = text.findings(rows)
    assert any(s.startswith("zoo-small, a · dtype float16, batch") for s in told)
    assert any("mixed-settings" in str(caution) for caution in text.caution_list(rows))


@pytest.mark.parametrize("generation", ["", "{}"])
def test_no_overrides_are_no_words(generation):
    assert text.generation_words(generation) == ""


@pytest.mark.parametrize("generation", ["{", "1", "[1]", "greedy"])
def test_overrides_that_no_sweep_wrote_are_shown_as_they_are(generation):
    assert text.generation_words(generation) == generation


def test_rows_at_chance_are_marked_in_the_table_with_a_legend(zoo):
    at_chance = [row for row in zoo.variance if text.is_at_chance(row)]
    assert at_chance
    for shown in (
        shown_as_text(zoo.variance, width=130),
        shown_as(zoo.variance, "md"),
    ):
        marks = sum(" \N{ALMOST EQUAL TO}0" in line for line in shown.splitlines())
        assert marks == len(at_chance)
        assert shown.count("guessing explains it") == 1
    learned = [row for row in zoo.variance if not text.is_at_chance(row)]
    assert "\N{ALMOST EQUAL TO}" not in shown_as_text(learned)


def test_snr_above_chance_stands_in_the_table(zoo):
    row = next(row for row in zoo.variance if text.is_at_chance(row))
    shown = shown_as_text([row], width=130).splitlines()

    assert text.ratio(row.discrete.snr_above_chance.value) in shown[4].split()
    assert text.spread(row.discrete.seed_sd_last.value) in shown[4].split()


def test_what_is_undefined_is_said_with_the_way_out(little):
    told = " ".join(text.findings(little.variance))

    assert "There is no seed SD at the last checkpoint for any row" in told
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
    assert "part." in shown_as_text([row])
    assert "30 part." in shown_as([row], "md")


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
    shown = shown_as_text(zoo.variance, width=130)

    assert shown.count("zoo_facts_cloze") >= 2
    assert "[constant-over-seeds]" in shown
    assert max(map(len, shown.splitlines())) <= 130


def test_on_a_narrow_terminal_names_fold_and_numbers_do_not(zoo):
    wide, narrow = (shown_as_text(zoo.variance, width=w) for w in (130, 60))

    numbers = {word for word in wide.split() if word[-1].isdigit() and "." in word}
    assert numbers <= set(narrow.split())
    assert "zoo_facts_cloze" not in narrow.partition("guessing")[0]


def test_a_pipe_gets_no_escape_codes_and_no_markup(hostile):
    file = io.StringIO()
    show(variance_sheet(hostile.variance), console=Console(file=file, width=60))

    assert "\x1b" not in file.getvalue()
    assert "<b>evil</b></script>" in file.getvalue()


def test_csv_is_in_full_precision(zoo):
    frame = pd.read_csv(io.StringIO(shown_as(zoo.variance, "csv")))

    wanted = [row.discrete.seed_sd.value for row in zoo.variance]
    assert frame["seed_sd"].tolist() == pytest.approx(wanted, rel=1e-15)


def test_markdown_escapes_names(hostile):
    shown = shown_as(hostile.variance, "md")

    assert "<b>" not in shown
    assert "&lt;b&gt;evil" in shown
    table = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(hostile.variance)


def test_an_unknown_format_is_refused(zoo):
    with pytest.raises(InputError, match="md or csv") as caught:
        shown_as(zoo.variance, "xls")

    assert caught.value.code == "unknown-format"
