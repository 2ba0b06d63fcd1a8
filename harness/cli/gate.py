"""The command that judges a checkpoint: gate."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import ANALYSE, INCONCLUSIVE, OK, REGRESSION, app, schema_app
from harness.cli.options import StorePath, named_path
from harness.cli.streams import open_store, print_json, say

if TYPE_CHECKING:
    from harness.gate.policy import Policy
    from harness.gate.results import GateResult

POLICY = Path("gate.yaml")


class OnInconclusive(StrEnum):
    """What an inconclusive gate does."""

    fail = "fail"
    warn = "warn"
    pass_ = "pass"


class GateFormat(StrEnum):
    """How a verdict is written."""

    table = "table"
    md = "md"
    json = "json"
    junit = "junit"
    html = "html"


@app.command(
    rich_help_panel=ANALYSE,
    epilog="Example: evalvar gate results/nightly --policy gate.yaml -o gate.md",
)
def gate(
    store: StorePath,
    policy: Annotated[
        Path,
        typer.Option(parser=named_path, help="The policy, which evalvar init writes."),
    ] = POLICY,
    baseline: Annotated[
        str | None,
        typer.Option(help="Compare with this tag or MODEL@STEP instead."),
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option(help="Judge this model or MODEL@STEP instead of the latest."),
    ] = None,
    on_inconclusive: Annotated[
        OnInconclusive | None,
        typer.Option(help="Exit 4, warn and exit 0, or exit 0; instead of the policy."),
    ] = None,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit 0 whatever the verdict.")
    ] = False,
    format_: Annotated[
        GateFormat, typer.Option("--format", help="How the verdict is printed.")
    ] = GateFormat.table,
) -> None:
    """Judge the latest checkpoint by a policy, and exit by the verdict."""
    from harness.gate.judge import judge
    from harness.gate.policy import load_policy
    from harness.marks import read_marks
    from harness.report.sheets.gate import gate_sheet
    from harness.report.sheets.sheet import show

    rules = load_policy(policy)
    opened = open_store(store)
    result = judge(
        opened.responses(),
        policy=rules,
        marks=read_marks(opened),
        trials=opened.attempts().to_pandas(),
        baseline=baseline,
        candidate=candidate,
    )
    if format_ is GateFormat.json:
        print_json("evalvar.gate/1", result.to_dict())
    else:
        show(gate_sheet(result))
    status = _status(result, rules, on_inconclusive)
    if status and not exit_zero:
        raise typer.Exit(status)


def _status(
    result: GateResult, policy: Policy, on_inconclusive: OnInconclusive | None
) -> int:
    if result.status == "failed":
        return REGRESSION
    if result.status == "passed":
        return OK
    answer = on_inconclusive or policy.inconclusive
    if answer == "warn":
        say("note: the gate is inconclusive, which the policy lets pass")
    return INCONCLUSIVE if answer == "fail" else OK


@schema_app.command(
    "policy", epilog="Example: evalvar schema policy > policy.schema.json"
)
def policy_() -> None:
    """Print the JSON Schema of gate policies."""
    from harness.gate.policy import policy_schema

    print(json.dumps(policy_schema(), indent=2))
