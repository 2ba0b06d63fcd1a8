"""When is a checkpoint stopped? One YAML file, checked, with file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from harness.errors import InputError
from harness.records import digest
from harness.yaml_files import (
    SCHEMA_DRAFT,
    FileKind,
    Name,
    Section,
    complaint,
    nearest,
    problem_words,
    read_mapping,
    with_definitions,
)

Tier = Literal["critical", "supporting", "advisory"]
TIERS: tuple[Tier, ...] = ("critical", "supporting", "advisory")

GATED: tuple[Tier, ...] = ("critical", "supporting")
"""Tiers that can fail."""

Answer = Literal["fail", "warn", "pass"]
"""What becomes of a gate that is inconclusive."""

GLOB = frozenset("*?[")
"""A name with one of these stands for all tasks that it matches."""

POLICY = FileKind(
    name="policy",
    advice="give the path of a YAML file that says which tasks are critical, or run "
    "`evalvar init`, which writes one",
    needs="at least one of critical, supporting and advisory",
    error=InputError,
    missing="policy-missing",
    unreadable="policy-unreadable",
    invalid="policy-invalid",
)


def _number(value: Any) -> Any:
    # Strict pydantic takes a whole number for a float, and true for 1.
    if isinstance(value, bool):
        raise ValueError("is a number")
    return value


def _as_tasks(value: Any) -> Any:
    """Read one name, or a list of names, as the tasks of a tier."""
    if isinstance(value, str):
        return {"tasks": [value]}
    return {"tasks": value} if isinstance(value, list) else value


def _differ(names: list[str]) -> list[str]:
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ValueError(f"{twice[0]} is there twice")
    return names


Loss = Annotated[
    float,
    Field(ge=0, le=1, allow_inf_nan=False),
    BeforeValidator(_number),
]
"""In units of the score: .01 is one point of an accuracy."""

Tasks = Annotated[
    list[Name],
    Field(min_length=1),
    AfterValidator(_differ),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]

Missing = Literal["fail", "inconclusive", "ignore"]

MISSING = (
    "What it means when the candidate has no score at a task: it was not asked what "
    "the baseline was, or what is named in full, or its answers could not be scored."
)


class TierRules(Section):
    """The tasks of one tier, and what is made of them."""

    tasks: Tasks = Field(
        description="Names of tasks; `*`, `?` and `[…]` stand for characters. A task "
        "is of the first tier that names it."
    )
    missing: Missing


class CriticalRules(TierRules):
    """The tasks of the critical tier: one regression fails the gate."""

    missing: Missing = Field("fail", description=MISSING)


class SupportingRules(TierRules):
    """The tasks of the supporting tier: single regressions may be tolerated."""

    missing: Missing = Field("inconclusive", description=MISSING)
    tolerate: Annotated[int, Field(ge=0)] = Field(
        1,
        description="So many regressions do not fail the gate; one more does, and so "
        "does a regression of the tier's mean.",
    )


class AdvisoryRules(TierRules):
    """The tasks of the advisory tier: they are shown and fail nothing."""

    missing: Missing = Field("ignore", description=MISSING)


class HistoryRules(Section):
    """Which checkpoints before the candidate it is measured by."""

    last: Annotated[int, Field(ge=5, le=1000)] = Field(
        10,
        description="So many checkpoints before the candidate, the newest; with fewer "
        "than 5 there is no prediction, and the gate goes without.",
    )
    by: Literal["step", "date"] = Field(
        "step", description="What orders them: training steps, or when they were run."
    )

    trend: Literal["none", "linear"] = Field(
        "none",
        description="Whether scores are predicted to stay, or to go on along a line, "
        "as those that training still raises.",
    )


class ConfirmRules(Section):
    """How red cells are measured again, where `--confirm` asks for it."""

    seeds: Annotated[int, Field(ge=1, le=100)] = Field(
        1,
        description="Fresh seeds of few-shot examples, and of sampled text, for each.",
    )


class Policy(Section):
    """When a checkpoint is stopped."""

    baseline: Name | None = Field(
        None,
        description="What the candidate is compared with: a tag, or MODEL@STEP; what "
        "`evalvar baseline set` set if absent.",
    )
    candidate: Name = Field(
        "latest",
        description="What is judged: `latest` is the last step of the baseline's "
        "model, or that model where it has no steps; else a model, whose last step is "
        "taken, or MODEL@STEP. A model of another name than the baseline's must be "
        "named.",
    )
    critical: Annotated[CriticalRules, BeforeValidator(_as_tasks)] | None = Field(
        None, description="One regression fails the gate."
    )
    supporting: Annotated[SupportingRules, BeforeValidator(_as_tasks)] | None = Field(
        None, description="More regressions than are tolerated fail the gate."
    )
    advisory: Annotated[AdvisoryRules, BeforeValidator(_as_tasks)] | None = Field(
        None, description="Regressions are shown and fail nothing."
    )
    delta: Loss = Field(0.01, description="A smaller loss is none.")
    deltas: dict[Name, Loss] = Field(
        default_factory=dict,
        description="The same for single tasks, by name or pattern; the first that "
        "matches counts, and one that matches none is told.",
    )
    confidence_level: Annotated[
        float, Field(ge=0.75, le=0.9999), BeforeValidator(_number)
    ] = Field(
        0.95,
        description="Of quiet nights so many stay green at least: half of the rest may "
        "be red in each of the two tiers that can fail.",
    )
    correction: Literal["holm", "bh", "none"] = Field(
        "holm", description="What makes up for the number of tasks in a tier."
    )
    min_items: Annotated[int, Field(ge=2)] = Field(
        30, description="With fewer items in common a task is inconclusive."
    )
    history: HistoryRules = Field(
        default_factory=HistoryRules, description="The checkpoints before it."
    )
    noise: Annotated[
        Literal["measured"] | Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)],
        WithJsonSchema(
            {
                "anyOf": [
                    {"const": "measured"},
                    {"type": "number", "minimum": 0, "maximum": 1},
                ]
            }
        ),
    ] = Field(
        "measured",
        description="SD between checkpoints of equal quality: measured on history or "
        "training seeds, or a number. 0 lets items alone decide.",
    )
    looks: Literal["each", "all"] = Field(
        "each",
        description="What the level is of: each night, or all nights since the "
        "baseline was set together.",
    )
    inconclusive: Answer = Field(
        "fail",
        description="What an inconclusive gate does: exit 4, warn and exit 0, or pass.",
    )
    allow: list[Name] = Field(
        default_factory=list,
        description="Hidden differences that shall not keep scores from being "
        "compared, such as `chat template`.",
    )
    allow_partial: bool = Field(
        False, description="Whether runs over a part of the items may pass."
    )
    confirm: ConfirmRules = Field(
        default_factory=ConfirmRules, description="Of `--confirm`."
    )

    @model_validator(mode="after")
    def _has_a_tier(self) -> Policy:
        if not any(self.rules(tier) for tier in TIERS):
            raise ValueError(
                'no task is in any tier; write critical: ["*"] to gate them all'
            )
        return self

    def rules(self, tier: Tier) -> TierRules | None:
        """Return what is said of a tier; ``None`` if nothing is."""
        found: TierRules | None = getattr(self, tier)
        return found

    def tier(self, task: str) -> Tier | None:
        """Return the tier of a task; ``None`` if no tier names it."""
        for tier in TIERS:
            rules = self.rules(tier)
            if rules and _first_match(task, rules.tasks) is not None:
                return tier
        return None

    def delta_of(self, task: str) -> float:
        """Return the largest loss that counts as none."""
        pattern = _first_match(task, list(self.deltas))
        return self.delta if pattern is None else self.deltas[pattern]

    def named(self) -> Iterator[tuple[Tier, str]]:
        """Return the tasks that are named in full: they must be there."""
        for tier in TIERS:
            rules = self.rules(tier)
            for name in rules.tasks if rules else ():
                if not GLOB & {*name} and self.tier(name) == tier:
                    yield tier, name

    def idle(self, tasks: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Return keys and their patterns, or names in `deltas`, that match no task."""
        there = list(tasks)
        said = [(str(tier), self.rules(tier)) for tier in TIERS]
        patterns = [
            (key, name)
            for key, rules in said
            for name in (rules.tasks if rules else ())
            if GLOB & {*name}
        ]
        patterns += [("deltas", name) for name in self.deltas]
        for key, name in patterns:
            if not any(_first_match(task, [name]) for task in there):
                yield key, name

    @property
    def look_confidence_level(self) -> float:
        """Of the intervals of each look: a look alone may be red twice as often."""
        return round(2 * self.confidence_level - 1, 12)

    @property
    def digest(self) -> str:
        """Digest of all that it says."""
        return digest(self.model_dump())


