"""The report on sources of noise and on what other designs would find."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.report import page, text
from harness.report.gather import gather
from harness.report.views.ledger import MATTERS, POWER, REST, ledger_view
from harness.stats.estimate import Caution
from harness.stats.ledger.ledger import variance_ledger
from harness.stats.power.noise import noise_of_difference


@pytest.fixture(scope="module")
def data(simulated_store):
    """Two models on one task, one of them on another too."""
    store = simulated_store()
    for model in ("m", "n"):
        store.task("facts", model=model, n_items=40, seeds=(0, 1, 2), steps=(0, 20))
    store.task("pairs", model="m", n_items=30, n_choices=2, seeds=(0, 1), steps=(20,))
    return gather(store.responses, store.attempts, title="t")


@pytest.fixture(scope="module")
def view(data):
    return ledger_view(data)


def changed(data, ledger):
    """Return data with another ledger of the first score."""
    first = replace(data.ledgers[0], ledger=ledger)
    return replace(data, ledgers=(first, *data.ledgers[1:]))


def negative_ledger():
    """Return a ledger in which training seeds differ less than items alone predict."""
    item = np.arange(40) % 2
    seed, items = np.indices((2, 40)).reshape(2, -1)
    scores = np.r_[item, np.where(np.arange(40) < 4, 1 - item, item)].astype(float)
    return variance_ledger(scores, {"item": items, "train_seed": seed})


def bars(view):
    figure = view.drawn[0].figure
    choices = view.drawn[0].menu.choices
    return {
        trace.name: (trace, choices[0].traces[i], choices[1].traces[i])
        for i, trace in enumerate(figure.data)
    }


def test_bars_add_up_to_the_variance_of_the_mean(data, view):
    found = bars(view)

    assert view.labels == ("facts · m", "pairs · m", "facts · n")
    for row, ledger in enumerate(one.ledger for one in data.ledgers):
        shares, parts = 0.0, 0.0
        for name, (trace, share, part) in found.items():
            if name in ("below 0", "not estimated (of unknown length)"):
                continue
            at = [i for i, place in enumerate(trace.customdata) if place == row]
            shares += sum(share["x"][i] for i in at)
            parts += sum(part["x"][i] for i in at)
        positive = sum(max(e.contribution, 0) for e in ledger.effects if e.is_estimated)
        assert parts == pytest.approx(positive)
        if not positive:
            continue
        assert shares == pytest.approx(100 * positive / ledger.predicted_variance())


def test_what_has_one_level_is_hatched_and_never_0(data, view):
    trace, *_ = bars(view)["not estimated (of unknown length)"]

    assert trace.marker.pattern.shape == "/"
    assert "not estimated: step, template" in trace.hovertext[0]
    (line, *_) = [
        line for line in view.drawn[0].table.lines if line.cells[2].text == "template"
    ]
    assert {cell.text for cell in line.cells[4:8]} == {text.UNDEFINED}
    assert line.cells[5].reason.startswith("one template tells nothing")
    assert "Not estimated, and so not 0: step, template." in view.drawn[0].sentence


def test_the_table_has_each_effect_with_its_interval(data, view):
    lines = view.drawn[0].table.lines
    effects = [effect for row in data.ledgers for effect in row.ledger.effects]

    assert len(lines) == len(effects)
    for line, effect in zip(lines, effects, strict=True):
        known = effect.is_estimated
        assert line.cells[5].value == (effect.variance.value if known else None)
        assert line.cells[6].value == (effect.contribution if known else None)
        if known and not math.isnan(effect.variance.interval.low):
            assert line.cells[5].detail == text.spread_interval(effect.variance)


def test_a_component_below_0_is_drawn_as_0_with_a_mark(data):
    ledger = negative_ledger()
    assert ledger.effect("train_seed").variance.value < 0

    view = ledger_view(changed(data, ledger))
    mark, share, _ = bars(view)["below 0"]

    assert mark.showlegend
    assert "drawn as 0: training seed " in mark.hovertext[mark.customdata.index(0)]
    assert share["x"][mark.customdata.index(0)] > 100
    assert "training seeds" not in bars(view)
    (line,) = [
        line
        for line in view.drawn[0].table.lines[: len(ledger.effects)]
        if line.cells[2].text == "training seed"
    ]
    assert line.cells[5].text.startswith(text.MINUS)
    assert line.cells[4].text == "0"


def test_answers_without_noise_say_so(data):
    seed, item = np.indices((2, 5)).reshape(2, -1)
    ledger = variance_ledger(np.ones(10), {"item": item, "train_seed": seed})
    quiet = changed(replace(data, ledgers=data.ledgers[:1]), ledger)

    view = ledger_view(quiet)

    (note,) = view.drawn[0].figure.layout.annotations
    assert note.text == "no noise that these answers show"
    assert view.drawn[0].sentence == "These answers show no noise."


def test_interactions_are_one_bar_with_each_in_words(data, view):
    trace, *_ = bars(view)[REST]

    assert "item × training seed + error" in trace.hovertext[0]


def test_curves_are_what_designs_find(data, view):
    drawn = view.drawn[1]
    (power,) = [p for p in data.powers if p.scores.task == "pairs"]
    choice = drawn.extra["choices"][1]
    noise = noise_of_difference(power.ledger, correlation=0.5)

    assert choice["facet"] == "train_seed"
    assert [t["name"] for t in choice["traces"][:3]] == [
        "2 training seeds (as run)",
        "3 training seeds",
        "5 training seeds",
    ]
    for trace in choice["traces"][:5]:
        for n, value in zip(trace["x"], trace["y"], strict=True):
            counts = {"item": n, "train_seed": trace["level"]}
            found = noise.detectable(counts, power=POWER).value
            assert value == text.place(found)
    now = choice["traces"][-2]
    assert now["x"] == [30]
    assert now["y"] == [text.place(power.now.detectable.value)]


def test_the_table_of_curves_has_their_numbers(view):
    table = view.drawn[1].table
    traces = view.drawn[1].extra["choices"][0]["traces"]

    assert [h for h, _ in table.headings[6:]] == [
        f"{n:,} items" for n in traces[0]["x"]
    ]
    assert [text.place(c.value) for c in table.lines[0].cells[6:]] == traces[0]["y"]


def test_an_assumed_correlation_is_called_so(data, view):
    details = {
        (line.task, line.model): line.cells[3].detail
        for line in view.drawn[1].table.lines
    }

    assert details["pairs", "m"] == "assumed"
    assert details["facts", "n"] == "2 models"
    assert view.drawn[1].sentence.endswith(
        "For this score, how alike two models are over items is assumed: a correlation "
        "of 0.50."
    )
    assert "assumed-correlation" in [code for code, *_ in view.cautions]


def test_the_plan_has_what_predicts(data, view):
    plan = view.plan["plans"][1]
    (row,) = [r for r in data.ledgers if r.scores.task == "pairs"]

    total = sum(
        variance / math.prod(plan["score"]["counts"][f] for f in facets)
        for facets, variance in plan["score"]["sources"]
    )
    assert total == pytest.approx(row.ledger.predicted_variance())
    assert plan["unknown"] == ["step", "template"]
    assert plan["alike"] == "Correlation of two models over items: 0.50 (assumed)."
    assert view.plan["plans"][0]["alike"].endswith(" (from 2 models).")
    assert set(plan["levels"]) == {"item", "train_seed"}
    for facet, stops in plan["levels"].items():
        assert plan["score"]["counts"][facet] in stops
        assert stops == sorted(set(stops))


def test_a_score_without_prediction_keeps_its_ledger_and_says_why(simulated):
    for model, items in (("m", "i"), ("n", "j")):
        simulated.task("a", model=model, items=items, n_items=20, seeds=(0, 1))

    view = ledger_view(simulated.data())

    assert view.drawn[1].figure is None
    assert view.drawn[1].table is None
    assert view.drawn[1].sentence.startswith("Not defined: ")
    assert view.plan["plans"][0]["difference"] is None
    assert len(view.missing) == 2
    assert view.missing[0].startswith("m: a: ")
    assert view.missing[0] in page.render(simulated.data()).replace("&#39;", "'")


def test_one_checkpoint_has_items_alone(little):
    view = ledger_view(little)

    assert set(view.plan["plans"][0]["levels"]) == {"item"}
    assert view.drawn[1].extra["choices"][0]["traces"][0]["name"] == "as run"
    assert "training seed" in view.drawn[0].sentence.split("Not estimated")[1]
    assert view.matters == MATTERS
    assert "a difference of 0.010 would not be found." in view.drawn[1].sentence


def test_one_seed_of_what_varies_finds_nothing_for_sure(data):
    """Below 0, nothing is told; the sentence has the reason."""
    why = Caution("negative-component", "it adds up to nothing")
    powers = tuple(
        replace(
            power,
            now=replace(
                power.now,
                detectable=replace(
                    power.now.detectable, value=math.nan, cautions=(why,)
                ),
            ),
        )
        for power in data.powers
    )

    view = ledger_view(replace(data, powers=powers))

    assert view.drawn[1].sentence == (
        "As run, no difference is sure to be found: it adds up to nothing."
    )


def test_no_responses_is_the_empty_state(nothing):
    assert ledger_view(nothing) is None
    assert '<section id="ledger">' in page.render(nothing)
