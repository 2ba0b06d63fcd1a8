"""What is each response worth? Scores from the raw evidence; higher is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.directions import is_lower_better
from harness.errors import DesignError
from harness.frames import RESPONSES, check_responses
from harness.stats.estimate import Caution

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How a score is bounded, and what a guesser gets."""

    low: float
    high: float
    chance: Literal["1/k", "1/k-1", "1/2", "0", ""]
    """Expected score of a guesser among k choices; empty where there is none."""


METRICS = {
    "acc": Metric(low=0, high=1, chance="1/k"),
    "acc_norm": Metric(low=0, high=1, chance="1/k"),
    "acc_bytes": Metric(low=0, high=1, chance="1/k"),
    "exact_match": Metric(low=0, high=1, chance="0"),
    "prob_correct": Metric(low=0, high=1, chance="1/k"),
    "margin": Metric(low=-1, high=1, chance="0"),
    "brier": Metric(low=-2, high=0, chance="1/k-1"),
    "roc_auc": Metric(low=0, high=1, chance="1/2"),
    "logprob_correct": Metric(low=-math.inf, high=0, chance=""),
    "logprob_correct_per_token": Metric(low=-math.inf, high=0, chance=""),
    "logprob_correct_per_byte": Metric(low=-math.inf, high=0, chance=""),
    "bits_per_byte": Metric(low=-math.inf, high=0, chance=""),
}
"""Every score derived here. Signs: `brier` and `bits_per_byte` are negated."""

UNKNOWN_METRIC = Metric(low=-math.inf, high=math.inf, chance="")
"""What is known of a metric that only lm-eval computed."""

DEFAULT_METRICS: dict[str, tuple[str, str | None]] = {
    "multiple_choice": ("acc", "prob_correct"),
    "loglikelihood": ("acc", "logprob_correct"),
    "generate_until": ("exact_match", "logprob_correct"),
    "loglikelihood_rolling": ("bits_per_byte", None),
}
"""Output type to (discrete, continuous) metric of the variance table.

Rolling likelihood has no discrete score; its only one stands in the first place."""

NEGATED = " (negated: less is better)"
"""Stands behind the name of a metric whose scores are."""

SEVERAL_TARGETS = "several-targets"
"""The status under which lm-eval's own discrete metrics stand in for ours."""


def score_responses(
    responses: pd.DataFrame, metrics: Collection[str] = METRICS.keys()
) -> pd.DataFrame:
    """Return `responses` with a column for each of `metrics`.

    With log-likelihoods ``l[c]`` of the k choices, right choice ``t`` and
    ``p = softmax(l)``::

        acc           1 if t = argmax l; one candidate: 1 if it is greedy
        acc_norm      1 if t = argmax l / characters
        acc_bytes     1 if t = argmax l / UTF-8 bytes
        exact_match   lm-eval's own value where stored, else text == target
        prob_correct  p[t]; one candidate: exp l
        margin        p[t] - max of the other p
        brier         -sum (p - [c = t])^2
        roc_auc       share of wrong choices c with l[c] < l[t]; a tie counts half
        logprob_correct              l[t], natural log, summed over tokens
        logprob_correct_per_token    l[t] / tokens
        logprob_correct_per_byte     l[t] / UTF-8 bytes
        bits_per_byte                l[t] / (bytes ln 2): the usual one, negated

    The area under the ROC curve is that of right against wrong choices of one item, so
    that it has a score for each item and does not compare likelihoods of unlike
    questions, as a curve over all pairs of item and choice would.

    Ties go to the first choice, as in lm-eval. Generation and log-likelihood
    tasks have one candidate, the reference answer.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`.
    metrics : collection of str
        Of `METRICS`; all of them by default. Only these are computed.

    Returns
    -------
    DataFrame
        The same rows; a score is ``nan`` where its evidence is missing, not a
        number, or the status is not ``ok``. A likelihood of exactly zero has a
        `prob_correct` of 0 but no logarithm, hence no log score. Under the status
        ``several-targets`` the discrete scores are lm-eval's own, and so are `acc`,
        `acc_norm` and `acc_bytes` where likelihoods or lengths are not known.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    """
    check_responses(responses)
    responses = _directed(responses)
    n = len(responses)
    status = responses["status"].to_numpy(dtype=object)
    output_type = responses["output_type"].to_numpy(dtype=object)
    is_ok = status == "ok"
    scores = {name: np.full(n, np.nan) for name in metrics}

    is_choice = is_ok & (output_type == "multiple_choice")
    if is_choice.any():
        _score_choices(responses, np.flatnonzero(is_choice), scores)
    is_single = is_ok & ~is_choice
    if is_single.any():
        _score_single(responses, np.flatnonzero(is_single), scores)

    rows = np.flatnonzero(is_ok & (output_type == "generate_until"))
    if len(rows) and "exact_match" in scores:
        part = responses[["text", "answer", "target", "metrics"]].iloc[rows]
        ours = _texts_equal(part)
        theirs = stored_metric(part, "exact_match")
        scores["exact_match"][rows] = np.where(np.isnan(theirs), ours, theirs)
    for name in scores.keys() & {"acc", "acc_norm", "acc_bytes"}:
        rows = np.flatnonzero(is_ok & np.isnan(scores[name]))
        if len(rows):  # no likelihoods or lengths: another tool judged them
            scores[name][rows] = stored_metric(responses.iloc[rows], name)
    rows = np.flatnonzero(status == SEVERAL_TARGETS)
    if len(rows):
        part = responses.iloc[rows]
        for name in scores.keys() & {"acc", "acc_norm", "acc_bytes", "exact_match"}:
            scores[name][rows] = stored_metric(part, name)
    return responses.assign(**scores)


