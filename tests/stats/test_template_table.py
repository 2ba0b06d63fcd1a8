"""Templates of tasks: rows from responses, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.facets import facet_scores
from harness.stats.template_table import order_table, template_table
from harness.stats.templates.order import template_order
from harness.stats.templates.spread import template_spread


@pytest.fixture
def asked(simulated):
    """Return a maker of responses from (model, seed, step) to template × item."""

    def make(answers):
        parts = [
            simulated(
                {(seed, step): scores},
                model=model,
                weights_digest=f"{model} {seed} {step}",
                template=f"t{t:02}",
                template_digest=f"d{t}",
                rng=np.random.default_rng([seed, step, t, ord(model[0])]),
            )
            for (model, seed, step), table in answers.items()
            for t, scores in enumerate(table)
        ]
        return pd.concat(parts)

    return make


def table_of(seed, shape=(4, 30)):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.2, 0.8, shape[1]) + rng.normal(0, 0.1, (shape[0], 1))
    return (rng.random(shape) < p).astype(float)


def test_a_row_for_each_checkpoint(asked):
    answers = {("m", 1, 10): table_of(1), ("m", 1, 20): table_of(2)}
    rows, refused = template_table(facet_scores(asked(answers)))

    assert refused == ()
    assert [(row.train_seed, row.step) for row in rows] == [(1, 10), (1, 20)]
    for row, table in zip(rows, answers.values(), strict=True):
        assert row.templates == ("t00", "t01", "t02", "t03")
        assert row.means == pytest.approx(table.mean(1))
        assert row.spread == template_spread(table)
        assert row.reliable.n_resamplings == 4
        assert row.budget is None
    assert "few-templates" in {c.code for c in rows[0].cautions}
    assert rows[1].to_dict()["step"] == 20


def test_quantiles_are_judged_where_templates_are_enough(asked):
    frame = asked({("m", 1, 10): table_of(3, (12, 20))})
    (row,), _ = template_table(facet_scores(frame))
    (again,), _ = template_table(facet_scores(frame))
    (other,), _ = template_table(facet_scores(frame), entropy=1)

    assert row.budget.budgets == (40,)
    assert row.to_dict()["budget"]["n_templates"] == 12
    assert (row.budget.error == again.budget.error).all()
    assert (row.budget.error != other.budget.error).any()


def test_scores_that_are_not_bounded_have_no_quantiles(asked):
    frame = asked({("m", 1, 10): table_of(3, (12, 20))})
    (row,), _ = template_table(facet_scores(frame, metric="logprob_correct"))

    assert row.budget is None


def test_items_that_not_all_templates_have_are_left_out(asked):
    table = table_of(4)
    frame = asked({("m", 1, 10): table})
    gone = (frame["template"] == "t01") & (frame["item_index"] < 5)
    (row,), _ = template_table(facet_scores(frame[~gone]))

    assert row.means == pytest.approx(table[:, 5:].mean(1))
    assert "items-not-shared" in {c.code for c in row.cautions}


def test_unequal_repeats_are_averaged(asked):
    table, more = table_of(5), table_of(6)
    again = asked({("m", 1, 10): more}).assign(repeat=1)
    frame = pd.concat([asked({("m", 1, 10): table}), again])
    (row,), _ = template_table(facet_scores(frame))
    assert row.spread.n_repeats == 2
    assert row.means == pytest.approx((table + more).mean(1) / 2)

    gone = (frame["repeat"] == 1) & (frame["item_index"] < 5)
    (row,), _ = template_table(facet_scores(frame[~gone]))
    assert row.spread.n_repeats == 1
    both = np.where(np.arange(30) < 5, table, (table + more) / 2)
    assert row.means == pytest.approx(both.mean(1))


def test_few_shot_seeds_count_as_repeats_and_are_told(asked):
    more = asked({("m", 1, 10): table_of(6)}).assign(fewshot_seed=1)
    frame = pd.concat([asked({("m", 1, 10): table_of(5)}), more])
    (row,), _ = template_table(facet_scores(frame))

    assert row.spread.n_repeats == 2
    assert "fewshot-seeds-as-responses" in {c.code for c in row.cautions}


def test_one_template_and_no_item_in_common_are_refused(asked):
    one = asked({("m", 1, 10): table_of(7)[:1]})
    rows, refused = template_table(facet_scores(one))
    assert rows == ()
    assert refused[0][1].code == "too-few-replicates"
    assert "add templates" in str(refused[0][1])

    two = asked({("m", 1, 10): table_of(7)[:2]})
    apart = two[(two["template"] == "t00") == (two["item_index"] < 15)]
    rows, refused = template_table(facet_scores(apart))
    assert refused[0][1].code == "items-differ"


def test_what_is_wrong_with_the_question_is_raised(asked):
    tables = facet_scores(asked({("m", 1, 10): table_of(7)}))
    for options, code in (
        ({"confidence_level": 0}, "bad-confidence-level"),
        ({"epsilon": 0}, "bad-tolerance"),
    ):
        with pytest.raises(DesignError) as e:
            template_table(tables, **options)
        assert e.value.code == code


def test_models_are_ordered_by_their_last_checkpoints(asked):
    answers = {
        ("a", 1, 10): table_of(8),
        ("a", 1, 20): table_of(9),
        ("a", 2, 20): table_of(10),
        ("b", 1, 20): table_of(11),
    }
    (row,), refused = order_table(facet_scores(asked(answers)))

    a = (answers["a", 1, 20] + answers["a", 2, 20]) / 2
    known = template_order(np.stack([a, answers["b", 1, 20]]))
    assert refused == ()
    assert row.order.names == ("a", "b")
    assert row.order.difference == pytest.approx(known.difference, nan_ok=True)
    assert row.order.reversal == known.reversal
    assert "model" not in row.to_dict()
    assert row.to_dict()["names"] == ["a", "b"]


def test_models_are_ordered_on_what_they_share(asked):
    frame = asked({("a", 1, 20): table_of(12), ("b", 1, 20): table_of(13)})
    is_b = frame["model"] == "b"
    gone = is_b & ((frame["item_index"] < 3) | (frame["template"] == "t00"))
    (row,), _ = order_table(facet_scores(frame[~gone]))
    assert row.templates == ("t01", "t02", "t03")
    assert row.order.n_items == 27
    assert row.cautions[-1].code == "items-not-shared"

    for gone in (
        is_b,
        is_b & (frame["template"] != "t00"),
        is_b & (frame["item_index"] > 0),
        (frame["template"] == "t00") & (frame["item_index"] > 0) & ~is_b,
    ):
        assert order_table(facet_scores(frame[~gone])) == ((), ())


def test_a_question_asked_in_two_places_is_two_items(asked):
    a, b = table_of(14), table_of(15)
    frame = asked({("a", 1, 20): a, ("b", 1, 20): b})
    twice = frame.assign(item_id=frame["item_id"].replace({"i1": "i0"}))
    (row,), _ = order_table(facet_scores(twice))

    assert row.order.difference == pytest.approx(
        template_order(np.stack([a, b])).difference, nan_ok=True
    )
    assert row.order.n_items == 30


def test_templates_of_one_name_in_other_words_are_not_shared(asked):
    a, b = table_of(16), table_of(17)
    frame = asked({("a", 1, 20): a, ("b", 1, 20): b})
    is_b = frame["model"] == "b"
    reworded = is_b & (frame["template"] == "t00")
    frame.loc[reworded, ["task_digest", "template_digest"]] = ["t2", "d9"]
    (row,), refused = order_table(facet_scores(frame))

    assert refused == ()
    assert row.templates == ("t01", "t02", "t03")
    assert row.order.difference == pytest.approx(
        template_order(np.stack([a, b])[:, 1:]).difference, nan_ok=True
    )
    caution = row.cautions[-1]
    assert caution.code == "other-wording"
    assert "1 of 4 (t00)" in caution.text


def test_an_order_over_other_wordings_is_refused(asked):
    frame = asked({("a", 1, 20): table_of(16), ("b", 1, 20): table_of(17)})
    is_b = frame["model"] == "b"
    frame.loc[is_b, "task_digest"] = "t2"
    frame.loc[is_b, "template_digest"] += "x"
    rotated = {f"t{t:02}": f"t{(t + 1) % 4:02}" for t in range(4)}
    frame.loc[is_b, "template"] = frame.loc[is_b, "template"].replace(rotated)
    rows, ((who, error),) = order_table(facet_scores(frame))

    assert rows == ()
    assert who.model == "a"
    assert error.code == "items-differ"
    assert "t00" in str(error)


def test_a_chat_template_of_one_model_is_told(asked):
    frame = asked({("a", 1, 20): table_of(16), ("b", 1, 20): table_of(17)})
    (plain,), _ = order_table(facet_scores(frame))
    frame.loc[frame["model"] == "b", "template_digest"] += " chat"
    (row,), _ = order_table(facet_scores(frame))

    assert row.order.reversal == plain.order.reversal
    assert row.templates == plain.templates
    assert [c.code for c in row.cautions] == [
        *(c.code for c in plain.cautions),
        "settings-differ",
    ]
    assert "4 of 4 (t00, t01, t02, …)" in row.cautions[-1].text
