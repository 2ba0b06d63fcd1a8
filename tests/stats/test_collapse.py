"""Copies among answers: each kind made on purpose, and honest draws left alone."""

import numpy as np
import pandas as pd
import pytest

from harness.stats.collapse import collapse

TEXT = {"output_type": "generate_until", "sampled": True, "num_fewshot": 0}


@pytest.fixture
def written(joined):
    """Return a maker of one attempt's texts: repeats × items, each a word."""

    def make(words, *, attempt="a", **columns):
        rows = [
            {
                "attempt_id": attempt,
                "item_id": f"i{i}",
                "item_index": i,
                "repeat": k,
                "text": None if isinstance(word, float) else str(word),
                "metrics": {"exact_match": float(word) if word == word else 0.0},
                **TEXT,
                **columns,
            }
            for k, of_items in enumerate(words)
            for i, word in enumerate(of_items)
        ]
        return joined(rows)

    return make


@pytest.fixture
def graded(written):
    """Return the same where nothing but right or wrong is known."""

    def make(words, **columns):
        return written(words, **columns).assign(text=None)

    return make


def kinds(found):
    return [caution.code for caution in found[1]]


def fresh(rng, n_repeats, n_items, n_words=10):
    return rng.integers(0, n_words, (n_repeats, n_items)).tolist()


def test_honest_draws_stay_as_they_are(written):
    frame = written(fresh(np.random.default_rng(1), 4, 30))
    rest, cautions = collapse(frame)

    assert rest is frame
    assert cautions == ()


def test_eight_replays_of_one_repeat_are_one(written):
    (words,) = fresh(np.random.default_rng(1), 1, 30)
    rest, (caution,) = collapse(written([words] * 8))

    assert rest["repeat"].unique().tolist() == [0]
    assert caution.code == "replayed-repeats"
    assert "7 of 8 sets of answers of 1 checkpoint" in caution.text
    assert "210 answers are left out" in caution.text


def test_replays_among_fresh_repeats_are_found(written):
    rng = np.random.default_rng(2)
    one, *others = fresh(rng, 4, 30)
    rest, (caution,) = collapse(written([one, *others, one, one]))

    assert rest["repeat"].unique().tolist() == [0, 1, 2, 3]
    assert caution.code == "replayed-repeats"


def test_right_or_wrong_alone_proves_nothing(graded):
    words = np.random.default_rng(3).integers(0, 2, 300).tolist()

    assert kinds(collapse(graded([words] * 8))) == []


def test_right_or_wrong_proves_what_chance_would_never_do(graded):
    """Honest repeats differ on a quarter of 300 items, or on one of 300."""
    rng = np.random.default_rng(3)
    unsure = rng.integers(0, 2, (3, 300)).tolist()
    sure = np.ones((3, 300), dtype=int)
    sure[1, 7] = sure[2, 9] = 0
    sure = sure.tolist()

    assert kinds(collapse(graded([*unsure, unsure[0]]))) == ["replayed-repeats"]
    assert kinds(collapse(graded([*sure, sure[0]]))) == []


def test_short_texts_that_agree_by_chance_stay(written):
    """Ten draws of two easy questions: some must agree throughout."""
    rng = np.random.default_rng(4)
    frame = written(fresh(rng, 10, 2, n_words=2))

    assert kinds(collapse(frame)) == []


def test_honest_repeats_are_seldom_taken_for_copies(written):
    """Each question of its own difficulty: agreement is likelier than by their mean."""
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(40):
        chance = rng.beta(0.3, 0.3, 12)
        words = (rng.random((6, 12)) < chance).astype(int)
        found += len(kinds(collapse(written(words.tolist()))))

    assert found == 0


def test_greedy_repeats_are_the_same_by_nature(written):
    words = fresh(np.random.default_rng(1), 1, 20) * 3

    assert kinds(collapse(written(words, sampled=False))) == []


def test_a_run_that_is_there_twice_counts_once(written):
    words = fresh(np.random.default_rng(6), 3, 20)
    early, late = (
        pd.Timestamp(f"2026-01-0{day}", tz="UTC").as_unit("us") for day in (1, 2)
    )
    two = pd.concat(
        [
            written(words, attempt="late").assign(finished_at=late),
            written(words, attempt="early").assign(finished_at=early),
        ]
    )
    rest, (caution,) = collapse(two)

    assert rest["attempt_id"].unique().tolist() == ["early"]
    assert caution.code == "duplicated-runs"
    assert "3 of 6 sets of answers of 1 checkpoint" in caution.text
    assert "first of m seed 1 step 100 at task" in caution.text


def test_a_run_twice_is_no_replay_even_where_repeats_are_greedy(written):
    words = fresh(np.random.default_rng(6), 1, 20) * 2
    two = pd.concat(
        [written(words, attempt=name, sampled=False) for name in ("a", "b")]
    )
    rest, (caution,) = collapse(two)

    assert len(rest) == 40
    assert caution.code == "duplicated-runs"


