"""Items on the page: the numbers of the analyses, and what is said without them."""

import base64
import re
from dataclasses import replace

import numpy as np
import pytest
from report.reading import figures_in

from harness.report import page
from harness.report.figures.items import MAX_CURVES, MAX_POINTS, visible
from harness.report.views.items import (
    MAX_ANSWERS,
    ROWS,
    _view,
    item_seed_sd,
    items_views,
    worst_fit_first,
)

TYPES = {"f4": np.float32, "i4": np.int32, "u1": np.uint8}


def unpacked(spec):
    return np.frombuffer(base64.b64decode(spec["bdata"]), TYPES[spec["dtype"]])


@pytest.fixture(scope="module")
def views(zoo):
    return items_views(zoo)


def fitted(zoo, views):
    """Return a task that has a fitted model, with its view."""
    row = next(r for r in zoo.irt if r.fit.items.ability_sd > 0.1)
    place = next(k for k, r in enumerate(zoo.items) if r.who is row.who)
    return zoo.items[place], row, views[place]


def test_every_task_has_its_panel(zoo, views):
    tasks = [(r.who.task, r.who.formulation) for r in zoo.items]

    assert [view.task for view in views] == [task for task, _ in tasks]
    assert "zoo_facts_cloze (cloze · 0-shot)" in [view.title for view in views]


def test_axes_hold_what_the_analyses_say(zoo, views):
    items, irt, view = fitted(zoo, views)

    columns = {n: unpacked(v) for n, v in view.explorer.extra["columns"].items()}
    assert columns["difficulty"] == pytest.approx(items.analysis.difficulty)
    assert columns["item_rest"] == pytest.approx(items.analysis.item_rest, nan_ok=True)
    b = np.full(len(items.who.item_ids), np.nan)
    b[irt.columns] = irt.fit.items.difficulty
    assert columns["b"] == pytest.approx(b, nan_ok=True)
    assert [name for name, _ in view.x_axes] == ["difficulty", "b"]
    assert {name for name, _ in (*view.x_axes, *view.y_axes)} == set(columns)


def test_each_item_is_one_mark(zoo, views):
    for items, view in zip(zoo.items, views, strict=True):
        marked = [j for t in view.explorer.figure.data for j in t.customdata]
        assert sorted(marked) == list(range(len(items.who.item_ids)))


def test_the_table_has_the_worst_items_first(zoo, views):
    items, _, view = fitted(zoo, views)
    places = view.explorer.extra["order"]

    lines = view.explorer.table.lines
    assert len(lines) == min(ROWS, len(items.who.item_ids))
    assert [line.cells[0].value for line in lines] == [
        items.who.item_indexes[j] for j in places[: len(lines)]
    ]
    texts = [[cell.text for cell in line.cells] for line in lines]
    assert texts == [view.explorer.extra["cells"][j] for j in places[: len(lines)]]
    assert len(view.explorer.table.headings) == len(texts[0])


def test_answers_are_kept_bit_by_bit(zoo, views):
    for items, view in zip(zoo.items, views, strict=True):
        answers, scores = view.explorer.extra["answers"], items.who.scores
        codes = unpacked(answers["codes"])
        if answers["bits"]:
            codes = np.unpackbits(codes)[: scores.size]
        values = {"wrong": 0.0, "right": 1.0, "not asked": np.nan}
        levels = np.array([values[level] for level in answers["levels"]])
        assert np.array_equal(
            levels[codes].reshape(scores.shape), scores, equal_nan=True
        )
        runs = [answers["runs"][run] for run in answers["row"]]
        assert runs == [
            f"{model}, seed {seed}"
            for model, seed in zip(items.who.models, items.who.train_seeds, strict=True)
        ]
        steps = [answers["steps"][column] for column in answers["column"]]
        assert steps == [str(step) for step in items.who.steps]


