"""The page as text: escapes, determinism, what is said where data are missing."""

import hashlib
import json
import re
from importlib.metadata import files as installed_files
from importlib.resources import files

import plotly.offline
import pytest
from report.reading import figures_in, unpacked

from harness.report import page, text
from harness.report.figures.style import DARK, LIGHT, NAME, escape, theme_map, tint

VENDOR = files("harness.report") / "vendor"


def _contrast(one, other):
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(scope="module")
def zoo_html(zoo):
    return page.render(zoo)


@pytest.fixture(scope="module")
def hostile_html(hostile):
    return page.render(hostile)


def test_bundle_is_the_one_that_plotly_py_writes_for():
    assert plotly.offline.get_plotlyjs_version() == page.PLOTLY_JS


def test_bundle_is_unchanged_and_has_its_licence():
    digest, name = (VENDOR / f"{page.BUNDLE}.sha256").read_text().split()

    assert name == page.BUNDLE
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
    assert (VENDOR / "LICENSE").read_text().startswith("MIT License")
    assert f"v{page.PLOTLY_JS}" in page.bundle_text()[:100]


def test_bundle_can_stand_in_a_script():
    assert "</script" not in page.bundle_text().lower()
    assert "<!--" not in page.bundle_text()
    assert "\r" not in page.bundle_text()


def test_same_data_same_page(zoo, zoo_html):
    assert page.render(zoo) == zoo_html


def test_page_has_all_sections(zoo_html):
    for name in ("summary", "scoreboard", "trend", "noise", "items", "method", "data"):
        assert f'<section id="{name}">' in zoo_html


def test_page_names_no_address(zoo_html):
    ours = zoo_html.replace(page.bundle_text(), "")

    assert re.findall(r"(?:src|href)=\"(?!#)[^\"]*", ours) == []
    assert "http" not in ours.replace("http-equiv", "")


def test_page_is_small_enough_to_send(zoo_html):
    own = zoo_html.replace(page.bundle_text(), "")

    assert len(own.encode()) < 2_500_000


def test_policy_allows_just_the_two_scripts(zoo_html):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', zoo_html)[1]
    policy = policy.replace("&#39;", "'")
    scripts = re.findall(r"<script>(.*?)</script>", zoo_html, re.DOTALL)

    assert policy == page.content_security_policy(*scripts)
    assert len(scripts) == 2
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("style-src")[0]


def test_hostile_names_are_escaped_in_html(hostile_html):
    assert "<b>evil" not in hostile_html
    assert "<img" not in hostile_html
    assert "alert(1)</script>" not in hostile_html
    assert hostile_html.count("<script") == 4
    assert "{{ 7 * 7 }}" in hostile_html


def test_hostile_names_cannot_end_the_script_of_their_json(hostile_html):
    raw = page.script_json(json.loads(unpacked(hostile_html)))

    assert not set("<>&\u2028\u2029") & set(raw)
    assert json.loads(raw) == figures_in(hostile_html)


def test_hostile_names_are_escaped_for_plotly(hostile_html):
    figures = figures_in(hostile_html)

    shown = []
    for figure in figures.values():
        for trace in figure["data"]:
            shown += [trace.get("name", ""), *trace.get("text", ())]
            shown += [y for y in trace.get("y", ()) if isinstance(y, str)]
        shown += [note["text"] for note in figure["layout"].get("annotations", ())]
        shown += [figure["layout"]["xaxis"].get("title", {"text": ""})["text"]]
    assert any("&lt;b&gt;" in words for words in shown)
    assert not any("<" in words for words in shown)


def test_json_cannot_end_its_script():
    dumped = page.script_json({"a": "</script><!--\u2028&"})

    assert not set("<>&\u2028") & set(dumped)
    assert json.loads(dumped) == {"a": "</script><!--\u2028&"}


def test_labels_keep_what_plotly_would_take_for_markup():
    assert escape("a<br>b & <i>c</i>") == "a&lt;br&gt;b &amp; &lt;i&gt;c&lt;/i&gt;"


def test_labels_are_no_templates_of_plotly():
    """In ``%{`` plotly would look up a variable; ``&#123;`` is shown as a brace."""
    assert escape("%{meta.model} task") == "%&#123;meta.model} task"
    assert escape("{{ x }} %") == "{{ x }} %"


def test_rows_at_chance_have_hollow_marks_in_the_figure_of_snr(zoo, zoo_html):
    figures = figures_in(zoo_html)
    traces = {trace["name"]: trace for trace in figures["noise-snr"]["data"]}
    labels = text.labels(zoo.variance, limit=NAME)
    at_chance = {
        label
        for label, row in zip(labels, zoo.variance, strict=True)
        if text.is_at_chance(row)
    }

    assert at_chance
    for kind in ("discrete", "continuous"):
        plain, hollow = traces[kind], traces[f"{kind}, at chance"]
        assert set(hollow["y"]) == at_chance
        assert not at_chance & set(plain["y"])
        assert hollow["marker"]["symbol"] == f"{plain['marker']['symbol']}-open"
        assert hollow["offsetgroup"] == plain["offsetgroup"]
    assert f"{len(at_chance)} rows at chance, with hollow marks" in zoo_html


def test_without_a_row_at_chance_no_mark_is_hollow(little):
    assert "at chance" not in "".join(text.noise_sentences(little.variance))


