"""What does a project start with? A suite, a policy, a workflow: all or nothing."""

from __future__ import annotations

import contextlib
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from harness.errors import InputError, RunError

STARTER = {
    "suites/nightly.yaml": "nightly.yaml",
    "gate.yaml": "gate.yaml",
    ".github/workflows/nightly.yaml": "workflow.yaml",
}
"""Where each template is written to."""

IGNORE = ".gitignore"

DEMO = "demo"
"""Folder of results that lm-eval wrote of two models of the zoo."""


def write_starter(
    folder: Path, *, demo: bool = False, force: bool = False
) -> tuple[str, ...]:
    """Write what a project starts with, and return the files' names.

    To a ``.gitignore`` that is there, lines are added.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    demo : bool
        Write results of two small models as well, so that there is something to
        compare at once; these alone where all the rest is there already.
    force : bool
        Write anew what is there.

    Raises
    ------
    InputError
        ``file-exists``: names the files; nothing was written.
    RunError
        ``output-not-written``: nothing was written.
    """
    content = dict(_content(demo=demo))
    there = [name for name in content if os.path.lexists(folder / name)]
    rest = [name for name in content if not name.startswith(f"{DEMO}/")]
    is_added = demo and not force and there == rest
    if is_added:
        content = {name: content[name] for name in content if name not in rest}
    elif there and not force:
        more = f" and {len(there) - 1} more are" if len(there) > 1 else " is"
        raise InputError(
            f"{folder / there[0]}{more} there already; name another folder, or write "
            "anew with --force",
            code="file-exists",
        )
    try:
        if not is_added and (ignored := _ignored(folder / IGNORE)):
            content[IGNORE] = ignored
        _write(folder, content)
    except OSError as error:
        raise RunError(
            f"{error.filename or folder}: cannot be written: {error.strerror or error}",
            code="output-not-written",
        ) from None
    return tuple(content)


def _content(*, demo: bool) -> Iterator[tuple[str, bytes]]:
    from harness.gate.policy import policy_schema
    from harness.suite import suite_schema

    templates = files("harness") / "templates"
    for name, template in STARTER.items():
        yield name, (templates / template).read_bytes()
    for kind, schema in (("suite", suite_schema()), ("policy", policy_schema())):
        text = json.dumps(schema, indent=2) + "\n"
        yield f".evalvar/{kind}.schema.json", text.encode()
    if demo:
        with (
            (templates / "demo.tar.xz").open("rb") as packed,
            tarfile.open(fileobj=packed) as tar,
        ):
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None  # noqa: S101 - all members are files
                yield f"{DEMO}/{member.name}", file.read()


def _ignored(path: Path) -> bytes:
    """Return `path` with the lines that it lacks; empty if it lacks none."""
    old = path.read_text("utf-8") if path.exists() else ""
    wanted = (files("harness") / "templates/gitignore").read_text("utf-8")
    lacking = [line for line in wanted.splitlines() if line not in old.splitlines()]
    if not lacking:
        return b""
    end = "\n" if old and not old.endswith("\n") else ""
    return "\n".join([f"{old}{end}{lacking[0]}", *lacking[1:], ""]).encode()


def _write(folder: Path, content: Mapping[str, bytes]) -> None:
    """Write all files beside their places, then move all into them."""
    made: list[Path] = []
    staged: dict[Path, Path] = {}
    try:
        for name, text in content.items():
            path = folder / name
            if path.is_dir():
                raise IsADirectoryError(21, "is a folder", str(path))
            parents = [p for p in (path.parent, *path.parent.parents) if not p.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            made += reversed(parents)
            partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
            staged[partial] = path
            partial.write_bytes(text)
        for partial, path in staged.items():
            partial.replace(path)
    finally:
        # After a failure only: what is in its place is no longer here, and a folder
        # with something in it stays.
        for partial in staged:
            with contextlib.suppress(OSError):
                partial.unlink()
        for parent in reversed(made):
            with contextlib.suppress(OSError):
                parent.rmdir()
