"""Which answers are copies? Replays, idle seeds, runs that are there twice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.frames import CONDITION, SETTINGS, check_responses
from harness.stats.estimate import Caution
from harness.stats.scores import arrow_column
from harness.stats.tables import numbers_of, plain

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]

CHECKPOINT = ("model", "train_seed", "step")
ASKED = (
    *CHECKPOINT,
    "weights_digest",
    *CONDITION,
    "output_type",
    "sampled",
    "n_items_total",
    *SETTINGS,
)
"""What answers share that are drawn again and again of one and the same."""

DRAW = ("fewshot_seed", "sample_seed", "repeat")
"""What should make one draw differ from another."""

LONG_CHARS, LONG_TEXTS = 16, 20
"""Two models write so many different texts of such a length alike by no chance."""

BY_CHANCE = 1e-6
"""Draws that agree everywhere are copies if chance would do that more seldom."""

COPIES = {
    "duplicated-runs": "they are there twice, such as from copies of a folder",
    "idle-seeds": "the seed changed no prompt and no answer",
    "replayed-repeats": "they are no fresh draws, such as answers from a cache",
}
"""What copies are called, and why they are none of their own."""


def collapse(
    responses: pd.DataFrame,
) -> tuple[pd.DataFrame, tuple[Caution, ...]]:
    """Return the responses without copies of others, and how many of what went.

    A draw is the answers to all items under one few-shot seed, sample seed and repeat
    of one attempt. Two draws of the same checkpoint, condition and settings whose
    every prompt and answer is the same are one: a run that is there twice, where
    seeds and repeat are the same too; a seed without effect; or, of sampled answers,
    a replay. The first by time is kept.

    Chance may make honest draws agree. Answers that are not sampled follow from the
    prompts, so that equal prompts and answers are proof; of other few-shot seeds whose
    prompts are not known, only likelihoods and texts are. Sampled answers prove nothing
    by themselves. With D pairs of draws, n items, and the share ``a`` of items on which
    two draws agree that are no copies, c pairs agree throughout by chance with
    probability ``(D a^n)^c`` at most, and are copies where that is below 1e-6; ``a`` is
    ``(agreeing + 1/2) / (compared + 1)`` over all items, which is no less than what
    items of unlike difficulty allow. Where all draws are the same there is no such
    share: then likelihoods and texts are collapsed, since their noise is unknown in any
    case, and 0 and 1 stay.

    Repeats that are not sampled are the same by nature and stay.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`.

    Returns
    -------
    responses : DataFrame
        The same rows in the same order but for the copies.
    cautions : tuple of Caution
        ``duplicated-runs``, ``idle-seeds`` and ``replayed-repeats`` with their counts;
        ``identical-models``, where models of other names gave the very same
        likelihoods, or wrote the very same texts, 20 different ones of 16 characters
        or more among them; of these nothing is left out.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    """
    check_responses(responses)
    if len(responses) == 0:
        return responses, ()
    asked = numbers_of(responses, ASKED)
    draw = numbers_of(responses, (*DRAW, "attempt_id"), within=asked)
    if draw.max() == asked.max() and len(responses["model"].unique()) == 1:
        return responses, ()  # each was drawn once: there is nothing to be alike
    content, is_rich, is_likelihood = _contents(responses)
    item = _hashes(responses["item_id"]) + _mixed(_numbers(responses["item_index"]))
    order = np.argsort(draw, kind="stable")
    starts = np.searchsorted(draw[order], np.arange(draw.max() + 1))
    n_answers = np.diff(starts, append=len(draw))

    def total(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(np.add.reduceat(rows[order], starts))

    # Sums do not depend on the order of rows; numbers wrap around.
    rows = _mixed(item + _mixed(content + _mixed(_hashes(responses["prompt_digest"]))))
    columns = [*ASKED, *DRAW, "attempt_id", "finished_at"]
    draws = responses[columns].iloc[order[starts]].reset_index(drop=True)
    draws = draws.assign(
        digest=total(rows),
        is_rich=2 * total(is_rich.astype(int)) > n_answers,
        is_likelihood=2 * total(is_likelihood.astype(int)) > n_answers,
        has_prompts=total(responses["prompt_digest"].isna().to_numpy(dtype=int)) == 0,
        n_answers=n_answers,
        asked=asked[order[starts]],
    )
    draws = draws.sort_values(
        ["finished_at", "attempt_id", *DRAW], kind="stable", na_position="last"
    )
    repeated = draws["asked"][draws.duplicated(["asked", "digest"])]
    groups: dict[int, list[_Draw]] = {}
    for one in _draws(draws[draws["asked"].isin(repeated)]):
        groups.setdefault(one.asked, []).append(one)
    copies: dict[int, str] = {}
    for group in groups.values():
        kinds = _copies(group)
        if kinds and group[0].sampled:
            others = [one.place for one in group if one not in kinds]
            apart = [order[starts[i] : starts[i] + n_answers[i]] for i in others]
            kinds = _beyond_chance(kinds, len(group), apart, item, content)
        copies |= {one.place: kind for one, (kind, _) in kinds.items()}

    def texts_of(place: int) -> pd.Series[Any]:
        return responses["text"].iloc[order[starts[place] :][: n_answers[place]]]

    cautions = (*_cautions(draws, copies), *_identical_models(draws, texts_of))
    if not copies:
        return responses, cautions
    return responses[~np.isin(draw, [*copies])], cautions


class _Draw(NamedTuple):
    """The answers to all items under one few-shot seed, sample seed and repeat."""

    place: int
    asked: int
    digest: int
    attempt_id: str
    fewshot_seed: int
    sample_seed: int
    repeat: int
    sampled: bool
    num_fewshot: int
    has_prompts: bool
    is_rich: bool
    n_answers: int


Kinds = dict[_Draw, tuple[str, _Draw]]
"""Of each copy what kind it is, and of which draw."""


def _draws(frame: pd.DataFrame) -> Iterator[_Draw]:
    columns = (frame[name].tolist() for name in _Draw._fields[1:])
    return map(_Draw._make, zip(frame.index.tolist(), *columns, strict=True))


def _copies(group: Sequence[_Draw]) -> Kinds:
    """Return the draws of one checkpoint that are copies, unless chance has made them.

    The most similar draw of the same content is what it is a copy of.
    """
    originals: dict[int, list[_Draw]] = {}
    kinds: Kinds = {}
    for one in group:
        alike = originals.setdefault(one.digest, [])
        found = min(alike, key=lambda other: _unlike(one, other), default=None)
        if found is not None and (one.sampled or _is_proof(one, found)):
            is_other_repeat, is_other_seed = _unlike(one, found)
            kind = "replayed-repeats" if is_other_repeat else "duplicated-runs"
            kinds[one] = ("idle-seeds" if is_other_seed else kind), found
        else:
            alike.append(one)
    return kinds


def _unlike(one: _Draw, other: _Draw) -> tuple[bool, bool]:
    """Tell whether two draws are of different repeats, and of different seeds."""
    seeds = ((some.fewshot_seed, some.sample_seed) for some in (one, other))
    return one.repeat != other.repeat, len({*seeds}) > 1


def _is_proof(one: _Draw, other: _Draw) -> bool:
    """Tell whether equal answers that are not sampled must be the same answers."""
    is_other_repeat, is_other_seed = _unlike(one, other)
    if not is_other_seed:
        return not is_other_repeat
    is_drawn = one.fewshot_seed != other.fewshot_seed and one.num_fewshot > 0
    return not is_drawn or one.has_prompts or one.is_rich


def _beyond_chance(
    kinds: Kinds, n_draws: int, others: Sequence[Codes], item: Hashes, content: Hashes
) -> Kinds:
    """Return the copies of sampled draws that chance does not make agree."""
    if len(others) == 1:
        return {one: found for one, found in kinds.items() if one.is_rich}
    rows = np.concatenate(others)
    compared, agreeing = (
        int((count * (count - 1) // 2).sum())
        for _, count in (
            np.unique(item[rows], return_counts=True),
            np.unique(_mixed(item[rows] + _mixed(content[rows])), return_counts=True),
        )
    )
    log_share = math.log((agreeing + 0.5) / (compared + 1))
    log_pairs = math.log(n_draws * (n_draws - 1) / 2)
    pairs = [(one.attempt_id, other.attempt_id) for one, (_, other) in kinds.items()]
    together = Counter(pairs)
    return {
        one: kinds[one]
        for one, pair in zip(kinds, pairs, strict=True)
        if together[pair] * (log_pairs + one.n_answers * log_share)
        < math.log(BY_CHANCE)
    }


def _cautions(draws: pd.DataFrame, copies: dict[int, str]) -> Iterator[Caution]:
    for kind, why in COPIES.items():
        places = [place for place, its in copies.items() if its == kind]
        if not places:
            continue
        gone = draws.loc[places]
        first = gone.iloc[0]
        who = " ".join(
            f"{word}{first[name]}"
            for name, word in zip(CHECKPOINT, ("", "seed ", "step "), strict=True)
            if plain(first[name]) is not None
        )
        n_of = len(draws[draws["asked"].isin(gone["asked"].unique())])
        n_checkpoints = len(gone[[*CHECKPOINT]].drop_duplicates())
        yield Caution(
            kind,
            f"{len(gone)} of {n_of} sets of answers of {n_checkpoints} "
            f"checkpoint{'s' if n_checkpoints > 1 else ''} are the same as others, "
            f"prompt by prompt and answer by answer, first of {who} at "
            f"{first['task']}: {why}, and each counts once; {gone['n_answers'].sum()} "
            "answers are left out",
        )


def _identical_models(
    draws: pd.DataFrame, texts_of: Callable[[int], pd.Series[Any]]
) -> Iterator[Caution]:
    """Tell of models of other names that gave the very same likelihoods, or texts."""
    alike = draws[draws.duplicated([*CONDITION, "digest"], keep=False)]
    models: dict[tuple[str, int], set[str]] = {}
    places: dict[tuple[str, int], int] = {}
    for place, *key, model in alike[["task", "digest", "model"]].itertuples():
        models.setdefault((key[0], key[1]), set()).add(model)
        places[key[0], key[1]] = place
    twins: dict[tuple[str, ...], dict[str, str]] = {}
    for (task, number), some in models.items():
        place = places[task, number]
        what = "likelihoods" if draws["is_likelihood"][place] else "texts"
        if len(some) > 1 and (what == "likelihoods" or _is_told(texts_of(place))):
            twins.setdefault(tuple(sorted(some)), {})[task] = what
    for names, tasks in twins.items():
        yield Caution(
            "identical-models",
            f"{' and '.join(names)} gave the very same "
            f"{' and '.join(sorted(set(tasks.values())))} at "
            f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}, first "
            f"{min(tasks)}: they are the same weights, or a cache took one for the "
            "other; differences between them mean nothing",
        )


def _is_told(texts: pd.Series[Any]) -> bool:
    """Tell whether texts are such that no two models write all of them alike.

    A letter, a number or one and the same refusal proves nothing.
    """
    different = {text for text in texts if isinstance(text, str)}
    return sum(len(text) >= LONG_CHARS for text in different) >= LONG_TEXTS


def _contents(responses: pd.DataFrame) -> tuple[Hashes, Flags, Flags]:
    """Return each answer as a number, whether it is text or likelihoods, the latter."""
    texts = [responses[name] for name in ("text", "answer")]
    content = _hashes(responses["status"])
    for column in texts:
        content = _mixed(content + _hashes(column))
    choices = arrow_column(responses["choice_logprobs"], "choice_logprobs")
    metrics = arrow_column(responses["metrics"], "metrics")
    first, last = metrics.offsets[0].as_py(), metrics.offsets[-1].as_py()
    values = metrics.items.slice(first, last - first)
    target = responses["target_logprob"].to_numpy(dtype=np.float64, na_value=np.nan)
    counts = choices.value_lengths().fill_null(0).to_numpy()
    of_choices, n_finite = _of_lists(counts, choices.flatten())
    of_metrics, _ = _of_lists(np.diff(metrics.offsets.to_numpy()), values)
    for numbers in (of_choices, of_metrics, _bits(target)):
        content = _mixed(content + numbers)
    is_likelihood = (n_finite > 0) | np.isfinite(target)
    is_text = np.logical_or(*(column.notna().to_numpy(dtype=bool) for column in texts))
    return content, is_text | is_likelihood, is_likelihood


def _of_lists(counts: npt.NDArray[Any], flat: pa.Array) -> tuple[Hashes, Codes]:
    """Return each list of numbers as one number, and how many of them are finite."""
    ends = np.cumsum(counts)
    place = np.arange(len(flat)) - np.repeat(ends - counts, counts)
    values = flat.to_numpy(zero_copy_only=False)

    def total(of_value: npt.NDArray[Any]) -> npt.NDArray[Any]:
        sums = np.cumsum(np.concatenate([np.zeros(1, of_value.dtype), of_value]))
        return np.asarray(sums[ends] - sums[ends - counts])

    hashes = total(_mixed(_bits(values) + _mixed(_numbers(place))))
    return hashes, total(np.isfinite(values).astype(np.intp))


def _hashes(column: pd.Series[Any]) -> Hashes:
    from pandas.util import hash_pandas_object

    return np.asarray(hash_pandas_object(column, index=False), dtype=np.uint64)


def _numbers(values: Any) -> Hashes:
    return np.asarray(values, dtype=np.int64).view(np.uint64)


def _bits(values: Floats) -> Hashes:
    """Return numbers as they are to the last bit, with one zero and one ``nan``."""
    values = np.where(np.isnan(values), np.nan, values + 0.0)
    return np.ascontiguousarray(values).view(np.uint64)


def _mixed(numbers: Hashes) -> Hashes:
    """Spread numbers over all bits, as SplitMix64 does, so that sums tell apart."""
    x = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
