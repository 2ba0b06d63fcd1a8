"""Is this more noise than others have seen? Published figures of the same benchmark."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from harness.stats.estimate import Caution, Estimate, Interval, undefined

if TYPE_CHECKING:
    import pandas as pd

Table = Literal["madaan_table_1", "madaan_table_2", "madaan_tables_3_4", "heineman_snr"]

MODELS = "7B models (Llama-2 architecture, 210 billion tokens, initialisation seeds)"
"""Whom the figures of Madaan et al. are of."""

SOURCE = "L. Madaan et al., arXiv 2406.10229 (2024)"

N_SEEDS = 10

N_CHECKPOINTS = 21

TASKS = {
    ("agieval_nous", "choice"): "AGIEval",
    ("arc_challenge", "cloze"): "ARC-C",
    ("bbh", ""): "BIG-Bench Hard",
    ("bbh_cot_fewshot", ""): "BIG-Bench Hard",
    ("bbh_fewshot", ""): "BIG-Bench Hard",
    ("copa", "cloze"): "COPA",
    ("gsm8k", ""): "GSM8k",
    ("hellaswag", "cloze"): "HellaSwag",
    ("humaneval", ""): "HumanEval",
    ("hendrycks_math", ""): "MATH",
    ("minerva_math", ""): "MATH",
    ("mmlu", "choice"): "MMLU",
    ("mmlu", "cloze"): "MMLU-Cloze",
    ("mmlu_continuation", "cloze"): "MMLU-Cloze",
    ("nq_open", ""): "Natural Questions",
    ("piqa", "cloze"): "PIQA",
    ("social_iqa", "cloze"): "SIQA",
    ("triviaqa", ""): "TriviaQA",
}
"""lm-eval's task or group and formulation to benchmark, where they certainly are it.

Of a formulation that the paper did not use there is no published figure; subtasks of
MMLU, BIG-Bench Hard, MATH and AGIEval have none either. AGIEval is the group whose
items are as many as the paper's."""

SAME_ITEMS = 0.02
"""Item counts that differ by no more than this share are of the same benchmark:
ARC-Challenge has 1,172 items in lm-eval and 1,165 in the paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigure:
    """What a paper found on one benchmark, as shares and not in percent.

    Attributes
    ----------
    benchmark : str
        The paper's name of it.
    n_items : int
        Items in the paper.
    chance : float
        Score of a guesser.
    mean : float
        Mean over seeds at the final checkpoint.
    seed_sd : float
        SD over seeds, averaged over checkpoints (table 1).
    seed_sd_last : float
        SD over seeds at the final checkpoint (table 2); ``nan`` where not reported.
    item_half_width : float
        Half the bootstrapped 95 % interval over items, averaged over checkpoints.
    snr, snr_continuous : float
        Mean over SD at the final checkpoint (table 2); ``nan`` where not reported.
    monotonicity, monotonicity_continuous : float
        Kendall's tau of score and step; ``nan`` where not reported.
    n_seeds, n_checkpoints : int
        Behind each figure.
    models : str
        Whom it is of, in words.
    source : str
        Where it stands.
    """

    benchmark: str
    n_items: int
    chance: float
    mean: float
    seed_sd: float
    seed_sd_last: float
    item_half_width: float
    snr: float
    snr_continuous: float
    monotonicity: float
    monotonicity_continuous: float
    n_seeds: int = N_SEEDS
    n_checkpoints: int = N_CHECKPOINTS
    models: str = MODELS
    source: str = SOURCE

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {k: None if v != v else v for k, v in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedComparison:
    """One's own SD over seeds beside the published one, in the parts of a sentence.

    "Your seed SD on {figure.benchmark} is {ratio.value} ({ratio.interval}) times the
    published {published} of {figure.n_seeds} {figure.models} [{figure.source}]."
    """

    figure: PublishedFigure
    published: float
    """The published SD that `ratio` is of, as a share."""

    ratio: Estimate

    @property
    def is_unlike(self) -> bool:
        """Whether the ratio's interval leaves out 1."""
        low, high = self.ratio.interval
        return low > 1 or high < 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "figure": self.figure.to_dict(),
            "published": self.published,
            "ratio": self.ratio.to_dict(),
        }


