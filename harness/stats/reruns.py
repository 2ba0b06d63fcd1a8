"""Was a checkpoint measured several times, with nothing that tells the runs apart?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.stats.collapse import ASKED
from harness.stats.estimate import Caution
from harness.stats.scores import default_metrics, metric_scores, score_responses
from harness.stats.tables import Kind, asked_metrics, is_current, numbers_of

if TYPE_CHECKING:
    import pandas as pd

Flags = npt.NDArray[np.bool_]

RUN = (*ASKED, "fewshot_seed", "sample_seed")
"""What two runs share that nothing tells apart."""


def is_again(responses: pd.DataFrame) -> Flags:
    """Return which answers another run gave too, to the same item in the same draw.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`, without copies: after
        `harness.stats.collapse.collapse`.
    """
    runs = responses.drop_duplicates("attempt_id")
    twins = runs["attempt_id"][runs.duplicated([*RUN], keep=False)]
    again = responses["attempt_id"].isin(twins).to_numpy(dtype=bool, copy=True)
    if again.any():
        import pandas as pd

        cells = numbers_of(responses[again], [*RUN, "repeat", "item_index"])
        again[again] = pd.Series(cells).duplicated(keep=False).to_numpy()
    return again


def as_repeats(responses: pd.DataFrame) -> pd.DataFrame:
    """Return the responses with each further run's repeats numbered on.

    So a run that was made again is a repeat of the first, as equal models are.
    """
    again = is_again(responses)
    if not again.any():
        return responses
    runs = responses[again].drop_duplicates("attempt_id")
    place = runs.groupby([*RUN], sort=False, dropna=False, observed=True).cumcount()
    place_of = dict(zip(runs["attempt_id"], place, strict=True))
    places = responses["attempt_id"].astype(object).map(place_of).fillna(0)
    repeat = responses["repeat"].astype(int)
    shift = places.to_numpy(dtype=int) * (repeat.max() + 1)
    return responses.assign(repeat=repeat + shift)


def rerun_cautions(
    responses: pd.DataFrame,
    *,
    metric: str | None = None,
    kind: Kind = "discrete",
    trials: pd.DataFrame | None = None,
) -> tuple[Caution, ...]:
    """Return a caution for each model whose score is a mean over several such runs.

    Parameters
    ----------
    responses : DataFrame
        As `is_again` takes them.
    metric, kind
        As `harness.stats.tables.score_tables` takes them.
    trials : DataFrame, optional
        Columns of `harness.frames.TRIALS`: where runs came from.

    Returns
    -------
    tuple of Caution
        ``several-runs``: how many, of which files, and by how much their scores on the
        items that they share differ. Runs that score every item alike are none.
    """
    again = is_again(responses)
    if not again.any():
        return ()
    rows = responses[again & is_current(responses)]
    by_model: dict[str, list[_Rerun]] = {}
    for one in _reruns(rows, metric, kind):
        by_model.setdefault(one.model, []).append(one)
    return tuple(_caution(some, trials) for some in by_model.values())


class _Rerun(NamedTuple):
    model: str
    task: str
    attempts: tuple[str, ...]
    spread: float
    """Between the highest and the lowest of the runs' scores."""


def _reruns(rows: pd.DataFrame, metric: str | None, kind: Kind) -> Iterator[_Rerun]:
    code = numbers_of(rows, [*RUN])
    for number in np.unique(code):
        part = rows[code == number]
        scored = score_responses(part, asked_metrics(metric))
        own = metric or default_metrics(scored)[kind == "continuous"]
        if own is None:
            continue
        table = scored.assign(score=metric_scores(scored, own)).pivot_table(
            index="item_index", columns="attempt_id", values="score", observed=True
        )
        scores = table.dropna().to_numpy(dtype=np.float64)
        if (scores != scores[:, :1]).any():
            means = scores.mean(axis=0)
            yield _Rerun(
                model=str(part["model"].iloc[0]),
                task=str(part["task"].iloc[0]),
                attempts=tuple(table.columns),
                spread=float(means.max() - means.min()),
            )


def _caution(some: list[_Rerun], trials: pd.DataFrame | None) -> Caution:
    first = max(some, key=lambda one: one.spread)
    more = f", most at {first.task} of {len(some)} tasks" if len(some) > 1 else ""
    places = ", ".join(_places(first, trials))
    return Caution(
        "several-runs",
        f"{first.model}: {len(first.attempts)} runs with other answers"
        f"{f' ({places})' if places else ''}, which no seed tells apart, are averaged; "
        f"they differ by {first.spread:.3g} at {first.task}{more}; compare one, or "
        "give each its seed",
    )


def _places(one: _Rerun, trials: pd.DataFrame | None) -> list[str]:
    """Return where the runs came from, if that is known to differ."""
    if trials is None:
        return []
    mine = trials[trials["attempt_id"].isin(one.attempts)]
    places = [place for place in mine["location"].unique() if isinstance(place, str)]
    return places if len(places) > 1 else []
