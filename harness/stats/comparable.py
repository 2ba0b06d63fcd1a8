"""May two sides' scores be compared? What differs between them in a hidden way."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.frames import check_responses
from harness.stats.tables import plain

if TYPE_CHECKING:
    import pandas as pd

Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.uint64]
Words = tuple[str | None, ...]

BLOCKING = (
    "output type",
    "formulation",
    "items",
    "targets",
    "task version",
    "template",
    "chat template",
    "few-shot examples",
    "prompts",
    "generation arguments",
)
"""What makes scores answers to other questions, in the order that it is told."""

NOTED = (
    "few-shot seed",
    "partial run",
    "dtype",
    "batch size",
    "max length",
    "backend",
    "library version",
    "unknown",
)
"""What can move a score a little, or is not known: it is told, and blocks nothing."""

COLUMNS = {
    "output type": "output_type",
    "formulation": "formulation",
    "task version": "task_digest",
    "template": "template_digest",
    "few-shot examples": "num_fewshot",
    "few-shot seed": "fewshot_seed",
    "generation arguments": "generation",
    "sampled": "sampled",
    "dtype": "dtype",
    "batch size": "batch_size",
    "max length": "max_length",
    "backend": "backend",
}
"""Where a response says what it was measured under."""

DIGESTS = ("task version", "template")
"""Of which eight digits are enough for the eye."""

MAY_BE_UNSET = {"max length": "unset", "generation arguments": "the task's own"}
"""What stands for nothing in a column where nothing is a choice and not a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One hidden difference between two sides at one task."""

    what: str
    """One of `BLOCKING` or `NOTED`."""

    first: str
    """What the first side has; empty where it is too much to name."""

    second: str
    blocks: bool
    """Whether scores must not be compared for it."""

    text: str
    """One clause: what differs, and how."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


class _Hashes(NamedTuple):
    """Content of each key as one number, so that two sides compare at once."""

    keys: npt.NDArray[np.uint64]
    values: npt.NDArray[np.uint64]
    known: Flags

    def against(self, other: _Hashes) -> _Agreement:
        mine: Any = slice(None)
        theirs: Any = mine
        if not np.array_equal(self.keys, other.keys):
            _, mine, theirs = np.intersect1d(
                self.keys, other.keys, assume_unique=True, return_indices=True
            )
        known = self.known[mine] & other.known[theirs]
        differs = known & (self.values[mine] != other.values[theirs])
        return _Agreement(len(known), int(known.sum()), int(differs.sum()))


class _Agreement(NamedTuple):
    """Keys that both have, those of which both contents are known, and other ones."""

    n_shared: int
    n_known: int
    n_other: int

    @property
    def is_equal(self) -> bool:
        return 0 < self.n_shared == self.n_known and self.n_other == 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facts:
    """What one side was asked, and under what: made once, compared with many."""

    n_items_total: int
    values: Mapping[str, Words]
    """The distinct values of each of `COLUMNS`, ``None`` for what is not known."""

    prompts: _Hashes
    """Of each item, all its prompts together."""

    drawn_prompts: _Hashes
    """The same of each item and few-shot seed."""

    target_indexes: _Hashes
    targets: _Hashes
    task_versions: Words = ()
    """What the task calls itself; empty where no trials were given, as `versions`."""

    versions: Mapping[str, Words] = field(default_factory=dict)
    """Of each package."""

    @property
    def n_items(self) -> int:
        """Items put to this side."""
        return len(self.prompts.keys)

    @property
    def is_partial(self) -> bool:
        """Whether fewer items than the task holds were put to this side."""
        return self.n_items < self.n_items_total


def facts(responses: pd.DataFrame, trials: pd.DataFrame | None = None) -> Facts:
    """Return what makes the responses of one side comparable to others, or not.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`: one side's, of one task.
    trials : DataFrame, optional
        Columns of `harness.frames.TRIALS`, of any trials: versions of the task and of
        packages stand nowhere else.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    DesignError
        ``no-responses``.
    """
    return facts_of_parts(responses, [np.arange(len(responses))], trials)[0]