def n_choices(responses: pd.DataFrame) -> Floats:
    """Return how many choices each response had; ``nan`` where it had none."""
    lengths = arrow_column(
        responses["choice_logprobs"], "choice_logprobs"
    ).value_lengths()
    return np.asarray(lengths.to_numpy(zero_copy_only=False), dtype=np.float64)


def chance_scores(metric: str, output_type: str, choices: Floats) -> Floats:
    """Return what a guesser among so many `choices` is expected to score.

    A uniform guess over k choices: 1/k right, probability 1/k each, Brier score
    ``-(1 - 1/k)``; two choices or more in random order: half the wrong ones below the
    right one. A guesser writes no right answer (generation: 0); for
    likelihoods there is no such level (``nan``).
    """
    rule = METRICS.get(metric, UNKNOWN_METRIC).chance
    if output_type == "generate_until" and rule == "1/k":
        rule = "0"
    if output_type == "generate_until" and rule == "1/2":
        rule = ""
    if output_type not in ("multiple_choice", "generate_until"):
        rule = ""
    if rule == "0":
        return np.zeros_like(choices)
    if rule == "":
        return np.full_like(choices, np.nan)
    if rule == "1/2":
        return np.where(choices > 1, 0.5, np.nan)
    return 1 / choices - (1 if rule == "1/k-1" else 0)


def stored_metric(responses: pd.DataFrame, name: str) -> Floats:
    """Return lm-eval's own value of a metric for each response; ``nan`` if none.

    `name` is ``metric,filter``, or a bare metric, which takes the first filter in
    the order that lm-eval stored them.
    """
    owners, keys, items = _stored(responses)
    is_named = pc.equal(keys, name)
    if "," not in name:
        is_named = pc.or_(is_named, pc.starts_with(keys, pattern=f"{name},"))
    # Backwards, so that the first of several filters is written last.
    hits = np.flatnonzero(is_named.to_numpy(zero_copy_only=False))[::-1]
    values = np.full(len(responses), np.nan)
    values[owners[hits]] = items[hits]
    return values


def stored_names(responses: pd.DataFrame) -> tuple[str, ...]:
    """Return the names of lm-eval's own metrics, in their stored order."""
    _, keys, _ = _stored(responses)
    return tuple(pc.unique(keys).to_pylist())


def metric_scores(scored: pd.DataFrame, metric: str) -> Floats:
    """Return one metric's scores, higher being better: what every statistic is of.

    Those of another tool are negated where less is better, as it says or, where it does
    not, as `harness.directions.LOWER_IS_BETTER` has it.

    Raises
    ------
    DesignError
        ``unknown-metric``: neither derived here nor stored by lm-eval.
    """
    values = told_scores(scored, metric)
    return np.where(is_negated(scored, metric), -values, values)