def test_means_over_repeats_are_levels(simulated):
    for repeats in (0, 1, 2):
        simulated.task("t", seeds=(0, 1), steps=(10, 100), n_items=20, generates=True)
        for row in simulated.rows[-80:]:
            row["repeat"] = repeats
            row["text"] = "yes" if (row["item_index"] + repeats) % 3 else "no"
    simulated.trials = simulated.trials[:4]
    for row in simulated.rows:
        trial = next(
            t
            for t in simulated.trials
            if (t["train_seed"], t["step"]) == (row["train_seed"], row["step"])
        )
        row["attempt_id"], row["trial_id"] = trial["attempt_id"], trial["trial_id"]
    data = simulated.data()

    (view,) = items_views(data)

    assert view.explorer.extra["answers"]["levels"] == ["0.667"]
    assert view.curves is None


def test_too_many_answers_are_left_to_the_store(simulated, monkeypatch):
    monkeypatch.setattr("harness.report.views.items.MAX_ANSWERS", 100)
    data = simulated.task("t", seeds=(0, 1), steps=(10, 100), n_items=30).data()

    (view,) = items_views(data)

    assert MAX_ANSWERS > 100
    assert view.explorer.extra["answers"] == {
        "note": "120 answers are not kept in the page; the store has them"
    }


def test_seed_sd_of_an_item_by_a_loop(zoo):
    who = zoo.items[0].who
    rows = {}
    keys = zip(who.models, who.steps, who.scores, strict=True)
    for model, step, scores in keys:
        rows.setdefault((model, step), []).append(scores)

    by_loop = np.mean([np.std(some, axis=0, ddof=1) for some in rows.values()], axis=0)

    assert item_seed_sd(who) == pytest.approx(by_loop)


def test_one_seed_has_no_seed_sd(little):
    for row in little.items:
        assert np.isnan(item_seed_sd(row.who)).all()


def test_curves_are_those_that_fit_worst(zoo, views):
    _, irt, view = fitted(zoo, views)
    order = worst_fit_first(irt)

    p_value = irt.item_fit.p_value[order]
    known = p_value[~np.isnan(p_value)]
    assert (np.diff(known) >= 0).all()
    assert not np.isnan(p_value[: len(known)]).any()
    assert sorted(order) == list(range(len(irt.columns)))
    traces = view.curves.figure.data
    assert len(traces) == 4 * MAX_CURVES
    for slot, place in enumerate(order[:MAX_CURVES]):
        curve = irt.curve(place)
        band, line, expected, observed = traces[4 * slot : 4 * slot + 4]
        at = visible(curve, irt.fit.ability, 41)
        assert line.x == pytest.approx(curve.ability[at])
        assert line.x[0] < irt.fit.ability.min() < irt.fit.ability.max() < line.x[-1]
        assert line.y == pytest.approx(curve.probability[at], abs=1e-6)
        n = len(at)
        assert band.y[:n] == pytest.approx(curve.high[at], abs=1e-6)
        assert band.y[n:] == pytest.approx(curve.low[at][::-1], abs=1e-6)
        assert band.x == pytest.approx([*line.x, *line.x[::-1]])
        assert (curve.low < curve.probability).all()
        assert expected.y == pytest.approx(curve.bin_expected)
        assert observed.y == pytest.approx(curve.bin_observed)
    bins = view.curves.table.lines
    assert len(bins) == sum(len(irt.curve(p).bin_n) for p in order[:MAX_CURVES])


def test_the_fitted_curves_are_in_a_table(zoo, views):
    _, irt, view = fitted(zoo, views)
    lines = iter(view.fitted.lines)

    for place in worst_fit_first(irt)[:MAX_CURVES]:
        curve = irt.curve(place)
        for p in visible(curve, irt.fit.ability, 5):
            item, ability, share, band = next(lines).cells
            assert item.value == irt.who.item_indexes[irt.columns[place]]
            assert ability.value == curve.ability[p]
            assert share.value == curve.probability[p]
            ends = re.findall(r"\d\.\d+", band.text)
            assert [float(end) for end in ends] == pytest.approx(
                [curve.low[p], curve.high[p]], abs=5e-4
            )
    assert next(lines, None) is None
    assert "with their 95 % band" in view.fitted.caption


