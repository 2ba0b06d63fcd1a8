"""The page of a comparison as text: what is said, of what, and what is left out."""

import json
import re
from dataclasses import replace

import pytest
from report import comparing
from report.reading import figures_in, unpacked

from harness.report.figures.style import theme_map
from harness.report.page import bundle_text, render_comparison, script_json

HOSTILE = "<b>evil</b></script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def two():
    return render_comparison(comparing.two(), title="Two")


@pytest.fixture(scope="module")
def three():
    scores = {"base": 0.5, "a": 0.6, "b": 0.49}
    tasks = [comparing.task_comparison(name, scores) for name in ("t1", "t2")]
    return comparing.comparison(tasks)


def sections(html):
    return re.findall(r'<section id="([^"]+)"', html)


def rows_of(html, name):
    table = html.partition(f'<table id="{name}"')[2].partition("</table>")[0]
    return re.findall(r"<tr[^>]*>.*?</tr>", table.partition("<tbody>")[2], re.DOTALL)


def test_a_comparison_has_its_own_sections_and_a_navigation_of_them(two):
    names = sections(two)

    assert names == ["compared", "differences", "standings", "flips"]
    assert re.findall(r'<li><a href="#([^"]+)">', two) == names
    assert set(figures_in(two)) == {"difference-forest", "flip-bars"}


def test_same_comparison_same_page(two):
    assert render_comparison(comparing.two(), title="Two") == two


def test_every_verdict_has_its_sign_and_word(two):
    shown = "".join(rows_of(two, "difference-forest-table"))

    for words in (
        "▲ better",
        "▼ worse",
        "≈ no worse (by no more than 0.020)",
        "~ unclear",
    ):
        assert words in shown
    for words in ("… too few data", "≠ not comparable", "chat template differs"):
        assert words in shown


def test_rows_are_in_order_of_their_lower_bound_and_the_average_is_last(two):
    (candidate,) = figures_in(two)["difference-forest"]["candidates"]

    labels = [row["label"] for row in candidate["rows"]]
    assert labels[:4] == ["arc_easy", "hellaswag", "piqa", "boolq"]
    assert labels[-1] == "average of 6 tasks"


def test_what_has_no_place_is_a_row_of_text_and_does_not_scale_the_axis(two):
    (candidate,) = figures_in(two)["difference-forest"]["candidates"]

    notes = {row["label"]: row["note"] for row in candidate["rows"] if row["note"]}
    drawn = [y for trace in candidate["traces"][1:] for y in trace["y"]]
    assert notes == {
        "toy": "… too few data: 200 items; 30 needed",
        "winogrande": "≠ not comparable: chat template differs",
    }
    assert not set(notes) & set(drawn)
    assert -0.2 < candidate["range"][0] < candidate["range"][1] < 0.2


def test_what_was_not_compared_is_said(two):
    assert "lambada, next: next was not asked this task." in two
    assert "2 of 3 repeats of base are copies and count once" in two


def test_candidates_have_a_menu_and_pairs_a_map(three):
    html = render_comparison(three, title="Three")
    figures = figures_in(html)

    assert [c["name"] for c in figures["difference-forest"]["candidates"]] == ["a", "b"]
    assert '<select data-for="difference-forest">' in html
    assert [one["y"] for one in figures["pair-map"]["menu"]["choices"]] == [""] * 3
    traces = figures["pair-map"]["menu"]["choices"][1]["traces"][0]
    assert traces["text"][0][1:] == ["−0.100", "~ +0.010"]
    assert traces["z"][0][0] is None
    assert len(rows_of(html, "pair-map-table")) == 9


def test_ranks_that_are_open_have_a_tilde(three):
    html = render_comparison(three, title="Three")
    first = rows_of(html, "standings-table")[0]

    assert "rank 2–3" in first
    assert "rank 1<" in first
    assert "~" not in first
    assert "0.610 ~" not in html


def test_the_baseline_stays_whichever_candidate_is_shown(three):
    html = render_comparison(three, title="Three")

    head = html.partition('<table id="standings-table"')[2].partition("</thead>")[0]
    assert re.findall(r'data-model="([^"]*)"', head) == ["a", "b"]
    assert "base (baseline)" in head


