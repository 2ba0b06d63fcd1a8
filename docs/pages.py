"""What do the reference pages say? Commands, suites, tables, statistics, cautions.

Called by cog from within the pages; `tox run -e docs` fails when one is out of date.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import typer

import harness
from harness import cli, frames, stats
from harness.gate.policy import policy_schema
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
    return _keys(suite_schema())


def policy_keys() -> str:
    """Return a table of keys for each part of a gate's policy."""
    return _keys(policy_schema())


def _keys(schema: dict[str, Any]) -> str:
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
    "ApiModel": "checkpoints: a server",
    "TaskEntry": "tasks",
    "TemplateEntry": "templates",
    "Resources": "resources",
    "CriticalRules": "critical",
    "SupportingRules": "supporting",
    "AdvisoryRules": "advisory",
    "HistoryRules": "history",
    "ConfirmRules": "confirm",
}
"""What a reader looks for, by the name of the class."""


def _kind(value: dict[str, Any]) -> str:
    if "anyOf" in value:
        kinds = [_kind(v) for v in value["anyOf"] if v.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "const" in value:
        return f"`{value['const']}`"
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
    """Return the columns of all tables."""
    lines: list[str] = []
    for name, columns in (
        ("trials", frames.TRIAL_COLUMNS),
        ("aggregates", frames.AGGREGATE_COLUMNS),
        ("marks", frames.MARK_COLUMNS),
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


def statistics() -> str:
    """Return each module of the statistics with its question and public names."""
    modules = pkgutil.walk_packages(stats.__path__, "harness.stats.")
    lines: list[str] = []
    for name in sorted(module.name for module in modules if not module.ispkg):
        module = importlib.import_module(name)
        lines += [f"## {name}", "", _first_line(module), ""]
        public = [
            member
            for member in vars(module).values()
            if (inspect.isfunction(member) or inspect.isclass(member))
            and member.__module__ == name
            and not member.__name__.startswith("_")
        ]
        lines += [f"- {_signature(m)}  \n  {_first_line(m)}" for m in public]
        lines += [""] if public else []
    return "\n".join(lines)


def library() -> str:
    """Return what `import harness` offers, with all that its docstrings say."""
    public = [getattr(harness, name) for name in harness.__all__ if name[0] != "_"]
    lines: list[str] = []
    for member in sorted(public, key=inspect.isclass):
        lines += [f"## harness.{member.__name__}", "", *_documented(member)]
        for name, part in vars(member).items() if inspect.isclass(member) else ():
            is_part = inspect.isfunction(part) or isinstance(part, property)
            if is_part and not name.startswith("_"):
                lines += [f"### {member.__name__}.{name}", "", *_documented(part)]
    return "\n".join(lines)


def _documented(member: Any) -> Iterator[str]:
    """Yield a signature, then each section of a docstring in numpydoc's form."""
    if inspect.isfunction(member):
        call = _signature(member).strip("`").replace("(self, ", "(")
        yield from ("```text", call.replace("(self)", "()"), "```", "")
    text = (inspect.getdoc(member) or "").replace("``", "`")
    about, *sections = re.split(r"^(\w+)\n-+\n", text, flags=re.MULTILINE)
    for paragraph in about.strip().split("\n\n"):
        yield from (" ".join(paragraph.split()), "")
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        if title == "Examples":  # the how-to has them
            continue
        yield from (f"| {title.lower()} | |", "|---|---|")
        for entry in re.split(r"\n(?=\S)", body.strip()):
            name, _, meaning = entry.partition("\n")
            name, _, kind = name.partition(" : ")
            words = " ".join([f"{kind}." if kind else "", *meaning.split()])
            yield f"| `{name}` | {_cell(words.strip())} |"
        yield ""


def _signature(member: Any) -> str:
    """Return a function with its arguments, or a result with its fields."""
    if inspect.isclass(member):
        public = fields(member) if is_dataclass(member) else ()
        names = ", ".join(f.name for f in public if not f.name.startswith("_"))
        return f"`{member.__name__}`: {names}" if names else f"`{member.__name__}`"
    signature = inspect.signature(member)
    arguments = [
        argument.replace(annotation=inspect.Parameter.empty)
        for argument in signature.parameters.values()
    ]
    plain = signature.replace(
        parameters=arguments, return_annotation=inspect.Signature.empty
    )
    return f"`{member.__name__}{plain}`"


def _first_line(member: Any) -> str:
    """Return the first line of a docstring, its code in Markdown's single ticks."""
    return (inspect.getdoc(member) or "").partition("\n")[0].replace("``", "`")


def cautions() -> str:
    """Return a row for each caution that the code may give, with one of its texts."""
    root = Path(harness.__file__).parent
    found: dict[str, tuple[dict[str, None], list[str]]] = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        tree = ast.parse(path.read_text("utf-8"))
        for code, text in _told(tree):
            modules, texts = found.setdefault(code, ({}, []))
            modules[f"`{name.removeprefix('harness.')}`"] = None
            texts += [text] if text else []
    lines = ["| code | told by | such as |", "|---|---|---|"]
    for code, (modules, texts) in sorted(found.items()):
        # The longest says most by itself.
        example = _cell(max(texts, key=len, default=""))
        lines.append(f"| `{code}` | {', '.join(modules)} | {example} |")
    return "\n".join(lines)


CODE = re.compile(r"[a-z]+(-[a-z]+)*")


def _told(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield code and text of each caution: a call that makes one, or a pair of both."""
    scopes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    for node in ast.walk(tree):
        code, text = _pair(node)
        if not (isinstance(code, ast.Constant) and text is not None):
            continue
        if not (isinstance(code.value, str) and CODE.fullmatch(code.value)):
            continue
        around = [s for s in scopes if s.lineno <= code.lineno <= (s.end_lineno or 0)]
        words = _words(text, [*around[-1:], tree], code.lineno)
        # Other pairs of words, such as two names of methods, are no cautions.
        is_pair = isinstance(node, ast.Tuple)
        if not is_pair or ("-" in code.value and (words is None or " " in words)):
            yield code.value, words or ""


def _pair(node: ast.AST) -> tuple[ast.expr | None, ast.expr | None]:
    if isinstance(node, ast.Tuple) and len(node.elts) in (2, 3):
        return node.elts[0], node.elts[-1]
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return None, None
    if node.func.id == "Caution" and len(node.args) == 2:
        return node.args[0], node.args[1]
    if node.func.id == "undefined":
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        return given.get("code"), given.get("text")
    return None, None


def _words(text: ast.expr, scopes: list[Any], line: int) -> str | None:
    """Return a text with … for what is filled in; ``None`` where it is computed."""
    if isinstance(text, ast.Constant):
        return str(text.value)
    if isinstance(text, ast.JoinedStr):
        parts = [p.value if isinstance(p, ast.Constant) else "…" for p in text.values]
        return "".join(map(str, parts))
    if isinstance(text, ast.Name):
        for scope in scopes:
            given = [
                node
                for node in ast.walk(scope)
                if isinstance(node, ast.Assign)
                and node.lineno <= line
                and any(
                    isinstance(t, ast.Name) and t.id == text.id for t in node.targets
                )
            ]
            if given:
                last = max(given, key=lambda node: node.lineno)
                return _words(last.value, scopes, last.lineno)
    return None


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
