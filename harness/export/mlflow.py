"""How does MLflow follow scores over training? One run for each model and seed.

The only module that knows MLflow; it comes with ``pip install 'evalvar[mlflow]'``.
"""

from __future__ import annotations

import logging
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness.errors import InputError, RunError

if TYPE_CHECKING:
    from harness.export.measured import Measured

UNFIT = re.compile(r"[^\w\-. :/]")
"""What MLflow takes in no name of a metric."""

LONGEST_NAME = 250
LONGEST_PARAM = 6000
BATCH = 500
"""Metrics in one request; MLflow takes up to 1,000."""

KEY = "evalvar.run"
"""Tag that tells a model's run when it is exported again."""

LOWER = "evalvar.lower_is_better."
"""Begins the tags of the metrics of which less is better."""


def write_mlflow(
    scores: Iterable[Measured], address: str, *, experiment: str = "evalvar"
) -> tuple[int, int]:
    """Log scores; return how many runs they are in, and how many numbers are new.

    A model's training seed is a run; its step is the training step. Each score is
    logged as ``task/metric`` with ``_ci_low``, ``_ci_high`` and ``_n``. What a run has
    already at that step stays and is not logged again.

    Parameters
    ----------
    scores : iterable of Measured
    address : str
        MLflow's tracking address, such as ``sqlite:///mlflow.db``.
    experiment : str
        Made where it is not there.

    Raises
    ------
    InputError
        ``extra-missing``.
    RunError
        ``output-not-written``: MLflow refuses.
    """
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise InputError(
            "an export to MLflow needs its client; pip install 'evalvar[mlflow]'",
            code="extra-missing",
        ) from None
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of its tables
    runs: dict[tuple[str, int | None], list[Measured]] = defaultdict(list)
    for one in scores:
        runs[one.model, one.train_seed].append(one)
    try:
        client = MlflowClient(tracking_uri=address)
        found = client.get_experiment_by_name(experiment)
        experiment_id = (
            found.experiment_id if found else client.create_experiment(experiment)
        )
        n_new = sum(
            _write_run(client, experiment_id, who, some) for who, some in runs.items()
        )
    except (MlflowException, OSError, ImportError) as error:
        said = str(error).partition("\n")[0]
        raise RunError(
            f"{address}: MLflow cannot write there: {said}", code="output-not-written"
        ) from None
    return len(runs), n_new


def metric_name(one: Measured) -> str:
    """Return a name that MLflow takes: ``task/metric``, with ``,`` as ``/``.

    What else distinguishes the condition, such as a template, stands behind the task.
    """
    asked = one.condition.replace(" ", ".")
    name = f"{asked}/{one.metric.replace(',', '/')}".replace("@", "_at_")
    parts = (part for part in UNFIT.sub("_", name).split("/") if part.strip("."))
    return "/".join(parts)[:LONGEST_NAME]


def _write_run(
    client: Any,
    experiment_id: str,
    who: tuple[str, int | None],
    scores: Sequence[Measured],
) -> int:
    from mlflow.entities import Metric

    model, seed = who
    name = model if seed is None else f"{model} seed {seed}"
    run = _run(client, experiment_id, name)
    run_id = run.info.run_id
    if not run.data.params:
        client.log_param(run_id, "model", model[:LONGEST_PARAM])
        if seed is not None:
            client.log_param(run_id, "train_seed", seed)
    client.set_tag(run_id, "evalvar.backend", scores[-1].backend[:LONGEST_PARAM])
    there = {
        key: {(one.step, one.value) for one in client.get_metric_history(run_id, key)}
        for key in run.data.metrics
    }
    new = {}
    for one in scores:
        if one.lower_is_better:
            tag = f"{LOWER}{metric_name(one)}"[:LONGEST_NAME]
            client.set_tag(run_id, tag, "true")
        key, step = metric_name(one), one.step or 0
        low, high = one.score.interval
        numbers = {"": one.score.value, "_ci_low": low, "_ci_high": high}
        for ending, value in (numbers | {"_n": float(one.n_items)}).items():
            said = (step, value) in there.get(f"{key}{ending}", ())
            if math.isfinite(value) and not said:
                when = int((one.seconds or 0) * 1000)
                new[key, ending, step] = Metric(f"{key}{ending}", value, when, step)
    metrics = list(new.values())
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    client.set_terminated(run_id)
    return len(metrics)


def _run(client: Any, experiment_id: str, name: str) -> Any:
    """Return the run of an earlier export, or a new one."""
    # A filter of MLflow's has no way to write an apostrophe.
    key = quote(name, safe=" /@")
    found = client.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'")
    if found:
        return found[0]
    return client.create_run(experiment_id, tags={KEY: key}, run_name=name)
