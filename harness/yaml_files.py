"""How is a settings file read? YAML of plain values, with file and line in complaints.

Suites and gate policies are such files.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
)

from harness.errors import ErrorCode, InputError

MOST_VALUES = 200_000
"""In one file, aliases written out."""

SCHEMA_DRAFT = "http://json-schema.org/draft-07/schema#"
"""The newest draft that the YAML language server documents support for."""


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name must be printable and on one line")
    return name


Name = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)
]


class Section(BaseModel):
    """A part of a file: unknown keys are refused, nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileKind(NamedTuple):
    """What a file is called in complaints, and how they are raised."""

    name: str
    """Such as ``suite``."""

    advice: str
    """What to give in place of a file that is not there."""

    needs: str
    """What the mapping must hold, such as ``at least suite and tasks``."""

    error: type[InputError]
    missing: ErrorCode
    unreadable: ErrorCode
    invalid: ErrorCode


class Written(NamedTuple):
    """A file's mapping."""

    plain: dict[str, Any]
    places: Any
    """The same as ruamel.yaml read it, which knows the lines."""


def read_mapping(path: Path, kind: FileKind) -> Written:
    """Read the mapping that the YAML file at `path` holds.

    Raises
    ------
    InputError
        Of the class and with the codes of `kind`: there is no such file; it cannot be
        read, or is not YAML; it holds no mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    def unreadable(says: str) -> InputError:
        return kind.error(f"{path}{says}", code=kind.unreadable)

    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise kind.error(
            f"{path}: there is no such {kind.name} file; {kind.advice}",
            code=kind.missing,
        ) from None
    except OSError as error:
        raise unreadable(f": cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise unreadable(f": not UTF-8: {error}") from None
    try:
        data = YAML(typ="rt").load(content)
        plain = _plain(data, iter(range(MOST_VALUES)))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", error)
        raise unreadable(f"{where}: not YAML: {problem}") from None
    except RecursionError:
        raise unreadable(
            f": nested too deeply, or more than {MOST_VALUES:,} values"
        ) from None
    except UnicodeEncodeError as error:
        raise unreadable(f": not Unicode text: {error}") from None
    if not isinstance(data, Mapping):
        held = "a list" if isinstance(plain, list) else "one value"
        raise kind.error(
            f"{path}: a {kind.name} is a mapping with {kind.needs}; "
            f"this file holds {'nothing' if plain is None else held}",
            code=kind.invalid,
        )
    return Written(plain, data)


def complaint(
    path: Path,
    places: Any,
    error: ValidationError,
    *,
    keys: Callable[[Sequence[Any]], list[Any]] = list,
    says: Callable[[Any, list[Any]], str],
) -> str:
    """Say in one line what is wrong first, where, and what was probably meant.

    Parameters
    ----------
    keys : callable
        Turns a place as pydantic has it into keys of the file.
    says : callable
        Puts a problem at its keys into words, such as `problem_words`.
    """
    problems = error.errors()
    # An unknown key comes before a missing one: it is usually the same key, misspelt.
    problem = min(problems, key=lambda p: p["type"] != "extra_forbidden")
    place = keys(problem["loc"])
    tail = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{path}:{_line_of(places, place)}: {says(problem, place)}{tail}"


def problem_words(
    problem: Any, keys: Sequence[Any], *, hint: str = "", is_secret: bool = False
) -> str:
    """Put a problem of a file into words, with a `hint` at what to write instead."""
    name = ".".join(str(key) for key in keys) if keys else "the file"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {name!r}; {hint}"
    if problem["type"] == "missing":
        return f"{name!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    shown = "" if is_secret else _shown(problem["input"])
    return f"{name}: {message[:1].lower()}{message[1:]}{shown}"


def nearest(key: str, section: type[Section]) -> str:
    """Say which key of `section` was probably meant by `key`."""
    valid = list(section.model_fields)
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(valid)}"


def with_definitions(node: Any) -> Any:
    """Rewrite ``$defs`` of a JSON Schema as draft 7's ``definitions``."""
    if isinstance(node, dict):
        return {
            "definitions" if key == "$defs" else key: (
                value.replace("#/$defs/", "#/definitions/")
                if key == "$ref"
                else with_definitions(value)
            )
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [with_definitions(value) for value in node]
    return node


def _plain(node: Any, left: Iterator[int]) -> Any:
    """Turn ruamel's annotated containers and scalars into plain ones.

    `left` ends where aliases of aliases would come to more than any file says.
    """
    if next(left, None) is None:
        raise RecursionError
    if isinstance(node, Mapping):
        return {str(key): _plain(value, left) for key, value in node.items()}
    if isinstance(node, str):
        node.encode()  # half a surrogate pair could be neither stored nor tokenised
        return str(node)
    if isinstance(node, Sequence):
        return [_plain(value, left) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    return node


def _shown(given: Any) -> str:
    if given is None:
        return ", got nothing"
    if not isinstance(given, str | int | float):
        return ""
    text = repr(given)
    return f", got {text if len(text) <= 60 else text[:57] + '...'}"


def _line_of(data: Any, keys: Sequence[Any]) -> int:
    """Return the 1-based line of the deepest of `keys` that the file has."""
    line = 1
    for key in keys:
        try:
            place = data.lc
            if isinstance(data, Mapping):
                key = {str(own): own for own in data}[key]
                line = place.key(key)[0] + 1
            else:
                line = place.item(key)[0] + 1
            data = data[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return int(line)