def told_scores(scored: pd.DataFrame, metric: str) -> Floats:
    """Return one metric's scores: a column of `scored`, or another tool's as it is.

    Raises
    ------
    DesignError
        ``unknown-metric``: neither derived here nor stored by lm-eval.
    """
    if metric in METRICS:
        return scored[metric].to_numpy(dtype=np.float64)
    stored = stored_names(scored)
    if metric not in stored and metric not in {s.partition(",")[0] for s in stored}:
        raise DesignError(
            f"there is no metric {metric!r}; choose one of {', '.join(METRICS)}"
            + (f", or of lm-eval's own {', '.join(stored)}" if stored else ""),
            code="unknown-metric",
        )
    return stored_metric(scored, metric)


def is_negated(scored: pd.DataFrame, metric: str) -> Flags:
    """Tell of which responses `metric_scores` negates the metric, less being better.

    Of those derived here it negates none: they are made so that higher is better.
    """
    import pandas as pd

    if metric in METRICS:
        return np.zeros(len(scored), dtype=bool)
    codes, said = pd.factorize(scored["lower_is_better"])
    lower = [is_lower_better(metric, one) for one in (*said, None)]
    return np.array(lower)[codes]  # null is -1, the last


def lower_is_better(scored: pd.DataFrame, metric: str) -> bool | None:
    """Whether less of a metric as it was told is better; ``None`` if nobody says so.

    Then its name is not known either, and it is taken for one of which more is better.
    """
    if is_negated(scored, metric).any():
        return True
    is_known = metric.partition(",")[0] in METRICS
    return False if is_known or scored["lower_is_better"].notna().any() else None


def negated(scored: pd.DataFrame, metric: str) -> tuple[Caution, ...]:
    """Return the caution ``negated``, where less of the metric is better."""
    if not is_negated(scored, metric).any():
        return ()
    text = f"less of {metric} is better, and its scores are negated: higher is better"
    return (Caution("negated", text),)


def shown_name(scored: pd.DataFrame, metric: str) -> str:
    """Return a metric's name with the word that its scores are negated."""
    return f"{metric}{NEGATED}" if is_negated(scored, metric).any() else metric


def default_metrics(responses: pd.DataFrame) -> tuple[str, str | None]:
    """Return the (discrete, continuous) metrics of one task's responses.

    By output type as in `DEFAULT_METRICS`. The first of the stored metrics stands in
    where ours cannot be had: in generation that is scored otherwise than by exact
    match, in choices without likelihoods and in what other tools call otherwise.
    """
    output_type = str(responses["output_type"].iloc[0])
    discrete, continuous = DEFAULT_METRICS.get(output_type, ("acc", None))
    if output_type == "generate_until":
        names = stored_names(responses)
        if names and not any(n.partition(",")[0] == discrete for n in names):
            discrete = names[0]
    elif output_type not in DEFAULT_METRICS or not _has_likelihoods(responses):
        names = stored_names(responses)
        if names:
            return names[0], None
    return discrete, continuous


def _directed(responses: pd.DataFrame) -> pd.DataFrame:
    """Fill in which way is better where others' answers to the task say it.

    Else a metric of one source would be set against its negative of another.
    """
    import pandas as pd

    own, said = pd.factorize(responses["lower_is_better"])
    is_said = own >= 0
    if is_said.all() or not is_said.any():
        return responses
    task, tasks = pd.factorize(responses["task"])
    first = np.full(len(tasks), -1, dtype=np.intp)
    first[task[is_said][::-1]] = own[is_said][::-1]
    filled = np.where(is_said, own, first[task])
    column = np.array([*said, None], dtype=object)[filled]
    return responses.assign(lower_is_better=column)


def _has_likelihoods(responses: pd.DataFrame) -> bool:
    names = ("choice_logprobs", "target_logprob")
    return any(bool(responses[name].notna().any()) for name in names)


