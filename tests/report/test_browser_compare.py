"""A comparison in a real browser: one state, in figures, tables and address."""

import pytest
from report import comparing, gating
from report.browsing import OVERFLOW, READY, Seen, eventually
from report.test_compare_view import hostile
from report.test_page import _contrast

from harness.report.page import page_of, render_comparison, render_gate
from harness.report.views.regressions import regressions_section

pytestmark = pytest.mark.browser

TICKS = (
    "[...document.querySelectorAll('#{} .ytick text')]"
    ".sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y)"
    ".map(t => t.textContent)"
)
"""Labels of rows from top to bottom."""
FOREST = TICKS.format("difference-forest")
FLIPS = TICKS.format("flip-bars")


def three():
    """Return three models at three tasks, of which one is clear."""
    return comparing.comparison(
        [
            comparing.task_comparison("arc", {"base": 0.5, "a": 0.6, "b": 0.42}),
            comparing.task_comparison("boolq", {"base": 0.5, "a": 0.51, "b": 0.49}),
            comparing.task_comparison(
                "toy", {"base": 0.5, "a": 0.6, "b": 0.5}, verdicts={"a": "too few data"}
            ),
        ]
    )


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """Return an opener of pages that stay open, each in its own context."""
    contexts = []

    def open_page(html, query="", **options):
        path = tmp_path_factory.mktemp("page") / "page.html"
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page, seen = context.new_page(), Seen()
        page.on("console", lambda message: seen.console.append(message.text))
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("requestfailed", lambda request: seen.failures.append(request.url))
        page.goto(path.as_uri() + query)
        page.wait_for_selector(READY, timeout=20_000)
        return page, seen

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def shared(opened):
    return opened(render_comparison(three(), title="Three"))


@pytest.fixture
def page(shared):
    """Return the shared page with nothing chosen, and hold it quiet afterwards."""
    page, seen = shared
    yield page
    seen.assert_quiet()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    eventually(page, "!location.hash.includes('?')")


def rows(page, table):
    return page.locator(f"#{table} tbody tr:not([hidden])")


def test_all_is_drawn_and_the_navigation_leads_there(page):
    for name in ("difference-forest", "flip-bars", "pair-map"):
        assert page.locator(f"#{name} svg.main-svg").count() > 0
    page.get_by_role("link", name="Flips").click()
    assert page.evaluate("location.hash") == "#flips"
    assert page.locator("nav a").all_inner_texts() == [
        "Summary",
        "Differences",
        "Scoreboard",
        "Flips",
        "Pairs",
    ]


def test_a_point_chooses_its_task_everywhere(page):
    page.locator("#difference-forest").focus()
    page.keyboard.press("Home")
    assert "▲ better" in page.locator("#live").inner_text()

    page.keyboard.press("Enter")
    eventually(page, "location.hash.includes('task=arc')")
    eventually(page, f'JSON.stringify({FOREST}) === \'["arc","average of 3 tasks"]\'')
    assert page.evaluate(FLIPS) == ["arc"]
    assert rows(page, "standings-table").count() == 2
    assert page.locator("#pair-map svg").count() > 0
    assert page.locator("select[data-for=pair-map]").input_value() == "1"
    assert "lost 10: 0, 1, 2" in page.locator("#flipped").inner_text()
    page.keyboard.press("Escape")
    eventually(page, f"{FLIPS}.length === 3")
    assert page.locator("#flipped").is_hidden()


def test_the_same_point_again_shows_everything(page):
    page.locator("#flip-bars").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    eventually(page, f"{FLIPS}.length === 1")
    page.locator("#flip-bars").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    eventually(page, f"{FLIPS}.length === 3")


def test_menus_choose_the_candidate_for_all_figures(page):
    page.locator("select[data-for=difference-forest]").select_option(label="b")

    eventually(page, "location.hash.includes('model=b')")
    assert page.locator("select[data-for=flip-bars]").input_value() == "1"
    assert page.locator("#filter-model").input_value() == "b"
    heads = page.locator("#standings-table thead th:visible").all_inner_texts()
    assert heads == ["Task", "base (baseline)", "b"]
    names = rows(page, "difference-forest-table").locator("td:nth-child(2)")
    assert set(names.all_text_contents()) == {"b"}


def test_cells_of_the_map_are_walked_over_and_choose_a_candidate(page):
    page.locator("#pair-map").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    live = page.locator("#live").inner_text()
    assert live.startswith("average of 3 tasks: base − a −0.070 [")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    eventually(page, "location.hash.includes('model=')")


def test_verdicts_and_words_filter_rows(page):
    page.locator("#filter-verdict").select_option("too few data")
    eventually(page, f"{FOREST}.includes('toy')")
    assert "arc" not in page.evaluate(FOREST)
    assert "verdict=too+few+data" in page.evaluate("location.hash")
    assert rows(page, "difference-forest-table").count() == 1
    page.locator("#filter-verdict").select_option("")
    page.locator("#filter-text").fill("BOOL")
    eventually(page, f"{FLIPS}.length === 1")
    assert page.evaluate(FLIPS) == ["boolq"]
    assert rows(page, "flip-bars-table").count() == 2


def test_rows_of_text_stay_and_rows_can_be_reordered(page):
    notes = page.locator("#difference-forest .annotation-text").all_text_contents()
    assert notes == ["… too few data: 200 items; 30 needed"]
    page.locator("#forest-order").select_option("name")
    eventually(page, f"{FOREST}[0] === 'arc'")
    assert page.evaluate(FOREST) == ["arc", "boolq", "toy", "average of 3 tasks"]
    page.locator("#forest-order").select_option("")