def facts_of_parts(
    responses: pd.DataFrame,
    parts: Sequence[Rows],
    trials: pd.DataFrame | None = None,
) -> tuple[Facts, ...]:
    """Return the `facts` of several sides or tasks, each some of the rows.

    What stands in columns is numbered once for all.

    Parameters
    ----------
    parts : sequence of ndarray of int
        Which rows each is of.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    DesignError
        ``no-responses``.
    """
    check_responses(responses)
    if not all(map(len, parts)):
        raise DesignError(
            "there are no responses on one side; choose models that answered the task",
            code="no-responses",
        )
    item, _ = _hashes(responses["item_id"])
    seed = responses["fewshot_seed"].to_numpy(dtype=np.uint64, na_value=0)
    drawn = item ^ (seed * np.uint64(0x9E3779B97F4A7C15))
    n_items_total = responses["n_items_total"].to_numpy(dtype=np.int64)
    columns = {name: _numbered(responses, name) for name in COLUMNS}
    prompts, target_indexes, targets = (
        _hashes(responses[name]) for name in ("prompt_digest", "target_index", "target")
    )
    of_trials = None if trials is None else _OfTrials(responses, trials)

    def by_key(keys: Numbers, hashes: tuple[Numbers, Flags], rows: Rows) -> _Hashes:
        values, known = hashes
        return _by_key(keys[rows], values[rows], known[rows])

    return tuple(
        Facts(
            n_items_total=int(n_items_total[rows].max()),
            values={
                name: _distinct(words, codes[rows])
                for name, (codes, words) in columns.items()
            },
            prompts=by_key(item, prompts, rows),
            drawn_prompts=by_key(drawn, prompts, rows),
            target_indexes=by_key(item, target_indexes, rows),
            targets=by_key(item, targets, rows),
            **({} if of_trials is None else of_trials.said(rows)),
        )
        for rows in parts
    )


def mismatches(
    first: Facts | pd.DataFrame,
    second: Facts | pd.DataFrame,
    *,
    allow: Collection[str] = (),
) -> tuple[Mismatch, ...]:
    """Return the hidden differences between two sides, those that block first.

    Scores are of the same questions where the same items have the same prompts and
    targets, and the answers are asked for and drawn in the same way. Where every prompt
    is known and equal on both sides, few-shot count and digest of the template do not
    matter, nor does that of the task where the targets are equal too. Where prompts
    differ for a cause that is known, the cause is named in their place.

    Prompts that differ since few-shot examples were drawn by other seeds do not block:
    that is noise of the same kind on either side. Nor do a number format, batch size,
    backend or package version, which move scores a little; nor what is not known, which
    is told and never taken as equal.

    Parameters
    ----------
    first, second : Facts or DataFrame
        Of one task: from `facts`, or responses from which it makes them.
    allow : collection of str
        Of `BLOCKING`: what shall not block, and is told nevertheless.

    Raises
    ------
    DesignError
        ``bad-option``: `allow` names nothing that could block; those of `facts`.
    """
    if unknown := sorted({*allow} - {*BLOCKING}):
        raise DesignError(
            f"{unknown[0]!r} cannot be allowed; choose of {', '.join(BLOCKING)}",
            code="bad-option",
        )
    a, b = (x if isinstance(x, Facts) else facts(x) for x in (first, second))
    order = [*BLOCKING, *NOTED]
    found = [
        replace(one, blocks=False, text=f"{one.text} (allowed)")
        if one.blocks and one.what in allow
        else one
        for one in _found(a, b)
    ]
    return tuple(sorted(found, key=lambda m: (not m.blocks, order.index(m.what))))


def _found(a: Facts, b: Facts) -> Iterator[Mismatch]:
    prompts = a.prompts.against(b.prompts)
    targets = a.target_indexes.against(b.target_indexes)
    if not targets.n_known:
        targets = a.targets.against(b.targets)
    yield from _of_items(a, b, prompts.n_shared)
    if targets.n_other:
        rest = f"{targets.n_other} of {targets.n_known} items have another right answer"
        yield _mismatch("targets", rest=rest, blocks=True)
    for what in ("output type", "formulation"):
        yield from _of_values(a, b, what, blocks=True)
    yield from _of_generation(a, b)
    causes = [*_causes(a, b, prompts, targets)]
    yield from causes
    draws = [*_of_draws(a, b, prompts)]
    yield from draws
    is_drawn = bool(draws) and not a.drawn_prompts.against(b.drawn_prompts).n_other
    if prompts.n_other and not (is_drawn or any(cause.blocks for cause in causes)):
        yield _of_prompts(a, b, prompts)
    for what in ("dtype", "batch size", "max length", "backend"):
        yield from _of_values(a, b, what, blocks=False)
    for name in sorted(a.versions.keys() & b.versions.keys()):
        mine, theirs = a.versions[name], b.versions[name]
        if mine != theirs:
            sides = f"{name} {_words(mine)}", f"{name} {_words(theirs)}"
            yield _mismatch("library version", *sides, blocks=False)
    yield from _unknown(a, b, prompts, targets)


def _of_items(a: Facts, b: Facts, n_shared: int) -> Iterator[Mismatch]:
    n, m = a.n_items, b.n_items
    if n == m == n_shared:
        return
    smaller = a if n < m else b
    if n_shared == smaller.n_items and smaller.is_partial and n != m:
        sides = (f"{x.n_items} of {x.n_items_total} items" for x in (a, b))
        yield _mismatch("partial run", *sides, blocks=False, verb="on one side")
    else:
        rest = f"{n_shared} are shared"
        yield _mismatch("items", str(n), str(m), rest, blocks=True)


