"""What is told of work that goes on: on standard error, never on standard output."""

import os
import pty
import re
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pytest
from fakes import HOSTILE, fake_checkpoint, fake_plan, outcome

import harness.progress
from harness.progress import PlainDisplay, RichDisplay, display, trial_text
from harness.run.backend import EVIDENCE, Answers
from harness.sweep import Progress

TRIAL = fake_plan().trials[0]


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(harness.progress, "time", clock)
    return clock


def lines(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


# ---- lines -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, 20, 240, 7])
def test_a_line_comes_at_every_tenth(capsys, clock, n):
    with PlainDisplay("evaluating") as shown:
        for done in range(1, n + 1):
            shown.advance(done, n, f"{done} done")
    title, *rest = lines(capsys)

    assert title == "evaluating …"
    assert len(rest) == min(n, 10)
    assert rest[-1] == f"evaluating: 100%  {n} done  (0 s)"


def test_a_line_comes_after_half_a_minute_without_a_tenth(capsys, clock):
    with PlainDisplay("evaluating") as shown:
        for done in range(1, 10):
            clock.now += 10
            shown.advance(done, 1000, f"{done} done")
    _, *rest = lines(capsys)

    for n, line in zip((3, 6, 9), rest, strict=True):
        assert f"  {n} done  " in line


def test_a_line_says_how_long_it_took_and_will_take(capsys, clock):
    """By the pace since the first of it was done: starting is no work."""
    with PlainDisplay("evaluating") as shown:
        shown.advance(0, 4, "starting")
        for what, seconds in (("one", 40), ("two", 10)):
            clock.now += seconds
            shown.advance(1 if what == "one" else 2, 4, what)

        for _ in range(2):
            clock.now += 16
            shown.advance(2, 4, "under way: three")
            clock.now += 16
            shown.advance(2, 4, "under way: three")

    assert lines(capsys)[-4:] == [
        "evaluating:  25%  one  (40 s)",
        "evaluating:  50%  two  (50 s, about 20 s left)",
        "evaluating:  50%  under way: three  (82 s)",
        "evaluating:  50%  under way: three  (114 s)",
    ]


@pytest.mark.parametrize(("done", "total", "n"), [(0, 0, 1), (0, 10, 0), (10, 10, 1)])
def test_no_work_is_finished_work(capsys, clock, done, total, n):
    with PlainDisplay("evaluating") as shown:
        shown.advance(done, total, "it")
        shown.advance(done, total, "it")

    assert len(lines(capsys)) == 1 + n


# ---- a terminal ------------------------------------------------------------------

SHOWN = """
from harness.progress import display
with display("evaluating") as shown:
    for n in range(5):
        shown.advance(n, 4, f"{n}/4 [red]x[/] {'long ' * 30}")
"""


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_a_bar_and_standard_output_nothing(columns):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SHOWN],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns)},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(ours)
    out, _ = process.communicate(timeout=60)

    assert (process.returncode, out) == (0, b"")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "evaluating" in text
    assert "━" in text
    # What takes long to say pushes nothing out.
    assert re.search(r"100% \d:\d\d:\d\d \d:\d\d:\d\d 4/4", text)
    assert "4/4 [red]x[/]" in text, "no markup in what a task is called"


def test_what_is_no_terminal_gets_lines(capsys):
    assert isinstance(display("evaluating"), PlainDisplay)


def test_a_terminal_is_known_by_standard_error(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    assert isinstance(display("evaluating"), RichDisplay)


# ---- a trial in a few words ------------------------------------------------------


def progress(trial=TRIAL, **came):
    return Progress(
        trial=trial,
        outcome=came.pop("of", None) or outcome(trial, **came),
        n_finished=3,
        n_total=8,
        requests_finished=480,
        requests_total=1280,
        seconds=1.5,
    )


def answered(metrics):
    """Return what came of a trial whose responses have these metrics."""
    rows = [
        {"item_id": "x", "item_index": n, "repeat": 0, "status": "ok", "metrics": m}
        for n, m in enumerate(metrics)
    ]
    answers = Answers(
        rows=pa.Table.from_pylist(rows, schema=EVIDENCE),
        n_truncated=0,
        build_seconds=0,
        forward_seconds=0,
    )
    return replace(outcome(TRIAL), answers=answers)


def test_a_done_trial_says_its_score_with_an_interval():
    came = answered([{"acc,none": n < 30} for n in range(100)])

    # Wilson's interval of 30 in 100, by scipy.stats.binomtest.
    assert trial_text(progress(of=came)) == (
        "3/8 trials  t1 on toy seed 0 step 0: acc 0.300 [0.219, 0.396]"
    )


def test_a_failed_trial_says_its_code():
    assert trial_text(progress(error="no space left")) == (
        "3/8 trials  t1 on toy seed 0 step 0: failed [trial-raised]"
    )


@pytest.mark.parametrize("metrics", [[], [None], [{}, {}]])
def test_a_trial_without_a_metric_says_no_score(metrics):
    assert trial_text(progress(of=answered(metrics))).endswith("step 0")


def test_only_one_metric_is_averaged():
    """An item may lack the first metric, or have others before it."""
    came = answered([{}, {"acc,none": 1}, {"f1,none": 9, "acc,none": 0}, None])

    assert ": acc 0.500 [" in trial_text(progress(of=came))


@pytest.mark.parametrize("error", [None, "no space left"])
def test_a_name_cannot_steer_a_terminal(error):
    trial = replace(TRIAL, checkpoint=fake_checkpoint(HOSTILE))
    text = trial_text(progress(trial, error=error))

    assert text.isprintable()
    assert "a[red]b�[31mc�d seed 0" in text
