"""How does Every Eval Ever want it? Scores with their uncertainty, and each answer.

Schema 0.3.0: ``data/TASK/DEVELOPER/MODEL/UUID.json`` with ``UUID_samples.jsonl``. It
has no place for steps, seeds, repeats and templates: they stand among the details, as
text, from which `evalvar import` takes them back. A store keeps no prompts: ``input``
has an empty text, and the prompt's digest is among an instance's metadata.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.export.folder import safe_name

if TYPE_CHECKING:
    from harness.export.measured import Measured

VERSION = "0.3.0"

DETAILS = (
    *("num_fewshot", "template", "formulation", "generation", "fewshot_seed"),
    *("sample_seed", "dtype", "task_digest", "template_digest", "weights_digest"),
)
"""Columns of a response that say how a task was asked."""

METADATA = (
    *("item_index", "repeat", "status", "fewshot_seed", "sample_seed", "train_seed"),
    *("step", "template", "prompt_digest", "cluster", "trial_id"),
)
"""Columns of a response that stand among an instance's metadata."""


def write_every_eval_ever(
    scores: Iterable[Measured], folder: Path, *, organization: str = "unknown"
) -> int:
    """Write scores and their answers; return how many evaluations they are.

    Parameters
    ----------
    scores : iterable of Measured
        Those of one checkpoint and condition one after the other.
    folder : Path
        Where to; it is there, and empty.
    organization : str
        Who evaluated, as the schema asks.

    Returns
    -------
    int
        An evaluation is one checkpoint at one task, under one condition and settings.
    """
    n = 0
    for _, some in groupby(scores, key=lambda one: id(one.responses)):
        _write(list(some), folder, organization)
        n += 1
    return n


def _write(scores: Sequence[Measured], folder: Path, organization: str) -> None:
    one = scores[0]
    first = one.responses.iloc[0]
    developer, _, name = one.model.rpartition("/")
    developer = developer or "unknown"
    place = Path("data", *map(safe_name, (one.task, developer, name)))
    when = repr(one.seconds or 0.0)
    content = [one.model, one.train_seed, one.step, one.condition, when]
    content += sorted(one.responses["trial_id"].astype(str).unique())
    evaluation_id = _uuid(content)
    (folder / place).mkdir(parents=True, exist_ok=True)
    samples = place / f"{evaluation_id}_samples.jsonl"
    checksum, n_rows = hashlib.sha256(), 0
    with (folder / samples).open("wb") as file:
        for instance in _instances(scores, evaluation_id, f"{developer}/{name}"):
            line = json.dumps(instance, ensure_ascii=False, allow_nan=False).encode()
            file.write(line + b"\n")
            checksum.update(line + b"\n")
            n_rows += 1
    tool, _, version = one.backend.partition(" ")
    document = {
        "schema_version": VERSION,
        "evaluation_id": evaluation_id,
        **({} if one.seconds is None else {"evaluation_timestamp": when}),
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": "evalvar",
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": tool, "version": version or "unknown"},
        "model_info": {
            "name": one.model,
            "id": f"{developer}/{name}",
            "developer": developer,
            "additional_details": _texts(
                {
                    "deployment_type": "unknown",
                    "model_availability": "unknown",
                    "evalvar_model": one.model,
                    "evalvar_backend": one.backend,
                    "checkpoint_step": one.step,
                    "train_seed": one.train_seed,
                    "weights_digest": one.weights_digest,
                    "run_id": ",".join(map(str, content[5:])),
                }
            ),
        },
        "evaluation_results": [_result(score, dict(first)) for score in scores],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": samples.as_posix(),
            "hash_algorithm": "sha256",
            "checksum": checksum.hexdigest(),
            "total_rows": n_rows,
        },
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / place / f"{evaluation_id}.json").write_text(text, encoding="utf-8")


