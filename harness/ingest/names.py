"""Which checkpoint is it? What names, revisions and paths say of model, seed, step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from harness.errors import InputError
from harness.patterns import FIELDS, path_matcher, refuse_unknown_fields

PATTERN_FIELDS = {
    **FIELDS,
    "task": "[^/]+",
    "template": "[^/]+",
    "num_fewshot": "[0-9]{1,9}",
    "fewshot_seed": "[0-9]{1,18}",
    "sample_seed": "[0-9]{1,18}",
}
"""What a pattern on the path of a foreign file may say."""

WORDS = {"model", "task", "template"}
"""Fields that are names; the others are numbers."""

STEP = re.compile(r"(?:global_?)?(?:step|checkpoint|ckpt|iter)[-_=]?([0-9]{1,18})")
SEED = re.compile(r"(?:train_?)?seed[-_=]?([0-9]{1,18})")
SEED_SUFFIX = re.compile(r"(.+?)[-_.](?:train_?)?seed[-_=]?([0-9]{1,18})")
STEP_SUFFIX = re.compile(r"(.+?)[-_.](?:global_?)?step[-_=]?([0-9]{1,18})")


def checkpoint_of(name: str, revision: str | None = None) -> dict[str, Any]:
    """Return ``model``, and ``train_seed`` and ``step`` where a name says them.

    ``EleutherAI/pythia-160m-seed3`` at ``step1000``, ``runs/tiny/seed0/step40`` and
    ``runs/tiny/checkpoint-500`` do. Of a folder's path the last part that is neither
    seed nor step is the model; of a name on a hub all of it.
    """
    said: dict[str, Any] = {}
    if revision is not None and (match := STEP.fullmatch(revision)):
        said["step"] = int(match[1])
    parts = PurePath(name).parts
    is_folder = name.startswith((".", "~", "/")) or len(parts) > 2
    while parts:
        *before, last = parts
        if match := STEP.fullmatch(last):
            said.setdefault("step", int(match[1]))
        elif match := SEED.fullmatch(last):
            said.setdefault("train_seed", int(match[1]))
        else:
            break
        is_folder, parts = True, tuple(before)
    parts = parts if parts != ("/",) else ()
    model = (parts[-1] if is_folder else "/".join(parts)) if parts else name
    for field, pattern in (("step", STEP_SUFFIX), ("train_seed", SEED_SUFFIX)):
        if match := pattern.fullmatch(model):
            model = match[1]
            said.setdefault(field, int(match[2]))
    return {"model": model, **said}


class PathPattern:
    """Fields that a pattern finds in the path of a file.

    It is tried from the start of the path below the folder that was named, then
    anywhere in the whole path, between two slashes each time; last wins.

    Raises
    ------
    CheckpointError
        ``pattern-field``: it has a field that says nothing of results.
    InputError
        ``pattern-field``: it has no field at all.
    """

    def __init__(self, pattern: str) -> None:
        refuse_unknown_fields(pattern, PATTERN_FIELDS)
        self.pattern = pattern
        body = path_matcher(pattern.strip("/"), PATTERN_FIELDS).pattern
        self._expression = re.compile(f"(?:^|.*/){body}(?:/|$)", re.DOTALL)
        self._at_start = re.compile(f"{body}(?:/|$)", re.DOTALL)
        if not self._at_start.groupindex:
            raise InputError(
                f"pattern {pattern!r} has no field; give one such as "
                "'{model}/seed{train_seed}/step{step}'",
                code="pattern-field",
            )

    def fields(self, whole: str, below: str) -> dict[str, Any] | None:
        """Return what the path of a file says, or None where it does not match.

        Parameters
        ----------
        whole, below : str
            The path as it was named, and what of it is below the named folder.
        """
        match = self._at_start.match(below) or self._expression.match(whole)
        if match is None:
            return None
        return {
            name: text if name in WORDS else int(text)
            for name, text in match.groupdict().items()
        }


def completed(
    trial: Mapping[str, Any], fields: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[Any, Any]]]:
    """Fill in from a path what a file does not say.

    Returns
    -------
    trial : dict
        With the fields; what the file says stays.
    contradicted : dict
        By name what the file says and what the path says, where they differ.
    """
    made, contradicted = dict(trial), {}
    for name, value in fields.items():
        said = made.get(name)
        if said is None:
            made[name] = value
        elif not _same(name, said, value):
            contradicted[name] = (said, value)
    return made, contradicted


def _same(name: str, said: Any, value: Any) -> bool:
    if name == "model":  # acme/toy may lie in toy, in acme__toy, or in acme/toy
        return value in (said, said.rpartition("/")[2], said.replace("/", "__"))
    return bool(said == value)
