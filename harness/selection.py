"""Which items of a task were chosen, and how? A small file, checked, and exported."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from harness import __version__
from harness.errors import InputError
from harness.records import digest

if TYPE_CHECKING:
    from harness.stats.discriminative_table import TaskDiscriminative
    from harness.stats.estimate import Estimate
    from harness.stats.facets import FacetScores
    from harness.stats.stable_table import TaskStable
    from harness.stats.subsets.choose import Subset

SCHEMA: Literal["evalvar.selection/1"] = "evalvar.selection/1"

SCHEMA_DRAFT = "https://json-schema.org/draft/2020-12/schema"

LIST = re.compile(r"\[\n[^\[\]{}]*\n *\]")
"""A list that holds neither lists nor objects, as JSON."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(_Part):
    """A caution, as it was told when the items were chosen."""

    code: str
    text: str


class ChosenOn(_Part):
    """Whose answers decided."""

    models: tuple[str, ...]
    train_seeds: tuple[int | None, ...]
    steps: tuple[int | None, ...]
    formulation: str
    metric: str
    templates: tuple[str, ...] = ()


class TaskSelection(_Part):
    """The chosen items of one task.

    `items` are places in the task, ascending, as lm-eval counts them; `item_ids`, in
    the same order, say which questions must stand there. Each item counts as much as
    another, so that a plain mean is the score.
    """

    task: str = Field(min_length=1)
    method: str
    n_items: int
    n_items_total: int
    items: tuple[int, ...] = Field(min_length=1)
    item_ids: tuple[str, ...]
    task_digest: str | None
    """Of wording and items; ``None`` where items were chosen over several wordings."""

    chosen_on: ChosenOn
    fidelity: dict[str, JsonValue]
    """What was found on answers that had no part in the choice."""

    cautions: tuple[Told, ...] = ()

    @model_validator(mode="after")
    def _items_are_places(self) -> TaskSelection:
        if not len(self.items) == len(self.item_ids) == self.n_items:
            raise ValueError(
                f"n_items is {self.n_items}, and there are {len(self.items)} items and "
                f"{len(self.item_ids)} item_ids"
            )
        for before, after in pairwise(self.items):
            if after <= before:
                what = "is there twice" if after == before else f"comes after {before}"
                raise ValueError(f"item {after} {what}; items ascend, each once")
        if self.items[0] < 0 or self.items[-1] >= self.n_items_total:
            raise ValueError(
                f"items go from {self.items[0]} to {self.items[-1]}, and the task has "
                f"places 0 to {self.n_items_total - 1}"
            )
        return self


