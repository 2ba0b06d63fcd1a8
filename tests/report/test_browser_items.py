"""Items in a real browser: chosen by point, box, kind and link; shown everywhere."""

import csv

import numpy as np
import pytest
from report.browsing import OVERFLOW, eventually

from harness.report.page import render
from harness.report.views.items import items_views

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def html(zoo):
    return render(zoo)


@pytest.fixture(scope="module")
def views(zoo):
    return items_views(zoo)


@pytest.fixture(scope="module")
def name(views):
    """Return a task with a fitted model, by the name of its panel."""
    return next(view.name for view in views if view.curves)


@pytest.fixture
def explorer(visit, html, name):
    page, seen = visit(html, viewport={"width": 1300, "height": 900})
    panel = page.locator(f".panel:has(#{name}-explorer)")
    yield page, panel
    seen.assert_quiet()


def rows_of(panel):
    panel.locator("figure details > summary").first.click()
    rows = panel.locator("[id$=explorer-table] tbody tr")
    rows.first.locator("button").wait_for()
    return rows


def drag(page, panel, start, end, plot=0):
    plot = panel.locator(".plot").nth(plot)
    # Not scroll_into_view_if_needed(): the page's head would lie over it.
    plot.evaluate("plot => plot.scrollIntoView({block: 'center'})")
    box = plot.bounding_box()
    points = [(box["x"] + x, box["y"] + y) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=5)
    page.mouse.up()


def test_enter_shows_an_item_and_every_answer(explorer, zoo, name):
    page, panel = explorer
    place = int(name.removeprefix("items-"))
    who, order = (
        zoo.items[place].who,
        items_views(zoo)[place].explorer.extra["order"],
    )
    page.locator(f"#{name}-explorer").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#live").inner_text()
    page.keyboard.press("Enter")

    drawer = panel.locator(".item-drawer")
    drawer.wait_for()
    eventually(page, f"location.hash.includes('item={name}-explorer.')")
    item = int(page.evaluate("location.hash").rpartition(".")[2])
    assert item in order
    assert first.startswith(f"Item {who.item_indexes[item]}, Answers ")
    assert drawer.locator("h4").inner_text() == f"Item {who.item_indexes[item]}"
    shown = drawer.locator(".answers td .sr").all_inner_texts()
    words = {0.0: "wrong", 1.0: "right"}
    assert shown == [words[score] for score in who.scores[:, item]]
    page.keyboard.press("Escape")
    eventually(page, "!location.hash.includes('item=')")
    assert drawer.is_hidden()


def test_a_chosen_item_takes_the_place_of_the_curves(explorer, name):
    page, panel = explorer
    titles = page.locator(f"#{name}-curves .annotation-text")
    assert titles.count() == 12

    rows_of(panel).nth(3).locator("button").click()

    eventually(
        page,
        f"document.querySelectorAll('#{name}-curves .annotation-text').length === 1",
    )
    number = panel.locator("tr[aria-selected] button").inner_text()
    assert titles.text_content().startswith(f"item {number}, ")
    band = f"document.getElementById('{name}-curves').data[0]"
    assert page.evaluate(f"{band}.x.length === {band}.y.length && {band}.x.length") > 20
    page.locator(f"#{name}-curves").focus()
    page.keyboard.press("End")
    assert page.locator("#live").inner_text().startswith(f"item {number}, ")
    panel.get_by_role("button", name="Close").click()
    eventually(
        page,
        f"document.querySelectorAll('#{name}-curves .annotation-text').length === 12",
    )


def test_arrow_keys_walk_over_all_curves(explorer, name):
    page, _ = explorer
    page.locator(f"#{name}-curves").focus()

    page.keyboard.press("End")
    assert "observed" in page.locator("#live").inner_text()
    hover = page.locator(f"#{name}-curves .hoverlayer .hovertext")
    assert hover.count() == 1


def test_a_box_chooses_points_rows_and_curves(explorer, name):
    page, panel = explorer
    rows = rows_of(panel)
    everything = rows.count()

    drag(page, panel, (150, 90), (700, 330))
    eventually(page, "document.getElementById('live').textContent.includes('chosen')")
    chosen = int(page.locator("#live").inner_text().split()[0])
    assert 0 < chosen < everything
    assert rows.count() == chosen
    assert "chosen items" in panel.locator("[id$=explorer-table] caption").inner_text()
    page.keyboard.press("Escape")
    eventually(
        page,
        f"document.querySelectorAll('#{name}-explorer-table tbody tr').length"
        f" === {everything}",
    )


