"""An estimate says its value in one line, and why when it has none."""

import json
import math

import pytest

from harness.stats.estimate import Caution, Estimate, Interval, undefined

KNOWN = Estimate(
    quantity="mean", value=0.5, interval=Interval(0.25, 0.75), n=4, method="m"
)


def test_one_line_for_people():
    bare = Estimate(quantity="mean", value=0.5, n=4, method="m")
    nothing = undefined("snr", n=1, method="m", code="one-seed", text="needs 2 seeds")

    assert str(KNOWN) == "mean: 0.5 [0.25, 0.75] (n=4)"
    assert str(bare) == "mean: 0.5 (n=4)"
    assert str(nothing) == "snr: not defined (needs 2 seeds)"
    assert nothing.cautions == (Caution("one-seed", "needs 2 seeds"),)


def test_an_undefined_value_must_say_why():
    with pytest.raises(ValueError, match="does not say why"):
        Estimate(quantity="snr", value=math.nan, n=1, method="m")


def test_json_and_frame():
    row = json.loads(json.dumps(KNOWN.to_dict(), allow_nan=False))
    assert (row["value"], row["low"], row["high"], row["se"]) == (0.5, 0.25, 0.75, None)

    frame = KNOWN.to_frame()
    assert frame[["quantity", "value", "low", "high", "n"]].values.tolist() == [
        ["mean", 0.5, 0.25, 0.75, 4]
    ]


def test_an_open_end_is_no_number_in_json():
    estimate = Estimate(
        quantity="q", value=0.5, interval=Interval(-math.inf, 1.0), n=3, method="m"
    )

    assert (estimate.to_dict()["low"], estimate.to_dict()["high"]) == (None, 1.0)