def _of_values(a: Facts, b: Facts, what: str, *, blocks: bool) -> Iterator[Mismatch]:
    mine, theirs = a.values[what], b.values[what]
    if mine == theirs:
        return
    known = [{*side} - {None} for side in (mine, theirs)]
    sides = _words(mine, what), _words(theirs, what)
    if all(known) and known[0] != known[1]:
        yield _mismatch(what, *sides, blocks=blocks)
    else:
        verb = "is unknown on one side"
        yield _mismatch(what, *sides, blocks=False, verb=verb)


def _of_generation(a: Facts, b: Facts) -> Iterator[Mismatch]:
    """Compare how text is written, where it is text that is asked for."""
    if {*a.values["output type"], *b.values["output type"]} != {"generate_until"}:
        return
    names = ("generation arguments", "sampled")
    if all(a.values[name] == b.values[name] for name in names):
        return
    what, sampled = names
    sides = (f"{_words(x.values[what])}, {_words(x.values[sampled])}" for x in (a, b))
    yield _mismatch(what, *sides, blocks=True)


def _causes(
    a: Facts, b: Facts, prompts: _Agreement, targets: _Agreement
) -> Iterator[Mismatch]:
    """Compare what prompts are made by: it matters unless they are the same."""
    if prompts.is_equal:
        rest = "but every prompt is the same"
    elif prompts.n_other:
        rest = f"and with it {prompts.n_other} of {prompts.n_known} prompts"
    else:
        rest = "and prompts are not known"
    is_template = False
    for what in ("template", "few-shot examples"):
        for one in _of_values(a, b, what, blocks=not prompts.is_equal):
            if _is_known(a, b, what):
                is_template |= what == "template"
                one = _named(a, b, replace(one, text=f"{one.text}, {rest}"))
            yield one
    is_same = prompts.is_equal and targets.is_equal
    if prompts.is_equal:
        rest += " and every target" if is_same else ", of targets not"
    what = "task version"
    mine, theirs = a.task_versions, b.task_versions
    if mine and theirs and mine != theirs and None not in (*mine, *theirs):
        one = _mismatch(what, _words(mine), _words(theirs), blocks=not is_same)
        yield replace(one, text=f"{one.text}, {rest}")
        return
    if is_template:
        return  # A template's wording is part of the digest of the task.
    for one in _of_values(a, b, what, blocks=not is_same):
        known = _is_known(a, b, what)
        yield replace(one, text=f"{one.text}, {rest}") if known else one


def _is_known(a: Facts, b: Facts, what: str) -> bool:
    return None not in (*a.values[what], *b.values[what])


def _named(a: Facts, b: Facts, one: Mismatch) -> Mismatch:
    """Say which part of a template differs, where the task's words do not."""
    what = "task version"
    if (
        one.what != "template"
        or not _is_known(a, b, what)
        or a.values[what] != b.values[what]
    ):
        return one
    text = one.text.replace("template", "chat template or system prompt", 1)
    return replace(one, what="chat template", text=text)


def _of_draws(a: Facts, b: Facts, prompts: _Agreement) -> Iterator[Mismatch]:
    """Compare which few-shot examples were drawn; of none, the seed is idle."""
    what = "few-shot seed"
    mine, theirs = a.values[what], b.values[what]
    shots = {*a.values["few-shot examples"], *b.values["few-shot examples"]}
    if mine == theirs or shots == {"0"} or prompts.is_equal:
        return
    rest = "examples are drawn anew"
    if prompts.n_other:
        rest = f"{prompts.n_other} of {prompts.n_known} prompts show other examples"
    yield _mismatch(what, _words(mine), _words(theirs), rest, blocks=False)


def _of_prompts(a: Facts, b: Facts, prompts: _Agreement) -> Mismatch:
    """Tell of prompts that differ for no cause that is recorded."""
    rest = f"{prompts.n_other} of {prompts.n_known} prompts"
    if all(
        _is_known(a, b, what) and a.values[what] == b.values[what] for what in DIGESTS
    ):
        # All else that makes a prompt is in these digests.
        rest += " are others, though task, template and examples are the same"
        return _mismatch("chat template", rest=rest, blocks=True)
    return _mismatch("prompts", rest=rest, blocks=True)


