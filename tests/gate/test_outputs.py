"""Do all outputs say the same, within bounds, whatever names are in them?"""

from __future__ import annotations

import datetime as dt
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from harness.cli import main
from harness.gate.judge import judge
from harness.gate.results import STATES
from harness.report.gate_markdown import gate_markdown
from harness.report.junit import gate_junit
from harness.report.sheets.gate import SIGNS, alarms, gate_sheet, verdict_sentence
from harness.report.sheets.sheet import as_text

HOSTILE = (
    "a|b<script>alert(1)</script>",
    "\x1b[31mred\x00\x08",
    "line\nbreak ``` | # *x* [a](http://b) @team",
    "\u202eright to left & ]]> &amp;",
    "=cmd()",
)

TODAY = dt.date(2026, 3, 1)


@pytest.fixture
def result(nights, policy, marks):
    """Return a verdict with a regression, a known one, and a missing task."""
    rng = np.random.default_rng(5)
    levels = {task: rng.normal(0.5, 0.02, 8) for task in "abc"}
    levels["b"][-1] -= 0.9
    levels["c"][-1] -= 0.9
    return judge(
        nights(levels),
        policy=policy(critical=["a", "b", "c", "gone"], advisory=["*"]),
        marks=marks(acknowledged=[("c", None)]),
        on=TODAY,
    )


@pytest.fixture
def hostile(nights, policy, marks):
    """Return a verdict on tasks whose names are meant to break what shows them."""
    rng = np.random.default_rng(5)
    levels = {
        task: rng.normal(0.5, 0.02, 8) - 0.9 * (np.arange(8) == 7) for task in HOSTILE
    }
    responses = nights(levels, model="m <&>\x07`", template="</td>|\n")
    known = marks(model="m <&>\x07`", acknowledged=[(HOSTILE[0], None)])
    return judge(responses, policy=policy(), marks=known, on=TODAY)


def test_every_state_has_a_sign():
    assert {*SIGNS} == {*STATES}
    assert len({*SIGNS.values()}) == len(STATES)


def test_the_verdict_names_what_failed(result):
    assert verdict_sentence(result) == (
        "Failed: m@8 against m@1: b lost 0.147; gone is missing."
    )
    assert [title for title, _ in alarms(result)] == ["b", "gone"]


def test_a_verdict_tells_what_is_known(nights, policy, marks):
    levels = {"c": [0.5, 0.5], "d": [0.5, 0.5]}
    levels["c"][-1] -= 1.5
    result = judge(
        nights(levels),
        policy=policy(critical=["*", "gone"], noise=0),
        marks=marks(acknowledged=[("c", None), ("gone", TODAY)]),
        on=TODAY,
    )
    text = as_text(gate_sheet(result), width=400)

    assert "Passed: m@2 against m@1: no new regression; 1 known." in text
    assert "¹ c: acknowledged for good: because [known]" in text
    assert (
        "gone: no checkpoint here was asked it; acknowledged until 2026-03-01: because"
    ) in text


def test_why_history_predicts_nothing_is_a_note(nights, policy, marks):
    result = judge(
        nights({"a": [0.5] * 4, "b": [0.5] * 4}),
        policy=policy(critical=None, supporting=["*"]),
        marks=marks(),
        on=TODAY,
    )

    assert as_text(gate_sheet(result), width=400).count("[no-prediction]") == 1
    assert "history predicts nothing: 3 before it; 5 needed" in as_text(
        gate_sheet(result), width=400
    )


def test_nothing_compared_is_told(nights, policy, marks):
    result = judge(nights({"a": [0.5]}), policy=policy(), marks=marks(), on=TODAY)

    text = as_text(gate_sheet(result), width=400)

    assert "Inconclusive: m@1 against m@1: nothing was compared.\n" in text
    assert "m@1 is the baseline itself, so that there is nothing to judge" in text
    assert "critical: nothing was compared.\n" in text


def test_the_table_tells_every_cell(result):
    text = as_text(gate_sheet(result), width=200)

    for word in ("▼ regression", "▽ known", "~ passed", "∅ missing", "because"):
        assert word in text
    assert "4 comparisons: 1 regression, 1 known, 1 passed, 1 missing." in text
    assert "on quiet nights red at most 2.5 %" in text


def test_markdown_begins_with_the_verdict_and_ends_with_the_command(result):
    text = gate_markdown(result, command="evalvar gate st")

    lines = text.splitlines()
    assert lines[0] == "## ▼ Gate failed"
    assert lines[2].startswith("**Failed: m@8 against m@1")
    assert "4 comparisons: " in lines[4]
    assert lines[-3:] == ["```sh", "evalvar gate st", "```"]
    changed, every = text.split("<details>")
    assert "▼ regression" in changed
    assert "passed |" not in changed
    assert "passed |" in every


