"""What can a notebook ask? Results as frames, what they say, and figures of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from harness.chosen import read_choice
from harness.errors import DesignError, InputError
from harness.frames import CONDITION

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from harness.ingest.parts import Problem
    from harness.marks import Marks
    from harness.report.cells import Drawn
    from harness.report.gather import ReportData
    from harness.stats.compare.results import Choice, Comparison
    from harness.stats.estimate import Caution
    from harness.stats.history.points import By
    from harness.stats.pairs import Correction
    from harness.stats.ranks import RankMethod
    from harness.stats.sequential import SequentialRule
    from harness.stats.tables import Kind

ComparisonFigure = Literal["forest", "flips", "pairs"]

FigureName = Literal["trend", "trend-continuous", "spread", "snr", "monotonicity"]

WHO = ("model", "train_seed", "step", *CONDITION, "item_id", "item_index", "repeat")
"""What tells one score from another."""


class _Frames(NamedTuple):
    responses: pd.DataFrame
    trials: pd.DataFrame
    aggregates: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Results:
    """Answers of checkpoints: those of a store, or what other tools wrote.

    Attributes
    ----------
    sources : tuple of str
        What was loaded.
    models : tuple of str
        Names of the models that answered, source by source.
    problems : tuple of Problem
        What in foreign files could not be taken, and why.
    marks : tuple of Marks
        Tags and baselines of each store.
    """

    sources: tuple[str, ...]
    models: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    marks: tuple[Marks, ...] = ()
    _silent: tuple[str, ...] = ()
    """Of each source that has no answer, why."""

    _frames: _Frames

    def __repr__(self) -> str:
        n = len(self.problems)
        problems = f"; {n} problem{'s' if n > 1 else ''}" if n else ""
        return (
            f"<Results of {', '.join(self.sources)}: "
            f"{len(self._frames.responses):,} answers of {len(self.models)} models "
            f"to {len(self.tasks)} tasks{problems}>"
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that were put to them."""
        return _names(self._frames.responses["task"])

    def responses(
        self,
        *,
        model: str | None = None,
        task: str | None = None,
        formulation: str | None = None,
    ) -> pd.DataFrame:
        """Return the answers: a row each, with the identity of their trial.

        Parameters
        ----------
        model, task, formulation : str, optional
            Only these.

        Returns
        -------
        DataFrame
            Columns of `harness.frames.JOINED`.

        Raises
        ------
        DesignError
            ``nothing-stored``: there is none; names what there is.
        """
        return _asked(
            self._frames.responses, model=model, task=task, formulation=formulation
        )

    def trials(self) -> pd.DataFrame:
        """Return what was put to which checkpoint: a row each, failed ones too.

        Returns
        -------
        DataFrame
            Columns of `harness.frames.TRIALS`.
        """
        return self._frames.trials

    def aggregates(self) -> pd.DataFrame:
        """Return scores that came without items, which can be shown, not compared.

        Returns
        -------
        DataFrame
            Columns of `harness.frames.AGGREGATES`.
        """
        return self._frames.aggregates

    def scores(
        self,
        metric: str | None = None,
        *,
        model: str | None = None,
        task: str | None = None,
        formulation: str | None = None,
    ) -> pd.DataFrame:
        """Return the score of each answer, higher is better.

        Other tools' metrics of which less is better are negated, and named so.
        Answers of weights that were replaced since are left out.

        Parameters
        ----------
        metric : str, optional
            Of `harness.stats.scores.METRICS`, or another tool's ``metric,filter`` as
            stored; each task's own if absent.
        model, task, formulation : str, optional
            Only these.

        Returns
        -------
        DataFrame
            A row for each answer: ``model``, ``train_seed``, ``step``, ``task``,
            ``formulation``, ``num_fewshot``, ``template``, ``generation``,
            ``item_id``, ``item_index``, ``repeat``, ``metric``, ``score``; `nan`
            where there is none.

        Raises
        ------
        DesignError
            ``nothing-stored``, ``unknown-metric``.
        """
        import pandas as pd

        from harness.stats.scores import (
            default_metrics,
            metric_scores,
            score_responses,
            shown_name,
        )
        from harness.stats.tables import asked_metrics

        current = self._current(model, task, formulation)
        scored = score_responses(current, asked_metrics(metric))
        parts = []
        for _, part in scored.groupby(list(CONDITION), sort=True, observed=True):
            own = default_metrics(part)[0] if metric is None else metric
            score = metric_scores(part, own)
            shown = shown_name(part, own)
            parts.append(part[list(WHO)].assign(metric=shown, score=score))
        return pd.concat(parts, ignore_index=True)

    def variance(
        self,
        *,
        model: str | None = None,
        task: str | None = None,
        formulation: str | None = None,
        metric: str | None = None,
        continuous: str | None = None,
        ddof: int = 1,
        confidence_level: float = 0.95,
        rank_method: RankMethod = "tau-b",
        entropy: int = 0,
    ) -> pd.DataFrame:
        """Return how much of each score is noise: a row for each model and task.

        Parameters
        ----------
        model, task, formulation : str, optional
            Only these.
        metric, continuous : str, optional
            Metrics instead of each task's own.
        ddof, confidence_level, rank_method, entropy
            As `harness.stats.variance.variance_table` takes them.

        Returns
        -------
        DataFrame
            Columns of `harness.stats.variance.variance_frame`.

        Raises
        ------
        DesignError
            ``nothing-stored``, ``unknown-metric``, and what
            `harness.stats.variance.variance_table` refuses.
        """
        from harness.stats.tables import score_tables
        from harness.stats.variance import variance_frame, variance_table

        self.responses(model=model, task=task, formulation=formulation)
        tables = score_tables(
            # Of all tasks: which weights count is not for one to say.
            self.responses(model=model),
            discrete=metric,
            continuous=continuous,
            task=task,
            formulation=formulation,
        )
        rows = variance_table(
            tables,
            ddof=ddof,
            confidence_level=confidence_level,
            rank_method=rank_method,
            entropy=entropy,
        )
        return variance_frame(rows)

    def compare(
        self,
        *choices: str | Choice,
        baseline: str | None = None,
        step: int | None = None,
        metric: str | None = None,
        kind: Kind = "discrete",
        task: str | None = None,
        formulation: str | None = None,
        correction: Correction = "holm",
        delta: float | Mapping[str, float] | None = None,
        min_items: int = 30,
        confidence_level: float = 0.95,
        clusters: Mapping[str, Any] | None = None,
        fixed: Collection[str] = (),
        allow: Collection[str] = (),
        sequential: str | SequentialRule | None = None,
        look: int = 1,
    ) -> Comparison:
        """Return which differences from a baseline are real, paired by item.

        Parameters
        ----------
        choices : str or Choice
            Who is compared: ``MODEL``, ``MODEL@STEP``, ``MODEL#SEED``,
            ``MODEL@STEP#SEED``, ``tag:NAME`` or ``baseline``; the last step and all
            training seeds where they are left out. All models if there are none.
        baseline : str, optional
            What the others are compared with; the first choice if absent.
        step : int, optional
            Of whoever names none, instead of the last.
        metric, kind, task, formulation, correction, delta, min_items, \
confidence_level, clusters, fixed, allow, sequential, look
            As `harness.stats.compare.table.compare` takes them.

        Returns
        -------
        Comparison
            With a verdict for each task, all numbers behind it, and ``to_frame()``.

        Raises
        ------
        InputError
            ``nothing-stored``: a source has no answers; ``unknown-model``,
            ``unknown-tag``, ``no-baseline``.
        DesignError
            What `harness.stats.compare.table.compare` refuses.
        """
        from harness.stats.compare.table import compare

        for why in self._silent:
            raise InputError(why, code="nothing-stored")
        made = compare(
            self._frames.responses,
            [self._choice(choice, step) for choice in choices or self.models],
            baseline=None if baseline is None else self._choice(baseline, step).name,
            metric=metric,
            kind=kind,
            task=task,
            formulation=formulation,
            correction=correction,
            delta=delta,
            min_items=min_items,
            confidence_level=confidence_level,
            clusters=clusters,
            fixed=fixed,
            allow=allow,
            sequential=sequential,
            look=look,
            trials=self._frames.trials,
            unread=_unread(self.problems),
        )
        return replace(made, cautions=(*made.cautions, *_of_files(self.problems)))

    def history(
        self,
        *,
        by: By = "step",
        model: str | None = None,
        task: str | None = None,
        formulation: str | None = None,
        metric: str | None = None,
        kind: Kind = "discrete",
        last: int | None = None,
    ) -> pd.DataFrame:
        """Return how scores move from checkpoint to checkpoint: a row for each.

        Parameters
        ----------
        by : {"step", "date"}
            What a point is, and their order.
        model, task, formulation : str, optional
            Only these.
        metric, kind, last
            As `harness.stats.history.points.histories` takes them.

        Returns
        -------
        DataFrame
            ``model``, ``task``, …, ``metric``, and of each point ``place``, ``when``,
            ``step``, ``label``, ``score``, ``se_items``, ``n_items``, ``changes``.

        Raises
        ------
        DesignError
            ``nothing-stored``, ``unknown-metric``, ``bad-n-last``, ``unknown-method``;
            ``no-responses``: none that has a date.
        """
        import pandas as pd

        from harness.stats.history.points import histories, no_histories

        self.responses(model=model, task=task, formulation=formulation)
        found = histories(
            self._frames.responses,
            by=by,
            metric=metric,
            kind=kind,
            model=model,
            task=task,
            formulation=formulation,
            last=last,
        )
        if not found:
            raise no_histories(self._frames.responses, by)
        return pd.concat([one.to_frame() for one in found], ignore_index=True)

    def figure(
        self,
        name: FigureName,
        *,
        model: str | None = None,
        task: str | None = None,
        formulation: str | None = None,
        metric: str | None = None,
        continuous: str | None = None,
    ) -> go.Figure:
        """Return a figure of the report as plotly's object.

        ``trend`` is score against training step, with the band of the seeds, and
        ``trend-continuous`` that of the continuous metric; ``spread`` has seed SD and
        item standard error side by side, ``snr`` the signal to noise of each task,
        ``monotonicity`` how steadily it rises.

        Parameters
        ----------
        name : str
            One of these.
        model, task, formulation : str, optional
            Only these.
        metric, continuous : str, optional
            Metrics instead of each task's own.

        Raises
        ------
        DesignError
            ``no-figure``: there is none of this name; nothing is defined that it
            could show; or there are several, and one has to be chosen.
            ``nothing-stored``, ``unknown-metric``.
        """
        from harness.report.gather import gather

        names = get_args(FigureName)
        if name not in names:
            raise DesignError(
                f"there is no figure {name!r}; choose one of {', '.join(names)}",
                code="no-figure",
            )
        data = gather(
            self._current(model, task, formulation),
            self._frames.trials,
            title="",
            discrete=metric,
            continuous=continuous,
        )
        return _the_one(name, [*_drawn(data, name)])

    def _choice(self, choice: str | Choice, step: int | None) -> Choice:
        from harness.stats.compare.results import Choice

        if isinstance(choice, Choice):
            return choice
        if not isinstance(choice, str):
            raise DesignError(
                f"{choice!r:.40} names no one; give a word such as MODEL@STEP, or a "
                "Choice",
                code="unknown-model",
            )
        return read_choice(choice, models=self.models, marks=self.marks, step=step)

    def _current(
        self, model: str | None, task: str | None, formulation: str | None
    ) -> pd.DataFrame:
        """Return the answers asked for, of the weights that were evaluated last."""
        from harness.stats.tables import is_current

        current = self._frames.responses[is_current(self._frames.responses)]
        return _asked(current, model=model, task=task, formulation=formulation)


