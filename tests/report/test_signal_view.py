"""Signal against noise: what is drawn, what is said, what is missing and why."""

import base64
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from harness.report import page, text
from harness.report.figures.signal import Mark, signal_figure
from harness.report.gather import Refusal, gather
from harness.report.views.signal import signal_view
from harness.stats.estimate import Caution
from harness.stats.respondents import respondents
from harness.stats.suites import suites
from harness.stats.tables import score_tables


def models(simulated, names=("m", "n"), **columns):
    for name in names:
        simulated.task("facts", model=name, n_items=30, seeds=(0, 1), **columns)
    return simulated


@pytest.fixture(scope="module")
def view(zoo):
    return signal_view(zoo)


def test_every_number_of_the_table_is_in_the_view(zoo, view):
    scatter = view.drawn[0]
    lines = {
        (line.cells[0].text, line.cells[0].detail, line.cells[1].text): line.cells
        for line in scatter.table.lines
    }

    assert len(lines) == len(zoo.signals)
    for row in zoo.signals:
        key = (row.who.task, row.who.metric)
        (cells,) = [c for (task, _, m), c in lines.items() if (task, m) == key]
        found = row.signal_noise
        values = [found.signal, found.noise, found.snr]
        assert [c.value for c in cells[6:9]] == [
            None if math.isnan(e.value) else e.value for e in values
        ]


def test_points_are_noise_and_signal_by_kind(zoo, view):
    traces = {t.name: t for t in view.drawn[0].figure.data if t.name}
    wanted = {
        row.who.task: (row.signal_noise.noise.value, row.signal_noise.signal.value)
        for row in zoo.signals
        if row.who.metric in ("acc", "exact_match")
    }

    own = traces["discrete"]
    found = {
        custom[1]: point
        for custom, *point in zip(own.customdata, own.x, own.y, strict=True)
    }
    assert set(traces) == {"discrete", "continuous"}
    assert found
    for task, point in found.items():
        assert tuple(point) == wanted[task]


def test_an_arrow_leads_from_the_discrete_to_the_continuous_metric(view):
    figure = view.drawn[0].figure
    arrows = [t for t in figure.data if t.mode == "lines+markers"]
    by_kind = {
        t.name: {c[1]: (x, y) for c, x, y in zip(t.customdata, t.x, t.y, strict=True)}
        for t in figure.data
        if t.name
    }

    assert arrows
    for arrow in arrows:
        task = arrow.customdata[0][1]
        assert (arrow.x[0], arrow.y[0]) == by_kind["discrete"][task]
        assert (arrow.x[1], arrow.y[1]) == by_kind["continuous"][task]


def mark(x, y, n_items=10):
    return Mark(
        label="a", sentence="s", task="t", kind="discrete", x=x, y=y, n_items=n_items
    )


@pytest.mark.parametrize("spread", [1.0, 3.0, 1000.0])
def test_diagonals_are_lines_of_one_ratio_inside_the_figure(spread):
    figure = signal_figure([mark(0.01, 0.02), mark(0.01 * spread, 0.02 * spread)], [])
    lines = [t for t in figure.data if t.mode == "lines"]
    notes = [note.text for note in figure.layout.annotations]
    x, y = figure.layout.xaxis.range, figure.layout.yaxis.range

    assert len(lines) == len(notes) >= 1
    for line, note in zip(lines, notes, strict=True):
        ratio = float(note.removeprefix("SNR "))
        for one, other in zip(line.x, line.y, strict=True):
            assert other / one == pytest.approx(ratio)
            assert x[0] - 1e-9 <= math.log10(one) <= x[1] + 1e-9
            assert y[0] - 1e-9 <= math.log10(other) <= y[1] + 1e-9


def test_area_grows_with_the_items():
    figure = signal_figure([mark(0.1, 0.1, 10), mark(0.2, 0.2, 40)], [])
    small, large = figure.data[-1].marker.size

    assert small < large