def test_markdown_shows_the_first_twenty_changed(nights, policy, marks):
    levels = {f"t{i:02}": [0.5, 0.5] for i in range(25)}
    result = judge(nights(levels, n_items=5), policy=policy(), marks=marks(), on=TODAY)

    changed, every = gate_markdown(result, command="c").split("<details>")

    assert changed.count("\n| critical |") == 20
    assert "_5 more that changed: see all comparisons._" in changed
    assert every.count("\n| critical |") == 25


def test_markdown_keeps_its_bounds_and_says_so(nights, policy, marks):
    levels = {f"{'long name ' * 12}{i:03}": [0.5, 0.5] for i in range(60)}
    result = judge(nights(levels, n_items=5), policy=policy(), marks=marks(), on=TODAY)
    whole = gate_markdown(result, command="c")

    for bound in (len(whole.encode()), 16_000, 10_000):
        text = gate_markdown(result, command="c", max_bytes=bound)
        n_rows = text.split("<details>")[-1].count("\n| critical |")
        assert len(text.encode()) <= bound
        assert text.startswith("## ? Gate inconclusive")
        assert text.endswith("```sh\nc\n```\n")
        assert ("comparisons are left out" in text) is (text != whole)
        if text != whole and "<details>" in text:
            assert f"_… {60 - n_rows} of 60 comparisons are left out" in text
        assert text.count("<details>") == text.count("</details>")


def test_names_are_no_markup(hostile):
    text = gate_markdown(hostile, command="evalvar gate 'a```b'")

    assert "<script" not in text
    assert "\x1b" not in text
    assert "@team" not in text
    assert "\u202e" not in text
    assert "````sh\nevalvar gate 'a```b'\n````" in text
    rows = [line for line in text.splitlines() if line.startswith("| critical")]
    bars = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert len(rows) == 10
    assert bars == {13}


def checked(text: str) -> ET.Element:
    """Return JUnit's XML once it has what the schemas of Ant and Jenkins ask for.

    Checked against both by hand (windyroad/JUnit-Schema, xunit-plugin's junit-10).
    """
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    assert not root.attrib
    needed = {"name", "timestamp", "hostname", "tests", "failures", "errors", "time"}
    for number, suite in enumerate(root):
        assert needed | {"package", "id", "skipped"} == {*suite.attrib}
        assert suite.get("id") == str(number)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
        tests = suite.findall("testcase")
        order = ["properties", *["testcase"] * len(tests), "system-out", "system-err"]
        assert [child.tag for child in suite] == order
        for name, kind in (
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ):
            assert int(suite.get(name)) == len(suite.findall(f"testcase/{kind}"))
        assert int(suite.get("tests")) == len(tests)
        for test in tests:
            assert {*test.attrib} == {"name", "classname", "time"}
            assert len(test) <= 1
            for outcome in test:
                asked = {"message"} if outcome.tag == "skipped" else {"message", "type"}
                assert {*outcome.attrib} == asked
    return root


def test_junit_has_a_test_for_each_comparison(result):
    root = checked(gate_junit(result))

    outcomes = {
        test.get("name"): [child.tag for child in test]
        for test in root.iter("testcase")
    }
    assert outcomes == {
        "a cloze": [],
        "b cloze": ["failure"],
        "c cloze": ["skipped"],
        "gone": ["failure"],
    }
    message = root.find(".//failure").get("message")
    assert "difference −0.147 [" in message
    assert "400 items" in message
    assert [suite.get("name") for suite in root] == ["m@8 critical", "m@8 advisory"]


def test_junit_is_xml_whatever_the_names(hostile):
    root = checked(gate_junit(hostile))

    assert len(root[0].findall("testcase")) == len(HOSTILE)
    names = {test.get("name") for test in root.iter("testcase")}
    assert any("<script>" in name for name in names)
    assert not any(re.search(r"[\x00-\x1f]", name) for name in names)


def test_a_broken_run_is_an_error(nights, policy, marks, stored, tmp_path, run_gate):
    rng = np.random.default_rng(5)
    responses = nights({"a": rng.normal(0.5, 0.02, 8)})
    path = stored(
        responses,
        marks(),
        failed=[
            {
                "attempt_id": "f",
                "trial_id": "f",
                "task": "b",
                "step": 8,
                "error_code": "trial-raised",
            }
        ],
    )

    status, out, _ = run_gate(path, "--format", "junit", critical=["a", "b"])

    assert status == 3
    root = checked(out)
    assert root.find(".//error").get("message") == "its trial failed [trial-raised]"