def test_a_range_of_difficulty_chooses_items(explorer, zoo, name):
    page, panel = explorer
    rows = rows_of(panel)
    everything = rows.count()
    who = zoo.items[int(name.removeprefix("items-"))].who
    fit = next(row for row in zoo.irt if row.who is who)
    b = fit.fit.items.difficulty.astype("f4")
    low, high = np.sort(b)[[4, 20]] + [-1e-3, 1e-3]
    inside = fit.columns[(b >= low) & (b <= high)]

    panel.locator(".item-low").fill(f"{low:.6f}")
    panel.locator(".item-high").fill(f"{high:.6f}")
    page.keyboard.press("Tab")
    eventually(
        page,
        f"document.querySelectorAll('#{name}-explorer-table tbody tr').length"
        f" === {len(inside)}",
    )
    shown = rows.locator("button").all_inner_texts()
    assert sorted(map(int, shown)) == sorted(who.item_indexes[j] for j in inside)
    said = f"{len(inside)} of {everything} items chosen"
    assert panel.locator(".item-said").inner_text().startswith(said)
    assert f"range={name}-explorer_{low:.6f}_{high:.6f}" in page.url
    shapes = f"document.getElementById('{name}-wright').layout.shapes"
    assert page.evaluate(f"{shapes}[0].x0") == pytest.approx(low, abs=1e-6)
    page.keyboard.press("Escape")
    eventually(page, f"!location.hash.includes('range') && !{shapes}")
    assert rows.count() == everything
    assert panel.locator(".item-low").input_value() == ""


def test_a_drag_over_the_map_is_a_range_and_a_box_ends_it(explorer, name):
    page, panel = explorer

    drag(page, panel, (300, 60), (700, 90), plot=1)
    eventually(page, f"location.hash.includes('range={name}-explorer_')")
    low, high = page.url.rpartition("range=")[2].split("_")[1:]
    assert panel.locator(".item-low").input_value() == low
    assert float(low) < float(high)
    n = int(panel.locator(".item-said").inner_text().split()[0])
    assert n > 0
    drag(page, panel, (150, 90), (700, 330))
    eventually(page, "!location.hash.includes('range')")
    assert panel.locator(".item-said").inner_text() == ""


def test_a_link_brings_a_range_back_and_another_task_takes_it(visit, html, views):
    first, second = [view.name for view in views if view.curves][:2]
    page, seen = visit(html, query=f"#items?range={first}-explorer__0.25")

    chosen = page.locator(".item-said").evaluate_all("all => all.map(o => o.value)")
    assert sum(map(bool, chosen)) == 1
    assert page.locator(".item-high").first.input_value() == "0.25"
    page.evaluate(f"location.hash = '#items?range={first}-explorer_0_'")
    eventually(page, "document.querySelector('.item-low').value === '0'")
    assert page.locator(".item-high").first.input_value() == ""
    page.locator(f".panel:has(#{second}-explorer) .item-high").fill("0")
    page.keyboard.press("Enter")
    eventually(page, f"location.hash.includes('range={second}-explorer__0')")
    assert page.locator(".item-low").first.input_value() == ""
    seen.assert_quiet()


@pytest.mark.parametrize("ends", ["", "_", "__", "_x_1", "_0", "_0_1_2"])
def test_an_unknown_range_is_ignored(visit, html, name, ends):
    page, seen = visit(html, query=f"#items?range={name}-explorer{ends}")

    assert page.locator(".item-low").first.input_value() == ""
    seen.assert_quiet()


def test_axes_are_chosen_by_menu(explorer, name):
    page, panel = explorer
    title = page.locator(f"#{name}-explorer .ytitle")
    assert title.text_content() == "item-rest correlation"

    panel.locator(".item-y").select_option("seed_sd")
    eventually(
        page,
        f"document.querySelector('#{name}-explorer .ytitle').textContent"
        " === 'SD over training seeds'",
    )
    panel.locator(".item-x").select_option("b")
    eventually(
        page,
        f"document.querySelector('#{name}-explorer .xtitle').textContent"
        ".includes('logits')",
    )