def test_a_link_brings_task_candidate_and_filters_back(opened):
    query = "#flips?task=arc&model=b&verdict=worse"
    page, seen = opened(render_comparison(three(), title="Three"), query)

    assert page.evaluate(FOREST) == ["arc"]
    assert page.locator("#filter-verdict").input_value() == "worse"
    assert "arc, b: places of items" in page.locator("#flipped").inner_text()
    assert page.evaluate("location.hash") == query
    page.goto(page.url.split("#")[0] + "#?task=nobody&model=<img>")
    eventually(page, f"{FOREST}.length === 4")
    seen.assert_quiet()


@pytest.mark.parametrize(
    "make", [three, comparing.two, hostile], ids=lambda f: f.__name__
)
def test_a_narrow_screen_scrolls_one_way_only(opened, make):
    page, seen = opened(
        render_comparison(make(), title="N"), viewport={"width": 390, "height": 800}
    )

    assert page.evaluate(OVERFLOW) == 0
    seen.assert_quiet()


def test_hostile_names_are_text(opened):
    page, seen = opened(render_comparison(hostile(), title="<b>evil</b>"))

    assert page.locator("b:text-is('evil'), main img").count() == 0
    assert page.evaluate(FOREST)[0].startswith("<b>evil</b>")
    page.locator("#difference-forest").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    eventually(page, "!document.getElementById('flipped').hidden")
    assert "<b>evil</b>" in page.locator("#flipped h4").inner_text()
    seen.assert_quiet()


COLOURS = """[...document.querySelectorAll('{}')].map(e => {{
  let ground = e;
  const under = () => getComputedStyle(ground).backgroundColor;
  while (under() === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
  return [getComputedStyle(e).color, under()];
}})"""


def _hex(colour):
    parts = [int(part) for part in colour[4:-1].split(",")]
    return "#" + "".join(f"{part:02x}" for part in parts)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_red_gate_can_be_read_and_filtered(opened, scheme):
    page, seen = opened(render_gate(gating.red(), title="Night"), color_scheme=scheme)

    assert page.locator("#gate-forest svg.main-svg").count() > 0
    some = (
        ".verdict, td.worse, td.better, .chips li, #gate-forest-table small, .facts dt"
    )
    pairs = page.evaluate(COLOURS.format(some))
    assert len(pairs) > 20
    for ink, ground in {tuple(pair) for pair in pairs}:
        assert _contrast(_hex(ink), _hex(ground)) >= 4.5
    hidden = page.locator("#main tbody tr[hidden]")
    assert page.locator("#flip-bars-table tbody tr").count() > 1
    assert hidden.count() == 0
    page.locator("#filter-state").select_option("regression")
    eventually(page, f"{TICKS.format('gate-forest')}.length === 1")
    assert rows(page, "gate-forest-table").first.text_content().strip()[:5] == "boolq"
    seen.assert_quiet()


def test_regressions_filter_by_state_and_print(opened):
    from report.test_regressions_view import courses

    from harness.report.section import Filters

    some = courses()
    filters = Filters(tasks=("arc_easy",), models=(), states=("known", "recovered"))
    page, seen = opened(
        page_of([filters.section, regressions_section(some)], title="t", kind="k"),
        viewport={"width": 390, "height": 800},
    )

    assert page.evaluate(OVERFLOW) == 0
    assert page.locator("#regressions-table svg").count() == 3
    page.locator("#filter-state").select_option("known")
    assert rows(page, "regressions-table").count() == 1
    page.emulate_media(media="print")
    eventually(page, "document.documentElement.dataset.theme === 'light'")
    seen.assert_quiet()


def test_ten_models_fit_on_paper(opened):
    names = ["base", *(f"org/model-{i}" for i in range(9))]
    tasks = [
        comparing.task_comparison(f"subject_{k}", dict.fromkeys(names, 0.5))
        for k in range(3)
    ]
    page, seen = opened(render_comparison(comparing.comparison(tasks), title="Ten"))
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 960})

    eventually(page, f"{OVERFLOW} === 0")
    seen.assert_quiet()


def test_bars_of_a_narrow_screen_leave_names_and_counts_their_room(opened):
    task = comparing.task_comparison(
        "zoo_sequences_cloze", {"base": 0.1, "a": 0.9}, flips=lost_most()
    )
    page, seen = opened(
        render_comparison(comparing.comparison([task]), title="N"),
        viewport={"width": 390, "height": 800},
    )
    boxes = page.evaluate(
        "(() => { const box = (some) => [...document.querySelectorAll("
        "'#flip-bars ' + some)].map((e) => e.getBoundingClientRect());"
        "return {names: box('.annotation'), bars: box('.bars .point path'),"
        "words: box('.bars text'), plot: box('.main-svg')}; })()"
    )

    name = boxes["names"][0]
    assert name["bottom"] <= min(bar["top"] for bar in boxes["bars"])
    left = boxes["plot"][0]["left"]
    assert all(left <= w["left"] and w["right"] <= 390 for w in boxes["words"])
    seen.assert_quiet()


def lost_most():
    """Return items that flipped, nearly all of them for the worse."""
    return comparing.Flips(
        n_worse=208,
        n_better=90,
        n_equal=2,
        n_lost=None,
        n_gained=None,
        n_both=None,
        n_neither=None,
    )
