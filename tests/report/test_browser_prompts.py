"""Templates in a real browser: the map, its orders, runs, keys, print."""

import re
from dataclasses import replace

import pytest
from report.browsing import OVERFLOW, eventually
from report.conftest import HOSTILE
from report.test_prompts_view import TEMPLATES, answered

from harness.report.gather import gather
from harness.report.page import render

pytestmark = pytest.mark.browser

MAP = "document.getElementById('prompts-0-0-map')"


def made(store):
    """Return a page with chosen items, and without the figures of other sections."""
    data = gather(store.responses, store.attempts, title="t", discriminative=2)
    return render(replace(data, panels=(), items=(), irt=(), signals=()))


@pytest.fixture(scope="module")
def html(simulated_store):
    """Return a page of two tasks, with chosen items."""
    store = answered(simulated_store(), steps=(800,))
    answered(
        store, "tales", seeds=(0,), steps=(800,), templates=(*TEMPLATES[:2], "odd")
    )
    return made(store)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_figures_of_the_first_run_are_drawn(visit, html, scheme):
    page, seen = visit(html, color_scheme=scheme)

    for name in ("map", "chosen", "fixed-m", "fixed-km", "over-m"):
        assert page.locator(f"#prompts-0-0-{name} svg.main-svg").count() > 0
        assert page.locator(f"#prompts-0-1-{name} svg.main-svg").count() == 0
    assert page.evaluate(f"{MAP}.data[0].z.length") == len(TEMPLATES)
    seen.assert_quiet()


def test_another_order_moves_the_columns(visit, html):
    page, seen = visit(html)
    before = page.evaluate(f"{MAP}.data[0].x")

    select = page.locator("select[data-for='prompts-0-0-map']")
    select.focus()
    page.keyboard.press("ArrowDown")

    eventually(page, f"{MAP}.data[0].x[0] !== {before[0]!r}")
    after = page.evaluate(f"{MAP}.data[0].x")
    assert sorted(after) == sorted(before)
    assert "Showing the variance" in page.locator("#live").inner_text()
    seen.assert_quiet()


def test_another_run_takes_the_place_of_the_first(visit, html):
    page, seen = visit(html)
    page.locator(".run-choice").select_option("1")

    eventually(
        page, "document.querySelectorAll('#prompts-0-1-map svg.main-svg').length > 0"
    )
    assert page.locator("#prompts .panel").first.locator(".run:visible").count() == 1
    assert page.locator("#live").inner_text() == "Showing seed 1, step 800"
    seen.assert_quiet()


def test_keys_walk_over_cells_and_means(visit, html):
    page, seen = visit(html)
    live = page.locator("#live")
    names = page.evaluate(f"{MAP}.data[0].y")
    columns = page.evaluate(f"{MAP}.data[0].x")
    z = page.evaluate(f"{MAP}.data[0].z")

    page.locator("#prompts-0-0-map").focus()
    page.keyboard.press("Home")
    assert live.inner_text() == f"{names[0]}, {columns[0]}: {z[0][0]:g}"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert live.inner_text() == f"{names[1]}, {columns[1]}: {z[1][1]:g}"
    assert page.locator("#prompts-0-0-map .hoverlayer text").count() > 0
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert live.inner_text().startswith(f"{names[0]}, {columns[0]}:")
    page.keyboard.press("End")
    assert re.match(rf"{names[-1]}: mean [\d.]+ \[", live.inner_text())
    page.keyboard.press("ArrowUp")
    assert live.inner_text().startswith(f"{names[-2]}: mean")
    seen.assert_quiet()


def test_keys_read_the_curves_and_the_choices(visit, html):
    page, seen = visit(html)
    live = page.locator("#live")

    page.locator("#prompts-0-0-fixed-km").focus()
    page.keyboard.press("Home")
    assert re.match(r"1 item, 48 answers each: among templates ", live.inner_text())
    page.keyboard.press("End")
    assert re.match(r"12 items, 4 answers each: SNR, ratio of", live.inner_text())
    page.locator("#prompts-0-0-chosen").focus()
    page.keyboard.press("Home")
    assert live.inner_text().startswith("chosen: variance among templates")
    seen.assert_quiet()


def test_a_task_keeps_its_own_panel(visit, html):
    page, seen = visit(html, query="#prompts?task=tales")

    assert page.locator("#prompts .panel:visible h3").all_inner_texts() == [
        "zoo-small, tales"
    ]
    assert page.locator("#prompts-1-0-map svg.main-svg").count() > 0
    seen.assert_quiet()


def test_narrow_screens_and_paper_have_no_overflow(visit, html):
    page, seen = visit(html, viewport={"width": 390, "height": 800})

    assert page.evaluate(OVERFLOW) == 0
    domains = page.evaluate(
        f"[{MAP}.layout.yaxis.domain[0], {MAP}.layout.yaxis2.domain[1]]"
    )
    assert domains[0] > domains[1]
    page.emulate_media(media="print")
    eventually(page, "document.documentElement.dataset.theme === 'light'")
    page.set_viewport_size({"width": 688, "height": 960})
    eventually(page, f"{OVERFLOW} === 0")
    assert page.locator("#prompts-0-0-map-table").is_visible()
    seen.assert_quiet()


def test_without_scripts_all_runs_have_their_tables(visit, html):
    page, seen = visit(html, ready=False, java_script_enabled=False)

    assert page.locator("#prompts .run:visible").count() == 3
    assert page.locator("#prompts .run > h4:visible").count() == 2
    assert page.locator(".run-choice:visible").count() == 0
    assert page.locator("#prompts-0-1-fixed-m-table").count() == 1
    assert seen.remote == []


def test_hostile_names_stay_text(visit, simulated_store):
    store = answered(
        simulated_store(),
        HOSTILE,
        templates=(f"{HOSTILE} 1", f"{HOSTILE} %{{x}} 2", "{{ 7 * 7 }}"),
        model=HOSTILE,
        items=HOSTILE,
        seeds=(0,),
        steps=(800,),
    )
    page, seen = visit(made(store))

    assert "<b>evil</b>" in page.locator("#prompts").inner_text()
    assert page.locator("#prompts b:text-is('evil')").count() == 0
    page.locator("#prompts-0-0-map").focus()
    page.keyboard.press("Home")
    assert "<b>evil</b>" in page.locator("#live").inner_text()
    seen.assert_quiet()


def test_little_data_has_an_empty_state(visit, little, nothing):
    for data, said in ((little, "under one template"), (nothing, "No trial has been")):
        page, seen = visit(render(data))
        assert said in page.locator("#prompts .empty").inner_text()
        seen.assert_quiet()