def test_an_item_without_errors_has_no_band_and_says_so(zoo, views):
    items, irt, _ = fitted(zoo, views)
    held = worst_fit_first(irt)[0]
    covariance = irt.fit.covariance.copy()
    covariance[held] = np.nan
    other = replace(irt, fit=replace(irt.fit, covariance=covariance))

    view = _view("items-0", items, other, "")
    first = view.curves.figure.data[0]
    assert len(first.x) == len(first.y) == 0
    titles = [note.text for note in view.curves.figure.layout.annotations]
    assert [title.endswith(", no band") for title in titles] == [True] + [False] * 11
    kept = view.explorer.extra["curves"]["items"][str(irt.columns[held])]
    x = kept.get("x", view.explorer.extra["curves"]["x"])
    assert len(unpacked(kept["lines"])) == len(x) > 15
    assert view.fitted.lines[0].cells[3].reason
    assert not view.fitted.lines[-1].cells[3].reason


def test_every_fitted_item_can_be_drawn(zoo, views):
    _, irt, view = fitted(zoo, views)
    store = view.explorer.extra["curves"]

    assert set(store["items"]) == {str(column) for column in irt.columns}
    for place, column in enumerate(irt.columns):
        item, curve = store["items"][str(column)], irt.curve(place)
        levels = [store["levels"][code] for code in item["observed"]]
        assert [level[1] for level in levels] == curve.bin_observed.tolist()
        at = visible(curve, irt.fit.ability, 21)
        assert item.get("x", store["x"]) == pytest.approx(
            curve.ability[at], rel=0.01, abs=0.01
        )
        lines = [*curve.high[at], *curve.low[at][::-1], *curve.probability[at]]
        kept = unpacked(item["lines"]) / store["shades"]
        assert kept == pytest.approx(lines, abs=0.0021)


def test_the_map_has_every_checkpoint(zoo, views):
    items, irt, view = fitted(zoo, views)

    able = [t for t in view.wright.figure.data if t.type == "scatter" and t.text]
    assert sum(len(trace.x) for trace in able) == len(items.who.models)
    lines = view.wright.table.lines
    assert len(lines) == len(items.who.models)
    abilities = [line.cells[3].value for line in lines]
    assert abilities == sorted(irt.fit.ability.tolist(), reverse=True)
    information = next(t for t in view.wright.figure.data if t.name == "information")
    assert information.y == pytest.approx(irt.information.information, rel=1e-6)


def test_without_a_fit_difficulties_stand_alone_with_the_reason(simulated):
    data = simulated.task("t", seeds=(0, 1), steps=(10, 100), n_items=30).data()

    (view,) = items_views(data)

    assert "need at least 5 independent respondents, got 2" in view.notes[0]
    assert "too-few-respondents" in view.notes[0]
    assert view.curves is None
    assert view.information is None
    (trace,) = view.wright.figure.data
    assert trace.type == "histogram"
    assert sorted(trace.x) == pytest.approx(sorted(data.items[0].analysis.difficulty))
    assert [name for name, _ in view.x_axes] == ["difficulty"]


def test_one_ability_of_all_is_no_scale(zoo, views):
    flat = [
        (row, views[k])
        for k, items in enumerate(zoo.items)
        for row in zoo.irt
        if row.who is items.who and row.fit.items.ability_sd < 1e-3
    ]

    for _, view in flat:
        assert "puts all checkpoints at one ability" in view.notes[0]
        assert view.curves is None
        assert view.wright.figure.data[0].type == "histogram"
    assert flat


def test_few_runs_are_told(zoo, views):
    items, _, view = fitted(zoo, views)

    assert items.analysis.n_independent < 20
    assert "an item's statistics are mostly noise" in view.explorer.sentence
    assert "no item has answers enough to be tested" in view.curves.sentence


