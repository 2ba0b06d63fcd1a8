"""The page in a real browser: nothing asked, nothing complained of, all drawn.

Four channels can each fail on their own: console, uncaught errors, requests, and the
flag that all figures are drawn. The negative controls break the page on purpose and
show that each channel notices.
"""

import re

import pytest
from report.browsing import OVERFLOW, READY, eventually

from harness.report.page import render

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def html(zoo):
    return render(zoo)


@pytest.mark.parametrize("name", ["zoo", "hostile", "little", "nothing"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_quiet_and_complete(visit, request, name, scheme):
    page, seen = visit(render(request.getfixturevalue(name)), color_scheme=scheme)

    seen.assert_quiet()
    empty = page.evaluate(
        "[...document.querySelectorAll('.plot')]"
        ".filter(p => !p.querySelector('svg.main-svg')).map(p => p.id)"
    )
    assert empty == []


def test_hostile_names_are_shown_as_text(visit, hostile):
    page, seen = visit(render(hostile))
    name = hostile.title

    seen.assert_quiet()
    assert page.locator("h1").inner_text() == name
    assert page.title() == name
    assert page.locator("b:text-is('evil'), main img").count() == 0
    ticks = page.locator("#noise-spread .ytick text").all_text_contents()
    assert len(ticks) == 3
    assert sum(tick.startswith("<b>evil</b>") for tick in ticks) == 2
    assert sum("{{ 7 * 7 }}" in tick for tick in ticks) == 1
    legend = page.locator("#trend-0-discrete .legendtext").all_text_contents()
    assert any("<b>evil</b>" in text for text in legend)


def test_names_are_no_templates_of_plotly(visit, simulated):
    name = "%{meta.model} task"
    for model in ("m", "n"):
        simulated.task(name, model=model, n_items=20, steps=(0, 10), seeds=(0, 1))
    page, seen = visit(render(simulated.data()))

    shown = page.locator("#trend-0-discrete .legendtext").all_text_contents()
    assert {f"{name} · m", f"{name} · n"} <= set(shown)
    ticks = page.locator("#noise-spread .ytick text").all_text_contents()
    assert sorted(ticks) == [f"{name} · m", f"{name} · n"]
    page.locator("#noise-spread").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#live").inner_text().startswith(f"{name} · m: ")
    hover = page.locator("#noise-spread .hoverlayer .hovertext").all_text_contents()
    assert hover[0].startswith(f"{name} · m: ")
    seen.assert_quiet()


def test_dark_and_light_reach_every_figure(visit, html):
    page, seen = visit(html, color_scheme="dark")
    grounds = (
        "[...new Set([...document.querySelectorAll('.plot .main-svg')]"
        ".map(s => s.style.background).filter(Boolean))]"
    )
    colour = "getComputedStyle(document.body).backgroundColor"

    dark = page.evaluate(colour)
    assert dark == "rgb(20, 22, 26)"
    assert dark in page.evaluate(grounds)
    page.get_by_role("button", name="Light", exact=True).click()
    eventually(page, f"{colour} === 'rgb(255, 255, 255)'")
    assert not {dark} & set(page.evaluate(grounds))
    assert "rgb(255, 255, 255)" in page.evaluate(grounds)
    seen.assert_quiet()


@pytest.mark.parametrize("name", ["zoo", "hostile", "little", "nothing"])
def test_a_narrow_screen_scrolls_one_way_only(visit, request, name):
    page, seen = visit(
        render(request.getfixturevalue(name)), viewport={"width": 390, "height": 800}
    )

    seen.assert_quiet()
    assert page.evaluate(OVERFLOW) == 0


def test_arrow_keys_walk_over_the_points(visit, html):
    page, seen = visit(html)
    live = page.locator("#live")
    page.locator("#trend-0-discrete").focus()

    page.keyboard.press("ArrowRight")
    first = live.inner_text()
    page.keyboard.press("ArrowRight")
    second = live.inner_text()
    page.keyboard.press("End")
    last = live.inner_text()

    assert re.search(r"step 0: acc 0\.\d+, SD 0\.\d+ over 5 seeds, items ±", first)
    assert "step 10:" in second
    assert "step 800:" in last
    assert page.locator("#trend-0-discrete .hoverlayer .hovertext").count() == 1
    seen.assert_quiet()


def test_enter_shows_one_task_and_escape_all(visit, html):
    page, seen = visit(html)
    panels = page.locator("#trend .panel:visible")
    everything = panels.count()
    page.locator("#noise-spread").focus()
    page.keyboard.press("Home")

    page.keyboard.press("Enter")
    eventually(page, "location.hash.includes('task=zoo_facts_choice')")
    assert panels.count() == 1
    assert page.locator("#noise-table tbody tr:visible").count() == 2
    eventually(page, "document.querySelectorAll('#noise-snr .ytick').length === 2")
    page.keyboard.press("Escape")
    eventually(page, "!location.hash.includes('task=')")
    assert panels.count() == everything
    seen.assert_quiet()


def test_a_link_brings_the_selection_back(visit, html):
    page, seen = visit(html, query="#trend?task=zoo_pairs&model=zoo-large")

    assert page.locator("#trend .panel:visible").count() == 1
    assert page.locator("#filter-model").input_value() == "zoo-large"
    assert page.locator("#scoreboard-table thead th:visible").all_inner_texts() == [
        "Task",
        "Chance",
        "zoo-large",
    ]
    names = page.locator("#trend-1-discrete .legendtext").all_text_contents()
    assert "zoo-small" not in names
    seen.assert_quiet()


def test_an_unknown_selection_is_ignored(visit, html):
    page, seen = visit(html, query="#?task=<img src=x>&model=nobody")

    assert page.locator("#filter-task").input_value() == ""
    assert page.locator("#trend .panel:visible").count() > 1
    seen.assert_quiet()


def test_tables_sort_by_number_with_undefined_last(visit, html):
    page, seen = visit(html)
    head = page.locator("#noise-table th", has_text="SNR contin.")
    column = "td:nth-child(15)"
    cells = page.locator(f"#noise-table tbody tr {column}")

    for direction in ("ascending", "descending"):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == direction
        values = cells.evaluate_all("cells => cells.map(c => c.dataset.value ?? null)")
        known = [float(value) for value in values if value is not None]
        assert known == sorted(known, reverse=direction == "descending")
        assert values[len(known) :] == [None, None]
    seen.assert_quiet()


def test_single_seeds_and_even_steps(visit, html):
    page, seen = visit(html)
    curves = page.locator("#trend-1-discrete .scatterlayer .trace")
    before = curves.count()

    page.locator("#show-seeds").check()
    eventually(
        page,
        f"document.querySelectorAll('#trend-1-discrete .scatterlayer .trace').length"
        f" === {before + 10}",
    )
    page.locator("#even-steps").check()
    eventually(
        page, "document.querySelectorAll('#trend-1-discrete .xtick').length === 8"
    )
    seen.assert_quiet()


def test_tables_and_figures_can_be_saved(visit, html):
    page, seen = visit(html)

    with page.expect_download() as saved:
        page.locator("button.csv[data-table='noise-table']").click()
    lines = saved.value.path().read_text(encoding="utf-8").splitlines()
    assert saved.value.suggested_filename == "noise-table.csv"
    assert lines[0].startswith("Task,Model,Metrics,Items,Chance")
    assert len(lines) == 12
    with page.expect_download() as saved:
        page.locator("button.image[data-for='noise-snr'][data-format='svg']").click()
    assert saved.value.path().read_text(encoding="utf-8").startswith("<svg")
    seen.assert_quiet()


def test_print_is_light_open_and_fits(visit, html):
    page, seen = visit(
        html, color_scheme="dark", viewport={"width": 1300, "height": 900}
    )
    closed = page.locator("details:not([open])").count()
    assert closed > 0

    page.emulate_media(media="print", color_scheme="dark")
    eventually(page, "document.documentElement.dataset.theme === 'light'")
    page.set_viewport_size({"width": 688, "height": 960})
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate(OVERFLOW) == 0
    body = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(body) == "rgb(255, 255, 255)"
    page.emulate_media(media="screen", color_scheme="dark")
    eventually(page, f"{body} === 'rgb(20, 22, 26)'")
    assert page.locator("details:not([open])").count() == closed
    assert page.pdf(format="A4").startswith(b"%PDF")
    seen.assert_quiet()


def test_without_scripts_the_numbers_are_there(visit, html):
    page, seen = visit(html, ready=False, java_script_enabled=False)

    assert page.locator("noscript p").is_visible()
    assert page.locator("#noise-table tbody tr:visible").count() == 11
    assert page.locator("#scoreboard-table").inner_text().count("0.") > 10
    assert page.locator("button.csv:visible").count() == 0
    assert seen.remote == []


# ---- negative controls: each channel can fail ------------------------------------


@pytest.fixture(scope="module")
def little_html(little):
    return render(little)


def test_control_policy_stops_a_request(visit, little_html):
    loud = little_html.replace("<main", '<img src="http://192.0.2.1/x.png"><main', 1)

    _, seen = visit(loud)

    assert any("Content Security Policy" in words for words in seen.console)
    assert seen.failures == ["http://192.0.2.1/x.png"]


def test_control_a_request_is_seen_without_the_policy(visit, little_html):
    loud = re.sub(r"<meta http-equiv[^>]*>", "", little_html, count=1)
    loud = loud.replace("<main", '<img src="http://192.0.2.1/x.png"><main', 1)

    page, seen = visit(loud)
    page.wait_for_timeout(200)

    assert seen.remote == ["http://192.0.2.1/x.png"]


def test_control_a_changed_script_does_not_run(visit, little_html):
    page, seen = visit(
        little_html.replace('"use strict";', '"use  strict";'), ready=False
    )
    page.wait_for_timeout(500)

    assert any("Content Security Policy" in words for words in seen.console)
    assert page.locator(READY).count() == 0


def test_control_an_error_is_seen(visit, little_html):
    broken = re.sub(r"<meta http-equiv[^>]*>", "", little_html, count=1)
    broken = broken.replace(
        'const figures = await unpack("figures")', "const figures = no.such", 1
    )
    page, seen = visit(broken, ready=False)
    page.wait_for_timeout(500)

    assert seen.errors
    assert page.locator(READY).count() == 0