def test_one_model_is_told_with_what_to_do(simulated):
    data = models(simulated, ["m"]).data()

    view = signal_view(data)

    assert view.drawn[0].figure is None
    assert "no signal and" not in view.drawn[0].sentence
    assert view.drawn[0].table.lines
    (line,) = view.missing
    assert line.startswith("facts (acc), facts (prob_correct): needs at least 2 models")
    assert "list checkpoints of a second model in the suite" in line


def test_few_checkpoints_are_told_with_what_to_do(simulated):
    missing = signal_view(models(simulated, steps=(0, 10, 20)).data()).missing
    (line,) = [line for line in missing if "prob_correct" in line]

    assert "fewer than 5 checkpoints" in line
    assert "list 5 or more steps of each run" in line


def test_one_checkpoint_is_told_with_what_to_do(simulated):
    (line, *_) = signal_view(models(simulated, steps=(10,)).data()).missing

    assert text.FILLS["one-checkpoint"] in line


def test_a_signal_of_nothing_has_no_place_and_says_so(simulated):
    data = models(simulated).data()
    row = data.signals[0]
    nothing = replace(row.signal_noise.signal, value=0.0)
    row = replace(row, signal_noise=replace(row.signal_noise, signal=nothing))

    view = signal_view(replace(data, signals=(row,)))

    assert view.missing == (
        "facts (acc): its signal is 0, which a log axis has no place for.",
    )


def test_a_refusal_is_a_row_of_text(simulated):
    data = models(simulated).data()
    (who,) = respondents(score_tables(simulated.responses))
    refusal = Refusal(analysis="signal", who=who, code="items-differ", text="no item")
    data = replace(data, signals=(), refusals=(refusal,))

    view = signal_view(data)

    assert (view.drawn, view.missing) == ((), ("facts (acc): no item.",))
    assert "facts (acc): no item." in page.render(data)


def test_nothing_done_leaves_the_section_with_its_empty_state(nothing):
    html = page.render(nothing)
    section = re.search(r'<section id="signal">(.*?)</section>', html, re.DOTALL)[1]

    assert signal_view(nothing) is None
    assert "evalvar run SUITE" in section


def test_without_larger_models_the_command_is_named(zoo, view):
    html = page.render(zoo)

    assert not view.has_decisions
    assert "evalvar report STORE --larger SMALL=LARGE" in html


def larger(simulated, **models_of):
    return gather(
        simulated.responses, simulated.attempts, title="t", larger=dict(**models_of)
    )


def test_larger_models_give_a_second_figure(simulated):
    models(simulated, ("m", "n", "M", "N"))
    data = larger(simulated, m="M", n="N")

    view = signal_view(data)
    _, decisions = view.drawn
    shown = [v for t in decisions.figure.data for v in t.y]

    assert view.has_decisions
    assert shown == [
        row.signal_noise.decision_accuracy.value
        for row in data.signals
        if row.signal_noise.snr.value > 0
    ]
    assert len(decisions.table.lines) == 2
    assert "--larger" not in page.render(data)


def test_one_small_model_decides_nothing_and_says_so(simulated):
    models(simulated, ("m", "M"))

    _, decisions = signal_view(larger(simulated, m="M")).drawn

    assert decisions.figure is None
    assert decisions.sentence.startswith("Not drawn: needs at least 2 models")


def test_a_run_without_noise_has_no_decision_to_place(simulated):
    models(simulated, ("m", "n", "M", "N"), steps=(10,))

    _, decisions = signal_view(larger(simulated, m="M", n="N")).drawn

    assert decisions.figure is None


def test_cautions_name_their_rows_and_not_what_is_said_below(view):
    codes = {code for code, _, _ in view.cautions}

    assert "range-of-n-models" in codes
    assert "no-larger-models" not in codes
    assert all(names for _, _, names in view.cautions)


def test_methods_are_told_once_each(view):
    assert any(line.startswith("signal: range over models") for line in view.methods)
    assert len(set(view.methods)) == len(view.methods)


