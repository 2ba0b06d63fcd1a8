"""Signal, subsets and formulations in a real browser: menus, picks, keys, print."""

import json
import re

import pytest
from report.browsing import OVERFLOW, eventually
from report.reading import figures_in

from harness.report import text
from harness.report.gather import gather
from harness.report.page import render
from harness.stats.suites import suites

pytestmark = pytest.mark.browser

STEPS = (0, 50, 100, 400, 800)


@pytest.fixture(scope="module")
def html(simulated_store):
    """Return a page of two tasks with subsets, and larger models named."""
    store = simulated_store()
    for model in ("m", "n", "M", "N"):
        for task, n in (("facts", 24), ("pairs", 30)):
            store.task(task, model=model, n_items=n, seeds=(0, 1), steps=STEPS)
    return render(
        gather(
            store.responses,
            store.attempts,
            title="t",
            subset_sizes=(8, 12),
            larger={"m": "M", "n": "N"},
        )
    )


def shown(page, name):
    return page.evaluate(f"document.getElementById('{name}').data[1].y")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_sections_are_drawn_and_quiet(visit, html, scheme):
    page, seen = visit(html, color_scheme=scheme)

    for name in ("signal-noise", "signal-decisions", "subset-0-frontier"):
        assert page.locator(f"#{name} svg.main-svg").count() > 0
    assert page.locator("#subset-1-fidelity .scatterlayer .trace").count() >= 5
    seen.assert_quiet()


def test_a_menu_changes_what_a_figure_shows(visit, html):
    page, seen = visit(html)
    choices = figures_in(html)["subset-0-frontier"]["menu"]["choices"]
    select = page.locator("select[data-for='subset-0-frontier']")

    assert shown(page, "subset-0-frontier") == choices[0]["traces"][1]["y"]
    select.select_option("2")
    wanted = json.dumps(choices[2]["traces"][1]["y"])
    eventually(
        page,
        "JSON.stringify(document.getElementById('subset-0-frontier').data[1].y)"
        f" === JSON.stringify({wanted})",
    )
    title = page.locator("#subset-0-frontier .ytitle")
    assert title.text_content() == choices[2]["y"]
    assert "Showing seed SD" in page.locator("#live").inner_text()
    seen.assert_quiet()


def test_a_point_picks_what_the_other_figure_shows(visit, html):
    page, seen = visit(html)
    number = figures_in(html)["subset-1-frontier"]["menu"]["choices"][0]["traces"][1][
        "customdata"
    ][1]

    page.locator("#subset-1-frontier").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")

    select = page.locator("select[data-for='subset-1-fidelity']")
    assert number > 0
    assert select.input_value() == str(number)
    assert "random, 12 items" in page.locator("#live").inner_text()
    assert page.locator("select[data-for='subset-0-fidelity']").input_value() == "0"
    seen.assert_quiet()


def test_keys_name_the_checkpoint_and_its_estimate(visit, html):
    page, seen = visit(html)
    live = page.locator("#live")

    page.locator("#subset-0-fidelity").focus()
    page.keyboard.press("Home")
    first = live.inner_text()
    assert re.match(r"M, seed 0, step 0: full 0\.\d+, estimated .*, held out$", first)
    page.keyboard.press("End")
    assert "step 800" in live.inner_text()
    assert "learnt from" in live.inner_text()
    page.locator("#signal-noise").focus()
    page.keyboard.press("Home")
    assert re.match(r"(facts|pairs) \(acc\): signal ", live.inner_text())
    seen.assert_quiet()


def test_a_task_keeps_its_own_points_and_panels(visit, html):
    page, seen = visit(html, query="#subsets?task=pairs")

    assert page.locator("#subsets .panel:visible h3").all_inner_texts() == ["pairs"]
    tasks = page.evaluate(
        "[...new Set(document.getElementById('signal-noise').data"
        ".flatMap(t => t.customdata ?? []).map(c => c[1]))]"
    )
    assert tasks == ["pairs"]
    cells = page.locator("#signal-noise-table tbody tr:not([hidden])")
    assert cells.count() == 2
    seen.assert_quiet()


def test_enter_on_a_signal_shows_its_task(visit, html):
    page, seen = visit(html)
    page.locator("#signal-noise").focus()
    page.keyboard.press("Home")

    page.keyboard.press("Enter")

    eventually(page, "location.hash.includes('task=')")
    assert page.locator("#subsets .panel:visible").count() == 1
    seen.assert_quiet()


@pytest.fixture(scope="module")
def averaged(simulated_store):
    """Return three tasks of models with several seeds each, and a fourth alone."""
    store = simulated_store()
    for model, seeds in (("m", (0, 1)), ("n", (0,)), ("o", (0, 1, 2))):
        for task, n in (("facts", 24), ("pairs", 30), ("sums", 40)):
            store.task(task, model=model, n_items=n, seeds=seeds, steps=STEPS)
    for model in ("m", "n"):
        store.task("alone", model=model, n_items=20, seeds=(0,), steps=STEPS)
    return store.data()