def _score_choices(
    responses: pd.DataFrame, rows: npt.NDArray[np.intp], scores: dict[str, Floats]
) -> None:
    names = [name for name in responses.columns if name.startswith("choice_")]
    part = responses[[*names, "target_index"]].iloc[rows]
    logprobs = _Ragged(part["choice_logprobs"], "choice_logprobs")
    target = _numbers(part["target_index"])

    @cache
    def lengths(unit: str) -> _Ragged:
        return _Ragged(part[f"choice_{unit}"], f"choice_{unit}")

    for k in np.unique(logprobs.counts[logprobs.counts > 0]):
        here = np.flatnonzero(logprobs.counts == k)
        table = logprobs.table(here, k)
        usable = ~np.isnan(table).any(1) & np.isfinite(table.max(1))
        usable &= (target[here] >= 0) & (target[here] < k)
        here, table = here[usable], table[usable]
        choices = _Choices(table, target[here].astype(np.intp), here, lengths)
        for name in scores.keys() & CHOICE_SCORES.keys():
            scores[name][rows[here]] = CHOICE_SCORES[name](choices)
        _score_logs(rows[here], choices.mine, choices.lengths_of_right, scores)


class _Choices:
    """Items of k choices each, and what several scores need of them."""

    def __init__(
        self,
        table: Floats,
        right: npt.NDArray[np.intp],
        rows: npt.NDArray[np.intp],
        lengths: Callable[[str], _Ragged],
    ) -> None:
        self.table, self.right = table, right
        self.k = table.shape[1]
        self._rows, self._lengths = rows, lengths
        self._line = np.arange(len(table))

    @cached_property
    def prob(self) -> Floats:
        """Probabilities of all choices, which sum to 1."""
        weight = np.exp(self.table - self.table.max(1, keepdims=True))
        return np.asarray(weight / weight.sum(1, keepdims=True))

    @cached_property
    def mine(self) -> Floats:
        """Log-likelihood of the right choice."""
        return self.of_right(self.table)

    def of_right(self, values: Floats) -> Floats:
        """Return the right choice's value of a table."""
        return np.asarray(values[self._line, self.right])

    def lengths_of_right(self, unit: str) -> Floats:
        """Return the right choice's length in bytes or tokens."""
        return self.of_right(self._lengths(unit).table(self._rows, self.k))

    def right_per(self, unit: str) -> Floats:
        """1 where the right choice has the largest log-likelihood per unit."""
        length = self._lengths(unit).table(self._rows, self.k)
        known = ~np.isnan(length).any(1)
        # Zero characters divide as in lm-eval: numpy's -inf, without its warning.
        with np.errstate(divide="ignore", invalid="ignore"):
            is_right = (self.table / length).argmax(1) == self.right
        return np.where(known, is_right, np.nan)

    def brier(self) -> Floats:
        """Return the negated sum of squares, without a table of right answers."""
        squares = (self.prob**2).sum(1)
        return np.asarray(-(squares - 2 * self.of_right(self.prob) + 1))

    def margin(self) -> Floats:
        """Return the right probability less the largest of the others."""
        if self.k == 1:
            return np.full(len(self.table), np.nan)
        others = self.prob.copy()
        others[self._line, self.right] = -1
        return np.asarray(self.of_right(self.prob) - others.max(1))

    def roc_auc(self) -> Floats:
        """Return the share of wrong choices below the right one."""
        if self.k == 1:
            return np.full(len(self.table), np.nan)
        mine = self.mine[:, None]
        # The right choice ties with itself, which is half a win.
        wins = (self.table < mine).sum(1) + (self.table == mine).sum(1) / 2 - 0.5
        return np.asarray(wins / (self.k - 1))


CHOICE_SCORES: dict[str, Callable[[_Choices], npt.NDArray[Any]]] = {
    "acc": lambda choices: choices.table.argmax(1) == choices.right,
    "acc_norm": lambda choices: choices.right_per("chars"),
    "acc_bytes": lambda choices: choices.right_per("bytes"),
    "prob_correct": lambda choices: choices.of_right(choices.prob),
    "margin": _Choices.margin,
    "brier": _Choices.brier,
    "roc_auc": _Choices.roc_auc,
}
"""What is computed of choices, each only where it is asked for."""