def test_few_items_twice_are_told_by_all_their_repeats_together(written):
    """Three items alone may agree by chance; eight repeats of them do not."""
    words = fresh(np.random.default_rng(7), 8, 3, n_words=100)
    two = pd.concat([written(words, attempt=name) for name in ("a", "b")])

    assert kinds(collapse(two)) == ["duplicated-runs"]
    assert kinds(collapse(written([*words, words[0]]))) == []


def test_equal_answers_of_other_conditions_are_no_copies(written):
    words = fresh(np.random.default_rng(1), 1, 20)
    for columns in (
        {"task": "other"},
        {"train_seed": 2},
        {"step": 200},
        {"dtype": "float16"},
        {"template": "t"},
        {"weights_digest": "v"},
        {"model": "n"},
        {"train_seed": None},
    ):
        two = pd.concat([written(words), written(words, attempt="b", **columns)])

        assert kinds(collapse(two)) == []


@pytest.fixture
def chosen(simulated):
    """Return a maker of one attempt at a choice task, always the same likelihoods."""

    def make(attempt="a", **columns):
        frame = simulated({(1, 100): [1, 0, 1, 1, 0, 1]})
        frame["prompt_digest"] = "p" + frame["item_id"]
        return frame.assign(attempt_id=attempt, **columns)

    return make


@pytest.mark.parametrize("column", ["fewshot_seed", "sample_seed"])
def test_a_seed_without_effect_is_collapsed(chosen, column):
    two = pd.concat([chosen(), chosen("b", **{column: 7}), chosen("c", **{column: 8})])
    rest, (caution,) = collapse(two)

    assert len(rest) == 6
    assert caution.code == "idle-seeds"
    assert "2 of 3 sets of answers" in caution.text


def test_a_seed_that_changed_prompts_or_answers_stays(chosen):
    shots = {"num_fewshot": 5}
    drawn = chosen("b", **shots, fewshot_seed=7, prompt_digest="q")
    moved = chosen("c", **shots, fewshot_seed=8)
    moved["choice_logprobs"] = moved["choice_logprobs"].map(lambda v: v + 1e-12)

    assert kinds(collapse(pd.concat([chosen(**shots), drawn, moved]))) == []


def test_unknown_prompts_of_other_examples_need_more_than_right_or_wrong(graded):
    words = [[1, 0, 1, 1, 0]]
    base = {"sampled": False, "num_fewshot": 5}
    seeds = [{"attempt": "a"}, {"attempt": "b", "fewshot_seed": 7}]
    two = pd.concat([graded(words, **base, **seed) for seed in seeds])

    assert kinds(collapse(two)) == []
    assert kinds(collapse(two.assign(text="t"))) == ["idle-seeds"]
    assert kinds(collapse(two.assign(prompt_digest="p"))) == ["idle-seeds"]
    assert kinds(collapse(two.assign(num_fewshot=0))) == ["idle-seeds"]


def test_models_of_equal_likelihoods_are_told_and_stay(chosen):
    two = pd.concat(
        [chosen(), chosen("b", model="n"), chosen("c", model="o", task="u")]
    )
    rest, (caution,) = collapse(two)

    assert len(rest) == 18
    assert caution.code == "identical-models"
    assert caution.text.startswith("m and n gave the very same likelihoods at 1 task,")


def test_models_of_equal_texts_may_well_both_be_right(written):
    two = pd.concat(
        [written([[1, 2, 3]]), written([[1, 2, 3]], attempt="b", model="n")]
    )

    assert kinds(collapse(two)) == []


@pytest.mark.parametrize(
    ("length", "n", "is_told"), [(16, 20, True), (15, 20, False), (16, 19, False)]
)
def test_models_of_equal_long_texts_are_told(written, length, n, is_told):
    """As one model's answers from a cache are another's (lm-eval issue 2715)."""
    words = [[f"{i:0{length}}" for i in range(n)] + [f"{0:0{length}}"] * 30]
    two = pd.concat([written(words), written(words, attempt="b", model="n")])
    rest, cautions = collapse(two)

    assert len(rest) == 2 * (n + 30)
    assert [c.code for c in cautions] == ["identical-models"] * is_told
    for caution in cautions:
        assert caution.text.startswith("m and n gave the very same texts at 1 task,")


def test_likelihoods_are_compared_place_by_place(chosen):
    other = chosen("b", model="n")
    other["choice_logprobs"] = other["choice_logprobs"].map(lambda v: v[::-1])

    assert kinds(collapse(pd.concat([chosen(), other]))) == []


def test_nothing_is_no_copy(chosen):
    rest, cautions = collapse(chosen().iloc[:0])

    assert (len(rest), cautions) == (0, ())


def test_as_a_loop_over_pairs_of_greedy_runs(written):
    """One run for each of its own sample seed: equal ones are counted once."""
    rng = np.random.default_rng(8)
    for _ in range(5):
        words = fresh(rng, 6, 2, n_words=2)
        frame = pd.concat(
            [
                written([of_items], attempt=f"a{k}", sample_seed=k, sampled=False)
                for k, of_items in enumerate(words)
            ]
        ).sample(frac=1, random_state=1)
        firsts = [k for k, some in enumerate(words) if some not in words[:k]]
        kept = collapse(frame)[0]["sample_seed"].unique()

        assert sorted(kept) == firsts