def test_few_flips_name_the_exact_test():
    flips = comparing.Flips(
        n_worse=3,
        n_better=1,
        n_equal=196,
        n_lost=3,
        n_gained=1,
        n_both=100,
        n_neither=96,
        lost=(5, 7, 9),
        gained=(11,),
    )
    task = comparing.task_comparison("t", {"a": 0.5, "b": 0.49}, flips=flips)
    html = render_comparison(comparing.comparison([task]), title="Few")

    assert "fewer than 10 flipped: exact test" in html
    (bars,) = figures_in(html)["flip-bars"]["candidates"]
    assert bars["rows"][0]["items"] == [[5, 7, 9], [11]]
    assert bars["traces"][0]["text"] == ["lost 3"]
    assert bars["axis"]["ticktext"] == ["3", "2", "1", "0", "1", "2", "3"]


def test_items_that_flipped_are_kept_up_to_a_limit():
    task = comparing.task_comparison("t", {"a": 0.2, "b": 0.9})
    html = render_comparison(comparing.comparison([task]), title="Many flips")

    (bars,) = figures_in(html)["flip-bars"]["candidates"]
    assert bars["rows"][0]["counts"][1] > 40
    assert len(bars["rows"][0]["items"][1]) == 40


def test_nothing_compared_names_the_command():
    empty = comparing.comparison([], choices=comparing.two().choices)
    html = render_comparison(empty, title="Nothing")

    assert "<code>evalvar compare STORE</code>" in html
    assert "No task was put to both a candidate and the baseline." in html
    assert figures_in(html) == {}


def test_mismatches_stand_before_the_numbers():
    from harness.stats.comparable import Mismatch

    mismatch = Mismatch(
        what="chat template",
        first="a",
        second="b",
        blocks=True,
        text=f"chat template differs: {HOSTILE}",
    )
    task = comparing.task_comparison("t", {"a": 0.2, "b": 0.9}, mismatches=(mismatch,))
    html = render_comparison(comparing.comparison([task]), title="Differs")

    section = html.partition('<section id="differences"')[2]
    assert section.index("chat template differs") < section.index("<figure")
    assert HOSTILE not in html


def hostile():
    """Return a comparison whose every name tries to be markup."""
    task = comparing.task_comparison(
        HOSTILE,
        {f"{HOSTILE} a": 0.4, f"{HOSTILE} b": 0.5, "%{x} c": 0.6},
        reason=HOSTILE,
    )
    other = comparing.task_comparison(
        f"{HOSTILE} 2",
        {f"{HOSTILE} a": 0.4, f"{HOSTILE} b": 0.5},
        verdicts={f"{HOSTILE} b": "too few data"},
        reason=HOSTILE,
    )
    return comparing.comparison(
        [task, other],
        uncompared=((HOSTILE, HOSTILE),),
        cautions=(comparing.Caution("replayed-repeats", HOSTILE),),
    )


def test_hostile_names_are_text_everywhere():
    html = render_comparison(hostile(), title=HOSTILE)
    figures = figures_in(html)

    assert "<b>evil" not in html
    assert html.count("<script") == 4
    forest = figures["difference-forest"]["candidates"][0]
    shown = [row["label"] for row in forest["rows"]]
    shown += [row["note"] for row in forest["rows"]]
    shown += [words for trace in forest["traces"][2:] for words in trace["text"]]
    shown += figures["pair-map"]["menu"]["choices"][0]["traces"][0]["x"]
    shown.append(figures["difference-forest"]["layout"]["xaxis"]["title"]["text"])
    assert any("&lt;b&gt;" in words for words in shown)
    assert not any("<" in words or "%{" in words for words in shown)
    raw = script_json(json.loads(unpacked(html)))
    assert not set("<>&") & set(raw)


def test_every_colour_of_a_comparison_has_its_dark_one(three):
    raw = unpacked(render_comparison(three, title="Three"))

    used = set(re.findall(r'"(#[0-9a-fA-F]{3,8}|rgba?\([^"]*\))"', raw))
    assert used
    assert used <= set(theme_map())


