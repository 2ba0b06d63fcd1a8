"""What may be said of a difference?"""

from __future__ import annotations

import math

from harness.stats.compare.results import Verdict
from harness.stats.estimate import Interval


def judged(interval: Interval, *, delta: float | None = None) -> tuple[Verdict, str]:
    """Return what an interval of candidate minus baseline says, and why.

    better where all of it is above 0, worse where all is below; else ``no worse`` where
    its lower end is above minus `delta`, which is a test at the one-sided level
    ``(1 + confidence_level) / 2``; else ``unclear``. Nothing is ever called equal.

    Parameters
    ----------
    interval : Interval
        After the correction for several differences.
    delta : float, optional
        The largest loss that counts as no worse, in score units.
    """
    low, high = interval
    if math.isnan(low):
        return "too few data", "the scores leave no interval"
    if low > 0:
        return "better", "all of the interval is above 0"
    if high < 0:
        return "worse", "all of the interval is below 0"
    if delta is not None and low > -delta:
        return "no worse", f"all of the interval is above −{delta:g}"
    if delta is not None:
        return "unclear", f"the interval holds 0 and a loss of {delta:g}"
    return "unclear", "the interval holds 0"
