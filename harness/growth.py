"""What must a suite say to ask for more? The same file, with larger numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checkpoints import find_checkpoints
from harness.errors import InputError
from harness.stats.facets import FACETS as EVERY
from harness.suite import PatternCheckpoints, Suite, TaskEntry, load_suite

FACETS = tuple(facet for facet in EVERY if facet != "step")
"""What a suite has numbers of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How many levels one task is to be asked with.

    Attributes
    ----------
    model, task, formulation, num_fewshot
        Whose design it is.
    n_items_total : int
        Items that the task holds.
    added : mapping of str to int
        How many more levels of each of `FACETS`, above 0.
    counts : mapping of str to int
        How many there are to be.
    """

    model: str
    task: str
    formulation: str
    num_fewshot: int
    n_items_total: int
    added: Mapping[str, int]
    counts: Mapping[str, int]


def grown_suite(
    path: Path, wishes: Sequence[Wish], *, into: Path, zoo: Path | None = None
) -> tuple[str, tuple[str, ...]]:
    """Return a suite's text that asks for `wishes`, and what is left to do by hand.

    Comments and order stay as they are. What several tasks share, such as training
    seeds, grows as far as the largest wish.

    Parameters
    ----------
    path : Path
        The suite that the answers came from.
    wishes : sequence of Wish
        What each model and task is to have.
    into : Path
        Where the text is to be written: relative paths in it start there.
    zoo : Path or None
        What ``zoo://`` stands for.

    Returns
    -------
    text : str
    to_do : tuple of str
        What a suite cannot say by itself: the wording of new templates, the training of
        seeds that are not there. A sentence each.

    Raises
    ------
    SuiteError
        Those of `load_suite`.
    InputError
        ``suite-unrelated``: it does not have the tasks.
    """
    import io

    from ruamel.yaml import YAML

    suite = load_suite(path)
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    document = yaml.load(path.read_text(encoding="utf-8"))
    for key in ("tasks", "checkpoints"):
        if not document[key].fa.flow_style():
            _, column = document[key].lc.item(0)
            yaml.indent(sequence=column, offset=column - 2)
    to_do: list[str] = []
    for wish in wishes:
        to_do += _grow_task(path, suite, document, wish)
    _grow_fewshot_seeds(suite, document, wishes)
    to_do += _grow_templates(suite, wishes)
    to_do += _grow_train_seeds(path, suite, document, wishes, zoo)
    _move(document, path.parent, into.parent)
    text = io.StringIO()
    yaml.dump(document, text)
    return text.getvalue(), tuple(dict.fromkeys(to_do))


def _grow_task(path: Path, suite: Suite, document: Any, wish: Wish) -> Iterator[str]:
    place = _entry_of(path, suite, wish)
    entry = suite.tasks[place]
    if wish.added.get("item"):
        if isinstance(entry.items, list):
            yield (
                f"the items of {wish.task} are a list, which a larger number would "
                f"throw away: add {wish.added['item']:,} to it"
            )
        elif wish.counts["item"] >= wish.n_items_total:
            _task(document, place).pop("items", None)
        else:
            _raise(_task(document, place), "items", wish.counts["item"])
    if wish.added.get("repeat"):
        _raise(_task(document, place), "repeats", wish.counts["repeat"])


def _entry_of(path: Path, suite: Suite, wish: Wish) -> int:
    """Return the place of the entry that says most of what the wish is of."""

    def says(entry: TaskEntry) -> int | None:
        if entry.task != wish.task:
            return None
        pairs = (
            (entry.formulation, wish.formulation),
            (entry.num_fewshot, wish.num_fewshot),
        )
        if any(said not in (None, is_) for said, is_ in pairs):
            return None
        return sum(said is not None for said, _ in pairs)

    found = [
        (said, -i) for i, e in enumerate(suite.tasks) if (said := says(e)) is not None
    ]
    if not found:
        raise InputError(
            f"{path}: has no task {wish.task} as it was asked; give the suite that the "
            "store came from",
            code="suite-unrelated",
        )
    return -max(found)[1]


def _task(document: Any, place: int) -> MutableMapping[str, Any]:
    """Return a task's mapping in the document, made of its bare name if need be."""
    from ruamel.yaml.comments import CommentedMap

    entry = document["tasks"][place]
    if isinstance(entry, str):
        mapping = CommentedMap(task=entry)
        mapping.fa.set_flow_style()
        document["tasks"][place] = mapping
    found: MutableMapping[str, Any] = document["tasks"][place]
    return found


def _raise(mapping: MutableMapping[str, Any], key: str, n: int) -> None:
    """Set a number, but never to less: two models may wish for different ones."""
    now = mapping.get(key)
    mapping[key] = n if now is None else max(now, n)


def _grow_fewshot_seeds(suite: Suite, document: Any, wishes: Iterable[Wish]) -> None:
    first = max(suite.fewshot_seeds) + 1
    new = list(range(first, first + _most(wishes, "fewshot_seed")))
    if new:
        document.setdefault("fewshot_seeds", list(suite.fewshot_seeds)).extend(new)


def _grow_templates(suite: Suite, wishes: Iterable[Wish]) -> Iterator[str]:
    if n_new := _most(wishes, "template"):
        yield (
            f"write {n_new} more under templates:, beside the {len(suite.templates)} "
            "there are; a wording cannot be made up"
        )


def _grow_train_seeds(
    path: Path,
    suite: Suite,
    document: Any,
    wishes: Sequence[Wish],
    zoo: Path | None,
) -> Iterator[str]:
    for model in dict.fromkeys(wish.model for wish in wishes):
        n_new = _most((w for w in wishes if w.model == model), "train_seed")
        for place, entry in enumerate(suite.checkpoints):
            if not n_new:
                break
            if isinstance(entry, PatternCheckpoints) and entry.train_seed is not None:
                there = _seeds_there(suite, entry, model, path.parent, zoo)
                new = sorted(there - {*document["checkpoints"][place]["train_seed"]})
                document["checkpoints"][place]["train_seed"].extend(new[:n_new])
                n_new -= len(new[:n_new])
        if n_new:
            yield (
                f"train {n_new} more seed{'s' if n_new > 1 else ''} of {model}, and "
                "name the folders under checkpoints: where no pattern does"
            )


def _seeds_there(
    suite: Suite, entry: PatternCheckpoints, model: str, base: Path, zoo: Path | None
) -> set[int]:
    """Return the training seeds that a pattern would match, were none chosen."""
    every = suite.model_copy(
        update={"checkpoints": [entry.model_copy(update={"train_seed": None})]}
    )
    return {
        checkpoint.train_seed
        for checkpoint in find_checkpoints(every, base, zoo)
        if checkpoint.model == model and checkpoint.train_seed is not None
    }


def _most(wishes: Iterable[Wish], facet: str) -> int:
    return max((wish.added.get(facet, 0) for wish in wishes), default=0)


def _move(document: Any, old: Path, new: Path) -> None:
    """Rewrite relative paths for a file in another folder."""
    if old.resolve() == new.resolve():
        return
    way = os.path.relpath(old, new)

    def moved(text: str) -> str:
        if "://" in text or text.startswith("~") or Path(text).is_absolute():
            return text
        return os.path.normpath(os.path.join(way, text))  # noqa: PTH118

    if "task_paths" in document:
        document["task_paths"][:] = [moved(text) for text in document["task_paths"]]
    for entry in document["checkpoints"]:
        for key in ("folder", "pattern", "tokenizer"):
            if entry.get(key) is not None:
                entry[key] = moved(entry[key])
