"""A metric is given as its tool gave it, its direction said, and comes back alike."""

from __future__ import annotations

import csv
import io
import json

import jsonschema
import numpy as np
import pytest
from export.test_every_eval_ever import documents, instances, validator
from export.test_lm_eval import response, trial, write
from stats.history.designs import frame, night

from harness.export.every_eval_ever import write_every_eval_ever
from harness.export.measured import measured
from harness.export.openmetrics import openmetrics
from harness.export.tables import score_table, write_csv
from harness.ingest.load import load_results
from harness.stats.scores import lower_is_better, metric_scores, score_responses

ERRORS = [0.5, 0.0, 0.25, 0.25]


def rows(metric, **columns):
    one = night(ERRORS, step=1, **columns)
    return frame(
        [
            {**row, "metrics": [(metric, score)], "trial_id": "0" * 16}
            for row, score in zip(one, ERRORS, strict=True)
        ]
    )


CASES = [
    ("wer,none", None, True),
    ("toxicity,none", '["toxicity"]', True),
    ("wer,none", "[]", False),
    ("charm,none", None, None),
]


def check(loaded, metric, is_lower):
    """See that what was loaded has the same scores and the same direction."""
    scored = score_responses(loaded.responses).sort_values("item_index")
    sign = -1 if is_lower else 1

    assert loaded.problems == ()
    assert lower_is_better(scored, metric) == is_lower
    assert metric_scores(scored, metric).tolist() == [sign * one for one in ERRORS]


@pytest.mark.parametrize(("metric", "said", "is_lower"), CASES)
def test_a_score_is_as_it_was_told(metric, said, is_lower):
    (one,) = measured(rows(metric, lower_is_better=said), metric=metric)

    assert one.score.value == pytest.approx(0.25)
    assert one.metric == metric
    assert one.lower_is_better is is_lower


def test_bounds_are_those_of_the_score_as_it_is():
    (one,) = measured(rows("bits_per_byte,none"), metric="bits_per_byte,none")
    (own,) = measured(rows("exact_match,none"), metric="exact_match")

    assert one.bounds == (0, np.inf)
    assert own.bounds == (0, 1)


@pytest.mark.parametrize(("metric", "said", "is_lower"), CASES)
def test_every_eval_ever_says_the_direction(metric, said, is_lower, tmp_path):
    responses = rows(metric, lower_is_better=said)
    write_every_eval_ever(measured(responses, metric=metric), tmp_path)
    [(path, document)] = documents(tmp_path).items()
    [result] = document["evaluation_results"]
    config = result["metric_config"]
    right = [one["evaluation"]["is_correct"] for one in instances(path)]

    assert not list(validator("eval").iter_errors(document))
    assert config["lower_is_better"] == bool(is_lower)
    assert ("additional_details" in config) == (is_lower is None)
    assert result["score_details"]["score"] == pytest.approx(0.25)
    assert right == [bool(is_lower) and error == 0 for error in ERRORS]
    check(load_results([tmp_path]), metric, is_lower)


def test_what_no_model_wrote_is_no_empty_text(tmp_path):
    responses = rows("f1,none")
    responses["text"] = [None, "", "x", None]
    responses["answer"] = [None, "", None, "y"]
    write_every_eval_ever(measured(responses, metric="f1,none"), tmp_path)
    [path] = documents(tmp_path)
    found = load_results([tmp_path]).responses.sort_values("item_index")

    for instance in instances(path):
        jsonschema.validate(instance, validator("instance_level_eval").schema)
    assert [x if isinstance(x, str) else None for x in found["text"]] == [
        *(None, "", "x", None)
    ]
    assert [x if isinstance(x, str) else None for x in found["answer"]] == [
        *(None, "", "x", "y")
    ]


@pytest.mark.parametrize(("metric", "said", "is_lower"), CASES)
def test_a_table_has_a_column_for_it(metric, said, is_lower, tmp_path):
    text = io.StringIO()
    write_csv(
        score_table(rows(metric, lower_is_better=said), metric=metric), text.write
    )
    (tmp_path / "scores.csv").write_text(text.getvalue())
    [one, *_] = csv.DictReader(io.StringIO(text.getvalue()))

    assert one["score"] == "0.5"
    assert one["lower_is_better"] == ("" if is_lower is None else str(is_lower))
    check(load_results([tmp_path]), metric, is_lower)


def test_our_own_negated_scores_stay_so_in_a_table(tmp_path):
    responses = rows("f1,none")
    responses["output_type"] = "loglikelihood_rolling"
    responses["target_logprob"] = [-1.0, -2.0, -3.0, -4.0]
    responses["target_bytes"] = 2
    table = score_table(responses, metric="bits_per_byte")
    text = io.StringIO()
    write_csv(table, text.write)
    (tmp_path / "scores.csv").write_text(text.getvalue())
    scored = score_responses(load_results([tmp_path]).responses)
    name = "bits_per_byte,none"

    assert sorted(metric_scores(scored, name)) == sorted(table["score"].to_pylist())


def test_a_monitor_is_told():
    (one,) = measured(rows("wer,none"), metric="wer,none")
    (other,) = measured(rows("f1,none"), metric="f1,none")

    assert 'metric="wer,none",lower_is_better="true"} 0.25' in openmetrics([one])
    assert "lower_is_better" not in openmetrics([other])


@pytest.mark.parametrize(("metric", "said", "is_lower"), CASES)
def test_lm_evals_results_say_whether_higher_is_better(
    metric, said, is_lower, tmp_path
):
    of_trial = trial(attempt_id="a", output_type="generate_until", lower_is_better=said)
    answers = [
        response(
            attempt_id="a",
            item_index=i,
            item_id=f"{i:016x}",
            text="x",
            metrics=[(metric, error)],
        )
        for i, error in enumerate(ERRORS)
    ]
    write(tmp_path, [of_trial], answers)
    [path] = tmp_path.rglob("results_*.json")
    better = json.loads(path.read_text())["higher_is_better"]["t"]

    assert better == ({} if is_lower is None else {metric.split(",")[0]: not is_lower})
    check(load_results([tmp_path / "out"]), metric, is_lower)