def figure(
    comparison: Comparison,
    name: ComparisonFigure = "forest",
    *,
    candidate: str | None = None,
    task: str | None = None,
) -> go.Figure:
    """Return a figure of a comparison as plotly's object.

    ``forest`` is the difference at each task with its interval, ``flips`` how many
    items were lost and gained at each, ``pairs`` every choice against every other.

    Parameters
    ----------
    comparison : Comparison
        From `Results.compare`.
    name : str
        One of these.
    candidate : str, optional
        Whose differences; the first candidate's if absent. ``pairs`` has all.
    task : str, optional
        Which of the ``pairs``; the average over tasks if absent.

    Raises
    ------
    DesignError
        ``no-figure``: there is none of this name, or nothing that it could show.
        ``unknown-model``, ``unknown-task``.
    """
    from harness.report.views.compare import compare_sections
    from harness.stats.compare.results import Comparison

    if not isinstance(comparison, Comparison):
        raise DesignError(
            f"{comparison!r:.40} is no comparison; give what compare returned",
            code="no-figure",
        )
    names = get_args(ComparisonFigure)
    if name not in names:
        raise DesignError(
            f"there is no figure {name!r}; choose one of {', '.join(names)}",
            code="no-figure",
        )
    sections = compare_sections(comparison)
    drawn = {one.kind: one for section in sections for one in section.drawn}.get(name)
    if drawn is None or drawn.figure is None:
        is_paired = any(row.n_items for row in comparison.differences)
        is_same = name == "flips" and is_paired
        why = "no item changed" if is_same else "too little can be compared"
        raise DesignError(f"figure {name} shows nothing here: {why}", code="no-figure")
    if name == "pairs":
        return _pair_map(drawn.figure, drawn, task)
    return _bars(drawn.figure, drawn.extra["candidates"], candidate)


