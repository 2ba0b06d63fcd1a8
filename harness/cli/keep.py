"""Commands that look after things: store, schema, doctor."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from harness.cli.app import BAD_INPUT, INCOMPLETE, KEEP, app, schema_app, store_app
from harness.cli.options import Json, StorePath
from harness.cli.streams import open_store, print_json


@store_app.command(epilog="Example: evalvar store info results/quickstart")
def info(store: StorePath, json_: Json = False) -> None:
    """Count what a store holds."""
    from harness import terminal

    found = open_store(store).info()
    if json_:
        print_json("evalvar.store/1", found.to_dict())
    else:
        terminal.show_mapping(found.to_dict())


@store_app.command(epilog="Example: evalvar store verify results/quickstart")
def verify(store: StorePath, json_: Json = False) -> None:
    """Check that every finished trial has all of its responses."""
    problems = open_store(store).verify()
    if json_:
        print_json("evalvar.verify/1", {"problems": problems})
    else:
        print("\n".join(problems) or "every finished trial has all of its responses")
    if problems:
        raise typer.Exit(INCOMPLETE)


@store_app.command(epilog="Example: evalvar store compact results/quickstart")
def compact(
    store: StorePath,
    drop_replaced: Annotated[
        bool,
        typer.Option("--drop-replaced", help="Delete the merged files at once."),
    ] = False,
) -> None:
    """Merge the small files that many commits leave."""
    counts = open_store(store).compact(drop_replaced=drop_replaced)
    for name in [name for name in counts if not name.endswith("_before")]:
        print(f"{name}: {counts[f'{name}_before']} files, now {counts[name]}")


@schema_app.command(epilog="Example: evalvar schema suite > suite.schema.json")
def suite() -> None:
    """Print the JSON Schema of suite files."""
    from harness.suite import suite_schema

    print(json.dumps(suite_schema(), indent=2))


@schema_app.command(epilog="Example: evalvar schema selection > selection.schema.json")
def selection() -> None:
    """Print the JSON Schema of files of chosen items, which select writes."""
    from harness.selection import selection_schema

    print(json.dumps(selection_schema(), indent=2))


@app.command(rich_help_panel=KEEP, epilog="Example: evalvar doctor")
def doctor(json_: Json = False) -> None:
    """Check this machine: versions, cores, GPUs, browser, and what is missing."""
    from harness import terminal
    from harness.doctor import examine

    findings = examine()
    if json_:
        print_json("evalvar.doctor/1", {"findings": [f.to_dict() for f in findings]})
    else:
        terminal.show_findings(findings)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(BAD_INPUT)