def published(task: str, formulation: str) -> PublishedFigure | None:
    """Return what Madaan et al. found on a benchmark; ``None`` where it is not theirs.

    Parameters
    ----------
    task : str
        lm-eval's name of the task or group.
    formulation : str
        ``choice``, ``cloze`` or empty: MMLU by letter and MMLU by text are two
        benchmarks.

    References
    ----------
    L. Madaan et al., arXiv 2406.10229 (2024), tables 1 and 2.
    """
    name = TASKS.get((task, formulation))
    if name is None:
        return None
    (row,) = (row for row in _rows("madaan_table_1") if row["benchmark"] == name)
    last = next(
        (row for row in _rows("madaan_table_2") if row["benchmark"] == name), {}
    )
    return PublishedFigure(
        benchmark=name,
        n_items=int(row["n_items"]),
        chance=_number(row, "chance") / 100,
        mean=_number(row, "mean") / 100,
        seed_sd=_number(row, "seed_sd") / 100,
        seed_sd_last=_number(last, "seed_sd_last") / 100,
        item_half_width=_number(row, "half_width") / 100,
        snr=_number(last, "snr"),
        snr_continuous=_number(last, "snr_continuous"),
        monotonicity=_number(row, "monotonicity"),
        monotonicity_continuous=_number(row, "monotonicity_continuous"),
    )


def compare_to_published(
    seed_sd: Estimate, *, task: str, formulation: str, n_items: int
) -> PublishedComparison | None:
    """Return one's own SD over seeds as a multiple of the published one.

    ``ratio = SD / published SD``; both are estimates, so that the interval is that of
    a ratio of two, by the F distribution with n - 1 and 9 degrees of freedom, where n
    is `seed_sd.n`, the smallest number of seeds at a step. It takes seeds as normal
    and, as that of `seed_sd`, gives the other checkpoints of the same runs no credit:
    too wide rather than too narrow.

    Parameters
    ----------
    seed_sd : Estimate
        Of `harness.stats.series.seed_sd`, which is compared with table 1, or
        `last_seed_sd`, with table 2: the quantity says which. With ``ddof=1``, of a
        discrete score from 0 to 1.
    task, formulation
        As in `published`.
    n_items : int
        Items that each checkpoint was asked.

    Returns
    -------
    PublishedComparison or None
        ``None`` where there is no published SD of that benchmark and kind.

    Notes
    -----
    Cautions: ``other-items``, where items are not as many as the paper's, since fewer
    items alone make a larger SD; and those of an SD that is not defined.
    """
    from scipy.special import fdtri

    figure = published(task, formulation)
    theirs = {
        "seed_sd": figure.seed_sd if figure else math.nan,
        "seed_sd_last": figure.seed_sd_last if figure else math.nan,
    }.get(seed_sd.quantity, math.nan)
    if figure is None or math.isnan(theirs):
        return None
    quantity = f"{seed_sd.quantity}_ratio"
    method = f"SD over seeds over that of {figure.n_seeds} {figure.models}"
    if math.isnan(seed_sd.value):
        (reason, *_) = seed_sd.cautions
        ratio = undefined(
            quantity, n=seed_sd.n, method=method, code=reason.code, text=reason.text
        )
        return PublishedComparison(figure=figure, published=theirs, ratio=ratio)
    cautions = seed_sd.cautions
    if abs(n_items - figure.n_items) > SAME_ITEMS * figure.n_items:
        text = (
            f"{n_items} items, {figure.n_items} in the paper; the number of items "
            "alone changes the SD over seeds"
        )
        cautions += (Caution("other-items", text),)
    value = seed_sd.value / theirs
    tail = (1 - seed_sd.confidence_level) / 2
    ends = (
        value / math.sqrt(float(fdtri(seed_sd.n - 1, figure.n_seeds - 1, p)))
        for p in (1 - tail, tail)
    )
    return PublishedComparison(
        figure=figure,
        published=theirs,
        ratio=Estimate(
            quantity=quantity,
            value=value,
            interval=Interval(*ends),
            confidence_level=seed_sd.confidence_level,
            n=seed_sd.n,
            method=f"{method}; F interval over the seeds of both",
            cautions=cautions,
        ),
    )


def published_table(name: Table) -> pd.DataFrame:
    """Return a published table as it was printed, in the units of its first lines.

    ``madaan_table_1`` and ``_2`` hold what `published` looks up; ``madaan_tables_3_4``
    what 100 chosen items did to SD and monotonicity; ``heineman_snr`` signal to noise
    by two scores. ``nan`` where nothing was reported.
    """
    import pandas as pd

    frame = pd.DataFrame(_rows(name))
    words = {"benchmark", "estimator"}
    numbers = [column for column in frame.columns if column not in words]
    return frame.assign(**{str(c): pd.to_numeric(frame[c]) for c in numbers})


@cache
def _rows(name: Table) -> list[dict[str, str]]:
    text = (files("harness.stats") / "published" / f"{name}.csv").read_text("utf-8")
    return list(
        csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    )


def _number(row: dict[str, str], column: str) -> float:
    return float(row.get(column) or "nan")
