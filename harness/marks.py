"""What did people say of checkpoints? Tags, baselines and acknowledged regressions."""

from __future__ import annotations

import datetime as dt
import getpass
import os
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import InputError
from harness.frames import MARKS

if TYPE_CHECKING:
    from harness.store import Store

Kind = Literal["tag", "baseline", "acknowledged"]
NOUNS: dict[Kind, str] = {
    "tag": "a tag",
    "baseline": "a baseline",
    "acknowledged": "an acknowledgement",
}

LONGEST = {"name": 100, "reason": 1000, "author": 100}
"""Characters that a mark's words may have."""

MEANT = frozenset({"baseline", "last", "latest"})
"""Words that stand for a checkpoint without being set."""

AUTHORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN")
"""Who started a job, where its user account says nothing of a person."""

MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A checkpoint that others are measured by: of all training seeds."""

    model: str
    step: int | None
    """``None`` where the model's checkpoints name no step."""

    def __str__(self) -> str:
        return self.model if self.step is None else f"{self.model}@{self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What somebody said of a checkpoint or a task, when, and why."""

    mark_id: str
    kind: Kind
    name: str
    """Of a tag; of a baseline, the tag that it was set to; empty otherwise."""

    model: str | None
    step: int | None
    task: str | None
    reason: str
    until: dt.date | None
    """Last day on which it holds; for good if ``None``."""

    author: str | None
    set_at: dt.datetime

    @property
    def reference(self) -> Reference:
        """The checkpoint of a tag or a baseline."""
        return Reference(model=self.model or "", step=self.step)

    def holds(self, on: dt.date) -> bool:
        """Whether its last day is not over."""
        return self.until is None or on <= self.until

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; dates as ISO 8601 writes them."""
        until = None if self.until is None else self.until.isoformat()
        return asdict(self) | {"until": until, "set_at": self.set_at.isoformat()}


@dataclass(frozen=True, slots=True)
class Marks:
    """All marks of a store, of which later ones stand in for earlier ones."""

    marks: tuple[Mark, ...] = ()
    """In the order in which they were set."""

    def tags(self) -> dict[str, Reference]:
        """Return what each tag stands for, by name."""
        named = {mark.name: mark.reference for mark in self.of("tag")}
        return dict(sorted(named.items()))

    def tag(self, name: str) -> Reference:
        """Return what a tag stands for.

        Raises
        ------
        InputError
            ``unknown-tag``.
        """
        tags = self.tags()
        if name not in tags:
            there = f"known: {', '.join(tags)}" if tags else "there is none"
            raise InputError(
                f"no tag {name!r}; {there}; `evalvar tag` sets one",
                code="unknown-tag",
            )
        return tags[name]

    def baseline_mark(self, task: str | None = None) -> Mark | None:
        """Return the last mark that set the baseline of a task, or of all tasks."""
        set_ = (m for m in self.of("baseline") if m.task is None or m.task == task)
        return max(set_, key=lambda mark: mark.set_at, default=None)

    def baseline(self, task: str | None = None) -> Reference | None:
        """Return the baseline of a task; without one, that of tasks in general.

        What was said last counts: a baseline set for all tasks replaces the one that
        was set for this task before.
        """
        mark = self.baseline_mark(task)
        return None if mark is None else mark.reference

    def acknowledged(self, task: str, model: str, *, on: dt.date) -> Mark | None:
        """Return the last acknowledgement that holds for a task of a model on a day.

        One for all models stands beside those for one of them; among those of the same
        task and model the last counts alone, so that a date can be moved back.
        """
        last = {
            (mark.task, mark.model): mark
            for mark in self.of("acknowledged")
            if mark.task in (None, task) and mark.model in (None, model)
        }
        holding = (mark for mark in last.values() if mark.holds(on))
        return max(holding, key=lambda mark: mark.set_at, default=None)

    def of(self, kind: Kind) -> tuple[Mark, ...]:
        """Return the marks of one kind, in the order in which they were set."""
        return tuple(mark for mark in self.marks if mark.kind == kind)

    def log(self) -> tuple[Mark, ...]:
        """Return all marks, those that were replaced too, the last one first."""
        return self.marks[::-1]


def read_marks(store: Store) -> Marks:
    """Return the marks of a store."""
    return Marks(tuple(Mark(**row) for row in store.marks().to_pylist()))


def set_mark(
    store: Store,
    kind: Kind,
    *,
    name: str = "",
    model: str | None = None,
    step: int | Literal["last"] | None = "last",
    task: str | None = None,
    reason: str = "",
    until: dt.date | None = None,
    now: dt.datetime | None = None,
) -> Mark:
    """Append a mark to a store, and return it.

    Parameters
    ----------
    store : Store
    kind : {"tag", "baseline", "acknowledged"}
        A tag and a baseline are of one checkpoint of `model`, an acknowledgement is of
        a task.
    name : str
        Of the tag; of a baseline, what it was set to, if that was a tag.
    model : str, optional
        One that the store has; needed but for an acknowledgement, where ``None`` stands
        for all models.
    step : int, "last" or None
        Of the checkpoint; ``last`` becomes the model's last step as of now, ``None`` is
        for models whose checkpoints name none. Not of an acknowledgement.
    task : str, optional
        One that the store has; needed for an acknowledgement, else all.
    reason : str
        Why; needed but for a tag.
    until : date, optional
        Last day on which an acknowledgement holds; today at the earliest.
    now : datetime, optional
        When it is set, by the clock if absent; later than any mark that is there.

    Raises
    ------
    InputError
        ``bad-mark``: its words are empty, too long, or would not print; the name of a
        tag may mean something else; its last day is over. ``nothing-stored``: the store
        has no finished trial of the model, the step or the task.
    StoreError
        ``store-not-written``.
    """
    now = now or dt.datetime.now(dt.UTC)
    _check_words(kind, name, reason)
    if until is not None and until < now.date():
        raise InputError(
            f"the last day is {until.isoformat()}, which is over; give today or later",
            code="bad-mark",
        )
    found = None
    if kind == "acknowledged":
        if task is None:
            raise InputError(f"{NOUNS[kind]} is of a task; name it", code="bad-mark")
    elif model is None:
        raise InputError(
            f"{NOUNS[kind]} is of a checkpoint; name a model", code="bad-mark"
        )
    steps = _stored_steps(store, model, task)
    if kind == "tag" and name in store.trials()["model"].to_pylist():
        raise InputError(
            f"the name {name!r} is a model's; give another", code="bad-mark"
        )
    if kind != "acknowledged":
        found = _step(store, str(model), steps, step)
    last = max((m.set_at for m in read_marks(store).marks), default=None)
    mark = Mark(
        mark_id=uuid.uuid4().hex,
        kind=kind,
        name=name,
        model=model,
        step=found,
        task=task,
        reason=reason,
        until=until,
        author=_author(),
        # Clocks of several machines differ, and the later mark must count.
        set_at=now if last is None else max(now, last + MICROSECOND),
    )
    store.append_marks(pa.Table.from_pylist([asdict(mark)], schema=MARKS))
    return mark


def _check_words(kind: Kind, name: str, reason: str) -> None:
    needed = {"tag": "name", "baseline": "reason", "acknowledged": "reason"}[kind]
    for what, words in (("name", name), ("reason", reason)):
        if what == needed and not words.strip():
            raise InputError(f"{NOUNS[kind]} needs a {what}; give one", code="bad-mark")
        if len(words) > LONGEST[what]:
            raise InputError(
                f"the {what} has {len(words)} characters; {LONGEST[what]} are the most",
                code="bad-mark",
            )
        if not words.isprintable() or words != words.strip():
            raise InputError(
                f"the {what} {words[:20]!r} is not one line of characters that print, "
                "without spaces at its ends; write it so",
                code="bad-mark",
            )
    if kind == "tag" and (
        name in MEANT or name.startswith("tag:") or not {"@", "#"}.isdisjoint(name)
    ):
        raise InputError(
            f"the name {name!r} may mean something else; give one without @, # and "
            f"tag:, other than {', '.join(sorted(MEANT))}",
            code="bad-mark",
        )


def _stored_steps(
    store: Store, model: str | None, task: str | None
) -> Sequence[int | None]:
    """Return the steps of finished trials, which must be there."""
    trials = store.trials()
    trials = trials.filter(pc.equal(trials["status"], "done"))
    for column, value in (("model", model), ("task", task)):
        if value is None:
            continue
        some = trials.filter(pc.equal(trials[column], value))
        if some.num_rows == 0:
            known = sorted(set(trials[column].to_pylist()))
            raise _not_there(store, value, known)
        trials = some
    return sorted(
        set(trials["step"].to_pylist()), key=lambda s: (s is not None, s or 0)
    )


def _step(
    store: Store,
    model: str,
    steps: Sequence[int | None],
    step: int | Literal["last"] | None,
) -> int | None:
    if step == "last":
        return steps[-1]
    if step not in steps:
        what = f"{model} without a step" if step is None else f"{model} at step {step}"
        named = [f"step {s}" for s in steps if s is not None]
        shown = [*named[:5], "…", named[-1]] if len(named) > 7 else named
        raise _not_there(store, what, shown)
    return step


def _not_there(store: Store, what: str, known: Sequence[str]) -> InputError:
    there = f"; it has {', '.join(known)}" if known else ""
    return InputError(
        f"{store.path}: no finished trial of {what}{there}", code="nothing-stored"
    )


def _author() -> str | None:
    """Return who is at work, as far as the machine knows."""
    for name in AUTHORS:
        if os.environ.get(name):
            found = os.environ[name]
            break
    else:
        try:
            found = getpass.getuser()
        except (ImportError, KeyError, OSError):  # an account without a name
            return None
    shown = "".join(c for c in found if c.isprintable())[: LONGEST["author"]]
    return shown.strip() or None
