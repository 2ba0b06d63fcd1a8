"""What to buy next, from the responses and timings of a store."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.facets import facet_scores
from harness.stats.power.noise import noise_of_difference
from harness.stats.power_table import Target, power_table


def world(simulated, *, models=("a", "b"), n_items=30, seeds=3, repeats=1, rng=None):
    """Draw answers of models that find the same items hard, at two steps."""
    rng = rng or np.random.default_rng(1)
    ease = rng.uniform(-2, 2, n_items)
    parts = []
    for model in models:
        own = ease + rng.normal(0, 0.7, n_items)
        runs = {
            (seed, step): rng.normal(0, 0.3) + own + step / 100
            for seed in range(seeds)
            for step in (50, 100)
        }
        for k in range(repeats):
            answers = {
                run: (rng.random(n_items) < 1 / (1 + np.exp(-x))).astype(float)
                for run, x in runs.items()
            }
            frame = simulated(answers, model=model, repeat=k, sampled=repeats > 1)
            parts.append(frame.assign(n_items_total=200))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def trials():
    return pd.DataFrame(
        {
            "status": ["done", "done", "failed"],
            "model": ["a", "b", "a"],
            "task": "task",
            "formulation": "cloze",
            "num_fewshot": 0,
            "generation": "",
            "load_seconds": [2.0, 4.0, 9.0],
            "build_seconds": [0.3, 0.3, 9.0],
            "seconds": [5.3, 7.3, 9.0],
            "n_items": [30, 30, 30],
            "repeats": 1,
        }
    )


def table(responses, trials, **options):
    rows, refused = power_table(facet_scores(responses), trials, **options)
    assert refused == ()
    return rows


def test_the_last_step_counts(simulated, trials):
    responses = world(simulated)
    first, second = table(responses, trials)
    (again, _) = table(responses[responses["step"] == 100], trials)

    assert (first.scores.model, second.scores.model) == ("a", "b")
    assert first.scores.levels["step"] == (100,)
    assert first.now.se == again.now.se
    assert dict(first.score.counts) == {
        **{"item": 30, "train_seed": 3, "step": 1, "template": 1}
    }


def test_costs_are_of_the_model_s_own_trials(simulated, trials):
    first, second = table(world(simulated), trials)

    assert (first.cost.load, second.cost.load) == (2.0, 4.0)
    assert first.cost.item == pytest.approx(0.01)
    assert first.cost.answer == pytest.approx(0.1)


def test_costs_are_of_the_same_condition(simulated, trials):
    other = trials.assign(num_fewshot=5, build_seconds=30.0, seconds=99.0)
    row, _ = table(world(simulated), pd.concat([trials, other]))

    assert row.cost.item == pytest.approx(0.01)
    assert row.cost.answer == pytest.approx(0.1)


def test_given_costs_replace_the_measured(simulated, trials):
    (row,) = table(
        world(simulated),
        trials,
        model="a",
        costs={"load": 7.0, "train_seed": 50.0},
    )
    assert (row.cost.load, row.cost.levels) == (7.0, {"train_seed": 50.0})
    assert row.cost.answer == pytest.approx(0.1)

    costs = {"load": 1.0, "item": 2.0, "answer": 3.0}
    (row,) = table(world(simulated), trials.iloc[:0], model="a", costs=costs)
    assert (row.cost.load, row.cost.item, row.cost.answer) == (1.0, 2.0, 3.0)


def test_two_models_tell_how_alike_they_are(simulated, trials):
    first, second = table(world(simulated), trials)

    assert first.n_models == second.n_models == 2
    assert 0 < first.correlation < 1
    assert first.correlation == second.correlation
    assert first.difference == second.difference
    assert "assumed-correlation" not in {c.code for c in first.cautions}


@pytest.mark.parametrize("models", [("a", "b"), ("a", "b", "c")])
def test_models_of_one_seed_each_are_compared_by_items(simulated, trials, models):
    """What is as hard for both cancels: a paired standard error."""
    trials = pd.concat([trials, trials.iloc[:1].assign(model="c")])
    responses = world(simulated, models=models, seeds=1)
    row = table(responses, trials)[0]
    scores = np.array(
        [t.tensor("step", "item")[-1, :, 0] for t in facet_scores(responses)]
    )
    apart = [np.subtract(*pair) for pair in itertools.combinations(scores, 2)]
    paired = np.sqrt(np.mean([d.var(ddof=1) for d in apart]) / 30)
    shared = np.cov(scores)
    covariance = shared[np.triu_indices(len(models), 1)].mean()

    assert row.difference.se().value == pytest.approx(paired, rel=1e-12)
    assert row.correlation == pytest.approx(covariance / np.diag(shared).mean())
    assert row.difference.unknown == ("template", "fewshot_seed", "train_seed")
    assert row.difference_now.detectable.value > 2.8 * paired
    with pytest.raises(DesignError) as caught:
        row.difference.se({"train_seed": 2})
    assert caught.value.code == "facet-not-estimated"


def test_a_difference_is_reached_with_one_seed_of_each_model(simulated, trials):
    responses = world(simulated, seeds=1)
    now = table(responses, trials)[0].difference_now.detectable.value
    row = table(responses, trials, target=Target(difference=0.7 * now))[0]

    assert row.wanted is not None
    assert row.wanted.counts["train_seed"] == 1
    assert row.wanted.detectable.value <= 0.7 * now


def test_a_correlation_beyond_1_is_1_and_said(simulated, trials):
    """Models differ over items by less than their repeats and seeds alone predict."""
    right = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    flip = np.eye(6)[:2]
    frames = [
        simulated(
            {
                (0, 5): np.abs(right - flip[number]),
                (1, 5): np.abs(right - flip[1 - number]),
            },
            model=model,
        )
        for number, model in enumerate("ab")
    ]
    row, other = table(pd.concat(frames), trials)

    assert row.correlation == other.correlation == 1.0
    (caution,) = (c for c in row.cautions if c.code == "negative-component")
    assert "told as 1" in caution.text


def test_items_that_one_model_lacks_do_not_tell(simulated, trials):
    responses = world(simulated)
    lacks = (responses["model"] == "b") & (responses["item_index"] > 19)
    row, _ = table(responses[~lacks], trials)

    assert row.difference.counts["item"] == 20
    assert row.score.counts["item"] == 30


def test_one_model_has_a_correlation_assumed(simulated, trials):
    (row,) = table(world(simulated, models=("a",)), trials)

    assert (row.correlation, row.n_models) == (0.5, 1)
    assert row.cautions[-1].code == "assumed-correlation"
    assert row.difference == noise_of_difference(row.ledger, correlation=0.5)


def test_what_the_assumed_correlation_is_over_is_said(simulated, trials):
    """Of templates' effects as of items', if there are several."""
    rng = np.random.default_rng(2)
    frames = [
        world(simulated, models=("a",), rng=rng).assign(
            template=name, template_digest=name
        )
        for name in ("x", "y")
    ]
    (row,) = table(pd.concat(frames), trials)
    (one,) = table(frames[0], trials, fixed=["item"])

    assert row.difference.shared == ("item", "template")
    assert "over items and templates is" in row.cautions[-1].text
    assert one.difference.shared == ()
    assert "over items is" in one.cautions[-1].text


def test_templates_are_bought_only_where_they_have_a_price(simulated, trials):
    """A person words them: what no seconds of a machine are for."""
    rng = np.random.default_rng(3)
    frames = [
        world(simulated, models=("a",), rng=rng).assign(
            template=name, template_digest=name
        )
        for name in ("x", "y")
    ]
    responses = pd.concat(frames)
    dear = {"load": 1e3, "item": 1e3, "answer": 1e3, "train_seed": 1e9}
    target = Target(seconds=1e6)

    def bought(**prices):
        options = {"target": target, "fixed": ["item"], "costs": {**dear, **prices}}
        (row,) = table(responses, trials, **options)
        return row, [c.text for c in row.cautions if c.code == "templates-to-word"]

    row, told = bought()
    assert row.wanted is not None
    assert (row.wanted.counts["template"], told) == (2, [])
    assert row.limits == {"item": 200, "template": 2}
    assert "template" in {gain.facet for gain in row.gains}

    row, (text,) = bought(template=0.0)
    assert row.wanted is not None
    n_new = int(row.wanted.counts["template"]) - 2
    assert n_new > 0
    assert text.startswith(f"the design wanted has {n_new} more templates")
    assert row.limits == {"item": 200}


def test_a_given_correlation_is_used(simulated, trials):
    row, _ = table(world(simulated), trials, correlation=0.9)

    assert row.correlation == 0.9
    assert row.difference == noise_of_difference(row.ledger, correlation=0.9)


def test_repeats_are_a_facet_where_there_are_some(simulated, trials):
    row, _ = table(world(simulated, repeats=3), trials)

    assert row.score.counts["repeat"] == 3
    assert "repeat" in {gain.facet for gain in row.gains}


def test_a_target_finds_the_cheapest_design(simulated, trials):
    responses = world(simulated)
    now, _ = table(responses, trials)
    target = 0.8 * now.now.se.value
    row, _ = table(responses, trials, target=Target(se=target))

    assert row.wanted is not None
    assert row.wanted.se.value <= target
    assert row.wanted.counts["item"] <= row.limits["item"] == 200
    assert row.wanted.counts["step"] == 1

    far, _ = table(responses, trials, target=Target(se=1e-5))
    assert far.wanted is None


def test_a_difference_is_a_target_of_its_own(simulated, trials):
    responses = world(simulated)
    now, _ = table(responses, trials)
    target = Target(difference=0.9 * now.difference_now.detectable.value)
    row, _ = table(responses, trials, target=target, power=0.8)

    assert row.wanted is not None
    assert row.wanted.se.quantity == "se of difference"
    assert row.wanted.detectable.value <= target.difference
    assert row.gains[0].design.se.quantity == "se of difference"


def test_a_budget_buys_the_surest_design(simulated, trials):
    row, _ = table(world(simulated), trials, target=Target(seconds=30.0))

    assert row.wanted is not None
    assert 0 < row.wanted.seconds <= 30
    assert row.wanted.se.value < row.now.se.value


def test_what_is_fixed_drops_out(simulated, trials):
    row, _ = table(world(simulated), trials)
    same, _ = table(world(simulated), trials, fixed=["item", "repeat"])

    assert same.now.se.value < row.now.se.value
    assert same.score.fixed == ("item",)
    assert "item" not in {gain.facet for gain in same.gains}


def test_power_and_level_change_the_numbers(simulated, trials):
    found = [
        table(world(simulated), trials, **options)[0].difference_now.detectable
        for options in ({}, {"power": 0.9}, {"confidence_level": 0.99})
    ]

    assert found[0].value < found[1].value
    assert found[0].value < found[2].value
    assert found[2].confidence_level == 0.99


def test_a_row_is_json(simulated, trials):
    import json

    row, _ = table(world(simulated), trials, target=Target(se=0.05))
    document = json.loads(json.dumps(row.to_dict(), allow_nan=False))

    assert document["model"] == "a"
    assert document["now"]["counts"]["item"] == 30
    assert document["n_models"] == 2
    assert document["wanted"]["seconds"] > 0


def test_a_row_is_a_table_of_designs(simulated, trials):
    row, _ = table(world(simulated), trials, target=Target(se=0.07))
    frame = row.to_frame()

    assert frame["design"].tolist()[:2] == ["as run"] * 2
    assert frame["of"].tolist() == ["score", "difference", *["score"] * 3]
    assert set(frame["design"][2:]) == {"+30 item", "+2 train_seed", "wanted"}
    assert frame["se"].tolist()[:2] == [row.now.se.value, row.difference_now.se.value]
    assert frame["narrower_by"].tolist()[:2] == [0, 0]
    assert row.wanted is not None
    assert frame["item"].iloc[-1] == row.wanted.counts["item"]


def test_what_is_not_told_is_null(simulated, trials):
    responses = world(simulated, seeds=1).query("item_index == 0")
    rows, refused = power_table(facet_scores(responses), trials)

    assert rows == ()
    assert {error.code for _, error in refused} == {"too-few-replicates"}


def test_scores_of_which_none_is_left_are_refused(simulated, trials):
    responses = world(simulated, models=("a",))
    (scores,) = facet_scores(responses)
    none = scores.only(np.zeros(len(scores.scores), dtype=bool))
    rows, refused = power_table([none], trials)

    assert rows == ()
    assert [error.code for _, error in refused] == ["missing-scores"]


def test_items_that_models_answer_alike_have_no_correlation(simulated, trials):
    """All answers are right: there is nothing over items to be alike in."""
    frame = pd.concat(
        [
            simulated({(1, 5): [1.0] * 9, (2, 5): [1.0] * 9}, model=model)
            for model in "ab"
        ]
    )
    rows, _ = power_table(facet_scores(frame), trials)

    assert all(math.isnan(row.correlation) for row in rows)
    assert rows[0].to_dict()["correlation"] is None
    assert [c.code for c in rows[0].cautions] == ["no-correlation"]
    assert math.isnan(rows[0].now.se.value)


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("unknown-facet", {"fixed": ["colour"]}),
        ("unknown-facet", {"costs": {"colour": 1.0}}),
        ("bad-power", {"power": 1.5}),
        ("bad-correlation", {"correlation": 2.0}),
        ("bad-confidence-level", {"confidence_level": 2.0}),
    ],
)
def test_what_cannot_be_used_is_refused(simulated, trials, code, options):
    with pytest.raises(DesignError) as caught:
        power_table(facet_scores(world(simulated)), trials, **options)

    assert caught.value.code == code


@pytest.mark.parametrize("given", [{"se": 0.1, "seconds": 1.0}, {"difference": 0.0}])
def test_one_target_at_a_time_and_above_zero(given):
    with pytest.raises(DesignError) as caught:
        Target(**given)

    assert caught.value.code == "bad-target"


def test_a_task_without_timings_is_refused(simulated, trials):
    rows, refused = power_table(facet_scores(world(simulated)), trials.iloc[:1])

    assert [row.scores.model for row in rows] == ["a"]
    assert [error.code for _, error in refused] == ["no-timings"]


def test_what_a_design_finds_is_a_difference_of_models(simulated, trials):
    row, _ = table(world(simulated), trials, target=Target(se=0.08))

    assert row.now.se.quantity == "se of score"
    assert row.now.detectable == row.difference.detectable()
    (gain, *_) = row.gains
    more = {gain.facet: gain.design.counts[gain.facet]}
    assert gain.design.detectable == row.difference.detectable(more)
    assert row.wanted is not None
    assert row.wanted.detectable.quantity == "detectable difference"


def test_one_item_has_no_correlation(simulated, trials):
    rng = np.random.default_rng(6)
    frames = [
        simulated({(s, 5): [float(rng.random() < 0.5)] for s in range(8)}, model=model)
        for model in "ab"
    ]
    row, _ = table(pd.concat(frames), trials)

    assert math.isnan(row.correlation)
    assert row.cautions[-1].code == "no-correlation"
    assert row.score.unknown[0] == "item"


def test_models_asked_in_other_words_do_not_tell_how_alike_they_are(simulated, trials):
    frame = world(simulated)
    again = world(simulated, rng=np.random.default_rng(2)).assign(
        template="other", template_digest="e", task_digest="u"
    )
    both = pd.concat([frame, again])
    same = table(both, trials)
    is_b = both["model"] == "b"
    swapped = both[is_b].replace({"template": {"default": "other", "other": "default"}})
    row, _ = table(pd.concat([both[~is_b], swapped]), trials)

    assert same[0].n_models == 2
    assert "other-wording" not in {c.code for c in same[0].cautions}
    assert (row.n_models, row.correlation) == (1, 0.5)
    codes = {c.code for c in row.cautions}
    assert {"other-wording", "assumed-correlation"} <= codes

    (given, _) = table(pd.concat([both[~is_b], swapped]), trials, correlation=0.5)
    assert "other-wording" not in {c.code for c in given.cautions}


def test_one_template_in_other_words_is_left_out_of_what_is_alike(simulated, trials):
    frame = world(simulated)
    again = world(simulated, rng=np.random.default_rng(2)).assign(
        template="other", template_digest="e", task_digest="u"
    )
    again.loc[again["model"] == "b", "task_digest"] = "v"
    row, _ = table(pd.concat([frame, again]), trials)
    alone, _ = table(frame, trials)

    assert row.n_models == 2
    assert row.correlation == alone.correlation
    assert "other-wording" in {c.code for c in row.cautions}


def test_a_chat_template_of_one_model_is_told(simulated, trials):
    frame = world(simulated)
    frame.loc[frame["model"] == "b", "template_digest"] = "chat"
    row, _ = table(frame, trials)

    assert row.n_models == 2
    assert "settings-differ" in {c.code for c in row.cautions}
