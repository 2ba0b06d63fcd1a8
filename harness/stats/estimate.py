"""What is an estimate? A value, its interval, and what the reader must know."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.records import Caution as Caution

if TYPE_CHECKING:
    import pandas as pd


class Interval(NamedTuple):
    """A two-sided interval, ``low <= high``, in the units of its estimate."""

    low: float
    high: float


UNDEFINED = Interval(math.nan, math.nan)
"""The interval of an estimate that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One estimated quantity.

    Attributes
    ----------
    quantity : str
        The standard name of what is estimated.
    value : float
        The point estimate; ``nan`` when it is not defined (never 0 in its place).
    se : float
        Standard error, same units as `value`; ``nan`` when not defined.
    interval : Interval
        At `confidence_level`; ``(nan, nan)`` when not defined.
    n : int
        Number of independent units behind the estimate (replicates, not rows).
    method : str
        How it was computed, in the words the report prints.
    """

    quantity: str
    value: float
    se: float = math.nan
    interval: Interval = UNDEFINED
    confidence_level: float = 0.95
    n: int
    method: str
    cautions: tuple[Caution, ...] = ()

    def __post_init__(self) -> None:
        if math.isnan(self.value) and not self.cautions:
            raise ValueError(f"{self.quantity} is not defined and does not say why")

    def __str__(self) -> str:
        if math.isnan(self.value):
            return f"{self.quantity}: not defined ({self.cautions[0].text})"
        low, high = self.interval
        if math.isnan(low):
            return f"{self.quantity}: {self.value:.4g} (n={self.n})"
        return f"{self.quantity}: {self.value:.4g} [{low:.4g}, {high:.4g}] (n={self.n})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` or an infinite end becomes ``None``."""
        row = asdict(self)
        row["low"], row["high"] = row.pop("interval")
        return {
            key: None
            if isinstance(value, float) and not math.isfinite(value)
            else value
            for key, value in row.items()
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one tidy row: quantity, value, se, low, high, n, method."""
        import pandas as pd

        return pd.DataFrame(
            {
                "quantity": [self.quantity],
                "value": [self.value],
                "se": [self.se],
                "low": [self.interval.low],
                "high": [self.interval.high],
                "n": [self.n],
                "method": [self.method],
            }
        )


def or_none(value: float) -> float | None:
    """Return a number as JSON has it: none in place of ``nan``."""
    return None if math.isnan(value) else value


def undefined(quantity: str, *, n: int, method: str, code: str, text: str) -> Estimate:
    """Return an estimate that is not defined, with the reason as its caution."""
    return Estimate(
        quantity=quantity,
        value=math.nan,
        n=n,
        method=method,
        cautions=(Caution(code, text),),
    )
