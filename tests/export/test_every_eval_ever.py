"""What is written is valid by a copy of the schemas, and comes back as it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from harness.export.every_eval_ever import write_every_eval_ever
from harness.export.folder import export_folder
from harness.export.measured import measured
from harness.ingest.load import load_results
from harness.stats.scores import score_responses
from harness.store import Store

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "tests/golden/eee"
# Of every-eval-ever 0.3.0 (MIT); its own `validate` passes these files too.


@pytest.fixture(scope="module")
def responses():
    frame = Store(ROOT / "results/prompts").responses()
    some = frame["template"].isin(["plain", "letters"])
    return frame[(frame["train_seed"] == 0) & some]


@pytest.fixture(scope="module")
def written(responses, tmp_path_factory):
    folder = tmp_path_factory.mktemp("eee") / "out"
    with export_folder(folder, "eee") as place:
        write_every_eval_ever(measured(responses), place, organization="acme")
    return folder


def documents(folder):
    return {
        path: json.loads(path.read_text())
        for path in sorted(folder.rglob("data/**/*.json"))
    }


def instances(path):
    text = path.with_name(f"{path.stem}_samples.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def validator(name):
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return jsonschema.Draft7Validator(schema)


def test_everything_is_valid(written):
    aggregate, instance = validator("eval"), validator("instance_level_eval")
    for path, document in documents(written).items():
        aggregate.validate(document)
        for one in instances(path):
            instance.validate(one)


def test_our_intervals_are_their_uncertainty(written, responses):
    scores = {(one.condition, one.metric): one for one in measured(responses)}
    found = 0
    for document in documents(written).values():
        for result in document["evaluation_results"]:
            details = result["generation_config"]["additional_details"]
            [one] = (
                score
                for (_, metric), score in scores.items()
                if metric == result["evaluation_result_id"]
                and score.template == details["template"]
            )
            uncertainty = result["score_details"]["uncertainty"]
            interval = uncertainty["confidence_interval"]
            assert result["score_details"]["score"] == one.score.value
            assert (interval["lower"], interval["upper"]) == one.score.interval
            assert uncertainty["standard_error"]["value"] == one.score.se
            assert uncertainty["num_samples"] == 60
            found += 1

    assert found == len(scores)


def test_steps_seeds_and_repeats_are_among_the_details(written):
    path, document = next(iter(documents(written).items()))
    details = document["model_info"]["additional_details"]
    rows = instances(path)

    assert (details["checkpoint_step"], details["train_seed"]) == ("640", "0")
    assert {row["metadata"]["repeat"] for row in rows} == {str(i) for i in range(8)}
    assert document["source_metadata"]["source_organization_name"] == "acme"


def test_the_checksum_is_that_of_the_instances(written):
    for path, document in documents(written).items():
        told = document["detailed_evaluation_results"]
        data = (written / told["file_path"]).read_bytes()

        assert (written / told["file_path"]).parent == path.parent
        assert told["checksum"] == hashlib.sha256(data).hexdigest()
        assert told["total_rows"] == len(data.splitlines())


def test_answers_come_back_with_their_scores(written, responses):
    loaded = load_results([written])
    key = ["template", "item_id", "repeat"]
    ours, back = responses.sort_values(key), loaded.responses.sort_values(key)

    assert loaded.problems == ()
    for column in (*key, "model", "train_seed", "step", "text", "prompt_digest"):
        assert ours[column].tolist() == back[column].tolist(), column
    for name in ("task_digest", "template_digest", "weights_digest", "generation"):
        assert ours[name].tolist() == back[name].tolist(), name
    scored = score_responses(ours, ["exact_match"])["exact_match"]
    theirs = [dict(one)["exact_match"] for one in back["metrics"]]
    np.testing.assert_array_equal(scored, theirs)
    assert set(back["backend"]) == {"lm-eval 0.4.13"}


def test_the_same_export_twice_has_the_same_names(responses, written, tmp_path):
    with export_folder(tmp_path / "out", "eee") as place:
        write_every_eval_ever(measured(responses), place, organization="acme")
    first, again = (
        {path.relative_to(folder): path.read_text() for path in documents(folder)}
        for folder in (written, tmp_path / "out")
    )

    assert first == again


def test_names_are_no_paths_and_unscored_answers_no_zeros(responses, tmp_path):
    one = next(measured(responses, metric="exact_match"))
    values = one.values.copy()
    values[0] = np.nan
    one = replace(one, model="../../etc/passwd", task="../x", values=values)
    with export_folder(tmp_path / "out", "eee") as place:
        assert write_every_eval_ever([one], place) == 1
    [(path, document)] = documents(tmp_path / "out").items()

    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert len(instances(path)) == len(values) - 1
    assert load_results([tmp_path / "out"]).trials["model"].tolist() == [one.model]
    validator("eval").validate(document)


def test_a_question_that_a_task_holds_twice_is_two(responses, tmp_path):
    one = next(measured(responses, metric="exact_match"))
    twice = one.responses.assign(item_id=one.responses["item_id"].iloc[0])
    with export_folder(tmp_path / "out", "eee") as place:
        write_every_eval_ever([replace(one, responses=twice)], place)
    loaded = load_results([tmp_path / "out"])

    assert loaded.problems == ()
    assert loaded.responses["item_id"].nunique() == 60