def load(path: str | Path, *more: str | Path, pattern: str | None = None) -> Results:
    """Read stores, or the files and folders of other tools.

    Parameters
    ----------
    path, more : str or Path
        A store: a folder, or an address such as ``s3://…``. Or what lm-eval, Inspect,
        lighteval and others wrote, which is read and not stored. Of models that are
        in several, the name has that of the source before it, or what of its path is
        its own: ``after/pythia-160m``.
    pattern : str, optional
        Where in a foreign file's path its model, step and training seed are, such as
        ``runs/{model}/seed{train_seed}/step{step}``, for files that do not say.

    Raises
    ------
    InputError
        ``store-missing``: nothing is there. What
        `harness.ingest.load.load_results` refuses.

    Examples
    --------
    >>> import harness
    >>> harness.load("results/example")
    <Results of results/example: 144,000 answers of 2 models to 6 tasks>
    """
    import pandas as pd

    places: dict[tuple[str, ...], str | Path] = {}
    for one in (path, *more):
        places.setdefault(_place(one), one)
    parts = [_loaded(one, pattern) for one in places.values()]
    models = Counter(model for part in parts for model in part.models)
    several = {model for model, n in models.items() if n > 1}
    labels = _labels([*places])
    parts = [
        _renamed(part, label, several)
        for part, label in zip(parts, labels, strict=True)
    ]
    if len(parts) == 1:
        return parts[0]
    frames = zip(*(part._frames for part in parts), strict=True)
    return Results(
        sources=tuple(source for part in parts for source in part.sources),
        models=tuple(dict.fromkeys(name for part in parts for name in part.models)),
        problems=tuple(problem for part in parts for problem in part.problems),
        marks=tuple(marks for part in parts for marks in part.marks),
        _silent=tuple(why for part in parts for why in part._silent),
        _frames=_Frames(*(pd.concat(some, ignore_index=True) for some in frames)),
    )