def test_the_sentence_says_where_equal_models_could_show_as_much(zoo):
    rows = [row.signal_noise for row in zoo.signals]
    names = [f"t{i}" for i in range(len(rows))]
    known = [r for r in rows if not math.isnan(r.snr.value)]
    hollow = [
        r for r in known if "signal-within-noise" in [c.code for c in r.snr.cautions]
    ]

    sentence = text.signal_sentence(names, rows)

    best = max(known, key=lambda r: r.snr.value)
    assert sentence.startswith(f"t{rows.index(best)} has the highest")
    assert text.ratio(best.snr.value) in sentence
    assert f"In {len(hollow) or 'no'}" in sentence
    clear = replace(best, snr=replace(best.snr, cautions=()))
    assert "In no row" in text.signal_sentence(["a"], [clear])
    assert text.signal_sentence([], []).startswith("No task has a signal")


def test_cautions_that_differ_in_figures_are_one_with_all_names():
    found = text.alike(
        [
            ("a", Caution("few", "3 runs are few")),
            ("b", Caution("few", "2 runs are few")),
            ("c", Caution("other", "no runs")),
        ]
    )

    assert found == (
        ("few", "3 runs are few (figures of the first)", ("a", "b")),
        ("other", "no runs", ("c",)),
    )


def test_labels_stand_to_the_inner_side():
    marks = [mark(0.01, 0.1), mark(0.03, 0.1), mark(0.1, 0.1)]

    figure = signal_figure(marks, [])

    assert figure.data[-1].textposition == ("top right", "top center", "top left")


def test_signal_and_subsets_are_sections_with_their_place_in_the_menu(nothing):
    html = page.render(nothing)

    for name in ("signal", "subsets"):
        assert f'<section id="{name}">' in html
        assert f'<a href="#{name}">' in html


def test_what_can_be_averaged_is_said(simulated):
    models(simulated)
    for name in ("m", "n"):
        simulated.task("pairs", model=name, n_items=20, seeds=(0, 1))
        simulated.task("early", model=name, n_items=20, seeds=(0, 1), steps=range(5))
    data = simulated.data()

    view = signal_view(data)

    found, _ = suites(data.signals)
    assert [one.metric for one in view.suites] == ["acc", "prob_correct"]
    for one, shown in zip(found, view.suites, strict=True):
        whole = one.signal_noise([0, 1])
        assert shown.labels == ("facts", "pairs")
        assert "the same 4 runs of 2 models" in shown.sentence
        assert "the same last 5 steps (50 to 800)" in shown.sentence
        assert f"SNR {text.ratio(whole.snr.value)} [" in shown.sentence
        assert shown.data["models"] == [0, 0, 1, 1]
        assert shown.data["steps"] == 5
        raw = base64.b64decode(shown.data["scores"]["bdata"])
        kept = np.frombuffer(raw, shown.data["scores"]["dtype"])
        assert kept.tolist() == one.scores.ravel().tolist()
    assert view.alone == (
        "early (acc), early (prob_correct): no other task has its metric, models, "
        "seeds and last steps.",
    )
    assert "Averaged with no other" in page.render(data)


def test_a_mean_without_noise_has_no_ratio(simulated):
    models(simulated)
    for name in ("m", "n"):
        simulated.task("pairs", model=name, n_items=20, seeds=(0, 1))
    for row in simulated.rows:
        row["choice_logprobs"] = [-9.0] * 4
        row["choice_logprobs"][row["target_index"]] = -0.1

    view = signal_view(simulated.data())

    assert "Mean of all of them: no SNR" in view.suites[0].sentence


def test_few_checkpoints_are_not_averaged(simulated):
    for name in ("m", "n"):
        for task in ("facts", "pairs"):
            simulated.task(task, model=name, n_items=20, seeds=(0, 1), steps=(1, 2, 3))

    view = signal_view(simulated.data())

    assert view.suites == ()
    assert "Means of tasks" not in page.render(simulated.data())
