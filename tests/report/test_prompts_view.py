"""Templates: the map over items, the curves, chosen items, and what is missing."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from harness.report import page, text
from harness.report.figures.prompts import Series, side
from harness.report.gather import gather
from harness.report.views import prompts as view
from harness.report.views.prompts import CURVES, prompt_view
from harness.stats.estimate import Estimate, Interval, undefined
from harness.stats.last_step_prompts import last_step_prompts

TEMPLATES = ("plain", "asked", "short", "odd")


def answered(store, task="recall", *, templates=TEMPLATES, n_repeats=4, **columns):
    """Add a task that each template was put to; the last one never learns it."""
    for template in templates:
        for repeat in range(n_repeats):
            store.task(
                task,
                template=template,
                template_digest=template,
                learns=template != templates[-1],
                repeat=repeat,
                sampled=True,
                **{"seeds": (0, 1), "steps": (0, 800), "n_items": 12, **columns},
            )
    return store


@pytest.fixture(scope="module")
def data(simulated_store):
    store = answered(simulated_store())
    return gather(store.responses, store.attempts, title="t", discriminative=2)


@pytest.fixture(scope="module")
def panel(data):
    (panel,) = prompt_view(data).panels
    return panel


@pytest.fixture(scope="module")
def once(simulated_store):
    """Return what one answer to each item shows, of two tasks."""
    store = answered(simulated_store(), n_repeats=1, seeds=(0,))
    store.task("other", seeds=(0,), steps=(800,), n_items=12)
    return store.data()


def test_one_template_is_one_line_with_the_command(zoo):
    html = page.render(zoo)
    section = html[html.index('<section id="prompts">') :]
    section = section[: section.index("</section>")]

    assert prompt_view(zoo) is None
    assert section.count('<p class="empty">') == 1
    assert "list two or more <code>templates</code>" in section
    assert "<code>evalvar run SUITE</code>" in section


def test_each_run_stands_at_its_last_step(panel):
    assert panel.title == "zoo-small, recall"
    assert [run.name for run in panel.runs] == ["seed 0, step 800", "seed 1, step 800"]
    assert panel.rest == ""
    assert panel.command == "evalvar prompts STORE --model zoo-small --task recall"


def test_the_map_has_a_row_for_each_template_best_first(data, panel):
    drawn = panel.runs[0].drawn[0]
    grid = data.prompted[0].grid
    heat, means = drawn.figure.data

    assert list(heat.y) == [
        data.prompted[0].scores.levels["template"][p] for p in grid.system
    ]
    assert list(means.y) == list(heat.y)
    assert list(means.x) == [e.value for e in grid.scores]
    assert (heat.zmin, heat.zmax, heat.colorscale[0][1]) == (0, 1, "#00224e")
    assert [line.cells[1].value for line in drawn.table.lines] == list(means.x)
    assert [line.cells[0].text for line in drawn.table.lines] == list(heat.y)


def test_both_orders_show_the_same_cells(data, panel):
    drawn = panel.runs[0].drawn[0]
    grid, ids = data.prompted[0].grid, data.prompted[0].scores.levels["item"]

    for by, choice in zip(("difficulty", "variance"), drawn.menu.choices, strict=True):
        heat, rest = choice.traces
        order = [int(group[0]) for group in grid.columns(by, 99)]
        assert heat["x"] == [f"item {ids[place]}" for place in order]
        np.testing.assert_allclose(heat["z"], grid.means[:, order], rtol=1e-3)
        assert rest == {}


def test_more_items_than_columns_are_means_of_groups(data, monkeypatch):
    monkeypatch.setattr(view, "MAX_COLUMNS", 5)
    drawn = prompt_view(data).panels[0].runs[0].drawn[0]
    grid = data.prompted[0].grid

    assert "A column is the mean of 2 to 3 items next to each other." in drawn.sentence
    heat = drawn.menu.choices[0].traces[0]
    assert heat["x"][:2] == [f"items {k} of this order" for k in ("1 to 3", "4 to 6")]
    first = grid.columns("difficulty", 5)[0]
    wanted = grid.means[:, first].mean(1)
    np.testing.assert_allclose([row[0] for row in heat["z"]], wanted, rtol=1e-3)


def test_the_sentence_names_the_best_and_the_share(data, panel):
    said = panel.runs[0].drawn[0].sentence
    row = data.prompted[0]
    best, share = row.grid.scores[0], row.split.variance.share

    assert (
        f"has the highest mean, {text.score(best.value)} {text.interval(best)}, "
        in (said)
    )
    assert "odd the lowest" in said
    assert "4 templates on 12 items with 4 answers to each" in said
    assert (
        f"{text.percent(share.value)} % {text.percent_interval(share)} is the" in said
    )


def test_curves_are_drawn_with_bands_floor_and_ratio(data, panel):
    found = data.prompted[0].split.curves
    for design, drawn in zip(CURVES, panel.runs[0].curves, strict=True):
        points = [p for p in found.points if p.design == design]
        lines = {t.name: t for t in drawn.figure.data if t.mode == "lines+markers"}
        floors = [t for t in drawn.figure.data if (t.name or "").startswith("floor")]

        assert list(lines) == [
            "among templates",
            "among answers",
            "SNR, ratio of means",
        ]
        shown = lines["among templates"].y
        wanted = [p.among_system_prompts.value for p in points]
        np.testing.assert_allclose(shown, wanted, rtol=1e-3)
        assert [line.cells[4].value for line in drawn.table.lines] == [
            p.snr.value for p in points
        ]
        assert len(floors) == (design != "over-m")
        if floors:
            assert floors[0].y == (found.common.value,) * 2
        bands = [t for t in drawn.figure.data if t.fill == "toself"]
        assert [len(t.x) for t in bands] == [2 * len(points)] * 3


def test_curves_share_their_axes(panel):
    layouts = [drawn.figure.layout for drawn in panel.runs[0].curves]

    for name in ("yaxis", "yaxis2"):
        assert len({(one[name].type, one[name].range) for one in layouts}) == 1


def of_interval(estimate, low, high):
    return replace(estimate, interval=Interval(low, high))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 0.2, "More items help, if each is answered as often"),
        (-0.2, -0.1, "More items hurt, even if each is answered as often"),
        (-0.1, 0.1, "Whether more items help cannot be told"),
        (math.nan, math.nan, "Whether more items help cannot be told"),
    ],
)
def test_more_items_help_where_all_have_something_in_common(data, low, high, said):
    split = data.prompted[0].split
    curves = replace(split.curves, common=of_interval(split.curves.common, low, high))
    points = [p for p in curves.points if p.design == "fixed-m"]

    assert said in view._more_items(replace(split, curves=curves), points)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 0.2, "More items hurt, with 48 answers"),
        (-0.2, -0.1, "More items do not hurt, with 48 answers"),
        (-0.1, 0.1, "Whether more items hurt cannot be told, with 48 answers"),
        (math.nan, math.nan, "Whether more items hurt cannot be told"),
    ],
)
def test_more_items_hurt_where_each_favours_others(data, low, high, said):
    split = data.prompted[0].split
    parts = split.components
    parts = replace(parts, interaction=of_interval(parts.interaction, low, high))
    points = [p for p in split.curves.points if p.design == "fixed-km"]

    assert said in view._spread_thin(replace(split, components=parts), points)


def test_axes_are_log_only_if_all_have_a_place():
    def series(value, low, high):
        estimate = Estimate(
            quantity="q", value=value, n=3, interval=Interval(low, high), method="m"
        )
        return Series(name="a", place=0, estimates=(estimate,), sentences=("a",))

    assert side([series(1, 0.1, 10)]).range == pytest.approx((-1.1, 1.1))
    assert not side([series(1, -0.1, 10)]).is_log
    assert not side([series(1, 0.1, 10)], -1).is_log
    assert side([series(1, 0.1, 10)], math.nan).is_log
    unknown = undefined("q", n=3, method="m", code="c", text="why")
    nothing = Series(name="a", place=0, estimates=(unknown,), sentences=("a",))
    assert side([nothing]).range is None
    assert side([series(1, math.nan, math.nan)]).range == (-1, 1)


def test_chosen_items_stand_beside_random_ones_and_all(data, panel):
    drawn = panel.runs[0].drawn[1]
    found = data.prompted[0].chosen.found
    ids = data.prompted[0].scores.levels["item"]

    assert all(ids[place] in drawn.sentence for place in found.user_prompts)
    assert f"on others it is {text.spread(found.held_out.value)}" in drawn.sentence
    assert "surely more than the" in drawn.sentence
    (dots,) = drawn.figure.data
    assert list(dots.x) == [row.score.value for row in found.rows]
    assert [line.cells[2].value for line in drawn.table.lines] == list(dots.x)
    assert list(dots.y)[:3] == ["chosen", "all items", "random, most draws"]


def test_without_a_size_the_option_is_named(data):
    runs = [replace(row, chosen=None) for row in data.prompted]
    (panel,) = prompt_view(replace(data, prompted=tuple(runs))).panels

    assert len(panel.runs[0].drawn) == 1
    assert "--discriminative 2 -o REPORT.html" in panel.runs[0].missing[0]


def test_more_items_than_there_are_is_told(simulated_store):
    store = answered(simulated_store(), seeds=(0,), steps=(800,))
    many = gather(store.responses, store.attempts, title="t", discriminative=99)
    (run,) = prompt_view(many).panels[0].runs

    assert run.missing[0].startswith("No items were chosen: ")


def test_few_answers_leave_nothing_to_hold_out(simulated_store):
    store = answered(simulated_store(), seeds=(0,), steps=(800,), n_repeats=2)
    few = gather(store.responses, store.attempts, title="t", discriminative=2)
    drawn = prompt_view(few).panels[0].runs[0].drawn[1]

    assert drawn.figure is None
    assert "nothing could be held out: a cell has 2 responses" in drawn.sentence
    assert drawn.table.lines[0].cells[2].reason


def test_one_answer_leaves_the_map_and_says_what_fills_the_curves(once):
    found = prompt_view(once)
    (run,) = found.panels[0].runs

    assert run.curves == ()
    assert "Several `repeats` in the suite" in run.missing[0]
    assert "the answers' randomness included" in run.drawn[0].menu.choices[1].label
    assert "1 answer to each" in run.drawn[0].sentence
    assert "is the templates'" not in run.drawn[0].sentence
    assert found.missing == ("zoo-small, other: one template.",)
    assert "Several <code>repeats</code>" in page.render(once)


def test_templates_without_a_common_item_are_told(simulated_store):
    store = answered(simulated_store(), templates=("a", "b"), seeds=(0,), steps=(800,))
    frame = store.responses
    own = frame["template"].map({"a": 0, "b": 1})
    apart = frame[frame["item_index"] % 2 == own]
    found = prompt_view(gather(apart, store.attempts, title="t"))

    assert found.panels == ()
    assert found.missing[0].startswith("zoo-small, recall: none of 12 user prompts has")


def altered(data, change):
    """Return data of one run whose scores were changed."""
    scores = data.prompted[0].scores
    rows, _ = last_step_prompts([replace(scores, scores=change(scores).astype(float))])
    return replace(data, prompted=rows)


def test_answers_all_alike_have_variances_and_no_ratio(data):
    alike = altered(data, lambda s: (s.of("item") + s.of("template")) % 3 == 0)
    (run,) = prompt_view(alike).panels[0].runs

    curve = run.curves[0]
    assert curve.sentence.startswith("Whether more items") or curve.sentence.startswith(
        "More items"
    )
    assert curve.table.lines[0].cells[4].reason.startswith("responses to the same")
    ratio = next(t for t in curve.figure.data if t.name == "SNR, ratio of means")
    assert set(ratio.y) == {None}
    assert curve.figure.layout.yaxis2.range is None
    assert run.drawn[0].name in page.render(alike)


def test_equal_templates_have_no_share_to_tell(data):
    equal = altered(data, lambda s: s.of("item") % 2)
    (run,) = prompt_view(equal).panels[0].runs

    assert "Of the variance" not in run.drawn[0].sentence


def test_of_many_runs_the_first_are_drawn(data, monkeypatch):
    monkeypatch.setattr(view, "MAX_RUNS", 1)
    (panel,) = prompt_view(data).panels

    assert len(panel.runs) == 1
    assert panel.rest == "1 run more: the command below has them."


def test_unbounded_scores_have_colours_from_least_to_most(data):
    row = data.prompted[0]
    odd = replace(row, scores=replace(row.scores, metric="own", formulation="cloze"))
    (panel,) = prompt_view(replace(data, prompted=(odd,))).panels
    heat = panel.runs[0].drawn[0].figure.data[0]

    assert (heat.zmin, heat.zmax) == (row.grid.means.min(), row.grid.means.max())
    assert panel.title == "zoo-small, recall (cloze)"
    assert panel.command.endswith("--task recall --formulation cloze")


def test_a_model_without_seeds_and_steps_goes_by_its_name(data):
    row = data.prompted[0]
    levels = {**row.scores.levels, "train_seed": (None,), "step": (None,)}
    alone = replace(row, scores=replace(row.scores, levels=levels))
    (panel,) = prompt_view(replace(data, prompted=(alone,))).panels

    assert panel.runs[0].name == "zoo-small"


def test_the_page_is_the_same_for_the_same_data(data):
    html = page.render(data)

    assert html == page.render(data)
    assert len(re.findall(r'<div class="run" data-run="\d"', html)) == 2
