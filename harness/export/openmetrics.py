"""How does a monitor read scores? OpenMetrics text, of each model's last checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.export.tables import STEERING

if TYPE_CHECKING:
    from harness.export.measured import Measured

FAMILIES = {
    "evalvar_score": "Mean score over items.",
    "evalvar_score_low": "Lower end of the interval over items.",
    "evalvar_score_high": "Upper end of the interval over items.",
    "evalvar_score_standard_error": "Standard error over items.",
    "evalvar_score_items": "Items behind the score.",
    "evalvar_score_unscored_items": "Items of which no answer could be scored.",
    "evalvar_score_step": "Optimizer steps taken by the checkpoint.",
    "evalvar_score_finished_timestamp_seconds": "When it was evaluated.",
}
"""Gauges, in their order, with what each is."""


def is_openmetrics(place: Path) -> bool:
    """Return whether a file begins as one that holds what `openmetrics` returns."""
    family, about = next(iter(FAMILIES.items()))
    head = f"# HELP {family} {about}\n".encode()
    with place.open("rb") as file:
        return file.read(len(head)) == head


def openmetrics(scores: Iterable[Measured], *, timestamps: bool = False) -> str:
    """Return scores as OpenMetrics text, version 1.0.

    Of each model and training seed the last step is there: a monitor keeps the past by
    itself, and a label for each step would be a series for each.

    Parameters
    ----------
    scores : iterable of Measured
        Of the same checkpoint and condition under several settings, or with several
        weights, the one that was evaluated last counts.
    timestamps : bool
        Whether each sample says when it was evaluated; monitors that poll a file
        refuse samples that are old.
    """
    last: dict[str, Measured] = {}
    for one in scores:
        labels = _labels(one)
        if labels not in last or _age(last[labels]) <= _age(one):
            last[labels] = one
    lines = []
    for family, about in FAMILIES.items():
        lines += [f"# HELP {family} {about}", f"# TYPE {family} gauge"]
        for labels, one in sorted(last.items(), key=lambda pair: pair[0]):
            value = _values(one)[family]
            if value is not None:
                is_known = timestamps and one.seconds is not None
                when = f" {one.seconds:.3f}" if is_known else ""
                lines.append(f"{family}{labels} {_number(value)}{when}")
    return "\n".join([*lines, "# EOF", ""])


def _values(one: Measured) -> dict[str, float | None]:
    score = one.score
    return dict(
        zip(
            FAMILIES,
            (
                *(score.value, *score.interval, score.se, one.n_items, one.n_unscored),
                *(one.step, one.seconds),
            ),
            strict=True,
        )
    )


def _labels(one: Measured) -> str:
    return "{" + ",".join(_label_pairs(one)) + "}"


def _label_pairs(one: Measured) -> Iterator[str]:
    said = {
        "model": one.model,
        "train_seed": one.train_seed,
        "task": one.task,
        "formulation": one.formulation,
        "num_fewshot": one.num_fewshot,
        "template": one.template,
        "generation": one.generation,
        "metric": one.metric,
        "lower_is_better": "true" if one.lower_is_better else None,
    }
    for name, value in said.items():
        if value not in (None, ""):
            yield f'{name}="{_escaped(str(value))}"'


def _escaped(text: str) -> str:
    text = text.translate(STEERING).replace("\r", STEERING[0])
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _age(one: Measured) -> tuple[int, float]:
    return (-1 if one.step is None else one.step), one.seconds or 0


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