def _score_single(
    responses: pd.DataFrame, rows: npt.NDArray[np.intp], scores: dict[str, Floats]
) -> None:
    part = responses.iloc[rows]
    logprob = _numbers(part["target_logprob"])
    n_bytes, n_tokens = _numbers(part["target_bytes"]), _numbers(part["target_tokens"])
    evidence = {"logprobs": logprob, "bytes": n_bytes, "tokens": n_tokens}
    # A log-likelihood task may hold its one candidate as a list of one choice.
    for name, values in evidence.items():
        ragged = _Ragged(part[f"choice_{name}"], f"choice_{name}")
        lone = np.flatnonzero((ragged.counts == 1) & np.isnan(values))
        values[lone] = ragged.table(lone, 1)[:, 0]
    logprob[logprob == np.inf] = np.nan
    if "prob_correct" in scores:
        scores["prob_correct"][rows] = np.exp(logprob)
    _score_logs(rows, logprob, evidence.__getitem__, scores)
    if "acc" in scores:
        is_likelihood = part["output_type"].to_numpy(dtype=object) == "loglikelihood"
        greedy = _numbers(part["target_is_greedy"])
        scores["acc"][rows[is_likelihood]] = np.where(
            np.isnan(logprob), np.nan, greedy
        )[is_likelihood]


def _score_logs(
    to: npt.NDArray[np.intp],
    logprob: Floats,
    length: Callable[[str], Floats],
    scores: dict[str, Floats],
) -> None:
    logprob = np.where(np.isfinite(logprob), logprob, np.nan)

    def per(unit: str) -> Floats:
        n = length(unit)
        return np.asarray(logprob / np.where(n > 0, n, np.nan))

    ways: dict[str, Callable[[], Floats]] = {
        "logprob_correct": lambda: logprob,
        "logprob_correct_per_token": lambda: per("tokens"),
        "logprob_correct_per_byte": lambda: per("bytes"),
        "bits_per_byte": lambda: per("bytes") / math.log(2),
    }
    for name in scores.keys() & ways.keys():
        scores[name][to] = ways[name]()


def _texts_equal(responses: pd.DataFrame) -> Floats:
    """1 where answer and target are equal to the last space, as lm-eval compares.

    The answer is what the task's filter made of the text; without one, the text.
    """
    text, answer, target = (
        arrow_column(responses[name], name) for name in ("text", "answer", "target")
    )
    equal = pc.cast(pc.equal(pc.coalesce(answer, text), target), pa.float64())
    return np.asarray(equal.to_numpy(zero_copy_only=False), dtype=np.float64)


def _stored(responses: pd.DataFrame) -> tuple[npt.NDArray[np.intp], pa.Array, Floats]:
    """Return lm-eval's own metrics as flat (row, name, value) columns."""
    maps = arrow_column(responses["metrics"], "metrics")
    offsets = maps.offsets.to_numpy()
    keys = maps.keys.slice(offsets[0], offsets[-1] - offsets[0])
    items = maps.items.slice(offsets[0], len(keys)).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(maps)), np.diff(offsets)), keys, items


class _Ragged:
    """A column of lists as one flat array, with each row's count and start."""

    def __init__(self, column: pd.Series[Any], name: str) -> None:
        lists = arrow_column(column, name)
        self.counts = lists.value_lengths().fill_null(0).to_numpy()
        self._starts = np.cumsum(self.counts) - self.counts
        flat = lists.flatten().cast(pa.float64())
        self._flat = flat.to_numpy(zero_copy_only=False)

    def table(self, rows: npt.NDArray[np.intp], k: int) -> Floats:
        """Return the lists of `rows` as a table; ``nan`` where not k long."""
        if (self.counts == k).all():
            return np.asarray(self._flat.reshape(-1, k)[rows])
        out = np.full((len(rows), k), np.nan)
        fits = self.counts[rows] == k
        out[fits] = self._flat[self._starts[rows[fits]][:, None] + np.arange(k)]
        return out


def arrow_column(column: pd.Series[Any], name: str) -> pa.Array:
    """Return a column as one Arrow array of its type in `RESPONSES`."""
    array = pa.array(column, type=RESPONSES.field(name).type, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _numbers(column: pd.Series[Any]) -> Floats:
    """Return a nullable column as floats of our own; null is ``nan``."""
    return np.array(
        arrow_column(column, str(column.name))
        .cast(pa.float64())
        .to_numpy(zero_copy_only=False)
    )