def test_a_large_comparison_is_small_enough_to_send():
    html = render_comparison(comparing.many(), title="Many")

    assert len(html.encode()) - len(bundle_text().encode()) < 2_500_000


def test_intervals_for_looking_again_stand_beside_the_others():
    task = comparing.task_comparison(
        "t", {"a": 0.5, "b": 0.6}, sequential=comparing.Interval(-0.01, 0.21)
    )
    compared = comparing.comparison([task], looks="confidence sequences")
    html = render_comparison(compared, title="Again")
    (candidate,) = figures_in(html)["difference-forest"]["candidates"]

    assert "[−0.010, +0.210]" in rows_of(html, "difference-forest-table")[0]
    assert "Looking again is allowed for: confidence sequences." in html
    assert any(
        "however often looked at [−0.010, +0.210]" in words
        for trace in candidate["traces"][2:]
        for words in trace["text"]
    )


def test_partial_sides_have_a_badge_and_gaps_of_pairs_their_reason(three):
    task = three.tasks[0]
    part = comparing.side("a", 0.6, n_items=50, total=900)
    row = replace(task.differences[0], candidate=part)
    d = task.pairs.pairs.difference.copy()
    d[0, 1] = d[1, 0] = float("nan")
    pairs = replace(task.pairs, pairs=replace(task.pairs.pairs, difference=d))
    odd = replace(task, differences=(row, task.differences[1]), pairs=pairs)
    html = render_comparison(
        comparing.comparison([odd, *three.tasks[1:]]), title="Partial"
    )
    traces = figures_in(html)["pair-map"]["menu"]["choices"][1]["traces"][0]

    assert "partial: 50 of 900 items" in html
    assert traces["hovertext"][0][1] == "t1: base and a cannot be compared"
    assert traces["text"][0][1] == ""


def test_no_pair_that_can_be_compared_says_so(three):
    tasks = [replace(task, pairs=None) for task in three.tasks]
    html = render_comparison(
        comparing.comparison(tasks, average=False), title="No pairs"
    )

    assert "No task was put to two choices that can be compared." in html
    assert "pair-map" not in figures_in(html)


@pytest.fixture(scope="module")
def unjudged():
    task = comparing.task_comparison(
        "t",
        {"base": 1.0, "next": 0.0},
        verdicts={"next": "not comparable"},
        reason="items differ",
    )
    return comparing.comparison([task])


def test_where_nothing_is_judged_the_reasons_stand_instead_of_a_figure(unjudged):
    html = render_comparison(unjudged, title="Unlike")

    assert "No difference could be judged. t, next: not comparable: items differ." in (
        html
    )
    assert "smallest that could have been seen" not in html
    assert "difference-forest" not in figures_in(html)
    assert len(rows_of(html, "difference-forest-table")) == 1


def test_many_reasons_are_cut():
    scores, verdicts = {"base": 0.5, "next": 0.6}, {"next": "too few data"}
    tasks = [
        comparing.task_comparison(f"t{k}", scores, verdicts=verdicts) for k in range(8)
    ]
    html = render_comparison(comparing.comparison(tasks, average=False), title="Few")

    assert "t5, next: too few data: 200 items; 30 needed; 2 more are in the table" in (
        html
    )


def test_a_scoreboard_without_scores_says_why():
    empty = comparing.comparison([], choices=comparing.two().choices)
    html = render_comparison(empty, title="Nothing")

    assert "There is no score to show" in html
    assert 'id="standings-table"' not in html
    assert 'id="difference-forest-table"' not in html


def test_models_that_are_the_same_are_told_before_any_number(unjudged):
    same = comparing.Caution("identical-models", "a and b gave the same likelihoods")
    html = render_comparison(replace(comparing.two(), cautions=(same,)), title="Same")
    summary, _, differences = html.partition('<section id="differences"')

    assert "<li>a and b gave the same likelihoods.</li>" in summary
    assert "a and b gave the same likelihoods. The largest" in differences
