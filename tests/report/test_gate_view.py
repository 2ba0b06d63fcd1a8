"""The page of a gate as text: the verdict, each comparison, and what is missing."""

import re
from dataclasses import replace

import pytest
from report import gating
from report.reading import figures_in

from harness.gate.policy import Policy
from harness.report.page import render_gate

HOSTILE = "<b>evil</b></script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def red():
    return render_gate(gating.red(), title="Night 10")


def test_a_gate_has_its_verdict_first(red):
    assert re.findall(r'<li><a href="#([^"]+)">', red) == [
        "gate",
        "gated",
        "flips",
        "calibration",
    ]
    assert (
        '<p class="verdict failed">Failed: m@10 against m@1: boolq lost 0.170; '
        "winogrande is missing.</p>"
    ) in red
    assert "dtype differs: float16 and bfloat16: arc_easy, piqa" in red
    assert "In no tier, and not judged: lambada." in red


def test_a_green_gate_says_so():
    html = render_gate(gating.green(), title="Night 9")

    assert '<p class="verdict passed">Passed: m@10 against m@1: no regression.' in html
    assert "No task is surely worse" in html


def test_a_known_regression_is_told_where_nothing_else_is_red():
    known = gating.cell("piqa", 0.70, 0.60, "known", acknowledged=gating.mark("piqa"))

    html = render_gate(gating.gate([known]), title="Night 9")

    assert "no new regression; 1 known." in html
    assert "No task is newly worse; known: piqa (−0.100)." in html
    assert "surely" not in html


def test_states_stand_in_table_and_figure_the_worst_first(red):
    (rows,) = (c["rows"] for c in figures_in(red)["gate-forest"]["candidates"])

    assert [row["label"] for row in rows][:2] == ["boolq", "piqa"]
    assert rows[0]["state"] == "regression"
    assert {row["label"]: row["note"] for row in rows if row["note"]} == {
        "toy": "? inconclusive: 8 items; 30 needed"
    }
    for words in ("▼ regression", "▽ known", "acknowledged until 2026-01-30"):
        assert words in red
    for words in ("∅ missing", "not asked at step 10", "confirmed"):
        assert words in red
    assert "<option>regression</option>" in red


def test_a_task_without_history_says_why(red):
    assert "no checkpoints before it" in red


def test_the_policy_is_told_by_its_digest_or_as_none(red):
    every = gating.gate([], policy=Policy.model_validate({"critical": ["*"]}))

    assert gating.red().policy.digest in red
    assert "none: every task is critical" not in red
    assert "none: every task is critical" in render_gate(every, title="Night 1")


def test_same_gate_same_page(red):
    assert render_gate(gating.red(), title="Night 10") == red


def test_a_gate_without_comparisons_names_the_commands():
    html = render_gate(gating.nothing(), title="Night 0")

    assert "<code>evalvar baseline set</code>" in html
    assert figures_in(html) == {}


def test_hostile_tasks_are_text():
    html = render_gate(gating.red(task=HOSTILE), title=HOSTILE)

    assert "<b>evil" not in html
    assert html.count("<script") == 4


def test_what_has_no_number_is_a_dash_with_its_reason():
    sides = [gating.comparing.side(name, 0.5) for name in ("m@1", "m@10")]
    row = gating.comparing.difference("t", *sides, "too few data")
    none = replace(sides[1], score=row.difference)
    row = replace(row, candidate=none)
    cell = gating.cell("t", 0.5, 0.5, "inconclusive", against_baseline=row)
    html = render_gate(gating.gate([cell], status="inconclusive"), title="Odd")

    assert '<abbr title="no score">–' in html
    assert '<abbr title="too few items">–' in html