def test_many_runs_are_not_called_few(simulated):
    data = simulated.task("t", seeds=range(24), steps=(10, 100), n_items=40).data()

    (view,) = items_views(data)

    assert "mostly noise" not in view.explorer.sentence


def test_alike_checkpoints_make_p_too_small(simulated):
    steps = (14, 16, 18, 20, 22)
    data = simulated.task("t", seeds=range(19), steps=steps, n_items=40).data()

    (view,) = items_views(data)

    assert "items that could be tested" in view.curves.sentence
    assert "so that p is too small" in view.curves.sentence
    assert ", p " in view.curves.figure.layout.annotations[0].text


def test_a_task_that_cannot_be_analysed_says_why(little):
    (view,) = items_views(little)

    assert view.explorer is None
    assert view.notes[0].startswith("No item analysis: ")
    assert "list checkpoints of more models or training seeds" in view.notes[0]
    assert view.notes[0].split(": ", 1)[1] in page.render(little).replace("&#39;", "'")


def test_flags_are_marks_and_filters(simulated):
    simulated.task("t", seeds=range(3), steps=(10, 100), n_items=30)
    for row in simulated.rows:
        wanted = {0: True, 1: False}.get(row["item_index"])
        if wanted is None:
            continue
        scores = [-9.0] * 4
        right = row["target_index"]
        scores[right if wanted else (right + 1) % 4] = -0.1
        row["choice_logprobs"] = scores
    data = simulated.data()

    (view,) = items_views(data)

    assert view.explorer.extra["filters"]["right"][0] == 0
    assert view.explorer.extra["filters"]["wrong"][0] == 1
    assert ("right", "all right") in [(n, w) for n, w, _ in view.filters]
    constant = next(
        t for t in view.explorer.figure.data if t.name.startswith("all right")
    )
    assert {0, 1} <= set(constant.customdata)
    assert "without variation: no correlation" in view.explorer.sentence
    assert view.explorer.table.lines[0].cells[8].text == "all right"


def test_thousands_of_items_are_a_density(simulated):
    n_items = MAX_POINTS + 100
    data = simulated.task("t", seeds=(0, 1), steps=(10, 100), n_items=n_items).data()

    (view,) = items_views(data)

    assert [t.type for t in view.explorer.figure.data].count("histogram2d") == 1
    assert f"the {ROWS} to look at first, of 2,100" in view.explorer.table.caption
    assert len(page.render(data)) - len(page.bundle_text()) < 700_000


def test_pruning_has_its_random_control(zoo, views):
    items, _, view = fitted(zoo, views)

    assert len(view.pruning.lines) == 4 * len(items.pruning)
    assert view.pruning.headings[4] == ("Random, as many", True)
    for line, (model, effect) in zip(
        view.pruning.lines[::4], items.pruning, strict=True
    ):
        assert line.cells[0].text == model
        assert line.cells[2].value == effect.full[0]
        assert line.cells[4].value == pytest.approx(effect.random[:, 0].mean())
    assert len(view.stability.lines) == 3
    assert any("random halves" in sentence for sentence in view.sentences)


def test_one_run_says_why_nothing_is_halved_or_pruned(simulated):
    data = simulated.task("t", seeds=(0,), steps=(0, 10, 100), n_items=30).data()

    (view,) = items_views(data)

    assert view.stability is None
    assert view.pruning is None
    assert any("halves need at least 4" in words for words in view.sentences)
    assert any("evaluate another one" in words for words in view.sentences)


def test_the_page_escapes_names_of_items_and_runs(hostile):
    html = page.render(hostile)
    assert '<section id="items">' in html
    figures = figures_in(html)
    texts = [
        text
        for name, figure in figures.items()
        if name.startswith("items")
        for trace in figure["data"]
        for text in (*trace.get("text", ()), trace.get("name", ""))
    ]
    assert texts
    assert not any("<" in text for text in texts)