# ---- the command ----------------------------------------------------------------


@pytest.fixture
def run_gate(tmp_path, capsys):
    """Run the command; returns its status, and what it printed on either stream."""

    def run(store, *words, **policy):
        file = tmp_path / "gate.yaml"
        file.write_text(json.dumps({"critical": ["*"], "delta": 0, **policy}))
        monkey = pytest.MonkeyPatch()
        argv = ["evalvar", "gate", str(store), "--policy", str(file), *words]
        monkey.setattr("sys.argv", argv)
        with pytest.raises(SystemExit) as ended:
            main()
        monkey.undo()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def store_of(nights, marks, stored):
    """Return a maker of a store of eight nights, the last one worse by `loss`."""

    def make(loss=0.0, *, n_items=200):
        rng = np.random.default_rng(5)
        levels = {task: rng.normal(0.5, 0.02, 8) for task in "ab"}
        levels["b"][-1] -= loss
        return stored(nights(levels, n_items=n_items), marks())

    return make


def test_the_exit_status_is_the_verdict(store_of, run_gate):
    path = store_of(1.2)

    assert run_gate(path)[0] == 3
    assert run_gate(path, "--exit-zero")[0] == 0
    assert run_gate(path, critical=["a"])[0] == 0
    assert run_gate(path, "--baseline", "m@7", "--candidate", "m@7")[0] == 4


@pytest.mark.parametrize(
    ("words", "policy", "status", "is_told"),
    [
        ((), {}, 4, False),
        (("--on-inconclusive", "warn"), {}, 0, True),
        (("--on-inconclusive", "pass"), {}, 0, False),
        ((), {"inconclusive": "warn"}, 0, True),
        (("--on-inconclusive", "fail"), {"inconclusive": "pass"}, 4, False),
        (("--exit-zero",), {}, 0, False),
    ],
)
def test_an_inconclusive_gate_does_as_it_is_told(
    store_of, run_gate, words, policy, status, is_told
):
    path = store_of(n_items=20)

    code, out, err = run_gate(path, *words, **policy)

    assert code == status
    assert "Inconclusive: m@8 against m@1" in out
    assert ("inconclusive, which the policy lets pass" in err) is is_told


def test_all_outputs_come_from_one_result(store_of, run_gate, tmp_path):
    path = store_of(1.2)
    names = ["g.md", "g.json", "g.xml", "g.html", "g.txt"]

    code, out, _ = run_gate(
        path,
        *[word for name in names for word in ("-o", str(tmp_path / name))],
        *["-o", f"junit={tmp_path / 'other'}"],
    )

    assert code == 3
    for name in [*names, "other"]:
        assert (tmp_path / name).stat().st_size > 500
        assert f"report: {tmp_path / name}" in out
    document = json.loads((tmp_path / "g.json").read_text())
    assert document["schema"] == "evalvar.gate/1"
    assert document["status"] == "failed"
    checked((tmp_path / "other").read_text())
    assert "Gate failed" in (tmp_path / "g.md").read_text()


def test_json_is_one_document(store_of, run_gate):
    path = store_of()

    for words in (("--json",), ("--format", "json")):
        code, out, _ = run_gate(path, *words)
        assert code == 0
        assert json.loads(out)["status"] == "passed"


def test_github_is_told_only_where_asked(store_of, run_gate):
    path = store_of(1.2)

    assert "::error" not in "".join(run_gate(path)[1:])
    told = run_gate(path, "--annotate")[2]
    assert told.startswith("::error title=b::worse than the baseline")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-o", "md=x", "-o", f"html={Path.cwd()}/x"), "bad-option"),
        (("--confirm", "none.yaml"), "suite-missing"),
        (("-o", "a.pdf"), "unknown-format"),
        (("-o", "pdf=a"), "unknown-format"),
        (("--max-bytes", "10"), "bad-option"),
        (("--baseline", "tag:none"), "unknown-tag"),
        (("--on-inconclusive", "maybe"), "bad-option"),
    ],
)
def test_what_cannot_be_is_one_line(store_of, run_gate, words, code):
    status, out, err = run_gate(store_of(), *words)

    assert status == 2
    assert out == ""
    assert err.endswith(f"[{code}]\n")
    assert err.count("\n") == 1


def test_no_baseline_tells_how_to_set_one(nights, stored, run_gate):
    status, _, err = run_gate(stored(nights({"a": [0.5, 0.5]})))

    assert status == 2
    assert "`evalvar baseline set STORE --model MODEL --reason WHY`" in err
    assert err.endswith("[no-baseline]\n")
