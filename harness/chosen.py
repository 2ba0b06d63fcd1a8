"""Who is compared? A word that names a model, a checkpoint, a tag or the baseline."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.marks import Marks, Reference
    from harness.stats.compare.results import Choice

TAG = "tag:"
BASELINE = "baseline"


def read_choice(
    word: str,
    *,
    models: Collection[str],
    marks: Sequence[Marks] = (),
    step: int | None = None,
) -> Choice:
    """Return who is meant; a model's name may hold an @ or a # itself.

    Parameters
    ----------
    word : str
        ``MODEL``, ``MODEL@STEP``, ``MODEL#SEED``, ``MODEL@STEP#SEED``, ``tag:NAME`` or
        ``baseline``.
    models : collection of str
        Those that are there.
    marks : sequence of Marks
        Of each store that is compared; tags need one and no more.
    step : int, optional
        Of who names none; the last one if absent.

    Raises
    ------
    InputError
        ``unknown-model``, ``unknown-tag``, ``no-baseline``.
    """
    from harness.stats.compare.results import Choice

    if word in models:
        return Choice(name=word, model=word, step=step)
    if word == BASELINE or word.startswith(TAG):
        reference = _reference(word, marks)
        return Choice(name=word, model=reference.model, step=reference.step)
    rest, sharp, seed = word.rpartition("#")
    model, at, number = (rest if sharp else word).rpartition("@")
    try:
        return Choice(
            name=word,
            model=model if at else rest if sharp else word,
            step=int(number) if at else step,
            train_seeds=(int(seed),) if sharp else None,
        )
    except ValueError:
        raise InputError(
            f"{word!r} is not MODEL, MODEL@STEP, MODEL#SEED or MODEL@STEP#SEED; "
            f"the models are {', '.join(models)}",
            code="unknown-model",
        ) from None


def _reference(word: str, marks: Sequence[Marks]) -> Reference:
    if len(marks) != 1:
        raise InputError(
            f"{word} is for one store, which keeps tags; here are {len(marks)}",
            code="unknown-tag",
        )
    if word != BASELINE:
        return marks[0].tag(word.removeprefix(TAG))
    reference = marks[0].baseline()
    if reference is None:
        raise InputError(
            "no baseline is set; `evalvar baseline set` does, or name a model",
            code="no-baseline",
        )
    return reference
