"""What does a report say? A store's tables, summed up as one plain `ReportData`."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from harness.aggregates import Aggregate
from harness.errors import DesignError, ErrorCode, SchemaError
from harness.frames import CONDITION, SETTINGS, TRIALS
from harness.records import Caution
from harness.stats.calibration import Calibration, a_a, calibration_table
from harness.stats.collapse import collapse
from harness.stats.compare.results import Choice, Comparison
from harness.stats.compare.table import compare
from harness.stats.facets import FacetScores, facet_scores
from harness.stats.formulation_table import (
    Refused,
    TaskFormulation,
    formulation_table,
)
from harness.stats.history.missing import Missing, missing_runs
from harness.stats.history.points import History, histories
from harness.stats.history.table import TaskHistory, history_table
from harness.stats.irt_table import TaskIrt, irt_table
from harness.stats.item_table import TaskItems, item_table
from harness.stats.last_step_prompts import PromptedRun, last_step_prompts
from harness.stats.ledger_table import TaskLedger, ledger_table
from harness.stats.power_table import TaskPower, power_table
from harness.stats.ranks import RankMethod
from harness.stats.respondents import Respondents, respondents
from harness.stats.scores import METRICS, UNKNOWN_METRIC
from harness.stats.signal_table import TaskSignal, signal_table
from harness.stats.subset_table import TaskSubsets, subset_table
from harness.stats.tables import (
    SETTING_WORDS,
    ScoreTable,
    formulation_pairs,
    score_tables,
)
from harness.stats.variance import (
    Curve,
    MetricVariance,
    TaskVariance,
    variance_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from harness.marks import Marks

KEY = ("model", *CONDITION)

FACTS = (
    "suite",
    "suite_digest",
    "entropy",
    "backend",
    "dtype",
    "batch_size",
    "max_length",
    "device",
    "host",
)
"""Columns of the trials whose distinct values the page lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """What the training seeds score at one step."""

    step: int | None
    mean: float
    """Over the seeds that have this step."""

    sd: float
    """Over the same seeds; ``nan`` for fewer than two."""

    low: float
    high: float
    """`mean` minus and plus `sd`, cut off at the bounds of the score."""

    item_half_width: float
    """Half the interval over items, averaged over seeds; ``nan`` if undefined."""

    scores: tuple[tuple[int | None, float], ...]
    """Pairs of training seed and score, seeds ascending."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """A row of the variance table, and what the page needs beside it."""

    variance: TaskVariance
    n_failed: int
    """Trials of this row that have no result."""

    discrete: tuple[TrendPoint, ...]
    continuous: tuple[TrendPoint, ...]
    """Empty where no likelihood was stored."""

    def metric(self, kind: str) -> MetricVariance | None:
        """Return the discrete or the continuous part; ``None`` if there is none."""
        return (
            self.variance.discrete if kind == "discrete" else self.variance.continuous
        )

    def trend(self, kind: str) -> tuple[TrendPoint, ...]:
        """Return the points of the discrete or of the continuous metric."""
        return self.discrete if kind == "discrete" else self.continuous


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """Rows of the same items and metrics, whatever the model and the formulation."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Trials of one model and condition that failed alike."""

    model: str
    task: str
    formulation: str
    num_fewshot: int
    template: str
    generation: str
    n_failed: int
    n_trials: int
    """All trials of this model and condition, failed or not."""

    error_code: str
    error: str
    settings: str = ""
    """Failures are counted over all settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the numbers come from."""

    n_attempts: int
    n_trials: int
    n_done: int
    n_failed: int
    n_responses: int
    n_checkpoints: int
    n_requests: int
    n_truncated: int
    """Prompts that were longer than the model reads."""

    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    seconds: float
    """Of all trials together, workers added up."""

    load_seconds: float
    forward_seconds: float
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    """Name of each of `FACTS`, with its distinct values."""

    versions: tuple[tuple[str, tuple[str, ...]], ...]
    """Package, with its distinct versions."""

    tasks: tuple[tuple[str, str, str, str], ...]
    """Task, formulation, task version and digest."""

    checkpoints: tuple[tuple[str, int | None, int | None, str, str], ...]
    """Model, training seed, step, digest of the weights and hub revision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An analysis that a task does not allow."""

    analysis: Literal["signal", "items", "irt", "subsets"]
    who: Respondents
    code: ErrorCode
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Analyses:
    """The analyses over models, task by task."""

    signals: tuple[TaskSignal, ...] = ()
    items: tuple[TaskItems, ...] = ()
    irt: tuple[TaskIrt, ...] = ()
    subsets: tuple[TaskSubsets, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportData:
    """Everything that a report shows, as plain values."""

    title: str
    rows: tuple[Row, ...]
    panels: tuple[Panel, ...]
    pairs: tuple[tuple[TaskVariance, TaskVariance], ...]
    """(choice, cloze) of the same items and model."""

    comparisons: tuple[TaskFormulation, ...]
    """Of each pair, by its discrete metric."""

    uncompared: tuple[Refused, ...]
    """Pairs that cannot be compared, and why."""

    signals: tuple[TaskSignal, ...]
    """Discrete metrics first, then continuous ones, by task."""

    items: tuple[TaskItems, ...]
    irt: tuple[TaskIrt, ...]
    subsets: tuple[TaskSubsets, ...]
    """Empty unless sizes were asked for."""

    refusals: tuple[Refusal, ...]
    """Which analyses some tasks do not allow, and why."""

    ledgers: tuple[TaskLedger, ...]
    """Of the last step, by model and task."""

    powers: tuple[TaskPower, ...]
    unpredicted: tuple[tuple[FacetScores, DesignError], ...]
    """Scores without a ledger, or without a prediction, and why."""

    prompted: tuple[PromptedRun, ...]
    """Of the last step, by model, task and training seed."""

    unprompted: tuple[tuple[FacetScores, DesignError], ...]
    """Scores that say nothing of templates, and why."""

    comparison: Comparison | None
    """Of all models at their last steps; ``None`` of fewer than 2."""

    courses: tuple[TaskHistory, ...]
    """Of each model and task, by step."""

    uncharted: tuple[tuple[History, DesignError], ...]
    """Histories without a course, and why."""

    missing: tuple[Missing, ...]
    calibration: tuple[Calibration, ...]
    """Of equal models, all tasks together first; empty where none are."""

    aggregates: tuple[Aggregate, ...]
    """Scores that came without items."""

    failures: tuple[Failure, ...]
    cautions: tuple[Caution, ...]
    """What concerns the trials as a whole; rows and estimates carry their own."""

    provenance: Provenance

    @property
    def variance(self) -> tuple[TaskVariance, ...]:
        """The variance table."""
        return tuple(row.variance for row in self.rows)


def gather(
    responses: pd.DataFrame,
    trials: pd.DataFrame,
    *,
    title: str,
    ddof: int = 1,
    confidence_level: float = 0.95,
    rank_method: RankMethod = "tau-b",
    discrete: str | None = None,
    continuous: str | None = None,
    subset_sizes: Sequence[int] = (),
    larger: Mapping[str, str] | None = None,
    discriminative: int | None = None,
    marks: Marks | None = None,
    aggregates: Sequence[Aggregate] = (),
    entropy: int = 0,
) -> ReportData:
    """Sum up a store's responses and trials.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`; may have no rows, when nothing is done.
    trials : DataFrame
        Columns of `harness.frames.TRIALS`; one row per trial, or all attempts: of
        each trial the first done attempt counts, else the last failed one.
    title : str
        Heading of the page.
    ddof, confidence_level, rank_method
        As `harness.stats.variance.variance_table` takes them.
    discrete, continuous
        As `harness.stats.tables.score_tables` takes them.
    subset_sizes : sequence of int
        Sizes at which subsets of items are judged; none are by default, since it takes
        longer than all the rest.
    larger : mapping of str to str, optional
        As `harness.stats.signal_table.signal_table` takes it.
    discriminative : int, optional
        How many items are chosen that tell templates apart; as `subset_sizes`, none
        are by default.
    marks : Marks, optional
        What was acknowledged, as of the day on which the last trial ended.
    aggregates : sequence of Aggregate
        Scores that came without items, which are shown as they are.
    entropy : int
        Where random draws start; the same number, the same page.

    Raises
    ------
    SchemaError
        ``missing-columns``: names the columns that are not there.
    DesignError
        What these refuse.
    """
    _check_trials(trials)
    table: tuple[TaskVariance, ...] = ()
    analyses = _Analyses()
    comparisons: tuple[TaskFormulation, ...] = ()
    uncompared: tuple[Refused, ...] = ()
    ledgers: tuple[TaskLedger, ...] = ()
    powers: tuple[TaskPower, ...] = ()
    unpredicted: tuple[tuple[FacetScores, DesignError], ...] = ()
    prompted: tuple[PromptedRun, ...] = ()
    unprompted: tuple[tuple[FacetScores, DesignError], ...] = ()
    comparison: Comparison | None = None
    courses: tuple[TaskHistory, ...] = ()
    uncharted: tuple[tuple[History, DesignError], ...] = ()
    missing: tuple[Missing, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    chosen = _one_attempt_each(trials)
    if len(responses):
        tables = score_tables(responses, discrete=discrete, continuous=continuous)
        table = variance_table(
            tables,
            ddof=ddof,
            confidence_level=confidence_level,
            rank_method=rank_method,
            entropy=entropy,
        )
        comparisons, uncompared = formulation_table(
            tables,
            ddof=ddof,
            rank_method=rank_method,
            confidence_level=confidence_level,
            entropy=entropy,
        )
        analyses = _analyses(tables, confidence_level, subset_sizes, larger, entropy)
        facets = facet_scores(responses, metric=discrete)
        ledgers, _ = ledger_table(facets, confidence_level=confidence_level)
        powers, unpredicted = power_table(
            facets, chosen, confidence_level=confidence_level
        )
        prompted, unprompted = last_step_prompts(
            facets,
            size=discriminative,
            confidence_level=confidence_level,
            entropy=entropy,
        )
        comparison = _compared(responses, chosen, discrete, confidence_level)
        past = histories(responses, metric=discrete, versions=_by_attempt(chosen))
        courses, uncharted = history_table(
            past,
            confidence_level=confidence_level,
            is_acknowledged=_acknowledged(marks, chosen),
        )
        missing = missing_runs(past)
        calibration = _calibrated(responses, facets, discrete, confidence_level)
    failed = chosen[chosen["status"] != "done"]
    rows = tuple(
        Row(
            variance=variance,
            n_failed=_n_failed(variance, failed),
            discrete=_trend(variance.discrete.curve, ddof),
            continuous=_trend(variance.continuous.curve, ddof)
            if variance.continuous
            else (),
        )
        for variance in table
    )
    return ReportData(
        title=title,
        rows=rows,
        panels=_panels(rows),
        pairs=formulation_pairs(table),
        comparisons=comparisons,
        uncompared=uncompared,
        signals=analyses.signals,
        items=analyses.items,
        irt=analyses.irt,
        subsets=analyses.subsets,
        refusals=analyses.refusals,
        ledgers=ledgers,
        powers=powers,
        unpredicted=unpredicted,
        prompted=prompted,
        unprompted=unprompted,
        comparison=comparison,
        courses=courses,
        uncharted=uncharted,
        missing=missing,
        calibration=calibration,
        aggregates=tuple(aggregates),
        failures=_failures(chosen),
        cautions=(
            *_trial_cautions(chosen),
            *_setting_cautions(table),
            *_item_cautions(table),
        ),
        provenance=_provenance(trials, chosen, len(responses)),
    )


def _analyses(
    tables: Sequence[ScoreTable],
    confidence_level: float,
    subset_sizes: Sequence[int],
    larger: Mapping[str, str] | None,
    entropy: int,
) -> _Analyses:
    """Analyse what models share, task by task; what a task refuses is kept with it."""
    people = respondents(tables)
    refusals: list[Refusal] = []

    def refuse(
        analysis: Literal["signal", "items", "irt", "subsets"],
        who: Respondents,
        error: DesignError,
    ) -> None:
        refusals.append(
            Refusal(analysis=analysis, who=who, code=error.code, text=str(error))
        )

    signals, silent = signal_table(
        (*people, *respondents(tables, kind="continuous")),
        larger=larger,
        confidence_level=confidence_level,
        entropy=entropy,
    )
    for who, reason in silent:
        refuse("signal", who, reason)
    items, unread = item_table(
        people, confidence_level=confidence_level, entropy=entropy
    )
    for who, reason in unread:
        refuse("items", who, reason)
    irt, unfitted = irt_table(people, confidence_level=confidence_level)
    for who, reason in unfitted:
        refuse("irt", who, reason)
    subsets: tuple[TaskSubsets, ...] = ()
    if subset_sizes:
        subsets, unjudged = subset_table(
            people, subset_sizes, confidence_level=confidence_level, entropy=entropy
        )
        for who, reason in unjudged:
            refuse("subsets", who, reason)
    return _Analyses(
        signals=signals,
        items=items,
        irt=irt,
        subsets=subsets,
        refusals=tuple(refusals),
    )


def _compared(
    responses: pd.DataFrame,
    trials: pd.DataFrame,
    metric: str | None,
    confidence_level: float,
) -> Comparison | None:
    """Compare all models at their last steps with the first of them."""
    models = sorted(map(str, responses["model"].unique()))
    if len(models) < 2:
        return None
    return compare(
        responses,
        [Choice(name=model, model=model) for model in models],
        metric=metric,
        confidence_level=confidence_level,
        trials=trials,
    )


def _calibrated(
    responses: pd.DataFrame,
    facets: Sequence[FacetScores],
    metric: str | None,
    confidence_level: float,
) -> tuple[Calibration, ...]:
    """Compare equal models; scores are read anew only where some are copies."""
    _, copies = collapse(responses)
    if copies or responses["cluster"].notna().any():
        return a_a(responses, metric=metric, confidence_level=confidence_level)
    rows, _ = calibration_table(facets, confidence_level=confidence_level)
    return rows


def _by_attempt(trials: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the versions of packages, by attempt."""
    pairs = zip(trials["attempt_id"], trials["versions"], strict=True)
    # An Arrow map arrives as a list of pairs, or as nothing.
    return {
        attempt: dict(versions) if isinstance(versions, Iterable) else {}
        for attempt, versions in pairs
    }


def _acknowledged(
    marks: Marks | None, trials: pd.DataFrame
) -> Callable[[str, str], bool] | None:
    """Return whether losses are known, as of the day when the last trial ended."""
    last = _moment(trials["finished_at"].max())
    if marks is None or last is None:
        return None
    return lambda task, model: bool(marks.acknowledged(task, model, on=last.date()))


def _check_trials(trials: pd.DataFrame) -> None:
    missing = [name for name in TRIALS.names if name not in trials.columns]
    if missing:
        raise SchemaError(
            f"a table of trials lacks {len(missing)} columns, first {missing[:3]}; "
            "read it with harness.store.Store.attempts()",
            code="missing-columns",
        )


def _one_attempt_each(attempts: pd.DataFrame) -> pd.DataFrame:
    """Choose as `harness.store.Store.trials` does; in the order of their names."""
    attempts = attempts.reset_index(drop=True)
    ordered = attempts.sort_values(["finished_at", "attempt_id"], kind="stable")
    is_done = ordered["status"] == "done"
    done = ordered[is_done].drop_duplicates("trial_id")
    failed = ordered[~is_done].drop_duplicates("trial_id", keep="last")
    failed = failed[~failed["trial_id"].isin(done["trial_id"])]
    chosen = attempts.loc[done.index.append(failed.index)]
    return chosen.sort_values([*KEY, "train_seed", "step", "trial_id"], kind="stable")


def _key(row: TaskVariance | Failure) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in KEY)


def _counts(frame: pd.DataFrame, *more: str) -> Counter[tuple[Any, ...]]:
    """Count the rows of each model and condition."""
    return Counter(frame[[*KEY, *more]].itertuples(index=False, name=None))


def _n_failed(row: TaskVariance, failed: pd.DataFrame) -> int:
    """Count failed trials of a row; by its settings only where others have a row."""
    is_own = np.ones(len(failed), dtype=bool)
    for name in (*KEY, *SETTINGS) if row.settings else KEY:
        value = getattr(row, name)
        is_own &= failed[name].isna() if value is None else failed[name] == value
    return int(is_own.sum())


def _trend(curve: Curve, ddof: int) -> tuple[TrendPoint, ...]:
    bounds = METRICS.get(curve.metric, UNKNOWN_METRIC)
    points = []
    for column, step in enumerate(curve.steps):
        scores = curve.scores[:, column]
        here = ~np.isnan(scores)
        if not here.any():
            continue
        known, widths = scores[here], curve.half_widths[here, column]
        widths = widths[~np.isnan(widths)]
        seeds = np.flatnonzero(here)
        mean = float(known.mean())
        sd = float(known.std(ddof=ddof)) if len(known) > 1 else math.nan
        points.append(
            TrendPoint(
                step=step,
                mean=mean,
                sd=sd,
                low=max(mean - sd, bounds.low),
                high=min(mean + sd, bounds.high),
                item_half_width=float(widths.mean()) if len(widths) else math.nan,
                scores=tuple((curve.train_seeds[i], float(scores[i])) for i in seeds),
            )
        )
    return tuple(points)


def _panels(rows: Iterable[Row]) -> tuple[Panel, ...]:
    """Join rows of the same items and metrics, or the same task of other models."""
    rows = tuple(rows)
    same_items: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        v = row.variance
        metrics = (v.discrete.metric, v.continuous and v.continuous.metric)
        key = (v.items_digest, v.num_fewshot, v.template, v.generation, metrics)
        same_items.setdefault(key, []).append(row)
    # A model that was asked fewer items is shown beside the others all the same.
    home: dict[tuple[Any, ...], list[Row]] = {}
    for members in same_items.values():
        conditions = [_key(row.variance)[1:] for row in members]
        panel = next((home[c] for c in conditions if c in home), [])
        panel.extend(members)
        for condition in conditions:
            home[condition] = panel
    unique = {id(panel): panel for panel in home.values()}
    return tuple(Panel(rows=tuple(panel)) for panel in unique.values())


def _failures(trials: pd.DataFrame) -> tuple[Failure, ...]:
    n_trials = _counts(trials)
    failed = trials[trials["status"] != "done"]
    failed = failed.fillna({"error_code": "unknown", "error": "no error was stored"})
    return tuple(
        Failure(
            **dict(zip(KEY, key, strict=True)),
            n_failed=n_failed,
            n_trials=n_trials[tuple(key)],
            error_code=code,
            error=error,
        )
        for (*key, code, error), n_failed in sorted(
            _counts(failed, "error_code", "error").items()
        )
    )


def _trial_cautions(trials: pd.DataFrame) -> tuple[Caution, ...]:
    done = trials[trials["status"] == "done"]
    cautions = []
    if n_failed := len(trials) - len(done):
        cautions.append(
            Caution(
                "failed-trials",
                f"{n_failed} of {len(trials)} trials failed and are in no number here; "
                "the same `evalvar run` tries them again",
            )
        )
    devices = {
        str(key[0]): _distinct(part["device"])
        for key, part in done.groupby(list(CONDITION))
        if len(_distinct(part["device"])) > 1
    }
    if devices:
        cautions.append(
            Caution(
                "mixed-devices",
                f"trials of {', '.join(devices)} ran on several devices "
                f"({', '.join(next(iter(devices.values())))}); scores may differ for "
                "that reason alone",
            )
        )
    for package, versions in _versions(done):
        if len(versions) > 1:
            cautions.append(
                Caution(
                    "mixed-versions",
                    f"trials ran with several versions of {package} "
                    f"({', '.join(versions)}); scores may differ for that reason alone",
                )
            )
    if n_truncated := _total(done["n_truncated"]):
        cautions.append(
            Caution(
                "truncated-prompts",
                f"{int(n_truncated)} prompts were longer than the model reads and lost "
                "their beginning; ask with fewer examples",
            )
        )
    return tuple(cautions)


def _setting_cautions(table: Iterable[TaskVariance]) -> tuple[Caution, ...]:
    """Tell where models share no value of a setting, so that no two compare."""
    values: dict[tuple[str, tuple[Any, ...]], dict[str, set[Any]]] = {}
    for row in table:
        for name in SETTINGS:
            models = values.setdefault((name, _key(row)[1:]), {})
            models.setdefault(row.model, set()).add(getattr(row, name))
    apart: dict[str, dict[str, None]] = {}
    for (name, condition), models in values.items():
        if not set.intersection(*models.values()):
            words = SETTING_WORDS.get(name, name)
            apart.setdefault(words, {})[str(condition[0])] = None
    return tuple(
        Caution(
            "settings-differ",
            f"models were asked {', '.join(tasks)} under different settings ({words}); "
            "their scores may differ for that reason alone",
        )
        for words, tasks in apart.items()
    )


def _item_cautions(table: Iterable[TaskVariance]) -> tuple[Caution, ...]:
    digests: dict[tuple[Any, ...], set[str]] = {}
    for row in table:
        digests.setdefault(_key(row)[1:], set()).add(row.items_digest)
    tasks = [str(condition[0]) for condition, some in digests.items() if len(some) > 1]
    if not tasks:
        return ()
    return (
        Caution(
            "items-differ",
            f"models were not asked the same items of {', '.join(tasks)}; their scores "
            "are not comparable until they are",
        ),
    )


def _provenance(
    attempts: pd.DataFrame, trials: pd.DataFrame, n_responses: int
) -> Provenance:
    done = trials[trials["status"] == "done"]
    checkpoints = done[
        ["model", "train_seed", "step", "weights_digest", "revision"]
    ].drop_duplicates()
    tasks = done[["task", "formulation", "task_version", "task_digest"]]
    return Provenance(
        n_attempts=len(attempts),
        n_trials=len(trials),
        n_done=len(done),
        n_failed=len(trials) - len(done),
        n_responses=n_responses,
        n_checkpoints=len(
            checkpoints[["model", "train_seed", "step"]].drop_duplicates()
        ),
        n_requests=int(_total(done["n_requests"])),
        n_truncated=int(_total(done["n_truncated"])),
        started_at=_moment(trials["started_at"].min()),
        finished_at=_moment(trials["finished_at"].max()),
        seconds=_total(done["seconds"]),
        load_seconds=_total(done["load_seconds"]),
        forward_seconds=_total(done["forward_seconds"]),
        settings=tuple((name, _distinct(trials[name])) for name in FACTS),
        versions=_versions(trials),
        tasks=tuple(sorted({_four(row) for row in tasks.to_numpy()})),
        checkpoints=tuple(
            (str(model), _whole(seed), _whole(step), _text(weights), _text(revision))
            for model, seed, step, weights, revision in checkpoints.sort_values(
                ["model", "train_seed", "step"], kind="stable"
            ).itertuples(index=False, name=None)
        ),
    )


def _distinct(column: pd.Series[Any]) -> tuple[str, ...]:
    values = column.dropna().unique()
    if column.dtype.kind == "f":  # whole numbers beside nulls
        values = values.astype(np.int64)
    return tuple(str(value) for value in sorted(values))


def _versions(trials: pd.DataFrame) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, set[str]] = {}
    for pairs in trials["versions"]:
        # An Arrow map arrives as a list of pairs, or as nothing.
        for package, version in pairs if isinstance(pairs, Iterable) else ():
            found.setdefault(str(package), set()).add(str(version))
    return tuple((name, tuple(sorted(found[name]))) for name in sorted(found))


def _total(column: pd.Series[Any]) -> float:
    return float(column.fillna(0).sum())


def _moment(value: Any) -> datetime.datetime | None:
    return None if value != value else value.to_pydatetime()


def _whole(value: Any) -> int | None:
    return None if value is None or value != value else int(value)


def _four(row: Iterable[Any]) -> tuple[str, str, str, str]:
    one, two, three, four = map(_text, row)
    return one, two, three, four


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)