EVERY_TASK = Policy.model_validate({"critical": ["*"]})
"""What holds where no policy is given."""


def _first_match(task: str, patterns: Sequence[str]) -> str | None:
    return next((p for p in patterns if task == p or fnmatchcase(task, p)), None)


def load_policy(path: Path) -> Policy:
    """Read and check the policy at `path`.

    Raises
    ------
    InputError
        ``policy-missing``, ``policy-unreadable`` (not YAML), ``policy-invalid`` (names
        the line, the key and the nearest valid one).
    """
    plain, places = read_mapping(path, POLICY)
    try:
        return Policy.model_validate(plain)
    except ValidationError as error:
        raise InputError(
            complaint(path, places, error, keys=_keys, says=_says),
            code="policy-invalid",
        ) from None


SECTIONS: dict[str, type[Section]] = {
    "critical": CriticalRules,
    "supporting": SupportingRules,
    "advisory": AdvisoryRules,
    "history": HistoryRules,
    "confirm": ConfirmRules,
}


NO_MAPPING = {"model_type", "dict_type"}
"""Problems of what should be a section and is not."""

TIER_FORM = "is a task, a list of tasks, or a mapping with tasks"

FORMS = {
    "critical": TIER_FORM,
    "supporting": TIER_FORM,
    "advisory": TIER_FORM,
    "history": "is a mapping with any of last, by and trend",
    "confirm": "is a mapping with seeds",
    "deltas": "is a mapping of tasks to losses",
}


