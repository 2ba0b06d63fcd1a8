"""How far do subset scores lie from full ones? Limits of agreement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Mean of the differences, and where most of them lie."""

    mean: float
    sd: float
    low: float
    high: float
    n: int
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        numbers = {name: getattr(self, name) for name in ("mean", "sd", "low", "high")}
        return {
            **{name: None if math.isnan(v) else v for name, v in numbers.items()},
            "n": self.n,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def limits_of_agreement(
    estimated: Floats, full: Floats, *, width: float = 2.0
) -> Agreement:
    """Return between which limits most estimates differ from full scores.

    ``low, high = mean(d) ± width SD(d)`` of ``d = estimated - full`` (ddof 1): with 2,
    where some 95 % of differences lie if they are normal and do not grow with the
    score. They are a description of these respondents, not an interval.

    Parameters
    ----------
    estimated, full : ndarray, shape (n_respondents,)
        ``nan`` where there is none.
    width : float
        How many SDs.

    Raises
    ------
    DesignError
        ``unequal-lengths``.

    Notes
    -----
    Cautions: ``too-few-respondents``, fewer than 2: no limits.

    References
    ----------
    J. M. Bland, D. G. Altman, Lancet 327 (1986) 307, who take 2 SD.
    """
    estimated, full = np.asarray(estimated, float), np.asarray(full, float)
    if estimated.shape != full.shape:
        raise DesignError(
            f"there are {estimated.size} estimates and {full.size} full scores; give "
            "one of each for every respondent",
            code="unequal-lengths",
        )
    difference = estimated - full
    difference = difference[~np.isnan(difference)]
    n = len(difference)
    mean = float(difference.mean()) if n else math.nan
    sd = float(difference.std(ddof=1)) if n > 1 else math.nan
    cautions: tuple[Caution, ...] = ()
    if n < 2:
        text = f"limits of agreement need 2 respondents, there are {n}"
        cautions = (Caution("too-few-respondents", text),)
    return Agreement(
        mean=mean,
        sd=sd,
        low=mean - width * sd,
        high=mean + width * sd,
        n=n,
        cautions=cautions,
    )
