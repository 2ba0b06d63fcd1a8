"""Signal and noise of each task, from tables of scores."""

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.respondents import respondents
from harness.stats.signal import signal_noise
from harness.stats.signal_table import best_tasks, signal_table
from harness.stats.tables import score_tables

STEPS = (0, 10, 20, 30, 40)


def responses(simulated, task="a", models=("m", "n", "o", "p"), seed=2, n=40):
    rng = np.random.default_rng(seed)
    frames = []
    for place, model in enumerate(models):
        rate = 0.3 + 0.1 * place
        cells = {
            (run, step): (rng.random(n) < rate).astype(int)
            for run in (1, 2)
            for step in STEPS
        }
        frames.append(simulated(cells, model=model, task=task, rng=rng))
    return pd.concat(frames)


def people(*frames):
    return respondents(score_tables(pd.concat(frames)))


def test_a_row_is_the_signal_and_noise_of_the_mean_scores(simulated):
    who = people(responses(simulated))

    (row,), _ = signal_table(who)

    scores = who[0].grid()[0].mean(-1)
    alone = signal_noise(scores, rng=np.random.default_rng(1))
    assert row.signal_noise.signal.value == alone.signal.value
    assert row.signal_noise.noise.value == alone.noise.value
    assert (row.n_items, row.models) == (40, ("m", "n", "o", "p"))
    assert row.averaging is None


def test_each_option_changes_the_number(simulated):
    who = people(responses(simulated))

    def snr(**options):
        return signal_table(who, **options)[0][0].signal_noise.snr

    plain = snr()
    assert snr(n_last=3).value != plain.value
    assert snr(signal="rel-std").value != plain.value
    assert snr(confidence_level=0.5).interval != plain.interval
    assert snr(scale="chance").value != plain.value
    assert signal_table(who, scale="score")[0][0].signal_noise.noise.value < (
        signal_table(who)[0][0].signal_noise.noise.value
    )
    assert snr(entropy=1).interval != plain.interval
    assert snr(entropy=0).interval == plain.interval


def test_larger_models_are_targets_and_no_signal(simulated):
    who = people(responses(simulated))

    (row,), _ = signal_table(who, larger={"m": "o", "n": "p"})

    assert row.models == ("m", "n")
    told = {caution.code: caution.text for caution in row.cautions}
    assert told["larger-left-out"].startswith("o, p make no signal")
    assert row.signal_noise.decision_accuracy.value in (0, 1)
    assert row.averaging is not None
    assert row.to_dict()["averaging"]["n_last"] == 5


def test_an_unknown_model_is_refused_by_name(simulated):
    with pytest.raises(DesignError, match="no model 'z'") as caught:
        signal_table(people(responses(simulated)), larger={"m": "z"})

    assert caught.value.code == "unknown-model"


def test_a_task_that_was_not_put_to_a_named_model_is_refused_alone(simulated):
    both = people(responses(simulated), responses(simulated, "b", models=("m", "n")))

    rows, refused = signal_table(both, larger={"m": "o", "n": "p"})

    assert [row.who.task for row in rows] == ["a"]
    assert [(who.task, error.code) for who, error in refused] == [
        ("b", "unknown-model")
    ]


def test_items_that_some_checkpoint_lacks_are_left_out_and_told(simulated):
    few = responses(simulated, models=("m",))
    frame = pd.concat([few[few["item_index"] < 30], responses(simulated, models="no")])

    (row,), _ = signal_table(people(frame))

    assert row.n_items == 30
    assert "items-not-shared" in [caution.code for caution in row.cautions]


def test_no_item_in_common_is_refused(simulated):
    first = responses(simulated, models=("m",))
    second = responses(simulated, models=("n",))
    frame = pd.concat(
        [first[first["item_index"] < 9], second[second["item_index"] > 8]]
    )

    rows, refused = signal_table(people(frame, responses(simulated, "b")))

    assert [row.who.task for row in rows] == ["b"]
    assert [(who.task, error.code) for who, error in refused] == [("a", "items-differ")]


def test_a_metric_that_scores_nothing_is_refused(simulated):
    frame = responses(simulated).assign(output_type="generate_until")

    rows, refused = signal_table(respondents(score_tables(frame, discrete="acc")))

    assert rows == ()
    assert [error.code for _, error in refused] == ["no-responses"]


def test_the_best_tasks_are_chosen_among_those_of_one_metric(simulated):
    good, bad = responses(simulated, "good", n=400), responses(simulated, "bad", n=6)
    rows, _ = signal_table(people(good, bad))

    some, chosen = best_tasks(rows)

    assert [row.who.task for row in some] == ["bad", "good"]
    assert chosen.order[0] == 1


def test_one_task_leaves_nothing_to_choose(simulated):
    with pytest.raises(DesignError) as caught:
        best_tasks(signal_table(people(responses(simulated)))[0])

    assert caught.value.code == "too-few-tasks"
