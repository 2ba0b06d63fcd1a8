"""What do the reference pages say? The command line, suites and tables, in Markdown.

Called by cog from within the pages; `tox run -e docs` fails when one is out of date.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer

from harness import cli, frames
from harness.suite import suite_schema


def command_line() -> str:
    """Return a section for each command, in the order of the help."""
    group: Any = typer.main.get_command(cli.app)
    return "\n".join(
        line
        for path, command in _commands(group, "evalvar")
        for line in _section(path, command)
    )


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _section(path: str, command: Any) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = [path, *(a.name.upper().rstrip("_") for a in arguments)]
    yield from (f"## {path}", "", command.help.strip(), "")
    yield from ("```text", " ".join([*usage, "[OPTIONS]"]), "```", "")
    if arguments or options:
        yield from ("| argument or option | meaning |", "|---|---|")
    for argument in arguments:
        yield f"| `{argument.name.upper().rstrip('_')}` | {_cell(argument.help)} |"
    for option in options:
        yield f"| {_spelling(option)} | {_cell(option.help)}{_default(option)} |"
    if arguments or options:
        yield ""
    if command.epilog:
        yield from ("```sh", command.epilog.removeprefix("Example: "), "```", "")


def _spelling(option: Any) -> str:
    kind = option.type_descriptor.annotation
    if option.is_flag:
        value = ""
    elif issubclass(kind, Enum):
        value = " " + "|".join(choice.value for choice in kind)
    else:
        value = {int: " N", str: " TEXT"}.get(kind, f" {kind.__name__.upper()}")
    return ", ".join(f"`{_cell(name + value)}`" for name in option.opts)


def _default(option: Any) -> str:
    default = option.default
    if option.is_flag or default is None or callable(default) or option.required:
        return ""
    return f" Default: `{getattr(default, 'value', default)}`."


def suite_keys() -> str:
    """Return a table of keys for each part of a suite file."""
    schema = suite_schema()
    lines: list[str] = []
    parts = {"The file": schema} | schema["definitions"]
    for name, part in parts.items():
        lines += [f"## {PARTS.get(name, name)}", ""]
        lines += [part["description"].strip(), ""] if part.get("description") else []
        lines += ["| key | value | meaning |", "|---|---|---|"]
        required = set(part.get("required", ()))
        for key, value in part["properties"].items():
            about = value.get("description", "")
            if key in required:
                about = f"{about} Required.".strip()
            elif value.get("default") not in (None, [], {}):
                about = f"{about} Default: `{value['default']}`.".strip()
            lines.append(f"| `{key}` | {_cell(_kind(value))} | {_cell(about)} |")
        lines.append("")
    return "\n".join(lines)


PARTS = {
    "FolderCheckpoint": "checkpoints: one folder",
    "PatternCheckpoints": "checkpoints: a pattern",
    "HubCheckpoints": "checkpoints: a hub",
    "TaskEntry": "tasks",
    "TemplateEntry": "templates",
    "Resources": "resources",
}
"""What a reader looks for, by the name of the class."""


def _kind(value: dict[str, Any]) -> str:
    if "anyOf" in value:
        kinds = [_kind(v) for v in value["anyOf"] if v.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if "$ref" in value:
        return PARTS.get(value["$ref"].rpartition("/")[2], "").split(":")[0] or "part"
    kind = {"string": "text", "integer": "whole number", "object": "mapping"}.get(
        value.get("type", ""), value.get("type", "")
    )
    if kind == "array":
        return f"list of {_kind(value.get('items', {}))}"
    bounds = [
        f"{word} {value[key]:g}"
        for key, word in (("minimum", "at least"), ("exclusiveMinimum", "above"))
        if key in value
    ]
    return " ".join([kind, *bounds])


def tables() -> str:
    """Return the columns of both tables."""
    lines: list[str] = []
    for name, columns in (
        ("trials", frames.TRIAL_COLUMNS),
        ("responses", frames.RESPONSE_COLUMNS),
    ):
        lines += [f"## {name}", "", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| `{c.name}` | {_type(c)} | {_cell(c.about)} |" for c in columns]
        lines.append("")
    return "\n".join(lines)


def _type(column: frames.Column) -> str:
    text = (
        str(column.type).replace("double", "float64").replace("list<element: ", "list<")
    )
    text = text.replace("list<item: ", "list<")
    return f"{text}{'' if column.nullable else ', never null'}"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
