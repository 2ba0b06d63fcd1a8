"""Subsets: precision against size, estimates against full scores, what is missing."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from report.reading import figures_in

from harness.report import page, text
from harness.report.gather import gather
from harness.report.views.subsets import MAX_POINTS, SHOWN, subset_view
from harness.stats.subsets.agreement import limits_of_agreement

SIZES = (10, 20)


def judged(simulated, sizes=SIZES):
    return gather(
        simulated.responses, simulated.attempts, title="t", subset_sizes=sizes
    )


@pytest.fixture(scope="module")
def data(simulated_store):
    """Eight models of one seed, held out in parts."""
    zoo = simulated_store()
    for model in "mnopqrst":
        zoo.task("facts", model=model, n_items=40, seeds=range(1), steps=(0, 50, 800))
    return judged(zoo)


@pytest.fixture(scope="module")
def few(simulated_store):
    """One model of three seeds, each held out by itself."""
    zoo = simulated_store().task(
        "facts", n_items=30, seeds=range(3), steps=(0, 50, 800)
    )
    return judged(zoo, (10,))


@pytest.fixture(scope="module")
def panel(data):
    (panel,) = subset_view(data).panels
    return panel


def test_no_sizes_is_an_empty_state_with_the_command(zoo):
    html = page.render(zoo)

    assert subset_view(zoo) is None
    assert "evalvar report STORE --subsets 20,50,100 -o REPORT.html" in html


def test_a_size_that_a_task_does_not_have_is_refused_in_words(simulated):
    simulated.task("small", n_items=12, seeds=range(3), steps=(0, 50))

    data = judged(simulated, (500,))
    view = subset_view(data)

    assert view.panels == ()
    assert view.missing[0].startswith("small: ")
    assert view.missing[0] in page.render(data).replace("&#39;", "'")


def test_frontier_shows_each_measure_of_each_way(data, panel):
    frontier, _ = panel.drawn
    rows = [r for r in data.subsets[0].evaluation.rows if r.method != "full"]
    ways = list(dict.fromkeys((r.method, r.estimator) for r in rows))

    assert ways[0] == ("random", "weighted")
    assert len(frontier.menu.choices) == len(SHOWN)
    for (measure, _, _), choice in zip(SHOWN, frontier.menu.choices, strict=True):
        assert len(choice.traces) == len(frontier.figure.data)
        for way, trace in zip(ways, choice.traces[1:-1], strict=True):
            own = [r for r in rows if (r.method, r.estimator) == way]
            known = {
                r.n_items: value
                for r in own
                if not np.isnan(value := getattr(r, measure).value)
            }
            assert dict(zip(trace["x"], trace["y"], strict=True)) == known


def test_random_has_a_band_over_draws_and_all_items_a_line(data, panel):
    frontier, _ = panel.drawn
    full, *rows = data.subsets[0].evaluation.rows
    chance = [r for r in rows if r.method == "random"]
    band, *_, reference = frontier.menu.choices[0].traces

    ends = [r.mae.interval for r in chance]
    assert band["x"] == [10, 20, 20, 10]
    assert band["y"] == [*(e.high for e in ends), *(e.low for e in reversed(ends))]
    assert reference["y"] == [full.mae.value] * 2
    assert frontier.figure.data[1].mode == "lines+markers"


def test_a_point_picks_its_own_subset(data, panel):
    frontier, fidelity = panel.drawn
    assert frontier.menu.picks == fidelity.name
    names = [trace.name for trace in frontier.figure.data]
    for name, trace in zip(
        names[1:-1], frontier.menu.choices[0].traces[1:-1], strict=True
    ):
        for size, number in zip(trace["x"], trace["customdata"], strict=True):
            label = fidelity.menu.choices[number].label
            assert label == f"{name}, {size} items"


def test_few_groups_are_points_without_a_band(few):
    (panel,) = subset_view(few).panels
    frontier, _ = panel.drawn

    assert "few-groups" in [code for code, *_ in panel.cautions]
    assert frontier.menu.choices[0].traces[0]["y"] == []
    assert frontier.figure.data[0].showlegend is False
    assert {t.mode for t in frontier.figure.data[1:-1]} == {"markers"}
    assert "held out one by one" in panel.facts
    assert frontier.figure.data[1].name == "random"


def test_two_models_are_held_out_one_by_one_whatever_their_seeds(simulated):
    for model in ("m", "n"):
        simulated.task("a", model=model, n_items=20, seeds=range(4), steps=(0, 50, 800))
    data = judged(simulated, (10,))
    (panel,) = subset_view(data).panels
    frontier, _ = panel.drawn

    assert panel.facts.startswith("2 models with 24 checkpoints, held out one by one (")
    assert frontier.table.caption == "a: subsets on models held out"
    assert frontier.menu.choices[0].traces[0]["y"] == []
    assert {t.mode for t in frontier.figure.data[1:-1]} == {"markers"}
    assert "seeds-on-both-sides" not in [code for code, *_ in panel.cautions]


def test_one_model_is_judged_by_its_runs_and_says_that_it_flatters(few):
    (panel,) = subset_view(few).panels

    assert panel.facts.startswith("3 training runs with 9 checkpoints, held out one by")
    assert panel.drawn[0].table.caption == "facts: subsets on training runs held out"
    assert panel.drawn[0].sentence.startswith("On training runs held out, scores by 10")
    assert "seeds-on-both-sides" in [code for code, *_ in panel.cautions]


def test_a_measure_that_is_not_defined_says_why_in_the_menu(few):
    (panel,) = subset_view(few).panels
    labels = [choice.label for choice in panel.drawn[0].menu.choices]

    (tau,) = [label for label in labels if "tau" in label]
    assert "not defined: needs at least 2 models" in tau


def test_fidelity_is_held_out_estimates_with_their_intervals(data, panel):
    _, fidelity = panel.drawn
    found = data.subsets[0].evaluation
    frame = found.fidelity_frame()
    rows = [r for r in found.rows if r.method != "full"]

    assert list(fidelity.figure.data[1].x) == pytest.approx(found.full, rel=1e-3)
    for row, choice in zip(rows, fidelity.menu.choices, strict=True):
        own = frame[
            (frame["method"] == row.method)
            & (frame["estimator"] == row.estimator)
            & (frame["n_items"] == row.n_items)
        ]
        held = own[own["is_held_out"]].sort_values("respondent")
        trace = choice.traces[1]
        assert _drawn(trace["y"]) == _near(held["value"])
        assert _drawn(trace["error_y"]["array"]) == _near(held["high"] - held["value"])
        for respondent, value in enumerate(_drawn(choice.traces[2]["y"])):
            learnt = own[~own["is_held_out"] & (own["respondent"] == respondent)]
            assert np.isclose(
                learnt["value"], value, rtol=1e-3, atol=1e-9, equal_nan=True
            ).any()


def _drawn(values):
    return [np.nan if value is None else value for value in values]


def _near(values):
    return pytest.approx(values.to_numpy(), rel=1e-3, abs=1e-9, nan_ok=True)


def test_an_estimate_that_is_not_defined_leaves_a_gap_and_says_why(data, panel):
    """gp-IRT needs groups to validate by, which some parts do not leave."""
    choices = panel.drawn[1].menu.choices
    (choice, *_) = [c for c in choices if "gp-irt" in c.label]

    assert choice.label.endswith("(not all defined)")
    assert "no-validation" in [code for code, *_ in panel.cautions]
    assert None in choice.traces[1]["y"]
    assert text.UNDEFINED in choice.traces[1]["text"]


def test_differences_have_limits_of_agreement(data, panel):
    _, fidelity = panel.drawn
    found = data.subsets[0].evaluation
    row = found.rows[1]
    held = row.values[found.fold, np.arange(len(found.full))]
    limits = limits_of_agreement(held, found.full)

    traces = fidelity.menu.choices[0].traces
    assert traces[3]["y"] == pytest.approx(held - found.full, rel=1e-3)
    assert [trace["y"] for trace in traces[5:]] == [
        [text.place(value)] * 2 for value in (limits.mean, limits.low, limits.high)
    ]
    cells = fidelity.table.lines[0].cells
    assert [c.value for c in cells[2:]] == [
        limits.n,
        limits.mean,
        limits.sd,
        limits.low,
        limits.high,
    ]


def test_words_of_a_point_name_its_checkpoint(data, panel):
    _, fidelity = panel.drawn

    words = fidelity.menu.names[0] + fidelity.menu.choices[0].traces[1]["text"][0]
    assert re.fullmatch(
        r"m, seed 0, step 0: full 0\.\d+, estimated [\d.]+ \[.*\]", words
    )


def test_of_many_checkpoints_every_so_many_is_drawn_and_the_last_is(simulated):
    steps = (0, 10, 20, 50, 100, 200, 400, 800)
    for model in ("m", "n"):
        simulated.task("a", model=model, n_items=20, seeds=range(4), steps=steps)
    (panel,) = subset_view(judged(simulated, (10,))).panels
    _, fidelity = panel.drawn

    assert len(fidelity.menu.names) == 32 <= MAX_POINTS
    assert "1 in 2 is drawn" in fidelity.sentence
    assert "step 800" in fidelity.menu.names[-1]


def test_the_table_has_every_measure(data, panel):
    table = panel.drawn[0].table
    frame = data.subsets[0].evaluation.to_frame()

    assert len(table.lines) == len(frame)
    for line, (_, row) in zip(table.lines, frame.iterrows(), strict=True):
        wanted = None if np.isnan(row["mae"]) else row["mae"]
        assert line.cells[4].value == wanted
        assert line.cells[1].value == row["n_items"]


def test_the_command_repeats_it_and_quotes_names(data, panel):
    assert panel.command == ("evalvar subset evaluate STORE --task facts --sizes 10,20")
    who = replace(data.subsets[0].who, task="a b'c", formulation="cloze")
    odd = replace(data, subsets=(replace(data.subsets[0], who=who),))
    (panel,) = subset_view(odd).panels
    assert "--task 'a b'\"'\"'c' --formulation cloze --sizes" in panel.command


def test_the_sentence_names_random_and_the_best_of_others(data, few):
    found = data.subsets[0].evaluation
    rows = [r for r in found.rows if r.method != "full"]
    at = [r for r in rows if r.n_items == 10]
    best = min(at[1:], key=lambda r: r.mae.value)

    sentence = text.subset_sentence(found)

    assert sentence.startswith("On models held out, scores by 10 and 20 of 40 items")
    assert text.spread(at[0].mae.value) in sentence
    assert f"at 10, {text.subset_name(best.method, best.estimator)} by" in sentence
    bare = text.subset_sentence(few.subsets[0].evaluation)
    assert "The best of 2 other ways: at 10, " in bare
    assert "Not defined here: adaptive, p-irt, anchors-irt" in bare
    alone = replace(found, rows=(found.rows[0], at[0]))
    assert "other" not in text.subset_sentence(alone)
    pair = replace(found, rows=(found.rows[0], at[0], at[1]))
    assert "Of another way: at 10, stratified by" in text.subset_sentence(pair)


def test_the_page_has_both_figures_of_each_task(data):
    html = page.render(data)
    figures = figures_in(html)

    assert figures["subset-0-frontier"]["menu"]["picks"] == "subset-0-fidelity"
    assert html.count('<select data-for="subset-0-') == 2


def test_a_place_has_four_digits():
    assert text.place(0.123456) == 0.1235
    assert text.place(12345.6) == 12350
    assert text.place(math.nan) is None