def _result(one: Measured, first: Mapping[str, Any]) -> dict[str, Any]:
    low, high = one.score.interval
    is_sure = not math.isnan(low)
    uncertainty: dict[str, Any] = {"num_samples": one.n_items}
    if math.isfinite(one.score.se):
        uncertainty["standard_error"] = {
            "value": one.score.se,
            "method": one.score.method,
        }
    if is_sure:
        uncertainty["confidence_interval"] = {
            "lower": low,
            "upper": high,
            "confidence_level": one.score.confidence_level,
            "method": one.score.method,
        }
    is_unknown = one.lower_is_better is None
    return {
        "evaluation_result_id": one.metric,
        "evaluation_name": one.task,
        "source_data": {"dataset_name": one.task, "source_type": "other"},
        "metric_config": {
            "metric_id": one.metric,
            "metric_name": one.metric,
            "lower_is_better": bool(one.lower_is_better),
            "score_type": "continuous",
            "min_score": _bound(one.bounds[0]),
            "max_score": _bound(one.bounds[1]),
            **({"additional_details": {"direction": "unknown"}} if is_unknown else {}),
        },
        "score_details": {
            "score": one.score.value,
            "details": _texts(
                {
                    "unscored_items": one.n_unscored,
                    "items_of_task": one.n_items_total,
                    "cautions": "; ".join(c.text for c in one.score.cautions) or None,
                }
            ),
            "uncertainty": uncertainty,
        },
        "generation_config": {
            "additional_details": _texts({name: first[name] for name in DETAILS})
        },
    }


def _instances(
    scores: Sequence[Measured], evaluation_id: str, model_id: str
) -> Iterator[dict[str, Any]]:
    """Yield a row for each answer and metric that it has a score by."""
    rows = scores[0].responses.to_dict("records")
    seen: dict[str, int] = {}
    names = []
    for row in rows:  # a question that a task holds twice is two
        place = seen.setdefault(row["item_id"], row["item_index"])
        twice = "" if place == row["item_index"] else f"-{row['item_index']}"
        names.append(f"{row['item_id']}{twice}")
    for one in scores:
        low, high = one.bounds
        best = max(low, 0.0) if one.lower_is_better else min(high, 1.0)
        for name, row, value in zip(names, rows, one.values.tolist(), strict=True):
            if not math.isfinite(value):
                continue
            text, answer, target = (
                _said(row[column]) for column in ("text", "answer", "target")
            )
            index = _said(row["target_index"])
            reference = target if target is not None else index
            yield {
                "schema_version": VERSION,
                "evaluation_id": evaluation_id,
                "model_id": model_id,
                "evaluation_name": one.task,
                "evaluation_result_id": one.metric,
                "sample_id": name,
                "sample_hash": _said(row["item_id"]),
                "interaction_type": "single_turn",
                "input": {
                    "raw": "",
                    "reference": [] if reference is None else [reference],
                },
                "output": {"raw": [] if text is None else [text]},
                "messages": None,
                "answer_attribution": [
                    {
                        "turn_idx": 0,
                        "source": "output.raw",
                        "extracted_value": said,
                        "extraction_method": "filter",
                        "is_terminal": True,
                    }
                    for said in (text if answer is None else answer,)
                    if said is not None
                ],
                "evaluation": {
                    "score": value,
                    "is_correct": value == best,
                },
                "metadata": _texts({column: row[column] for column in METADATA}),
            }


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what is said, as text: the schema takes nothing else there."""
    said = {name: _said(value) for name, value in values.items()}
    return {name: text for name, text in said.items() if text is not None}


def _said(value: Any) -> str | None:
    import pandas as pd

    return None if pd.isna(value) else str(value)


def _bound(value: float) -> float | str:
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _uuid(content: Sequence[Any]) -> str:
    """Return an identifier in the form of version 4, but of the content."""
    data = hashlib.sha256(json.dumps(content, default=str).encode()).digest()
    return str(uuid.UUID(bytes=data[:16], version=4))
