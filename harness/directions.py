"""Which way is better? Of metrics that other tools computed, as they say it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

LOWER_IS_BETTER = frozenset(
    {
        *("bits_per_byte", "brier_score", "byte_perplexity", "cer", "edit_distance"),
        *("loss", "mae", "mer", "mse", "nll", "perplexity", "rmse", "ter", "wer"),
        "word_perplexity",
    }
)
"""Metrics of which less is better where nobody says; of all others more is."""


def lower_of(directions: Mapping[str, bool | None]) -> str | None:
    """Return as JSON of which metrics less is better, as `frames.TRIALS` keeps it.

    Parameters
    ----------
    directions : mapping of str to bool or None
        Of each metric that a tool names, whether it says that higher is better;
        ``None`` where it says nothing, which leaves that one to its name.

    Returns
    -------
    str or None
        ``None`` where the tool says nothing of any.
    """
    if all(is_higher is None for is_higher in directions.values()):
        return None
    lower = {
        metric
        for metric, is_higher in directions.items()
        if (_bare(metric) in LOWER_IS_BETTER if is_higher is None else not is_higher)
    }
    return json.dumps(sorted(lower))


@lru_cache(maxsize=1024)
def is_lower_better(metric: str, said: str | None) -> bool:
    """Whether less of a metric is better: as its tool says, else by its name.

    Parameters
    ----------
    metric : str
        ``metric,filter``, or a bare metric.
    said : str or None
        From `lower_of`; a name without a filter there is meant under every filter.
    """
    if said is None:
        return _bare(metric) in LOWER_IS_BETTER
    names = json.loads(said)
    if "," not in metric:
        names = map(_bare, names)
    return not {metric, _bare(metric)}.isdisjoint(names)


def _bare(metric: str) -> str:
    return metric.partition(",")[0]
