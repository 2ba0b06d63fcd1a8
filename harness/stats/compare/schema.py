"""What does a comparison's JSON document hold? Its schema, for whoever reads it."""

from __future__ import annotations

from typing import Any, get_args

from harness.stats.calibration import DRAWS
from harness.stats.compare.results import (
    METHODOLOGY_VERSION,
    SCHEMA_VERSION,
    Verdict,
)

Node = dict[str, Any]

SCHEMA = "evalvar.compare/1"
SCHEMA_DRAFT = "https://json-schema.org/draft/2020-12/schema"

TEXT: Node = {"type": "string"}
TEXT_OR_NONE: Node = {"type": ["string", "null"]}
NUMBER: Node = {"type": "number"}
UNDEFINED_OR_NUMBER: Node = {"type": ["number", "null"]}
COUNT: Node = {"type": "integer", "minimum": 0}
COUNT_OR_NONE: Node = {"type": ["integer", "null"], "minimum": 0}
INTEGER_OR_NONE: Node = {"type": ["integer", "null"]}
TRUTH: Node = {"type": "boolean"}
SHARE: Node = {"type": ["number", "null"], "minimum": 0, "maximum": 1}

CONDITION: Node = {
    "task": TEXT,
    "formulation": TEXT,
    "num_fewshot": COUNT,
    "template": TEXT,
    "generation": TEXT,
    "metric": TEXT,
}


def compare_schema() -> Node:
    """Return the JSON Schema of what ``evalvar compare --json`` prints.

    Fields may be added under the same `SCHEMA_VERSION`; none goes or changes meaning.
    What is not defined is ``null``.
    """
    task = _task()
    document = object_of(
        schema={"const": SCHEMA},
        schema_version={"const": SCHEMA_VERSION},
        methodology_version={"const": METHODOLOGY_VERSION},
        baseline=TEXT,
        choices=list_of(
            object_of(
                name=TEXT,
                model=TEXT,
                step=INTEGER_OR_NONE,
                train_seeds=or_null(list_of(INTEGER_OR_NONE)),
                label=TEXT,
            )
        ),
        correction={"enum": ["holm", "bh", "none"]},
        confidence_level=NUMBER,
        min_items=COUNT,
        looks=TEXT,
        fixed=list_of(TEXT),
        verdicts=object_of(**dict.fromkeys(get_args(Verdict), COUNT)),
        tasks=list_of(task),
        average=or_null(task),
        uncompared=list_of(object_of(what=TEXT, reason=TEXT)),
        cautions=CAUTIONS,
        calibration=list_of(calibration()),
    )
    return {"$schema": SCHEMA_DRAFT, "title": "evalvar compare", **document}


def _task() -> Node:
    square = list_of(list_of(UNDEFINED_OR_NUMBER))
    tables = ("difference", "se", "z", "n_better", "p_value")
    pairs = object_of(
        names=list_of(TEXT),
        **dict.fromkeys((*tables, "p_adjusted", "low", "high"), square),
        n=COUNT,
        method=TEXT,
        test=TEXT,
    )
    rank = object_of(name=TEXT, score=estimate(), low=COUNT, high=COUNT, is_top=TRUTH)
    return object_of(
        **CONDITION,
        sides=list_of(_side()),
        differences=list_of(difference()),
        ranks=list_of(rank),
        pairs=or_null(pairs),
    )


def difference() -> Node:
    """Return the schema of a `harness.stats.compare.results.TaskDifference`."""
    flips = object_of(
        **dict.fromkeys(("n_worse", "n_better", "n_equal"), COUNT),
        **dict.fromkeys(("n_lost", "n_gained", "n_both", "n_neither"), COUNT_OR_NONE),
        lost=list_of(COUNT),
        gained=list_of(COUNT),
    )
    return object_of(
        **CONDITION,
        baseline=_side(),
        candidate=_side(),
        n_items=COUNT,
        n_unpaired=COUNT,
        difference=estimate(),
        over_items=INTERVAL,
        corrected=INTERVAL,
        sequential=or_null(INTERVAL),
        p_value=SHARE,
        p_adjusted=SHARE,
        test=TEXT,
        flips=flips,
        smallest_detectable=UNDEFINED_OR_NUMBER,
        delta=UNDEFINED_OR_NUMBER,
        verdict={"enum": list(get_args(Verdict))},
        reason=TEXT,
        mismatches=list_of(
            object_of(what=TEXT, first=TEXT, second=TEXT, blocks=TRUTH, text=TEXT)
        ),
        cautions=CAUTIONS,
    )


def _side() -> Node:
    return object_of(
        name=TEXT,
        model=TEXT,
        step=INTEGER_OR_NONE,
        train_seeds=list_of(INTEGER_OR_NONE),
        score=estimate(),
        seed_sd=UNDEFINED_OR_NUMBER,
        n_items=COUNT,
        n_items_total=COUNT,
        n_repeats=COUNT,
        is_partial=TRUTH,
    )


def calibration() -> Node:
    """Return the schema of a `harness.stats.calibration.Calibration`."""
    return object_of(
        draws={"enum": list(DRAWS)},
        task=TEXT_OR_NONE,
        formulation=TEXT_OR_NONE,
        num_fewshot=COUNT_OR_NONE,
        generation=TEXT_OR_NONE,
        metric=TEXT_OR_NONE,
        n_pairs=COUNT,
        n_false=COUNT,
        nominal=NUMBER,
        rate=estimate(),
        band=UNDEFINED_OR_NUMBER,
        is_inflated=TRUTH,
        cautions=CAUTIONS,
    )


def estimate() -> Node:
    """Return the schema of an `harness.stats.estimate.Estimate`."""
    return object_of(
        value=UNDEFINED_OR_NUMBER,
        se=UNDEFINED_OR_NUMBER,
        low=UNDEFINED_OR_NUMBER,
        high=UNDEFINED_OR_NUMBER,
        confidence_level=NUMBER,
        n=COUNT,
        method=TEXT,
        cautions=CAUTIONS,
    )


def object_of(**properties: Node) -> Node:
    """Return the schema of an object that has all of these."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def list_of(items: Node) -> Node:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def or_null(node: Node) -> Node:
    """Return the schema of what may be missing."""
    return {"anyOf": [node, {"type": "null"}]}


CAUTIONS = list_of(object_of(code=TEXT, text=TEXT))
INTERVAL = object_of(low=UNDEFINED_OR_NUMBER, high=UNDEFINED_OR_NUMBER)