def _unknown(
    a: Facts, b: Facts, prompts: _Agreement, targets: _Agreement
) -> Iterator[Mismatch]:
    nowhere = []
    for what, agreement, known in (
        ("prompts", prompts, a.prompts.known.any() or b.prompts.known.any()),
        ("targets", targets, _knows_targets(a) or _knows_targets(b)),
    ):
        if agreement.n_known == agreement.n_shared:
            continue
        if known:
            n_gaps = agreement.n_shared - agreement.n_known
            yield _mismatch(
                what,
                rest=f"of {n_gaps} of {agreement.n_shared} shared items",
                blocks=False,
                verb="are unknown",
            )
        else:
            nowhere.append(what)
    nowhere += [
        what
        for what in (*DIGESTS, "dtype", "batch size")
        if a.values[what] == b.values[what] == (None,)
    ]
    if nowhere:
        rest = f"{', '.join(nowhere)}; whether they differ cannot be told"
        yield _mismatch("unknown", rest=rest, blocks=False, verb="on both sides")


def _knows_targets(side: Facts) -> bool:
    return bool(side.target_indexes.known.any() or side.targets.known.any())


def _mismatch(
    what: str,
    first: str = "",
    second: str = "",
    rest: str = "",
    *,
    blocks: bool,
    verb: str = "",
) -> Mismatch:
    verb = verb or ("differ" if what.endswith("s") else "differs")
    between = f"{first} against {second}" if first else ""
    told = "; ".join(part for part in (between, rest) if part)
    return Mismatch(
        what=what,
        first=first,
        second=second,
        blocks=blocks,
        text=f"{what} {verb}: {told}",
    )


def _words(values: Words, what: str = "") -> str:
    words = (
        "unknown" if word is None else word[:8] if what in DIGESTS else word
        for word in values
    )
    return " and ".join(words)


def _numbered(responses: pd.DataFrame, name: str) -> tuple[Rows, Words]:
    """Return a column as numbers, and the word of each."""
    codes, values = responses[COLUMNS[name]].factorize(use_na_sentinel=False)
    return np.asarray(codes, dtype=np.intp), tuple(_plain(name, v) for v in values)


def _distinct(words: Words, codes: Rows) -> Words:
    """Return the distinct words of some rows, what is not known first."""
    found = {words[code] for code in np.flatnonzero(np.bincount(codes))}
    return tuple(sorted(found, key=lambda word: (word is not None, word)))


def _plain(name: str, value: Any) -> str | None:
    word = plain(value)
    if word is None or word == "":
        return MAY_BE_UNSET.get(name)
    if name == "sampled":
        return "sampled" if word else "greedy"
    if name == "generation arguments":
        return _canonical(word)
    return str(word)


def _canonical(words: str) -> str:
    """Return arguments in one order, whichever tool wrote them."""
    try:
        return json.dumps(json.loads(words), sort_keys=True)
    except ValueError:
        return words


class _OfTrials:
    """What the trials of responses say of the task and of packages."""

    def __init__(self, responses: pd.DataFrame, trials: pd.DataFrame) -> None:
        codes, attempts = responses["attempt_id"].factorize()
        self._attempt = np.asarray(codes, dtype=np.intp)
        said = trials.drop_duplicates("attempt_id").set_index("attempt_id")
        said = said.reindex(attempts)[["task_version", "versions"]]
        self._task_version = [plain(value) for value in said["task_version"]]
        self._versions = [
            dict(value) if isinstance(value, list | dict) else {}
            for value in said["versions"]
        ]

    def said(self, rows: Rows) -> dict[str, Any]:
        """Return the fields of `Facts` that trials know of these rows."""
        attempts = np.flatnonzero(np.bincount(self._attempt[rows]))
        versions: dict[str, set[str]] = {}
        for attempt in attempts:
            for package, version in self._versions[attempt].items():
                versions.setdefault(package, set()).add(version)
        named = {self._task_version[attempt] for attempt in attempts} - {None}
        return {
            "task_versions": tuple(sorted(map(str, named))),
            "versions": {name: tuple(sorted(some)) for name, some in versions.items()},
        }


def _hashes(column: pd.Series[Any]) -> tuple[npt.NDArray[np.uint64], Flags]:
    """Return a number for each content, and where there is any."""
    from pandas.util import hash_pandas_object

    known = column.notna().to_numpy(dtype=bool)
    if not known.any():
        return np.zeros(len(column), dtype=np.uint64), known
    numbers = hash_pandas_object(column, index=False)
    return np.asarray(numbers, dtype=np.uint64), known


def _by_key(
    keys: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64], known: Flags
) -> _Hashes:
    """Sum the distinct contents of each key; it is known where all of them are."""
    order = np.lexsort((values, keys))
    keys, values, known = keys[order], values[order], known[order]
    is_new = np.r_[True, keys[1:] != keys[:-1]]
    is_other = is_new | np.r_[True, values[1:] != values[:-1]]
    first = np.flatnonzero(is_new)
    return _Hashes(
        keys[first],
        np.add.reduceat(np.where(is_other, values, np.uint64(0)), first),
        np.logical_and.reduceat(known, first),
    )