def _keys(loc: Sequence[Any]) -> list[Any]:
    # Of noise pydantic names the kind that was tried.
    return [loc[0]] if loc and loc[0] == "noise" else list(loc)


def _says(problem: Any, keys: list[Any]) -> str:
    if keys == ["noise"]:
        given = problem["input"]
        return f"noise: is measured, or an SD from 0 to 1, got {given!r}"[:200]
    name = ".".join(map(str, keys))
    if problem["type"] in NO_MAPPING:
        given = problem["input"]
        return f"{name}: {FORMS[name]}, got {given!r}"[:200]
    if problem["type"] == "too_short":
        return f"{name}: names no task; leave the tier out, or name some"
    hint = ""
    if problem["type"] == "extra_forbidden":
        section = SECTIONS.get(str(keys[0]), Policy) if len(keys) > 1 else Policy
        hint = nearest(str(keys[-1]), section)
    return problem_words(problem, keys, hint=hint)


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy file, in a draft that editors read."""
    schema = Policy.model_json_schema()
    names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    for tier in TIERS:  # a bare name or list is allowed where the model has a section
        node = schema["properties"][tier]
        section = next(one for one in node.pop("anyOf") if "$ref" in one)
        node["anyOf"] = [{"type": "string"}, names, section, {"type": "null"}]
    head = {"$schema": SCHEMA_DRAFT, "title": "evalvar policy"}
    return {**head, **with_definitions(schema), **head}
