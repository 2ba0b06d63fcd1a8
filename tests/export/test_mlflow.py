"""What is logged to MLflow, in a real store of its own, is what was measured."""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.export.measured import measured
from harness.export.mlflow import metric_name, write_mlflow
from harness.store import Store

RESULTS = Path(__file__).parents[2] / "results"

needs_mlflow = pytest.mark.skipif(
    any(
        importlib.util.find_spec(p) is None for p in ("mlflow", "sqlalchemy", "alembic")
    ),
    reason="needs mlflow (the extra of that name)",
)


@pytest.fixture(scope="module")
def scores():
    responses = Store(RESULTS / "example").responses(task="zoo_agreement")
    some = (responses["model"] == "zoo-small") & (responses["train_seed"] < 2)
    return list(measured(responses[some], metric="acc"))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Name a database, which MLflow takes ten seconds to make."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.mark.slow
@needs_mlflow
def test_scores_are_logged_once_at_their_training_step(scores, address):
    # Whatever MLflow's own packages warn of.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = write_mlflow(scores, address, experiment="night")
        again = write_mlflow(scores, address, experiment="night")
        changed = replace(scores[-1], score=replace(scores[-1].score, value=0.125))
        more = write_mlflow([changed], address, experiment="night")
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=address)
        experiment = client.get_experiment_by_name("night")
        runs = client.search_runs([experiment.experiment_id])
        seed_0 = next(run for run in runs if run.data.params["train_seed"] == "0")
        history = client.get_metric_history(seed_0.info.run_id, "zoo_agreement/acc")
        low = client.get_metric_history(seed_0.info.run_id, "zoo_agreement/acc_ci_low")

    assert first == (2, 4 * len(scores))
    assert again == (2, 0)
    assert more == (1, 1)
    assert len(runs) == 2
    assert seed_0.data.params == {"model": "zoo-small", "train_seed": "0"}
    ours = {one.step: one.score for one in scores if one.train_seed == 0}
    assert {one.step: one.value for one in history} == {
        step: score.value for step, score in ours.items()
    }
    assert {one.step: one.value for one in low} == {
        step: score.interval.low for step, score in ours.items()
    }


@pytest.mark.slow
@needs_mlflow
def test_a_place_that_mlflow_refuses_is_told(scores, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            with pytest.raises(HarnessError) as caught:
                write_mlflow(scores, "nonsense://x")
        finally:
            logging.disable(logging.NOTSET)

    assert caught.value.code == "output-not-written"


def test_without_mlflow_it_is_said_what_to_install(scores, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)
    with pytest.raises(HarnessError, match="pip install 'evalvar") as caught:
        write_mlflow(scores, "sqlite:///x.db")

    assert caught.value.code == "extra-missing"


@pytest.mark.parametrize(
    ("task", "metric", "name"),
    [
        ("gsm8k", "exact_match,strict-match", "gsm8k/exact_match/strict-match"),
        ("code", "pass@1", "code/pass_at_1"),
        ("a b", "é", "a.b/é"),
        ("../../x", "acc", "x/acc"),
        ("<script>", "a'b", "_script_/a_b"),
        ("x" * 300, "acc", "x" * 250),
    ],
)
def test_names_are_such_as_mlflow_takes(scores, task, metric, name):
    assert metric_name(replace(scores[0], task=task, metric=metric)) == name


def test_a_condition_that_is_not_the_usual_has_a_name_of_its_own(scores):
    one = replace(scores[0], num_fewshot=5, template="terse", formulation="cloze")

    assert metric_name(one) == "zoo_agreement.cloze.5-shot.terse/acc"


@pytest.mark.slow
@needs_mlflow
def test_names_that_differ_by_a_quote_have_runs_of_their_own(scores, address):
    names = ("a'b", "ab", "a%27b", 'a"b', "a`b")
    some = [replace(scores[0], model=name, lower_is_better=True) for name in names]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = write_mlflow(some, address)
        again = write_mlflow(some, address)
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=address)
        experiment = client.get_experiment_by_name("evalvar")
        runs = client.search_runs([experiment.experiment_id])

    assert first == (5, 4 * 5)
    assert again == (5, 0)
    assert {run.data.params["model"] for run in runs} == {*names}
    tag = f"evalvar.lower_is_better.{metric_name(some[0])}"
    assert {run.data.tags[tag] for run in runs} == {"true"}
