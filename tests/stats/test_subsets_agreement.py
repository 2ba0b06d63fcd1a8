"""Limits of agreement: Bland and Altman's own data, by hand, edges."""

import json
import math

import numpy as np
import pytest

from harness.errors import DesignError
from harness.stats.subsets.agreement import limits_of_agreement

WRIGHT = np.array(
    "494 395 516 434 476 557 413 442 650 433 417 656 267 478 178 423 427".split(), float
)
MINI = np.array(
    "512 430 520 428 500 600 364 380 658 445 432 626 260 477 259 350 451".split(), float
)


def test_limits_are_bland_and_altman_s():
    """Lancet 1986, table 1: Wright less mini meter, mean -2.1, SD 38.8 l/min."""
    found = limits_of_agreement(WRIGHT, MINI)

    assert found.mean == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    assert (found.low, found.high) == pytest.approx((-79.7, 75.5), abs=0.1)
    assert found.n == 17
    assert found.cautions == ()


def test_limits_by_hand_and_by_their_width():
    found = limits_of_agreement(np.array([1.0, 3, np.nan]), np.array([0.0, 0, 0]))
    wide = limits_of_agreement(np.array([1.0, 3]), np.zeros(2), width=3)

    assert (found.mean, found.sd, found.n) == (2, pytest.approx(math.sqrt(2)), 2)
    assert found.high == pytest.approx(2 + 2 * math.sqrt(2))
    assert wide.high == pytest.approx(2 + 3 * math.sqrt(2))


def test_some_95_percent_of_normal_differences_lie_within():
    rng = np.random.default_rng(1)
    found = limits_of_agreement(rng.normal(0.1, 0.2, 20_000), np.zeros(20_000))

    assert (found.low, found.high) == pytest.approx((-0.3, 0.5), abs=0.01)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_have_no_limits(n):
    found = limits_of_agreement(np.full(n, 0.5), np.full(n, 0.25))

    assert math.isnan(found.low)
    assert found.mean == 0.25 or n == 0
    assert [c.code for c in found.cautions] == ["too-few-respondents"]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["sd"] is None


def test_unequal_lengths_are_refused():
    with pytest.raises(DesignError) as caught:
        limits_of_agreement(np.zeros(2), np.zeros(3))

    assert caught.value.code == "unequal-lengths"