@pytest.mark.parametrize("suite", [0, 1])
@pytest.mark.parametrize("chosen", [[1], [0, 2], [0, 1, 2]])
def test_the_mean_of_chosen_tasks_is_that_of_python(visit, averaged, suite, chosen):
    page, seen = visit(render(averaged))
    found, _ = suites(averaged.signals)
    wanted = found[suite].signal_noise(chosen)
    panel = page.locator(".suite").nth(suite)
    boxes = panel.locator("input[type=checkbox]")
    assert boxes.count() == 3

    for place in chosen:
        boxes.nth(place).focus()
        page.keyboard.press("Space")

    said = panel.locator("output")
    shown = float(said.get_attribute("data-value"))
    assert shown == pytest.approx(wanted.snr.value, rel=1e-9)
    assert said.inner_text().endswith(f"SNR {text.ratio(wanted.snr.value)}")
    assert f"signal {text.spread(wanted.signal.value)}," in said.inner_text()
    assert f"noise {text.spread(wanted.noise.value)}," in said.inner_text()
    assert page.locator("#live").inner_text() == said.inner_text()
    picks = "_".join(map(str, [suite, *chosen]))
    assert page.url.endswith(f"suite={picks}")
    data = "document.getElementById('signal-noise').data"
    eventually(page, f"{data}.at(-1).marker.symbol === 'star'")
    rings, star = page.evaluate(f"{data}.slice(-2).map(t => [t.x, t.y])")
    assert star[0] == pytest.approx([wanted.noise.value])
    assert star[1] == pytest.approx([wanted.signal.value])
    own = [found[suite].tasks[k].signal_noise for k in chosen]
    assert rings[0] == pytest.approx([one.noise.value for one in own])
    assert rings[1] == pytest.approx([one.signal.value for one in own])
    seen.assert_quiet()


def test_a_link_brings_a_choice_back_and_esc_ends_it(visit, averaged):
    page, seen = visit(render(averaged), query="#signal?suite=0_0_2.1_1")
    boxes = page.locator(".suite input")
    checked = "[...document.querySelectorAll('.suite input')].map(b => +b.checked)"

    assert page.evaluate(checked) == [1, 0, 1, 0, 1, 0]
    page.locator(".suite button").nth(1).click()
    eventually(page, "location.hash.includes('suite=0_0_2.1_0_1_2')")
    page.evaluate("location.hash = '#signal?suite=1_2'")
    eventually(page, f"JSON.stringify({checked}) === '[0,0,0,0,0,1]'")
    boxes.first.focus()
    page.keyboard.press("Escape")
    eventually(page, "!location.hash.includes('suite')")
    assert page.evaluate(checked) == [0] * 6
    said = page.locator(".suite output").all_inner_texts()
    assert said == ["No task is chosen."] * 2
    eventually(
        page,
        "document.getElementById('signal-noise').data.at(-1).marker?.symbol !== 'star'",
    )
    seen.assert_quiet()


@pytest.mark.parametrize("suite", ["x", "0", "0_9", "7_0", "0_0..1_0", "0_-1"])
def test_an_unknown_choice_is_ignored(visit, averaged, suite):
    page, seen = visit(render(averaged), query=f"#signal?suite={suite}")

    assert page.locator(".suite input:checked").count() == 0
    seen.assert_quiet()


def test_choices_fit_a_narrow_screen_and_paper(visit, averaged):
    page, seen = visit(
        render(averaged),
        query="#signal?suite=0_0_2",
        viewport={"width": 390, "height": 800},
    )

    assert page.evaluate(OVERFLOW) == 0
    page.emulate_media(media="print")
    assert page.locator(".suite button:visible").count() == 0
    assert page.locator(".suite input:checked:visible").count() == 2
    assert "chosen tasks: signal" in page.locator(".suite output").first.inner_text()
    seen.assert_quiet()


def test_choice_and_cloze_stand_below_their_curves(visit, zoo):
    page, seen = visit(render(zoo))
    panel = page.locator(".panel", has=page.locator("table[id^=formulations]"))

    assert panel.count() == 1
    assert "choice less cloze is" in panel.inner_text()
    rows = panel.locator("table[id^=formulations] tbody tr")
    assert rows.count() == len(zoo.comparisons) == 2
    page.locator("#filter-model").select_option("zoo-large")
    eventually(page, "location.hash.includes('model=')")
    visible = panel.locator("table[id^=formulations] tbody tr:visible")
    assert visible.count() == 1
    seen.assert_quiet()


def test_narrow_screens_and_paper_have_no_overflow(visit, html):
    page, seen = visit(html, viewport={"width": 390, "height": 800})

    assert page.evaluate(OVERFLOW) == 0
    page.emulate_media(media="print")
    eventually(page, "document.documentElement.dataset.theme === 'light'")
    page.set_viewport_size({"width": 688, "height": 960})
    eventually(page, f"{OVERFLOW} === 0")
    seen.assert_quiet()


def test_hostile_names_stay_text(visit, hostile):
    page, seen = visit(render(hostile))

    section = page.locator("#signal").inner_text()
    assert "<b>evil</b>" in section
    assert page.locator("#signal b:text-is('evil')").count() == 0
    seen.assert_quiet()


def test_without_scripts_menus_are_gone_and_tables_stay(visit, html):
    page, seen = visit(html, ready=False, java_script_enabled=False)

    assert page.locator(".menu:visible").count() == 0
    assert page.locator(".suite input:visible").count() == 0
    assert "Mean of all of them: signal" in page.locator(".suite p").first.inner_text()
    assert page.locator("#subset-0-frontier-table").count() == 1
    assert page.locator("#subsets code.command").first.is_visible()
    assert seen.remote == []
