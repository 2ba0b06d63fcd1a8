"""One row for each checkpoint and metric, with the interval of the statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.export.measured import measured
from harness.stats.intervals import score_interval
from harness.stats.scores import score_responses
from harness.store import Store

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def responses():
    frame = Store(RESULTS / "prompts").responses()
    return frame[frame["train_seed"] == 0]


def test_repeats_are_averaged_and_items_are_the_units(responses):
    first = next(measured(responses, metric="exact_match"))
    scored = score_responses(first.responses, ["exact_match"])
    items = scored.groupby("item_index")["exact_match"].mean().to_numpy()
    expected = score_interval(items, bounds=(0, 1))

    assert first.score.value == pytest.approx(expected.value)
    assert first.score.interval == pytest.approx(expected.interval)
    assert first.n_items == len(items) == 60
    assert first.n_items_total == 300


def test_the_condition_says_what_is_not_usual(responses):
    names = {one.condition for one in measured(responses)}

    assert all(name.startswith("zoo_recall ") for name in names)
    assert any("plain" in name for name in names)
    assert len(names) == responses["template"].nunique()


def test_clusters_widen_the_interval(responses):
    part = responses[responses["template"] == "plain"]
    clusters = (part["item_index"] // 40).astype(str)
    alone = next(measured(part, metric="exact_match"))
    together = next(measured(part.assign(cluster=clusters), metric="exact_match"))

    assert together.score.value == alone.score.value
    assert "clusters" in together.score.method
    assert together.score.n < together.n_items


def test_unscored_items_are_left_out_and_counted(responses):
    part = responses[responses["template"] == "plain"].copy()
    last = part["item_index"].max()
    part.loc[part["item_index"] == last, "status"] = "error"
    part["metrics"] = part["metrics"].where(part["item_index"] != last, None)
    one = next(measured(part, metric="exact_match"))

    assert one.n_unscored == 1
    assert one.n_items == 59
    assert np.isfinite(one.score.value)


def test_a_metric_that_nobody_has_is_refused(responses):
    with pytest.raises(HarnessError, match="no metric"):
        list(measured(responses, metric="charm"))
