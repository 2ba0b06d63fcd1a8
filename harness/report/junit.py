"""How does a gate read as JUnit's XML? A test for each gated comparison."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from harness.gate.results import Cell, GateResult, MissingTask, TierResult
from harness.report.sheets.gate import missing_words, verdict_sentence
from harness.report.text import (
    between,
    clean,
    condition_name,
    p_value,
    score,
    signed,
    signed_interval,
)

SKIPPED = {"inconclusive", "known"}
"""States that are neither passed nor failed."""


def gate_junit(result: GateResult) -> str:
    """Return the verdict as JUnit's XML, as test reports of CI servers read it.

    A suite for each tier, a test for each comparison: failed where it is a regression
    that counts or a task that must not be missing, skipped where it is inconclusive,
    acknowledged, tolerated or advisory, in error where its trial failed.
    """
    root = ET.Element("testsuites")  # to which one of the schemas allows no attribute
    root.extend(_suite(result, tier, i) for i, tier in enumerate(result.tiers))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


COUNTS = ("tests", "failures", "errors", "skipped")


def _suite(result: GateResult, tier: TierResult, number: int) -> ET.Element:
    name = clean(f"{result.candidate} {tier.tier}")
    suite = ET.Element(
        "testsuite",
        {
            "name": name,
            "package": "evalvar.gate",
            "id": str(number),
            # Of the judgement, not of the clock: equal verdicts are equal files.
            "timestamp": f"{result.on.isoformat()}T00:00:00",
            "hostname": "localhost",
            "time": "0",
        },
    )
    ET.SubElement(suite, "properties").extend(
        ET.Element("property", name=key, value=clean(value))
        for key, value in {
            "verdict": verdict_sentence(result),
            "tier": f"{tier.decision}: {tier.reason}",
            "level": f"{tier.level:.4g}",
            "policy": result.policy.digest,
            "tool": result.tool,
        }.items()
    )
    cells = [*result.of_tier(tier.tier), *([tier.mean] if tier.mean else [])]
    tests = [_test(name, _name(c), *_outcome(c, tier)) for c in cells]
    tests += [
        _test(name, one.task, *_absence(one))
        for one in result.missing
        if one.tier == tier.tier
    ]
    suite.extend(tests)
    for count, kind in zip(COUNTS, (None, "failure", "error", "skipped"), strict=True):
        n = len(tests) if kind is None else sum(t.find(kind) is not None for t in tests)
        suite.set(count, str(n))
    ET.SubElement(suite, "system-out")
    ET.SubElement(suite, "system-err")
    return suite


def _test(suite: str, name: str, kind: str, type_: str, message: str) -> ET.Element:
    test = ET.Element("testcase", classname=suite, name=clean(name), time="0")
    if kind:
        outcome = ET.SubElement(test, kind, message=clean(message))
        if kind != "skipped":
            outcome.set("type", type_)
            outcome.text = clean(message)
    return test


def _name(cell: Cell) -> str:
    return " ".join(filter(None, [condition_name(cell), cell.formulation]))


def _outcome(cell: Cell, tier: TierResult) -> tuple[str, str, str]:
    """Return which element a comparison has, its type and its message."""
    message = f"{cell.state}: {'; '.join(cell.reasons)}. {_numbers(cell)}"
    if cell.decision == "fail" or (cell is tier.mean and cell.state == "regression"):
        return "failure", "regression", message
    if cell.state in SKIPPED or cell.state == "regression":
        return "skipped", "", message
    return "", "", ""


def _absence(one: MissingTask) -> tuple[str, str, str]:
    if one.is_broken:
        return "error", "broken-run", missing_words(one)
    if one.decision == "fail":
        return "failure", "missing-task", missing_words(one)
    return "skipped", "", missing_words(one)


def _numbers(cell: Cell) -> str:
    row, look = cell.against_baseline, cell.against_history
    interval = signed_interval(cell.with_noise) or signed_interval(
        row.difference.interval
    )
    told = [
        f"{score(row.baseline.score.value)} to {score(row.candidate.score.value)}",
        f"difference {signed(row.difference.value)} {interval}",
        f"p {p_value(cell.p_adjusted)}",
        f"{row.n_items} items",
    ]
    if look is not None:
        told.append(
            f"predicted {score(look.expected)} {between(*look.prediction, score)}"
        )
    return ", ".join(told)
