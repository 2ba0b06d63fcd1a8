"""What does a gate's JSON document hold? Its schema, for whoever reads it."""

from __future__ import annotations

from typing import get_args

from harness.gate.policy import TIERS, Policy
from harness.gate.results import (
    METHODOLOGY_VERSION,
    SCHEMA_VERSION,
    STATES,
    Decision,
    Status,
)
from harness.stats.compare.schema import (
    CAUTIONS,
    CONDITION,
    COUNT,
    INTEGER_OR_NONE,
    INTERVAL,
    NUMBER,
    SCHEMA_DRAFT,
    SHARE,
    TEXT,
    TEXT_OR_NONE,
    TRUTH,
    UNDEFINED_OR_NUMBER,
    Node,
    calibration,
    difference,
    estimate,
    list_of,
    object_of,
    or_null,
)

SCHEMA = "evalvar.gate/1"


def gate_schema() -> Node:
    """Return the JSON Schema of what ``evalvar gate --json`` prints.

    Fields may be added under the same `SCHEMA_VERSION`; none goes or changes meaning.
    """
    reference = object_of(model=TEXT, step=INTEGER_OR_NONE)
    tier = {"enum": list(TIERS)}
    decision = {"enum": list(get_args(Decision))}
    cell = _cell(tier, decision)
    document = object_of(
        schema={"const": SCHEMA},
        schema_version={"const": SCHEMA_VERSION},
        methodology_version={"const": METHODOLOGY_VERSION},
        tool=TEXT,
        status={"enum": list(get_args(Status))},
        on={"type": "string", "format": "date"},
        candidate=reference,
        baselines=list_of(reference),
        policy={"type": "object", "required": sorted(Policy.model_fields)},
        policy_digest=TEXT,
        look={"type": "integer", "minimum": 1},
        look_confidence_level=NUMBER,
        counts=object_of(**dict.fromkeys(STATES, COUNT)),
        tiers=list_of(
            object_of(
                tier=tier,
                level=NUMBER,
                n_cells=COUNT,
                n_regressions=COUNT,
                tolerate=COUNT,
                mean=or_null(cell),
                decision=decision,
                reason=TEXT,
            )
        ),
        cells=list_of(cell),
        missing=list_of(
            object_of(
                task=TEXT,
                tier=tier,
                reason=TEXT,
                is_broken=TRUTH,
                decision=decision,
                acknowledged=or_null(MARK),
            )
        ),
        ungated=list_of(TEXT),
        environment=list_of(
            object_of(
                what=TEXT,
                first=TEXT,
                second=TEXT,
                blocks=TRUTH,
                text=TEXT,
                tasks=list_of(TEXT),
            )
        ),
        calibration=list_of(calibration()),
        alarms=list_of(
            object_of(
                draws=TEXT,
                n_comparisons=COUNT,
                n_red=COUNT,
                nominal=NUMBER,
                rate=estimate(),
            )
        ),
        confirmation=or_null(
            object_of(
                tasks=list_of(TEXT),
                unchangeable=list_of(TEXT),
                already=list_of(TEXT),
                one_sided=list_of(TEXT),
                n_trials=COUNT,
                n_failed=COUNT,
                cleared=list_of(TEXT),
            )
        ),
        cautions=CAUTIONS,
    )
    return {"$schema": SCHEMA_DRAFT, "title": "evalvar gate", **document}


MARK = object_of(
    kind=TEXT,
    task=TEXT_OR_NONE,
    reason=TEXT,
    until=TEXT_OR_NONE,
    set_at=TEXT,
)


def _cell(tier: Node, decision: Node) -> Node:
    return object_of(
        **CONDITION,
        tier=tier,
        state={"enum": list(STATES)},
        decision=decision,
        reasons={"type": "array", "items": TEXT, "minItems": 1},
        delta=NUMBER,
        with_noise=INTERVAL,
        noise=object_of(sd=UNDEFINED_OR_NUMBER, df=UNDEFINED_OR_NUMBER, source=TEXT),
        p_baseline=SHARE,
        p_value=SHARE,
        p_adjusted=SHARE,
        level=NUMBER,
        is_confirmed=TRUTH,
        acknowledged=or_null(MARK),
        against_history=or_null(
            object_of(
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
        against_baseline=difference(),
    )
