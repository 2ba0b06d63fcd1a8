"""What does a gate's JSON document hold? Its schema, for whoever reads it."""

from __future__ import annotations

from typing import Any, get_args

from harness.gate.policy import TIERS, Policy
from harness.gate.results import (
    METHODOLOGY_VERSION,
    SCHEMA_VERSION,
    STATES,
    Decision,
    Status,
)
from harness.stats.compare.results import Verdict

Node = dict[str, Any]

SCHEMA = "evalvar.gate/1"

SCHEMA_DRAFT = "https://json-schema.org/draft/2020-12/schema"

TEXT: Node = {"type": "string"}
NUMBER: Node = {"type": "number"}
NUMBER_OR_NONE: Node = {"type": ["number", "null"]}
COUNT: Node = {"type": "integer", "minimum": 0}
STEP: Node = {"type": ["integer", "null"]}
TRUTH: Node = {"type": "boolean"}
SHARE: Node = {"type": ["number", "null"], "minimum": 0, "maximum": 1}


def gate_schema() -> Node:
    """Return the JSON Schema of what ``evalvar gate --json`` prints.

    Fields may be added under the same `SCHEMA_VERSION`; none goes or changes meaning.
    """
    reference = _object(model=TEXT, step=STEP)
    tier = {"enum": list(TIERS)}
    decision = {"enum": list(get_args(Decision))}
    cell = _cell(tier, decision)
    document = _object(
        schema={"const": SCHEMA},
        schema_version={"const": SCHEMA_VERSION},
        methodology_version={"const": METHODOLOGY_VERSION},
        tool=TEXT,
        status={"enum": list(get_args(Status))},
        on={"type": "string", "format": "date"},
        candidate=reference,
        baselines=_list(reference),
        policy={"type": "object", "required": sorted(Policy.model_fields)},
        policy_digest=TEXT,
        look={"type": "integer", "minimum": 1},
        look_confidence_level=NUMBER,
        counts=_object(**dict.fromkeys(STATES, COUNT)),
        tiers=_list(
            _object(
                tier=tier,
                level=NUMBER,
                n_cells=COUNT,
                n_regressions=COUNT,
                tolerate=COUNT,
                mean=_or_none(cell),
                decision=decision,
                reason=TEXT,
            )
        ),
        cells=_list(cell),
        missing=_list(
            _object(
                task=TEXT,
                tier=tier,
                reason=TEXT,
                is_broken=TRUTH,
                decision=decision,
                acknowledged=_or_none(MARK),
            )
        ),
        ungated=_list(TEXT),
        environment=_list(
            _object(
                what=TEXT,
                first=TEXT,
                second=TEXT,
                blocks=TRUTH,
                text=TEXT,
                tasks=_list(TEXT),
            )
        ),
        calibration={"type": "array", "items": {"type": "object"}},
        alarms=_list(
            _object(
                draws=TEXT,
                n_comparisons=COUNT,
                n_red=COUNT,
                nominal=NUMBER,
                rate={"type": "object"},
            )
        ),
        confirmation=_or_none(
            _object(
                tasks=_list(TEXT),
                unchangeable=_list(TEXT),
                already=_list(TEXT),
                n_trials=COUNT,
                n_failed=COUNT,
                cleared=_list(TEXT),
            )
        ),
        cautions=CAUTIONS,
    )
    return {"$schema": SCHEMA_DRAFT, "title": "evalvar gate", **document}


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

INTERVAL = _object(low=NUMBER_OR_NONE, high=NUMBER_OR_NONE)

MARK = _object(
    kind=TEXT,
    task={"type": ["string", "null"]},
    reason=TEXT,
    until={"type": ["string", "null"]},
    set_at=TEXT,
)

CONDITION: Node = {
    "task": TEXT,
    "formulation": TEXT,
    "num_fewshot": {"type": ["integer", "null"]},
    "template": TEXT,
    "generation": TEXT,
    "metric": TEXT,
}


def _cell(tier: Node, decision: Node) -> Node:
    estimate = _object(
        value=NUMBER_OR_NONE,
        se=NUMBER_OR_NONE,
        low=NUMBER_OR_NONE,
        high=NUMBER_OR_NONE,
        confidence_level=NUMBER,
        n=COUNT,
        method=TEXT,
        cautions=CAUTIONS,
    )
    side = _object(
        name=TEXT,
        model=TEXT,
        step=STEP,
        train_seeds=_list(STEP),
        score=estimate,
        n_items=COUNT,
        n_items_total=COUNT,
        n_repeats=COUNT,
    )
    return _object(
        **CONDITION,
        tier=tier,
        state={"enum": list(STATES)},
        decision=decision,
        reasons={"type": "array", "items": TEXT, "minItems": 1},
        delta=NUMBER,
        with_noise=INTERVAL,
        noise=_object(sd=NUMBER_OR_NONE, df=NUMBER_OR_NONE, source=TEXT),
        p_baseline=SHARE,
        p_value=SHARE,
        p_adjusted=SHARE,
        level=NUMBER,
        is_confirmed=TRUTH,
        acknowledged=_or_none(MARK),
        against_history=_or_none(
            _object(
                n_points=COUNT,
                expected=NUMBER,
                prediction=INTERVAL,
                score=NUMBER,
                is_below=TRUTH,
                p_value=SHARE,
                method=TEXT,
                cautions=CAUTIONS,
            )
        ),
        no_prediction=TEXT,
        against_baseline=_object(
            **CONDITION,
            baseline=side,
            candidate=side,
            n_items=COUNT,
            difference=estimate,
            over_items=INTERVAL,
            corrected=INTERVAL,
            p_value=SHARE,
            p_adjusted=SHARE,
            test=TEXT,
            flips=_object(n_worse=COUNT, n_better=COUNT, n_equal=COUNT),
            smallest_detectable=NUMBER_OR_NONE,
            delta=NUMBER_OR_NONE,
            verdict={"enum": list(get_args(Verdict))},
            reason=TEXT,
            mismatches={"type": "array"},
            cautions=CAUTIONS,
        ),
    )