def _loaded(path: str | Path, pattern: str | None) -> Results:
    from harness.ingest.sniff import is_store

    if "://" not in str(path) and Path(path).exists() and not is_store(Path(path)):
        from harness.ingest.load import load_results

        found = load_results([path], pattern=pattern)
        why = (
            "scores without items, which cannot be paired; give results with samples, "
            "as lm-eval's --log_samples writes them"
        )
        return Results(
            sources=(str(path),),
            models=_names(found.responses["model"]),
            problems=found.problems,
            _silent=(f"{path}: {why}",) if found.responses.empty else (),
            _frames=_Frames(found.responses, found.trials, found.aggregates),
        )
    from harness.marks import read_marks
    from harness.store import Store

    store = Store(path)
    frames = _Frames(
        store.responses(), store.trials().to_pandas(), store.aggregates().to_pandas()
    )
    why = "no finished trial; there is nothing to compare"
    if len(frames.aggregates):
        why = (
            f"no answers, only {len(frames.aggregates):,} scores without items, which "
            f"cannot be paired; `evalvar status {path}` shows them, and samples "
            "(--log_samples) are what is needed"
        )
    return Results(
        sources=(store.path,),
        models=_names(frames.responses["model"]),
        marks=(read_marks(store),),
        _silent=(f"{path}: {why}",) if frames.responses.empty else (),
        _frames=frames,
    )


