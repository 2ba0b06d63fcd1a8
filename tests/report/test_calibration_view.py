"""What equal models say of verdicts, as text and figure."""

import math
import re

import numpy as np
import pytest
from report import comparing, gating
from report.reading import figures_in

from harness.report.page import page_of, render, render_comparison, render_gate
from harness.report.views.calibration import calibration_section
from harness.stats.calibration import Calibration, calibration_table
from harness.stats.estimate import Estimate, Interval, undefined


def calibration(n=80, n_false=3, *, draws="repeats", task=None, **has):
    """Return a calibration of so many pairs."""
    rng = np.random.default_rng(0)
    p_values = np.sort(
        np.concatenate(
            [rng.uniform(0, 0.05, n_false), rng.uniform(0.05, 1, n - n_false)]
        )
    )
    rate = (
        undefined(
            "rate", n=n, method="m", code="few-pairs", text=f"{n} pairs say little"
        )
        if n < 20
        else Estimate(
            quantity="rate",
            value=n_false / n,
            interval=Interval(0.013, 0.105),
            n=n,
            method="Wilson score interval",
        )
    )
    columns = {
        "draws": draws,
        "task": task,
        "formulation": None,
        "num_fewshot": None,
        "generation": None,
        "metric": None,
        "n_pairs": n,
        "n_false": n_false,
        "nominal": 0.05,
        "rate": rate,
        "p_values": p_values,
        "differences": np.zeros(n),
        "band": 0.15,
        "cautions": rate.cautions,
        **has,
    }
    return Calibration(**columns)


def shown(*rows):
    return page_of([calibration_section(rows)], title="t", kind="k")


def test_false_alarms_are_counted_beside_the_nominal_rate():
    html = shown(calibration(), calibration(40, 1, task="boolq", num_fewshot=5))

    assert (
        "A/A, repeats of the same checkpoint: false alarms 3 of 80 pairs (4 %, 95 % "
        "interval [1, 10] %, nominal 5 %)." in html
    )
    assert set(figures_in(html)) == {"calibration-0"}
    assert "boolq" in html.partition('<table id="calibration-table"')[2]


def test_the_curve_ends_at_all_pairs_and_the_band_stays_in_the_square():
    figure = figures_in(shown(calibration()))["calibration-0"]
    band, diagonal, curve = figure["data"]

    assert curve["y"][-1] == 1
    assert curve["y"] == sorted(curve["y"])
    assert (min(band["y"]), max(band["y"])) == (0, 1)
    assert diagonal["x"] == diagonal["y"] == [0, 1]
    assert figure["layout"]["shapes"][0]["x0"] == 0.05


def test_many_p_values_are_drawn_as_every_so_many():
    figure = figures_in(shown(calibration(5000, 250)))["calibration-0"]

    assert len(figure["data"][2]["x"]) == 200


def test_too_few_pairs_are_counted_only():
    html = shown(calibration(12, 1))

    assert "false alarms 1 of 12 pairs; too few for a rate, nominal 5 %." in html
    assert figures_in(html) == {}


def test_an_inflated_rate_says_so():
    rate = Estimate(
        quantity="rate", value=0.25, interval=Interval(0.17, 0.35), n=80, method="m"
    )

    assert "more than there may be" in shown(calibration(80, 20, rate=rate))


def test_each_kind_of_draws_has_its_figure():
    html = shown(calibration(), calibration(draws="training seeds"))

    assert set(figures_in(html)) == {"calibration-0", "calibration-1"}
    assert "training seeds of one model at one step: false alarms" in html


def test_nothing_measured_twice_names_what_would_be():
    assert "repeats, few-shot seeds or 4 training seeds" in shown()
    assert calibration_table([]) == ((), ())


def test_gates_and_comparisons_print_it(zoo):
    gate = gating.gate(
        [gating.cell("t", 0.5, 0.5, "passed")], calibration=(calibration(),)
    )

    assert "false alarms 3 of 80" in render_gate(gate, title="g")
    assert "false alarms 3 of 80" in render_comparison(
        comparing.two(), title="c", calibration=(calibration(),)
    )
    assert "calibration" not in re.findall(
        r'<section id="([^"]+)"', render_comparison(comparing.two(), title="c")
    )
    assert "training seeds of one model at one step: false alarms" in render(zoo)


def test_one_checkpoint_has_no_equal(little):
    html = render(little)

    assert little.calibration == ()
    assert "No checkpoint was measured twice" in html


def test_scores_are_read_anew_where_some_are_copies(simulated):
    simulated.task("t", seeds=(0,), steps=(1,), n_items=40)
    simulated.task("t", seeds=(1,), steps=(1,), n_items=40)
    for row in simulated.rows:
        row["cluster"] = f"c{row['item_index'] // 4}"

    assert simulated.data().calibration == ()


@pytest.mark.parametrize("n", [20, 80])
def test_rates_are_those_of_the_row(n):
    row = calibration(n, 2)

    assert math.isclose(row.rate.value, 2 / n)
    assert f"2 of {n}" in shown(row)