def test_kinds_are_chosen_by_menu(visit, simulated):
    simulated.task("t", seeds=range(3), steps=(10, 100), n_items=30)
    for row in simulated.rows:
        if row["item_index"] < 2:
            row["choice_logprobs"] = [-9.0] * 4
            row["choice_logprobs"][row["target_index"]] = -0.1
    page, seen = visit(render(simulated.data()))
    panel = page.locator("#items .panel")
    rows = rows_of(panel)
    option = panel.locator(".item-filter option[value=right]")
    n = int(option.inner_text().rpartition("(")[2].rstrip(")"))

    panel.locator(".item-filter").select_option("right")
    eventually(
        page,
        f"document.querySelectorAll('[id$=explorer-table] tbody tr').length === {n}",
    )
    assert all("all right" in text for text in rows.all_inner_texts())
    seen.assert_quiet()


def test_a_link_brings_an_item_back(visit, html, name):
    page, seen = visit(html, query=f"#items?item={name}-explorer.5")

    drawer = page.locator(".item-drawer:visible")
    assert drawer.count() == 1
    assert drawer.locator(".answers tbody tr").count() > 1
    seen.assert_quiet()


@pytest.mark.parametrize("item", ["items-0-explorer.99999", "nobody.1", "x", "items-0"])
def test_an_unknown_item_is_ignored(visit, html, item):
    page, seen = visit(html, query=f"#items?item={item}")

    assert page.locator(".item-drawer:visible").count() == 0
    seen.assert_quiet()


def test_all_items_can_be_saved(explorer, zoo, name):
    page, panel = explorer

    with page.expect_download() as saved:
        panel.locator(".item-all").click()
    lines = list(csv.reader(saved.value.path().read_text("utf-8").splitlines()))
    who = zoo.items[int(name.removeprefix("items-"))].who
    assert lines[0][:4] == ["Item", "Id", "Answers", "Difficulty"]
    assert sorted(int(line[0]) for line in lines[1:]) == sorted(who.item_indexes)
    assert {len(line) for line in lines} == {len(lines[0])}


def test_thousands_of_items_are_points_once_chosen(visit, simulated):
    data = simulated.task("t", seeds=(0, 1), steps=(10, 100, 400), n_items=2_100)
    page, seen = visit(
        render(data.data()),
        color_scheme="dark",
        viewport={"width": 1300, "height": 900},
    )
    panel = page.locator("#items .panel")
    points = page.locator("#items-0-explorer .scatterlayer path.point")
    assert page.locator("#items-0-explorer .heatmaplayer image").count() == 1
    assert points.count() == 0

    drag(page, panel, (150, 90), (1000, 340))
    eventually(
        page,
        "document.querySelectorAll('#items-0-explorer .scatterlayer path.point').length"
        " > 0",
    )
    rows = rows_of(panel)
    assert rows.count() == min(500, points.count())
    page.keyboard.press("Escape")
    eventually(
        page, "document.querySelectorAll('#items-0-explorer image').length === 1"
    )
    seen.assert_quiet()


def test_a_filter_by_task_leaves_one_panel(visit, html, zoo):
    page, seen = visit(html, query="#items?task=zoo_pairs")

    expected = sum(row.who.task == "zoo_pairs" for row in zoo.items)
    assert page.locator("#items .panel:visible").count() == expected
    seen.assert_quiet()


def test_a_narrow_screen_keeps_an_item_inside(visit, html, name):
    page, seen = visit(
        html,
        query=f"#items?item={name}-explorer.5",
        viewport={"width": 390, "height": 800},
    )

    assert page.locator(".item-drawer:visible").count() == 1
    assert page.evaluate(OVERFLOW) == 0
    seen.assert_quiet()


def test_without_scripts_the_worst_items_are_there(visit, html, name):
    page, seen = visit(html, ready=False, java_script_enabled=False)

    assert page.locator(f"#{name}-explorer-table tbody tr").count() > 20
    assert page.locator(".item-tools:visible, .item-drawer:visible").count() == 0
    assert seen.remote == []