def _place(path: str | Path) -> tuple[str, ...]:
    """Return the parts of the path or address by which a source is told from others."""
    if "://" in str(path):
        return tuple(part for part in str(path).split("/") if part)
    return Path(os.path.realpath(path)).parts[1:]


def _labels(places: Sequence[tuple[str, ...]]) -> list[str]:
    """Return of each place the last parts that are no other's, less what all share.

    So ``old/results`` and ``new/results`` are ``old`` and ``new``.
    """
    ends = []
    for place in places:
        others = [other for other in places if other != place]
        lengths = range(1, len(place))
        alone = (n for n in lengths if all(o[-n:] != place[-n:] for o in others))
        ends.append(place[-next(alone, len(place)) :])
    while len({end[-1:] for end in ends}) == 1 and min(map(len, ends)) > 1:
        ends = [end[:-1] for end in ends]
    return ["/".join(end) for end in ends]


def _renamed(part: Results, label: str, several: Collection[str]) -> Results:
    """Put a label before the names of models that other sources have too."""
    own = {model: f"{label}/{model}" for model in several}
    if not own.keys() & {*part.models}:
        return part

    def renamed(frame: pd.DataFrame) -> pd.DataFrame:
        names = frame["model"].astype(object)
        return frame.assign(model=names.map(lambda name: own.get(name, name)))

    return replace(
        part,
        models=tuple(own.get(name, name) for name in part.models),
        problems=tuple(
            replace(one, model=own.get(one.model or "", one.model))
            for one in part.problems
        ),
        _frames=_Frames(*map(renamed, part._frames)),
    )


def _unread(problems: Sequence[Problem]) -> dict[tuple[str, str], str]:
    """Return why answers are not there, by model and task; both empty if unknown."""
    return {
        (one.model, one.task)
        if one.model and one.task
        else ("", ""): f"{one.place}: {one.reason}"
        for one in reversed(problems)
        if one.is_left_out
    }


def _of_files(problems: Sequence[Problem]) -> Iterator[Caution]:
    """Return what of the files' problems bears on every number."""
    from harness.stats.estimate import Caution

    gone = [one for one in problems if one.is_left_out]
    twice = [one for one in problems if one.code == "results-twice"]
    if gone:
        yield Caution(
            "left-out",
            f"{len(gone)} of the files or parts of them could not be read and are not "
            f"in here, first {gone[0].place}: {gone[0].reason}",
        )
    if twice:
        yield Caution(
            "duplicated-runs",
            f"{len(twice)} of the files or parts of them are there twice, first "
            f"{twice[0].place}: {twice[0].reason}",
        )


