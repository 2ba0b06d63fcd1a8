"""What does a comparison's JSON document hold? Its schema, for whoever reads it."""

from __future__ import annotations

from typing import Any, get_args

from harness.stats.calibration import DRAWS
from harness.stats.compare.results import Verdict

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


def compare_schema() -> Node:
    """Return the JSON Schema of what ``evalvar compare --json`` prints.

    Fields may be added under the same `SCHEMA`; none goes or changes meaning. What is
    not defined is ``null``.
    """
    task = _task()
    document = _object(
        schema={"const": SCHEMA},
        baseline=TEXT,
        choices=_list(
            _object(
                name=TEXT,
                model=TEXT,
                step=INTEGER_OR_NONE,
                train_seeds=_or_none(_list(INTEGER_OR_NONE)),
                label=TEXT,
            )
        ),
        correction={"enum": ["holm", "bh", "none"]},
        confidence_level=NUMBER,
        min_items=COUNT,
        looks=TEXT,
        fixed=_list(TEXT),
        verdicts=_object(**dict.fromkeys(get_args(Verdict), COUNT)),
        tasks=_list(task),
        average=_or_none(task),
        uncompared=_list(_object(what=TEXT, reason=TEXT)),
        cautions=CAUTIONS,
        calibration=_list(_calibration()),
    )
    return {"$schema": SCHEMA_DRAFT, "title": "evalvar compare", **document}


def _task() -> Node:
    condition: Node = {
        "task": TEXT,
        "formulation": TEXT,
        "num_fewshot": COUNT,
        "template": TEXT,
        "generation": TEXT,
        "metric": TEXT,
    }
    estimate = _estimate()
    side = _object(
        name=TEXT,
        model=TEXT,
        step=INTEGER_OR_NONE,
        train_seeds=_list(INTEGER_OR_NONE),
        score=estimate,
        seed_sd=UNDEFINED_OR_NUMBER,
        n_items=COUNT,
        n_items_total=COUNT,
        n_repeats=COUNT,
        is_partial=TRUTH,
    )
    flips = _object(
        **dict.fromkeys(("n_worse", "n_better", "n_equal"), COUNT),
        **dict.fromkeys(("n_lost", "n_gained", "n_both", "n_neither"), COUNT_OR_NONE),
        lost=_list(COUNT),
        gained=_list(COUNT),
    )
    difference = _object(
        **condition,
        baseline=side,
        candidate=side,
        n_items=COUNT,
        n_unpaired=COUNT,
        difference=estimate,
        over_items=INTERVAL,
        corrected=INTERVAL,
        sequential=_or_none(INTERVAL),
        p_value=SHARE,
        p_adjusted=SHARE,
        test=TEXT,
        flips=flips,
        smallest_detectable=UNDEFINED_OR_NUMBER,
        delta=UNDEFINED_OR_NUMBER,
        verdict={"enum": list(get_args(Verdict))},
        reason=TEXT,
        mismatches=_list(
            _object(what=TEXT, first=TEXT, second=TEXT, blocks=TRUTH, text=TEXT)
        ),
        cautions=CAUTIONS,
    )
    square = _list(_list(UNDEFINED_OR_NUMBER))
    tables = ("difference", "se", "z", "n_better", "p_value")
    pairs = _object(
        names=_list(TEXT),
        **dict.fromkeys((*tables, "p_adjusted", "low", "high"), square),
        n=COUNT,
        method=TEXT,
        test=TEXT,
    )
    rank = _object(name=TEXT, score=estimate, low=COUNT, high=COUNT, is_top=TRUTH)
    return _object(
        **condition,
        sides=_list(side),
        differences=_list(difference),
        ranks=_list(rank),
        pairs=_or_none(pairs),
    )


def _calibration() -> Node:
    return _object(
        draws={"enum": list(DRAWS)},
        task=TEXT_OR_NONE,
        formulation=TEXT_OR_NONE,
        num_fewshot=COUNT_OR_NONE,
        generation=TEXT_OR_NONE,
        metric=TEXT_OR_NONE,
        n_pairs=COUNT,
        n_false=COUNT,
        nominal=NUMBER,
        rate=_estimate(),
        band=UNDEFINED_OR_NUMBER,
        is_inflated=TRUTH,
        cautions=CAUTIONS,
    )


def _estimate() -> Node:
    return _object(
        value=UNDEFINED_OR_NUMBER,
        se=UNDEFINED_OR_NUMBER,
        low=UNDEFINED_OR_NUMBER,
        high=UNDEFINED_OR_NUMBER,
        confidence_level=NUMBER,
        n=COUNT,
        method=TEXT,
        cautions=CAUTIONS,
    )


def _object(**properties: Node) -> Node:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _list(items: Node) -> Node:
    return {"type": "array", "items": items}


def _or_none(node: Node) -> Node:
    return {"anyOf": [node, {"type": "null"}]}


CAUTIONS = _list(_object(code=TEXT, text=TEXT))
INTERVAL = _object(low=UNDEFINED_OR_NUMBER, high=UNDEFINED_OR_NUMBER)
