"""Hidden differences between two sides, each made by changing one thing."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from harness.errors import DesignError
from harness.stats.comparable import BLOCKING, NOTED, facts, mismatches


@pytest.fixture
def side(simulated):
    """Return a maker of one side: ten items whose prompts are known."""

    def make(n_items=10, **columns):
        frame = simulated({(1, 100): [1, 0] * (n_items // 2)})
        frame["prompt_digest"] = "p" + frame["item_id"]
        return frame.assign(**columns)

    return make


def told(found):
    return [(one.what, one.blocks) for one in found]


def test_equal_sides_differ_in_nothing(side):
    assert mismatches(side(), side()) == ()
    assert mismatches(facts(side()), facts(side(model="other", train_seed=3))) == ()


@pytest.mark.parametrize(
    ("column", "value", "what", "text"),
    [
        ("output_type", "loglikelihood", "output type", "multiple_choice against"),
        ("formulation", "choice", "formulation", "cloze against choice"),
        ("target_index", 1, "targets", "10 of 10 items have another right answer"),
    ],
)
def test_another_question_blocks_though_prompts_are_the_same(
    side, column, value, what, text
):
    (found,) = mismatches(side(), side(**{column: value}))

    assert (found.what, found.blocks) == (what, True)
    assert text in found.text


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("template_digest", "e", "chat template"),
        ("num_fewshot", 5, "few-shot examples"),
        ("task_digest", "u", "task version"),
    ],
)
def test_what_prompts_are_made_by_matters_where_prompts_differ(
    side, column, value, what
):
    own = {column: value}
    (same,) = mismatches(side(), side(**own))
    (other,) = mismatches(side(), side(**own, prompt_digest="q"))
    unknown = mismatches(side(), side(**own, prompt_digest=None))

    assert (same.what, same.blocks) == (what, False)
    assert "but every prompt is the same" in same.text
    assert (other.what, other.blocks) == (what, True)
    assert other.text.endswith("with it 10 of 10 prompts")
    assert told(unknown) == [(what, True), ("prompts", False)]
    assert "prompts are not known" in unknown[0].text


def test_a_template_of_other_words_is_told_once(side):
    (found,) = mismatches(
        side(), side(template_digest="e", task_digest="u", prompt_digest="q")
    )

    assert (found.what, found.first, found.second) == ("template", "d", "e")


def test_another_task_with_the_same_prompts_is_the_same_if_targets_are(side):
    other = side(task_digest="u", target_index=1)

    assert told(mismatches(side(), other)) == [
        ("targets", True),
        ("task version", True),
    ]


def test_prompts_that_differ_for_no_recorded_cause_are_wrapped_otherwise(side):
    (found,) = mismatches(side(), side(prompt_digest="q"))

    assert (found.what, found.blocks) == ("chat template", True)
    assert "though task, template and examples are the same" in found.text


def test_prompts_that_differ_for_an_unknown_cause_are_called_prompts(side):
    unknown = {"task_digest": None, "template_digest": None}
    other = side(**unknown)
    other.loc[:2, "prompt_digest"] = "q"
    found = mismatches(side(**unknown), other)

    assert told(found) == [("prompts", True), ("unknown", False)]
    assert "3 of 10 prompts" in found[0].text
    assert "task version, template" in found[1].text


def test_other_seeds_draw_other_examples_and_do_not_block(side):
    shots = {"num_fewshot": 5}
    drawn = side(**shots, fewshot_seed=2, prompt_digest="q")
    (found,) = mismatches(side(**shots), drawn)

    assert (found.what, found.blocks) == ("few-shot seed", False)
    assert "0 against 2; 10 of 10 prompts show other examples" in found.text
    # A seed that changes no prompt, and one of no examples, are idle.
    assert mismatches(side(**shots), side(**shots, fewshot_seed=2)) == ()
    assert mismatches(side(), side(fewshot_seed=2)) == ()


def test_prompts_of_a_seed_that_both_have_must_be_the_same(side):
    shots = {"num_fewshot": 5}
    mine = pd.concat([side(**shots), side(**shots, fewshot_seed=1, prompt_digest="r")])
    more = side(**shots, fewshot_seed=2, prompt_digest="q")
    same = pd.concat([side(**shots), more])
    other = pd.concat([side(**shots, prompt_digest="x"), more])

    assert told(mismatches(mine, same)) == [("few-shot seed", False)]
    assert told(mismatches(mine, other)) == [
        ("chat template", True),
        ("few-shot seed", False),
    ]


def test_unknown_prompts_of_other_seeds_are_no_proof(side):
    shots = {"num_fewshot": 5, "prompt_digest": None}
    found = mismatches(side(**shots), side(**shots, fewshot_seed=2))

    assert told(found) == [("few-shot seed", False), ("unknown", False)]
    assert "examples are drawn anew" in found[0].text


def test_how_text_is_written_matters_where_text_is_asked_for(side):
    text = {"output_type": "generate_until", "target": "t"}
    warm = side(**text, generation='{"temperature": 0.7, "do_sample": true}')
    same = side(**text, generation='{"do_sample": true, "temperature": 0.7}')
    (found,) = mismatches(side(**text), warm)

    assert mismatches(warm, same) == ()
    assert (found.what, found.blocks) == ("generation arguments", True)
    assert found.first == "the task's own, greedy"
    assert told(mismatches(side(**text), side(**text, sampled=True))) == [
        ("generation arguments", True)
    ]
    # No text is written where likelihoods are asked for.
    assert mismatches(side(), side(generation="{}")) == ()
    # What is no JSON is compared as it stands.
    assert told(mismatches(warm, side(**text, generation="t=1"))) == [
        ("generation arguments", True)
    ]


def test_other_items_block_and_a_partial_run_does_not(side):
    first = side().iloc[:6]
    moved = side().assign(item_id=lambda f: f["item_id"].replace("i0", "j0"))
    gone = first.assign(n_items_total=6)

    (partial,) = mismatches(side(), first)
    (other,) = mismatches(side(), moved)
    (fewer,) = mismatches(side(), gone)

    assert (partial.what, partial.blocks) == ("partial run", False)
    assert partial.text.endswith("10 of 10 items against 6 of 10 items")
    assert (other.what, other.blocks) == ("items", True)
    assert other.text == "items differ: 10 against 10; 9 are shared"
    assert (fewer.what, fewer.blocks) == ("items", True)
    assert mismatches(first, first) == ()


def test_nothing_in_common_blocks(side):
    other = side().assign(item_id=lambda f: "other " + f["item_id"])
    (found,) = mismatches(side(), other)

    assert found.text == "items differ: 10 against 10; 0 are shared"


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("dtype", "float16", "dtype"),
        ("batch_size", 1, "batch size"),
        ("max_length", 512, "max length"),
        ("backend", "lm-eval 0.4.9", "backend"),
    ],
)
def test_what_moves_scores_a_little_is_told_and_does_not_block(
    side, column, value, what
):
    (found,) = mismatches(side(), side(**{column: value}))

    assert (found.what, found.blocks) == (what, False)
    assert found.text.startswith(f"{what} differs: ")
    assert str(value) in found.second


def test_unset_is_a_choice_and_null_is_not(side):
    (unset,) = mismatches(side(max_length=512), side())
    (unknown,) = mismatches(side(), side(dtype=None))
    (template,) = mismatches(side(), side(template_digest=None))

    assert template.text == "template is unknown on one side: d against unknown"
    assert unset.text == "max length differs: 512 against unset"
    assert unknown.text == "dtype is unknown on one side: float32 against unknown"


def test_several_values_on_one_side_are_all_named(side):
    mixed = pd.concat([side(), side(dtype="float16")])
    (found,) = mismatches(side(), mixed)
    (partly,) = mismatches(side(), pd.concat([side(), side(dtype=None)]))

    assert found.second == "float16 and float32"
    assert partly.text == (
        "dtype is unknown on one side: float32 against unknown and float32"
    )


def test_what_neither_side_knows_is_told_once(side):
    nothing = dict.fromkeys(
        ("dtype", "batch_size", "task_digest", "template_digest", "prompt_digest")
    )
    (found,) = mismatches(
        side(**nothing, target_index=None), side(**nothing, target_index=None)
    )

    assert (found.what, found.blocks) == ("unknown", False)
    assert found.text == (
        "unknown on both sides: prompts, targets, task version, template, dtype, batch "
        "size; whether they differ cannot be told"
    )


def test_unknown_prompts_and_targets_of_some_items_are_counted(side):
    gaps = side()
    gaps.loc[:3, "prompt_digest"] = None
    gaps.loc[:1, "target_index"] = None

    assert [one.text for one in mismatches(side(), gaps)] == [
        "targets are unknown: of 2 of 10 shared items",
        "prompts are unknown: of 4 of 10 shared items",
    ]


def test_targets_in_words_count_where_there_is_no_place(side):
    mine = side(target_index=None, target="a")

    assert mismatches(mine, mine) == ()
    assert told(mismatches(mine, mine.assign(target="b"))) == [("targets", True)]


@pytest.fixture
def trials():
    """Return a maker of trials, of which versions are told."""

    def make(task_version="1.0", **versions):
        return pd.DataFrame(
            {
                "attempt_id": ["a", "other"],
                "task_version": [task_version, "9"],
                "versions": [[*versions.items()], [("torch", "0")]],
            }
        )

    return make


def test_versions_are_those_of_the_trials(side, trials):
    mine = facts(side(), trials(torch="2.1", ray="2"))
    other = facts(side(), trials("2.0", torch="2.3", numpy="2"))
    same = facts(side(), trials(None, torch="2.1"))

    assert [one.text for one in mismatches(mine, other)] == [
        "task version differs: 1.0 against 2.0, but every prompt is the same and every "
        "target",
        "library version differs: torch 2.1 against torch 2.3",
    ]
    assert mismatches(mine, same) == mismatches(mine, facts(side())) == ()
    (blocks,) = mismatches(mine, facts(side(target_index=None), trials("2.0")))[:1]
    assert blocks.blocks
    assert blocks.text.endswith("but every prompt is the same, of targets not")


def test_what_is_allowed_is_told_and_does_not_block(side):
    other = side(target_index=1, prompt_digest="q")
    both = mismatches(side(), other)
    found = mismatches(side(), other, allow=["targets"])

    assert told(both) == [("targets", True), ("chat template", True)]
    assert told(found) == [("chat template", True), ("targets", False)]
    assert found[1].text.endswith("(allowed)")


def test_what_cannot_be_allowed_is_refused(side):
    with pytest.raises(DesignError, match="choose of output type") as caught:
        mismatches(side(), side(), allow=["dtype"])

    assert caught.value.code == "bad-option"


def test_an_empty_side_is_refused(side):
    with pytest.raises(DesignError) as caught:
        mismatches(side(), side().iloc[:0])

    assert caught.value.code == "no-responses"


def test_the_order_of_rows_and_of_sides_does_not_matter(side):
    other = side(dtype="float16", prompt_digest="q")
    forth = mismatches(side().sample(frac=1, random_state=1), other)
    back = mismatches(other, side())

    assert told(forth) == told(back)
    assert [one.first for one in forth] == [one.second for one in back]
    assert json.loads(json.dumps([one.to_dict() for one in forth]))[0]["blocks"]


def test_every_word_has_a_place(side):
    """Nothing is told under a word that cannot be looked up, allowed or sorted."""
    columns = {
        "output_type": "generate_until",
        "template_digest": "e",
        "num_fewshot": 5,
        "prompt_digest": "q",
        "dtype": None,
        "fewshot_seed": 9,
    }
    for some in itertools.combinations(columns, 2):
        found = mismatches(side(), side(**{name: columns[name] for name in some}))

        assert {one.what for one in found} <= {*BLOCKING, *NOTED}


def test_as_a_loop_over_items_counts(side):
    rng = np.random.default_rng(5)
    prompts = rng.choice(["p", "q", None], (2, 40)).tolist()
    n_other = sum(
        None not in (mine, other) and mine != other
        for mine, other in zip(*prompts, strict=True)
    )
    first, second = (
        facts(side(40).assign(prompt_digest=some).sample(frac=1, random_state=k))
        for k, some in enumerate(prompts)
    )

    assert 0 < n_other == first.prompts.against(second.prompts).n_other
