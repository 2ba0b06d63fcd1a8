"""What a monitor reads: Prometheus' own parser finds in it what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.export.measured import measured
from harness.export.openmetrics import FAMILIES, openmetrics
from harness.store import Store

parser = pytest.importorskip("prometheus_client.openmetrics.parser")

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def scores():
    responses = Store(RESULTS / "example").responses(task="zoo_agreement")
    some = responses["step"].isin([320, 640]) & (responses["train_seed"] < 2)
    return list(measured(responses[some]))


def read(text):
    families = parser.text_string_to_metric_families(text)
    return {family.name: family.samples for family in families}


def test_the_last_step_of_each_model_and_seed_is_there(scores):
    found = read(openmetrics(scores))
    last = [one for one in scores if one.step == 640]

    assert found.keys() == FAMILIES.keys()
    assert len(found["evalvar_score"]) == len(last) < len(scores)
    assert {s.value for s in found["evalvar_score_step"]} == {640}
    for sample in found["evalvar_score"]:
        [one] = (
            one
            for one in last
            if (one.model, str(one.train_seed), one.metric)
            == tuple(sample.labels[n] for n in ("model", "train_seed", "metric"))
        )
        assert sample.value == one.score.value
        assert sample.timestamp is None


def test_samples_may_say_when(scores):
    found = read(openmetrics(scores, timestamps=True))
    times = {round(float(sample.timestamp), 3) for sample in found["evalvar_score"]}

    assert times <= {round(one.finished_at.timestamp(), 3) for one in scores}


@pytest.mark.parametrize(
    "name", ['a"b', "a\\b", "a\nb", 'x",task="y', "é{}", "# EOF\n", ""]
)
def test_names_of_all_kinds_are_labels(scores, name):
    one = replace(scores[0], model=name)
    [sample] = read(openmetrics([one]))["evalvar_score"]

    assert sample.labels.get("model", "") == name


def test_what_is_not_known_is_left_out_or_no_number(scores):
    score = replace(scores[0].score, interval=(float("nan"), float("inf")))
    one = replace(scores[0], step=None, train_seed=None, finished_at=None, score=score)
    found = read(openmetrics([one], timestamps=True))

    assert "evalvar_score_step" in found
    assert found["evalvar_score_step"] == []
    assert found["evalvar_score_high"][0].value == float("inf")
    assert found["evalvar_score_low"][0].value != found["evalvar_score_low"][0].value
    assert "train_seed" not in found["evalvar_score"][0].labels


def test_of_a_score_measured_twice_the_later_counts(scores):
    first = scores[0]
    later = replace(
        first,
        finished_at=first.finished_at.replace(year=2030),
        score=replace(first.score, value=0.125),
    )
    for order in ([first, later], [later, first]):
        [sample] = read(openmetrics(order))["evalvar_score"]
        assert sample.value == 0.125


def test_no_scores_are_a_valid_page():
    assert openmetrics([]).endswith("# EOF\n")
    assert all(samples == [] for samples in read(openmetrics([])).values())


def test_no_label_steers_a_terminal(scores):
    text = openmetrics([replace(scores[0], model="\x1b[31m\u202e\x00\r\n")])

    assert 'model="�[31m���\\n"' in text
