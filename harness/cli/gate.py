"""The command that judges a checkpoint: gate."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import ANALYSE, INCONCLUSIVE, OK, REGRESSION, app, schema_app
from harness.cli.options import Json, StorePath, WorkersOption, named_path
from harness.cli.streams import open_output, open_store, refuse_overwriting, say
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.gate.policy import Policy
    from harness.gate.results import GateResult


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


SUFFIXES = {
    ".md": GateFormat.md,
    ".json": GateFormat.json,
    ".xml": GateFormat.junit,
    ".html": GateFormat.html,
    ".txt": GateFormat.table,
}


@app.command(
    rich_help_panel=ANALYSE,
    epilog="Example: evalvar gate results/nightly --policy gate.yaml -o gate.md",
)
def gate(
    store: StorePath,
    policy: Annotated[
        Path | None,
        typer.Option(
            parser=named_path,
            help="A policy, such as evalvar init writes; without one every task is "
            "critical.",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="Compare with this tag or MODEL@STEP instead."),
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option(
            help="Judge this model or MODEL@STEP; else the last step of the baseline's "
            "model."
        ),
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
    json_: Json = False,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FORMAT=FILE",
            help="Also write it: .md, .json, .xml (JUnit) or .html; may be given "
            "again.",
        ),
    ] = None,
    max_bytes: Annotated[
        int,
        typer.Option(
            min=10_000, help="Of Markdown; what has no room is left out, and said."
        ),
    ] = 900_000,
    confirm: Annotated[
        Path | None,
        typer.Option(
            "--confirm",
            metavar="SUITE",
            parser=named_path,
            help="Measure red cells again with fresh seeds, through this suite, and "
            "judge all answers together.",
        ),
    ] = None,
    workers: WorkersOption = None,
    annotate: Annotated[
        bool,
        typer.Option(
            "--annotate", help="Tell GitHub of regressions on standard error."
        ),
    ] = False,
) -> None:
    """Judge the latest checkpoint by a policy, and exit by the verdict.

    Latest is the last step of the baseline's model; --candidate names another model.
    """
    from harness.gate.judge import judge
    from harness.gate.policy import EVERY_TASK, load_policy
    from harness.marks import read_marks
    from harness.report.sheets.gate import gate_sheet
    from harness.report.sheets.sheet import show
    from harness.suite import load_suite

    files = [_output(word) for word in outputs or ()]
    refuse_overwriting([path for path, _ in files], [store, policy, confirm])
    rules = EVERY_TASK if policy is None else load_policy(policy)
    if confirm is not None:
        load_suite(confirm)  # a suite that is no suite is told on green nights, too
    opened = open_store(store)

    def judged() -> GateResult:
        return judge(
            opened.responses(),
            policy=rules,
            marks=read_marks(opened),
            trials=opened.attempts().to_pandas(),
            baseline=baseline,
            candidate=candidate,
        )

    result = judged()
    if confirm is not None and result.counts["regression"]:
        result = _confirmed(confirm, store, rules, result, judged, workers)
    command = _command(store, policy, baseline, candidate)
    kind = GateFormat.json if json_ else format_
    if kind is GateFormat.table:
        show(gate_sheet(result))
    else:
        print(_written(result, kind, command, max_bytes), end="")
    for path, of_file in files:
        with open_output(path) as write:
            write(_written(result, of_file, command, max_bytes))
        if kind is GateFormat.table and str(path) != "-":
            print(f"report: {path}")
    if annotate:
        _annotate(result)
    status = _status(result, rules, on_inconclusive)
    if status and not exit_zero:
        raise typer.Exit(status)


def _confirmed(
    suite: Path,
    store: str,
    policy: Policy,
    before: GateResult,
    judged: Callable[[], GateResult],
    workers: int | None,
) -> GateResult:
    """Measure red cells again, and return the verdict on all answers together."""
    from harness.cli.run import plan_of, run_plan
    from harness.gate.confirm import confirmed, rerun
    from harness.sweep import nothing_to_do

    _, plan = plan_of(suite, store)
    trials = open_store(store).trials().to_pandas()
    asked = rerun(before, plan, trials, seeds=policy.confirm.seeds)
    if not asked.plan.trials:
        return confirmed(before, before, asked, nothing_to_do())
    ran = run_plan(asked.plan, store, workers, None)
    return confirmed(before, judged(), asked, ran)


def _written(result: GateResult, kind: GateFormat, command: str, max_bytes: int) -> str:
    """Return a verdict as a file of this kind holds it."""
    if kind is GateFormat.md:
        from harness.report.gate_markdown import gate_markdown

        return gate_markdown(result, command=command, max_bytes=max_bytes)
    if kind is GateFormat.junit:
        from harness.report.junit import gate_junit

        return gate_junit(result)
    if kind is GateFormat.html:
        from harness.report.page import render_gate

        return render_gate(result, title=f"Gate: {result.candidate}")
    if kind is GateFormat.table:
        from harness.report.sheets.gate import gate_sheet
        from harness.report.sheets.sheet import as_text

        return as_text(gate_sheet(result), width=200)
    from harness.gate.schema import SCHEMA

    document = {"schema": SCHEMA, **result.to_dict()}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _output(word: str) -> tuple[Path, GateFormat]:
    """Read FILE, whose ending tells the format, or FORMAT=FILE."""
    kind, equals, name = word.partition("=")
    if equals and kind in {*GateFormat}:
        return named_path(name), GateFormat(kind)
    path = named_path(word)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: there is no format of that name; end it in "
            f"{', '.join(SUFFIXES)}, or put the format first: junit={path.name}",
            code="unknown-format",
        )
    return path, SUFFIXES[path.suffix.lower()]


def _command(
    store: str, policy: Path | None, baseline: str | None, candidate: str | None
) -> str:
    words = ["evalvar", "gate", store]
    words += ["--policy", str(policy)] if policy is not None else []
    words += ["--baseline", baseline] if baseline is not None else []
    words += ["--candidate", candidate] if candidate is not None else []
    return shlex.join(words)


def _annotate(result: GateResult) -> None:
    """Print a workflow command of GitHub for each comparison that fails the gate."""
    from harness.report.sheets.gate import alarms

    for title, text in alarms(result):
        head = title.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
        say(f"::error title={head}::{text.replace('%', '%25')}")


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


@schema_app.command("gate", epilog="Example: evalvar schema gate > gate.schema.json")
def gate_() -> None:
    """Print the JSON Schema of what gate --json prints."""
    from harness.gate.schema import gate_schema

    print(json.dumps(gate_schema(), indent=2))