def _names(column: pd.Series[Any]) -> tuple[str, ...]:
    return tuple(sorted(column.dropna().unique()))


def _asked(responses: pd.DataFrame, **wanted: str | None) -> pd.DataFrame:
    """Return the answers of these, among which there must be some."""
    for name, value in wanted.items():
        if value is None:
            continue
        there = _names(responses[name])
        responses = responses[responses[name] == value]
        if responses.empty:
            raise DesignError(
                f"there is no answer of {name} {value!r}; "
                f"there is {', '.join(map(repr, there)) or 'none at all'}",
                code="nothing-stored",
            )
    return responses


def _drawn(data: ReportData, name: str) -> Iterator[Drawn]:
    """Return the page's figures of this name; there may be several panels."""
    from harness.report.views.noise import noise_views
    from harness.report.views.trend import panel_views

    if name.startswith("trend"):
        kind = "continuous" if name.endswith("continuous") else "discrete"
        for panel in panel_views(data):
            yield from (d for d in panel.drawn if d.name.endswith(kind))
    else:
        yield from (d for d in noise_views(data) if d.name == f"noise-{name}")


def _the_one(name: str, drawn: Sequence[Drawn]) -> go.Figure:
    if len(drawn) > 1:
        panels = dict.fromkeys(one.about.rstrip(": ") for one in drawn)
        raise DesignError(
            f"there are {len(drawn)} figures {name}, of {'; '.join(panels)}: choose "
            "with task=, formulation= or model=",
            code="no-figure",
        )
    if not drawn or drawn[0].figure is None:
        reason = drawn[0].sentence.rstrip(".") if drawn else "it needs two steps"
        raise DesignError(
            f"figure {name} shows nothing here: {reason}", code="no-figure"
        )
    return drawn[0].figure


def _pair_map(figure: go.Figure, drawn: Drawn, task: str | None) -> go.Figure:
    """Fill in one task, as the page's menu does."""
    tasks = drawn.extra["tasks"]
    if task is not None and task not in tasks:
        raise DesignError(
            f"there are no pairs of task {task!r}; choose of "
            f"{', '.join(filter(None, tasks))}",
            code="unknown-task",
        )
    choices = drawn.menu.choices if drawn.menu else ()
    (values,) = choices[0 if task is None else tasks.index(task)].traces
    figure.data[0].update(values)
    figure.update_xaxes(categoryarray=values["x"])
    return figure.update_yaxes(categoryarray=values["y"])


def _bars(
    figure: go.Figure, candidates: Sequence[Mapping[str, Any]], candidate: str | None
) -> go.Figure:
    """Fill in one candidate's rows, as the page's script does."""
    from harness.report.figures.dots import ROW_HEIGHT

    known = {one["name"]: one for one in candidates}
    if candidate is not None and candidate not in known:
        raise DesignError(
            f"there is no candidate {candidate!r}; choose of {', '.join(known)}",
            code="unknown-model",
        )
    shown = candidates[0] if candidate is None else known[candidate]
    for trace, values in zip(figure.data, shown["traces"], strict=True):
        trace.update(values)
    rows = shown["rows"]
    for row in rows:
        if row.get("note"):  # what has no place says why
            figure.add_annotation(
                text=row["note"],
                x=0.01,
                xref="paper",
                xanchor="left",
                y=row["label"],
                showarrow=False,
            )
    figure.update_xaxes(shown["axis"] if "axis" in shown else {"range": shown["range"]})
    return figure.update_layout(
        height=110 + ROW_HEIGHT * len(rows),
        yaxis={
            "categoryarray": [row["label"] for row in rows],
            "range": [len(rows) - 0.5, -0.5],
        },
    )
