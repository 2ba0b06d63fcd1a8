"""Sources of noise, sliders and curves in a real browser, against Python's numbers."""

import math

import pytest
from report.browsing import OVERFLOW, eventually

from harness.report.gather import gather
from harness.report.page import render
from harness.report.views.ledger import POWER, ledger_view
from harness.stats.power.noise import noise_of_score

pytestmark = pytest.mark.browser

FOUND = "document.getElementById('ledger-power').data"


@pytest.fixture(scope="module")
def data(simulated_store):
    """Two models on one task, one of them on another too."""
    store = simulated_store()
    for model in ("m", "n"):
        store.task("facts", model=model, n_items=40, seeds=(0, 1, 2), steps=(20,))
    store.task("pairs", model="m", n_items=30, n_choices=2, seeds=(0, 1), steps=(20,))
    return gather(store.responses, store.attempts, title="t")


@pytest.fixture(scope="module")
def html(data):
    return render(data)


def stop(data, row, facet, count):
    return ledger_view(data).plan["plans"][row]["levels"][facet].index(count)


def said(page, name):
    return float(page.locator("#plan-said").get_attribute(f"data-{name}"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_figures_are_drawn_and_quiet(visit, html, scheme):
    page, seen = visit(html, color_scheme=scheme)

    for name in ("ledger-sources", "ledger-power"):
        assert page.locator(f"#{name} svg.main-svg").count() > 0
    assert page.locator("#ledger-sources .barlayer .trace").count() >= 3
    assert page.locator("#ledger-sources pattern").count() > 0
    seen.assert_quiet()


@pytest.mark.parametrize(
    ("row", "counts", "fixed"),
    [
        (1, {}, []),
        (1, {"item": 200}, []),
        (1, {"item": 10, "train_seed": 5}, []),
        (0, {"train_seed": 16}, ["item"]),
        (2, {"item": 100, "train_seed": 1}, []),
        (2, {"train_seed": 32}, ["train_seed"]),
    ],
)
def test_the_page_predicts_as_python_does(visit, data, html, row, counts, fixed):
    changes = [f"{f}-{stop(data, row, f, n)}" for f, n in counts.items()]
    plan = ".".join([str(row), *changes, *(f"{f}-fixed" for f in fixed)])
    page, seen = visit(html, query=f"#ledger?plan={plan}")
    ledger, power = data.ledgers[row].ledger, data.powers[row]
    assert power.scores.task == data.ledgers[row].scores.task

    variance = ledger.predicted_variance(counts, fixed=fixed)
    noise = noise_of_score(ledger, fixed=fixed)
    found = type(power.difference)(
        of="difference",
        sources=tuple(
            s for s in power.difference.sources if not {*s.facets} <= {*fixed}
        ),
        counts=power.difference.counts,
        fixed=tuple(fixed),
        unknown=power.difference.unknown,
        confidence_level=0.95,
    ).detectable(counts, power=POWER)

    assert noise.se(counts).value == pytest.approx(
        math.sqrt(variance) if variance > 0 else math.nan, nan_ok=True
    )
    wanted = math.sqrt(variance) if variance > 0 else math.nan
    assert said(page, "se") == pytest.approx(wanted, rel=1e-9, nan_ok=True)
    assert said(page, "found") == pytest.approx(found.value, rel=1e-3, nan_ok=True)
    seen.assert_quiet()


def test_sliders_move_by_keys_and_add_a_point(visit, data, html):
    page, seen = visit(html, query="#ledger?plan=1")
    before = said(page, "se")
    n_traces = page.evaluate(f"{FOUND}.length")
    (curve, *_) = ledger_view(data).drawn[1].extra["choices"][1]["traces"]

    slider = page.get_by_label("items", exact=True)
    assert slider.get_attribute("aria-valuetext") == "30 items"
    assert page.evaluate(f"{FOUND}[0].y") == curve["y"]
    slider.focus()
    page.keyboard.press("ArrowRight")

    eventually(page, f"{FOUND}.length === {n_traces + 1}")
    assert said(page, "se") < before
    assert "(as run 30)" in page.locator("output[for='plan-item']").inner_text()
    assert page.evaluate(f"{FOUND}.at(-1).name") == "what if"
    assert "narrower" in page.locator("#live").inner_text()
    assert "plan=1.item-" in page.url
    page.keyboard.press("Escape")
    eventually(page, f"{FOUND}.length === {n_traces}")
    assert "plan=" not in page.url
    seen.assert_quiet()


def test_what_is_held_is_said_and_moves_the_curves(visit, html):
    page, seen = visit(html, query="#ledger?plan=1")
    before = page.evaluate(f"{FOUND}[0].y")
    meant = page.locator("#plan-meant")
    assert "drawn: items, training seeds. Fixed: this step, this template." in (
        meant.inner_text()
    )

    page.get_by_label("only these items").check()

    assert "drawn: training seeds. Fixed: these items, this step" in meant.inner_text()
    eventually(page, f"{FOUND}[0].y[0] !== {before[0]}")
    page.get_by_role("button", name="As run").click()
    eventually(page, f"{FOUND}[0].y[0] === {before[0]}")
    seen.assert_quiet()


def test_what_matters_is_the_reader_s_to_say(visit, html):
    page, seen = visit(html)
    delta = page.get_by_label("Difference that matters")
    line = f"{FOUND}.find((t) => t.name.startsWith('what matters')).y[0]"
    assert page.evaluate(line) == 0.01
    assert "not enough for a difference of 0.01" in (
        page.locator("#plan-said").inner_text()
    )

    delta.fill("0.9")
    delta.press("Enter")

    eventually(page, f"{line} === 0.9")
    assert ": enough for a difference of 0.9" in page.locator("#live").inner_text()
    assert "delta=0.9" in page.url
    page.reload()
    eventually(page, "document.body.dataset.ready === 'true'")
    assert delta.input_value() == "0.9"
    seen.assert_quiet()


def test_a_bar_puts_its_score_to_the_sliders(visit, html):
    page, seen = visit(html)

    page.locator("#ledger-sources").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    assert "pairs · m" in page.locator("#live").inner_text()
    page.keyboard.press("Enter")

    assert page.locator("#plan-row").input_value() == "1"
    assert "What if: pairs · m" in page.locator("#live").inner_text()
    seen.assert_quiet()


def test_bars_are_shares_or_variances(visit, data, html):
    page, seen = visit(html)
    share, variance = ledger_view(data).drawn[0].menu.choices
    x = "document.getElementById('ledger-sources').data[0].x"
    assert page.evaluate(x) == share.traces[0]["x"]

    page.locator("select[data-for='ledger-sources']").select_option("1")

    eventually(page, f"{x}[0] === {variance.traces[0]['x'][0]}")
    title = page.locator("#ledger-sources .xtitle")
    assert title.text_content() == "variance of the mean score"
    seen.assert_quiet()


def test_filters_leave_the_scores_they_name(visit, html):
    page, seen = visit(html)

    page.locator("#filter-task").select_option("pairs")

    eventually(page, "document.getElementById('ledger-sources').data[0].y.length <= 1")
    assert page.locator("#plan-row").input_value() == "1"
    assert page.locator("#plan-row option:not([hidden])").count() == 1
    rows = page.locator("#ledger-power-table tbody tr:not([hidden])")
    assert {row.get_attribute("data-task") for row in rows.all()} == {"pairs"}
    seen.assert_quiet()


def test_an_address_that_is_none_is_ignored(visit, html):
    for plan in ("9", "0.item-999", "0.moon-1", "x", "1.template-fixed"):
        page, seen = visit(html, query=f"#ledger?plan={plan}&delta=-1")
        assert page.locator("#plan-row").input_value() == "0"
        assert page.locator("#plan-delta").input_value() == "0.01"
        seen.assert_quiet()


def test_one_checkpoint_has_what_it_can(visit, little):
    page, seen = visit(render(little))

    assert page.locator(".plan-facets > div:not([hidden])").count() == 1
    meant = page.locator("#plan-meant").inner_text()
    assert "this training seed" in meant
    assert meant.endswith("Correlation of two models over items: 0.50 (assumed).")
    assert page.locator("#ledger-power svg.main-svg").count() > 0
    seen.assert_quiet()


def test_narrow_and_print_have_no_overflow(visit, html):
    page, seen = visit(html, viewport={"width": 390, "height": 800})

    assert page.evaluate(OVERFLOW) == 0
    page.emulate_media(media="print")
    eventually(page, "document.documentElement.dataset.theme === 'light'")
    page.set_viewport_size({"width": 688, "height": 960})
    eventually(page, f"{OVERFLOW} === 0")
    seen.assert_quiet()


def test_hostile_names_stay_text(visit, hostile):
    page, seen = visit(render(hostile))

    assert "<b>evil</b>" in page.locator("#plan-row").inner_text()
    assert page.locator("#ledger b:text-is('evil')").count() == 0
    seen.assert_quiet()


def test_without_scripts_the_tables_stay(visit, html):
    page, seen = visit(html, ready=False, java_script_enabled=False)

    assert page.locator("#plan:visible").count() == 0
    assert page.locator("#ledger-sources-table").count() == 1
    assert page.locator("#ledger-power-table").count() == 1
    assert seen.remote == []
