"""Which checkpoints are meant? The candidate, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.chosen import BASELINE, TAG
from harness.errors import InputError
from harness.marks import Marks, Reference

if TYPE_CHECKING:
    import pandas as pd

LATEST = "latest"

Baselines = Callable[[str], Reference | None]
"""Says what a task is compared with."""


def read_baseline(word: str | None, marks: Marks, responses: pd.DataFrame) -> Baselines:
    """Return what each task is compared with.

    Parameters
    ----------
    word : str or None
        ``tag:NAME``, the name of a tag, ``MODEL@STEP``, a model, whose last step is
        meant; ``None`` or ``baseline`` for what was set, which may be another
        checkpoint for some tasks.

    Raises
    ------
    InputError
        ``no-baseline``, ``unknown-tag``, ``unknown-model``, ``bad-steps``.
    """
    if word is None or word == BASELINE:
        if not marks.of("baseline"):
            raise InputError(
                "no baseline was set; `evalvar baseline set STORE --model MODEL "
                "--reason WHY` sets one, or name a tag or MODEL@STEP with --baseline "
                "or in the policy",
                code="no-baseline",
            )
        return marks.baseline
    tags = marks.tags()
    name = word.removeprefix(TAG)
    found = marks.tag(name) if word.startswith(TAG) else tags.get(word)
    if found is None:
        found = read_checkpoint(word, responses, also=tuple(tags))
    return lambda _: found


def read_checkpoint(
    word: str, responses: pd.DataFrame, *, also: tuple[str, ...] = ()
) -> Reference:
    """Return the checkpoint that ``MODEL@STEP`` or ``MODEL`` names.

    Raises
    ------
    InputError
        ``unknown-model``, ``bad-steps``.
    """
    models = sorted(responses["model"].unique())
    model, at, step = word.rpartition("@")
    if word in models:  # a name may hold an @ itself
        return Reference(model=word, step=last_step(word, responses))
    if at and model in models:
        steps = _steps(model, responses)
        if not (step.isascii() and step.isdigit() and int(step) in steps):
            shown = ", ".join(map(str, steps[-5:])) or "none that is named"
            raise InputError(
                f"{model} has no step {step!r}; its last steps are {shown}",
                code="bad-steps",
            )
        return Reference(model=model, step=int(step))
    known = ", ".join([*models[:5], *(f"tag:{tag}" for tag in also[:5])])
    raise InputError(
        f"there is no model{' or tag' if also else ''} {word!r}; known: {known}",
        code="unknown-model",
    )


def last_step(model: str, responses: pd.DataFrame) -> int | None:
    """Return the last step of a model; ``None`` where its checkpoints name none."""
    steps = _steps(model, responses)
    return steps[-1] if steps else None


def _steps(model: str, responses: pd.DataFrame) -> list[int]:
    own = responses.loc[(responses["model"] == model).to_numpy(dtype=bool), "step"]
    return sorted(int(step) for step in own.dropna().unique())