class Selection(_Part):
    """Chosen items of one task or of several."""

    schema_: Literal["evalvar.selection/1"] = Field(SCHEMA, alias="schema")
    tool: str = f"evalvar {__version__}"
    kind: Literal["stable", "discriminative"]
    entropy: int
    tasks: tuple[TaskSelection, ...] = Field(min_length=1)

    @field_validator("tasks")
    @classmethod
    def _once_each(cls, tasks: tuple[TaskSelection, ...]) -> tuple[TaskSelection, ...]:
        names = [one.task for one in tasks]
        if twice := [name for i, name in enumerate(names) if name in names[:i]]:
            raise ValueError(f"task {twice[0]} is there twice")
        return tasks

    def of(self, task: str) -> TaskSelection | None:
        """Return the items of a task; ``None`` if it has none here."""
        return next((one for one in self.tasks if one.task == task), None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return self.model_dump(mode="json", by_alias=True)

    def to_json(self) -> str:
        """Return the file's text."""
        return _json(self.to_dict())

    def to_samples(self) -> str:
        """Return what lm-eval's ``--samples`` takes: places by task, as JSON."""
        return _json({one.task: list(one.items) for one in self.tasks})

    def to_ids(self) -> str:
        """Return the ids of all items, one on each line."""
        return "".join(f"{i}\n" for one in self.tasks for i in one.item_ids)

    def to_suite(self, text: str) -> str:
        """Return the suite file `text` with the items in it, all else as it is.

        Tasks without chosen items stay whole.

        Raises
        ------
        InputError
            ``selection-unused``: none of the suite's tasks is among those chosen of.
        """
        import io

        from ruamel.yaml import YAML
        from ruamel.yaml.comments import CommentedSeq

        yaml = YAML(typ="rt")
        yaml.width = 88
        yaml.indent(mapping=2, sequence=4, offset=2)
        suite = yaml.load(text)
        tasks = suite["tasks"]
        refuse_unused(self, [_name_of(entry) for entry in tasks])
        for place, entry in enumerate(tasks):
            chosen = self.of(_name_of(entry))
            if chosen is None:
                continue
            if isinstance(entry, str):
                # What stood behind a bare name would stand before the first key.
                behind = tasks.ca.items.pop(place, None)
                tasks[place] = entry = {"task": entry}
                if behind and behind[0]:
                    words = [w.strip("# ") for w in behind[0].value.splitlines()]
                    tasks.yaml_set_comment_before_after_key(
                        place, before="\n".join(filter(None, words)), indent=2
                    )
            items = CommentedSeq(chosen.items)
            items.fa.set_flow_style()
            entry["items"] = items
            entry["items_digest"] = items_digest(chosen.item_ids)
        out = io.StringIO()
        yaml.dump(suite, out)
        return out.getvalue()


def items_digest(item_ids: Sequence[str]) -> str:
    """Return what a suite knows its items by: a digest of their ids, in order."""
    return digest(list(item_ids))


def read_selection(path: Path) -> Selection:
    """Read and check the selection at `path`.

    Raises
    ------
    InputError
        ``selection-missing``, ``selection-invalid`` (no JSON, or not what a selection
        says; names the first place that is wrong).
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text, object_pairs_hook=_once_each)
        plain = json.dumps(document, allow_nan=False)
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file; `evalvar select stable` writes one",
            code="selection-missing",
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}", code="selection-missing"
        ) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, too
        raise InputError(
            f"{path}: not JSON: {error}; give the file that `evalvar select` wrote, "
            "not its export to ids or to a suite",
            code="selection-invalid",
        ) from None
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: its schema is not {SCHEMA}; give the file that `evalvar select` "
            "wrote, not its export to lm-eval's --samples",
            code="selection-invalid",
        )
    try:
        return Selection.model_validate_json(plain, strict=True)
    except ValidationError as error:
        first, *others = error.errors()
        where = ".".join(map(str, first["loc"])) or "the file"
        more = f" (and {len(others)} more)" if others else ""
        says = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{path}: {where}: {says[:1].lower()}{says[1:]}{more}",
            code="selection-invalid",
        ) from None


def _once_each(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its keys and values, as JSON has it; no key is there twice."""
    names = [name for name, _ in pairs]
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ValueError(f"key {twice[0]!r} is there twice")
    return dict(pairs)


def selection_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file of chosen items."""
    head = {"$schema": SCHEMA_DRAFT, "title": "evalvar selection"}
    return {**head, **Selection.model_json_schema(), **head}


def refuse_unused(selection: Selection, tasks: Sequence[str]) -> None:
    """Refuse a selection for none of these tasks (``selection-unused``)."""
    if not any(selection.of(task) for task in tasks):
        raise InputError(
            f"items were chosen of {', '.join(one.task for one in selection.tasks)}, "
            f"and the suite asks {', '.join(dict.fromkeys(tasks))}; choose items of "
            "one of these",
            code="selection-unused",
        )


def _name_of(entry: Any) -> str:
    return str(entry if isinstance(entry, str) else entry.get("task"))


def _json(document: Any) -> str:
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    # A list of a thousand places is one line; no string holds a raw line break.
    return LIST.sub(lambda found: " ".join(found[0].split()), text) + "\n"


def stable_selection(rows: Sequence[TaskStable], *, entropy: int) -> Selection:
    """Return the items that `evalvar select stable` took.

    Raises
    ------
    InputError
        ``tolerances-missed``: of no task a size does; ``duplicate-task``.
    """
    taken = [(row, row.found.subset) for row in rows if row.found.subset is not None]
    if not taken:
        raise InputError(
            "no size that was searched meets all tolerances on models held out; "
            "tolerate more, give more --sizes, or take all items",
            code="tolerances-missed",
        )
    refuse_twice([(row.who.task, row.who.formulation) for row, _ in taken])
    return Selection(
        kind="stable",
        entropy=entropy,
        tasks=tuple(_stable(row, subset) for row, subset in taken),
    )


def discriminative_selection(
    rows: Sequence[TaskDiscriminative], *, entropy: int
) -> Selection:
    """Return the items that `evalvar select discriminative` took.

    Raises
    ------
    InputError
        ``duplicate-task``.
    """
    refuse_twice([named(row.scores) for row in rows])
    return Selection(
        kind="discriminative",
        entropy=entropy,
        tasks=tuple(_discriminative(row) for row in rows),
    )


def named(scores: FacetScores) -> tuple[str, str]:
    """Return one checkpoint's task, and which it is, as `refuse_twice` takes them."""
    model, seed, step = _checkpoint(scores)
    return scores.task, f"{model} seed {seed} step {step} {scores.formulation}".strip()


def refuse_twice(tasks: Sequence[tuple[str, str]]) -> None:
    """Refuse a task, with how it was asked, that is there twice: ``duplicate-task``."""
    names = [name for name, _ in tasks]
    for name in names:
        if names.count(name) > 1:
            ways = [way or "neither choice nor cloze" for n, way in tasks if n == name]
            raise InputError(
                f"{name} is there {len(ways)} times ({', '.join(ways[:3])}), and its "
                "items are chosen once; choose one with --formulation, --model, "
                "--train-seed or --steps",
                code="duplicate-task",
            )


def _stable(row: TaskStable, subset: Subset) -> TaskSelection:
    who = row.who
    items = subset.items.tolist()
    return TaskSelection(
        task=who.task,
        method=subset.method,
        n_items=subset.n_items,
        n_items_total=who.n_items_total,
        items=tuple(who.item_indexes[i] for i in items),
        item_ids=tuple(who.item_ids[i] for i in items),
        task_digest=who.task_digest,
        chosen_on=ChosenOn(
            models=tuple(dict.fromkeys(who.models)),
            train_seeds=_differing(who.train_seeds),
            steps=_differing(who.steps),
            formulation=who.formulation,
            metric=who.metric,
            templates=(who.template,),
        ),
        fidelity=row.found.fidelity(),
        cautions=tuple(Told(code=c.code, text=c.text) for c in row.cautions),
    )


def _discriminative(row: TaskDiscriminative) -> TaskSelection:
    scores, found = row.scores, row.found
    items = found.user_prompts.tolist()
    model, seed, step = _checkpoint(scores)
    return TaskSelection(
        task=scores.task,
        method=f"{found.method} search, {found.mode}",
        n_items=len(items),
        n_items_total=scores.n_items_total,
        items=tuple(scores.item_indexes[i] for i in items),
        item_ids=tuple(scores.levels["item"][i] for i in items),
        task_digest=None,
        chosen_on=ChosenOn(
            models=(model,),
            train_seeds=(seed,),
            steps=(step,),
            formulation=scores.formulation,
            metric=scores.metric,
            templates=tuple(scores.levels["template"]),
        ),
        fidelity={
            "among_system_prompts": _of(found.held_out),
            "gain_over_random": _of(found.gain),
            "gain_over_all": _of(found.gain_over_all),
            "beats_random": found.to_dict()["beats_random"],
            "held_out": found.hold_out,
        },
        cautions=tuple(Told(code=c.code, text=c.text) for c in row.cautions),
    )


def _checkpoint(scores: FacetScores) -> tuple[str, int | None, int | None]:
    return scores.model, scores.levels["train_seed"][0], scores.levels["step"][0]


def _of(estimate: Estimate) -> dict[str, JsonValue]:
    row = estimate.to_dict()
    return {part: row[part] for part in ("value", "low", "high")}


def _differing(values: Sequence[int | None]) -> tuple[int | None, ...]:
    return tuple(sorted(set(values), key=lambda v: (v is not None, v or 0)))