def test_bands_are_those_of_the_data(simulated):
    simulated.task("a", n_items=6, steps=(0, 100, 200, 400), seeds=(0, 1, 2, 3))
    data = simulated.data()
    figures = figures_in(page.render(data))

    band = figures["trend-0-discrete"]["data"][0]["y"]
    points = data.rows[0].discrete
    assert band[: len(points)] == [point.high for point in points]
    assert max(band) == 1


def test_methods_are_those_of_numbers_that_are_defined(zoo_html, little):
    html = page.render(little)
    methods = html.partition("As computed here")[2].partition("</dl>")[0]

    assert "Mean µ" in methods
    for name in ("Seed SD", "SNR", "Monotonicity"):
        assert name not in methods
    assert "Seed SD, last checkpoint" in zoo_html.partition("As computed here")[2]


def test_rows_of_other_settings_are_told_apart_on_the_page(simulated):
    for dtype in ("float16", "float32"):
        simulated.task("a", n_items=20, steps=(0, 10), dtype=dtype)
    simulated.task("b", n_items=20, steps=(0, 10), generates=True)
    hot = '{"temperature": 0.7}'
    simulated.task("b", n_items=20, steps=(0, 10), generates=True, generation=hot)
    simulated.fail("a", steps=(20,), dtype="float16")
    html = page.render(simulated.data())
    tables = {
        name: html.partition(f'id="{name}"')[2].partition("</table>")[0]
        for name in ("scoreboard-table", "noise-table", "trend-0-discrete-table")
    }

    for table in tables.values():
        assert "dtype float16" in table
        assert "dtype float32" in table
    assert "temperature 0.7" in tables["scoreboard-table"]
    assert "temperature 0.7" in tables["noise-table"]
    assert tables["scoreboard-table"].count("5 trials failed") == 1
    assert "no result" not in tables["scoreboard-table"]
    figures = figures_in(html)
    looks = {
        (trace["line"]["color"], trace["line"]["dash"])
        for trace in figures["trend-0-discrete"]["data"]
        if trace.get("mode") == "lines+markers"
    }
    assert len(looks) == 2
    assert 'id="caution-mixed-settings"' in html


def test_seeds_that_leave_chance_open_are_a_badge_of_the_scoreboard(simulated):
    for seed in (0, 1):  # one of the two learns
        simulated.task("a", n_items=80, steps=(800,), seeds=(seed,), learns=seed == 0)
    data = simulated.data()
    (row,) = data.variance
    assert text.is_open_over_seeds(row)
    assert not text.is_at_chance(row)

    board = page.render(data).partition('id="scoreboard-table"')[2]

    assert "seeds leave it open" in board.partition("</table>")[0]


def test_every_figure_has_a_sentence_and_its_numbers_in_a_table(zoo_html):
    figures = figures_in(zoo_html)

    for name in figures:
        block = zoo_html.partition(f'data-figure="{name}"')[2].partition("</figure>")[0]
        assert 'class="say">' in block
        elsewhere = re.search('href="#((?:noise|items-[0-9]+-explorer)-table)"', block)
        assert f'id="{name}-table"' in block or f'id="{elsewhere[1]}"' in zoo_html


def test_partial_and_failed_are_badges(zoo_html):
    scoreboard = zoo_html.partition('id="scoreboard"')[2].partition("</section>")[0]

    assert "partial: 30 of 900 items" in scoreboard
    assert "4 trials failed" in scoreboard
    assert "no result" in scoreboard
    assert zoo_html.count("partial: 30 of 900 items") >= 3


def test_an_undefined_number_is_a_dash_with_its_reason(little):
    html = page.render(little)

    assert "needs at least 2 training seeds, has 1" in html
    assert ">nan<" not in html.lower()
    assert 'data-value="nan"' not in html.lower()


def test_one_checkpoint_says_what_is_missing(little):
    html = page.render(little)

    assert "one step only, so there is no curve" in html
    assert "list more steps" in html


def test_no_likelihood_says_so(zoo_html):
    assert "No likelihood was stored, so there is no continuous score." in zoo_html


def test_nothing_done_names_the_commands(nothing):
    html = page.render(nothing)

    assert "<code>evalvar run SUITE</code>" in html
    assert "no space left" in html
    assert figures_in(html) == {}


def test_paths_of_the_machine_stay_out(zoo_html):
    assert "/nowhere/else" not in zoo_html


@pytest.mark.parametrize("ground", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_seen_on_their_ground(ground):
    for colour in (ground["ink"], ground["muted"], *ground["series"]):
        assert _contrast(colour, ground["paper"]) >= 4.5
    for colour in ground["series"][:2]:
        assert _contrast(ground["ink"], tint(colour, ground)) >= 4.5


def test_every_colour_of_a_figure_has_its_dark_one(zoo_html):
    figures = figures_in(zoo_html)
    raw = json.dumps(figures)

    used = set(re.findall(r'"(#[0-9a-fA-F]{3,8}|rgba?\([^"]*\))"', raw))
    assert used
    assert used <= set(theme_map())


def test_the_installed_package_has_the_page_s_files():
    try:
        names = {str(path) for path in installed_files("evalvar") or ()}
    except ModuleNotFoundError:
        pytest.skip("evalvar is not installed")
    if not any(name.startswith("harness/report/") for name in names):
        pytest.skip("evalvar is installed from a link to its sources")
    for name in ("page.html.j2", "page.css", "page.js"):
        assert f"harness/report/templates/{name}" in names
    assert f"harness/report/vendor/{page.BUNDLE}" in names
