"""Scores from raw evidence: by hand, twice, beside lm-eval's code, and at the edges."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from harness.errors import DesignError, SchemaError
from harness.frames import JOINED
from harness.stats.scores import (
    METRICS,
    chance_scores,
    default_metrics,
    lower_is_better,
    metric_scores,
    n_choices,
    score_responses,
    shown_name,
    stored_metric,
    told_scores,
)

nan = math.nan


def choice(logprobs, target=0, **columns):
    k = len(logprobs)
    lengths = {f"choice_{u}": [4] * k for u in ("chars", "bytes", "tokens")}
    row = {"item_id": "i", "choice_logprobs": logprobs, "target_index": target}
    return {**row, **lengths, **columns}


def generation(**columns):
    return {"item_id": "i", "output_type": "generate_until", **columns}


def row_of(frame, i=0):
    return frame.iloc[i][list(METRICS)].to_dict()


def test_two_choices_by_hand(joined):
    """p = 3/4 and 1/4; the right one is the first, four bytes in two tokens."""
    scores = row_of(
        score_responses(
            joined(
                [
                    choice(
                        [math.log(0.3), math.log(0.1)],
                        choice_chars=[4, 1],
                        choice_tokens=[2, 1],
                    )
                ]
            )
        )
    )

    assert scores == pytest.approx(
        {
            "acc": 1,
            "acc_norm": 1,
            "acc_bytes": 1,
            "exact_match": nan,
            "prob_correct": 0.75,
            "margin": 0.5,
            "brier": -(0.25**2 + 0.25**2),
            "roc_auc": 1,
            "logprob_correct": math.log(0.3),
            "logprob_correct_per_token": math.log(0.3) / 2,
            "logprob_correct_per_byte": math.log(0.3) / 4,
            "bits_per_byte": math.log2(0.3) / 4,
        },
        nan_ok=True,
    )


def test_characters_and_bytes_are_told_apart(joined):
    """In "é" and "ab": -1 and -1.5; one character against two, two bytes each."""
    scores = row_of(
        score_responses(
            joined([choice([-1, -1.5], choice_chars=[1, 2], choice_bytes=[2, 2])])
        )
    )

    assert (scores["acc"], scores["acc_norm"], scores["acc_bytes"]) == (1, 0, 1)


def test_ties_go_to_the_first_choice(joined):
    frame = score_responses(joined([choice([-1, -1]), choice([-1, -1], target=1)]))

    assert frame["acc"].tolist() == [1, 0]
    assert frame["margin"].tolist() == [0, 0]


def test_roc_auc_by_hand(joined):
    """Of three wrong choices one is below, one level, one above: (1 + 1/2) / 3."""
    frame = score_responses(
        joined([choice([-2, -3, -2, -1]), choice([-1, -math.inf, -math.inf], 1)])
    )

    assert frame["roc_auc"].tolist() == [0.5, 0.25]


def test_roc_auc_is_the_mann_whitney_statistic_of_scipy(joined):
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(5)
    rows = [
        choice(rng.integers(-5, 0, 5).astype(float).tolist(), int(rng.integers(5)))
        for _ in range(40)
    ]
    frame = score_responses(joined(rows))

    for found, row in zip(frame["roc_auc"], rows, strict=True):
        wrong = row["choice_logprobs"].copy()
        right = wrong.pop(row["target_index"])
        assert found == pytest.approx(mannwhitneyu([right], wrong).statistic / 4)


@pytest.mark.parametrize("name", METRICS)
def test_only_what_is_asked_for_is_computed(joined, name):
    frame = joined(
        [
            choice([-1, -2], 1),
            generation(text="a", target="a", target_logprob=-1.0, target_bytes=2),
            generation(output_type="loglikelihood", target_logprob=-2.0),
            choice([-1], status="several-targets", metrics=[("acc,none", 1.0)]),
        ]
    )
    everything, some = score_responses(frame), score_responses(frame, {name})

    assert set(some.columns) - set(frame.columns) == {name}
    np.testing.assert_array_equal(some[name], everything[name])


def test_lists_may_be_arrows_or_pythons(joined):
    frame = joined(
        [
            choice([-1, -2, nan], 1, metrics=[("f1,none", 0.5)]),
            choice([-1, -2], 1),
            generation(target_logprob=-1.0, metrics=[("exact_match,none", 1.0)]),
        ]
    )
    lists = [n for n in JOINED.names if pa.types.is_nested(JOINED.field(n).type)]
    arrows = frame.assign(
        **{
            name: pd.arrays.ArrowExtensionArray(
                pa.array(frame[name], JOINED.field(name).type)
            )
            for name in lists
        }
    )

    ours, theirs = score_responses(frame), score_responses(arrows)

    pd.testing.assert_frame_equal(ours[list(METRICS)], theirs[list(METRICS)])
    assert n_choices(arrows).tolist()[:2] == [3, 2]
    np.testing.assert_array_equal(stored_metric(arrows, "f1"), [0.5, nan, nan])


def test_a_loop_agrees_on_ragged_tables(joined):
    rng = np.random.default_rng(2)
    rows = []
    for i in range(200):
        k = int(rng.integers(1, 7))
        rows.append(
            choice(
                rng.normal(-20, 9, k).tolist(),
                target=int(rng.integers(k)),
                item_id=f"i{i}",
                choice_chars=rng.integers(1, 9, k).tolist(),
                choice_bytes=rng.integers(1, 20, k).tolist(),
                choice_tokens=rng.integers(1, 5, k).tolist(),
            )
        )
    frame = score_responses(joined(rows))

    for i, row in enumerate(rows):
        lp, t = np.array(row["choice_logprobs"]), row["target_index"]
        p = [1 / sum(math.exp(other - mine) for other in lp) for mine in lp]
        rest = [q for c, q in enumerate(p) if c != t]
        expected = {
            "acc": float(lp.argmax() == t),
            "acc_norm": float((lp / row["choice_chars"]).argmax() == t),
            "acc_bytes": float((lp / row["choice_bytes"]).argmax() == t),
            "exact_match": nan,
            "prob_correct": p[t],
            "margin": p[t] - max(rest) if rest else nan,
            "brier": -sum((q - (c == t)) ** 2 for c, q in enumerate(p)),
            "roc_auc": np.mean([lp[t] > q for c, q in enumerate(lp) if c != t])
            if rest
            else nan,
            "logprob_correct": lp[t],
            "logprob_correct_per_token": lp[t] / row["choice_tokens"][t],
            "logprob_correct_per_byte": lp[t] / row["choice_bytes"][t],
            "bits_per_byte": lp[t] / row["choice_bytes"][t] / math.log(2),
        }
        assert row_of(frame, i) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.lm_eval
def test_lm_eval_s_own_code_gives_the_same(joined):
    pytest.importorskip("lm_eval", reason="needs the run extra")
    from lm_eval.api.task import ConfigurableTask

    rng = np.random.default_rng(3)
    words = ["a", "é", "ab", "日本", "the end", "ß?"]
    names = ("acc", "acc_norm", "acc_bytes", "brier_score")
    for _ in range(200):
        k = int(rng.integers(2, 6))
        choices = [words[i] for i in rng.integers(0, len(words), k)]
        # Rounded, so that ties occur.
        logprobs, target = np.round(rng.normal(-3, 1, k), 1), int(rng.integers(k))
        task = SimpleNamespace(
            config=SimpleNamespace(process_results=None),
            OUTPUT_TYPE="multiple_choice",
            _metric_fn_list=dict.fromkeys(names),
            multiple_input=False,
            multiple_target=False,
            doc_to_choice=lambda _, choices=choices: choices,
            doc_to_target=lambda _, target=target: target,
        )
        theirs = ConfigurableTask.process_results(
            task, {}, [(x, False) for x in logprobs.tolist()]
        )
        ours = row_of(
            score_responses(
                joined(
                    [
                        choice(
                            logprobs.tolist(),
                            target,
                            choice_chars=[len(c) for c in choices],
                            choice_bytes=[len(c.encode()) for c in choices],
                        )
                    ]
                )
            )
        )

        for name in ("acc", "acc_norm", "acc_bytes"):
            assert ours[name] == theirs[name]
        gold, prob = theirs["brier_score"]
        assert -ours["brier"] == pytest.approx(((prob - np.eye(k)[gold]) ** 2).sum())


def test_generation_and_its_reference_answer(joined):
    frame = score_responses(
        joined(
            [
                generation(
                    text="4",
                    target="4",
                    target_logprob=-2.0,
                    target_bytes=1,
                    target_tokens=2,
                ),
                generation(text=" 4", target="4", metrics=[]),
                generation(
                    text="4.",
                    target="4",
                    metrics=[("exact_match,strict", 1.0), ("exact_match,loose", 0.0)],
                ),
                generation(text=None, target="4"),
            ]
        )
    )

    assert frame["exact_match"].tolist() == pytest.approx([1, 0, 1, nan], nan_ok=True)
    assert frame["acc"].isna().all()
    assert row_of(frame)["prob_correct"] == pytest.approx(math.exp(-2))
    assert row_of(frame)["logprob_correct_per_token"] == -1
    assert row_of(frame)["bits_per_byte"] == pytest.approx(-2 / math.log(2))
    assert frame["logprob_correct"].tolist()[1:] == pytest.approx(
        [nan] * 3, nan_ok=True
    )


def test_log_likelihood_tasks_have_one_candidate(joined):
    """Its likelihood stands among the choices or as the target's; both are read."""
    kind = {"item_id": "i", "output_type": "loglikelihood"}
    as_choice = {**choice([-3.0]), "output_type": "loglikelihood"}
    frame = score_responses(
        joined(
            [
                {**as_choice, "target_is_greedy": True},
                {
                    **kind,
                    "target_logprob": -3.0,
                    "target_bytes": 4,
                    "target_tokens": 4,
                    "target_is_greedy": False,
                },
                {**kind, "target_is_greedy": True},
            ]
        )
    )

    assert frame["acc"].tolist() == pytest.approx([1, 0, nan], nan_ok=True)
    for name in ("logprob_correct", "prob_correct", "bits_per_byte"):
        assert frame[name][0] == frame[name][1]
        assert np.isnan(frame[name][2])
    assert frame["margin"].isna().all()


@pytest.mark.parametrize(
    "row",
    [
        choice([-1, nan]),
        choice([-1, None]),
        choice([-math.inf, -math.inf]),
        choice([-1, math.inf]),
        choice([-1, -2], target=2),
        choice([-1, -2], target=-1),
        choice([-1, -2], target=None),
        choice([-1, -2], status="nan-logprob"),
        choice([]),
        {"item_id": "i", "choice_logprobs": None, "target_index": 0},
        generation(text="4", target=None, target_logprob=nan),
        generation(text="4", target="4", status="nan-logprob", target_logprob=-1.0),
        generation(target_logprob=math.inf),
    ],
)
def test_missing_evidence_is_no_score_and_never_zero(joined, row):
    # Beside a good row, whose own scores must not suffer.
    frame = score_responses(joined([row, choice([-1, -2])]))

    assert all(math.isnan(value) for value in row_of(frame, 0).values())
    assert frame["acc"][1] == 1


def test_a_likelihood_of_zero_has_no_logarithm(joined):
    scores = row_of(score_responses(joined([choice([-math.inf, -1])])))

    assert (scores["acc"], scores["prob_correct"], scores["margin"]) == (0, 0, -1)
    assert math.isnan(scores["logprob_correct"])
    assert math.isnan(scores["bits_per_byte"])


def test_missing_lengths_cost_only_the_scores_that_need_them(joined):
    scores = row_of(
        score_responses(
            joined([choice([-1, -2], choice_chars=None, choice_bytes=[3, 0])])
        )
    )

    assert scores["acc"] == 1
    assert math.isnan(scores["acc_norm"])
    # As in lm-eval, nothing written per byte is as unlikely as can be.
    assert scores["acc_bytes"] == 1
    assert math.isnan(
        row_of(score_responses(joined([choice([-1], choice_bytes=[0])])))[
            "bits_per_byte"
        ]
    )


def test_lm_eval_s_own_scores_stand_in_where_lengths_are_not_known(joined):
    stored = [("acc,none", 0.0), ("acc_norm,none", 1.0)]
    row = choice([-1, -2], choice_chars=None, choice_bytes=None, metrics=stored)

    scores = row_of(score_responses(joined([row, choice([-1, -2])])))
    assert (scores["acc"], scores["acc_norm"]) == (1, 1)
    assert math.isnan(scores["acc_bytes"])


def test_several_targets_are_scored_by_lm_eval(joined):
    frame = score_responses(
        joined(
            [
                choice(
                    [-1, -2],
                    target=None,
                    status="several-targets",
                    metrics=[("acc,none", 1.0), ("mc2,none", 0.4)],
                )
            ]
        )
    )

    assert frame["acc"].tolist() == [1]
    assert frame[["acc_norm", "prob_correct", "logprob_correct"]].isna().all(axis=None)


def test_stored_metrics_by_name_and_by_filter(joined):
    frame = joined(
        [
            generation(metrics=[("f1,a", 0.1), ("f1,b", 0.2), ("f1x,a", 0.9)]),
            generation(metrics=None),
            generation(metrics=[("f1,b", 0.4)]),
            generation(metrics=[]),
        ]
    )

    assert stored_metric(frame, "f1").tolist() == pytest.approx(
        [0.1, nan, 0.4, nan], nan_ok=True
    )
    assert stored_metric(frame, "f1,b").tolist() == pytest.approx(
        [0.2, nan, 0.4, nan], nan_ok=True
    )
    assert stored_metric(frame.iloc[2:], "f1").tolist() == pytest.approx(
        [0.4, nan], nan_ok=True
    )
    assert np.isnan(stored_metric(frame, "bleu")).all()
    assert metric_scores(frame, "f1x").tolist()[0] == 0.9


def test_an_unknown_metric_lists_what_there_is(joined):
    frame = score_responses(joined([generation(metrics=[("f1,none", 0.1)])]))

    with pytest.raises(DesignError, match=r"acc, .*lm-eval's own f1,none") as caught:
        metric_scores(frame, "accuracy")
    assert caught.value.code == "unknown-metric"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, ("acc", "prob_correct")),
        ({"output_type": "loglikelihood"}, ("acc", "logprob_correct")),
        ({"output_type": "loglikelihood_rolling"}, ("bits_per_byte", None)),
        ({"output_type": "agentic"}, ("acc", None)),
        ({"output_type": "generate_until"}, ("exact_match", "logprob_correct")),
        (
            {
                "output_type": "generate_until",
                "metrics": [("f1,x", 0.1), ("em,x", 0.0)],
            },
            ("f1,x", "logprob_correct"),
        ),
        (
            {
                "output_type": "generate_until",
                "metrics": [("f1,x", 0.1), ("exact_match,x", 0.0)],
            },
            ("exact_match", "logprob_correct"),
        ),
        # Other tools have no likelihoods, or words of their own for what is asked.
        ({"metrics": [("acc,x", 0.1), ("f1,x", 0.0)]}, ("acc,x", None)),
        (
            {"metrics": [("acc,x", 0.1)], "choice_logprobs": [-1.0, -2.0]},
            ("acc", "prob_correct"),
        ),
        ({"output_type": "agentic", "metrics": [("won", 1.0)]}, ("won", None)),
        (
            {"output_type": "loglikelihood_rolling", "metrics": [("bpb,x", 1.0)]},
            ("bpb,x", None),
        ),
    ],
)
def test_default_metrics(joined, columns, expected):
    assert default_metrics(joined([{"item_id": "i", **columns}])) == expected


@pytest.mark.parametrize(
    ("metric", "output_type", "expected"),
    [
        ("acc", "multiple_choice", [0.25, 0.5]),
        ("prob_correct", "multiple_choice", [0.25, 0.5]),
        ("brier", "multiple_choice", [-0.75, -0.5]),
        ("margin", "multiple_choice", [0, 0]),
        ("roc_auc", "multiple_choice", [0.5, 0.5]),
        ("roc_auc", "generate_until", [nan, nan]),
        ("roc_auc", "loglikelihood", [nan, nan]),
        ("logprob_correct", "multiple_choice", [nan, nan]),
        ("exact_match", "generate_until", [0, 0]),
        ("prob_correct", "generate_until", [0, 0]),
        ("acc", "loglikelihood", [nan, nan]),
        ("f1,none", "generate_until", [nan, nan]),
        ("acc,none", "multiple_choice", [nan, nan]),
        ("won", "agentic", [nan, nan]),
    ],
)
def test_what_a_guesser_scores(metric, output_type, expected):
    found = chance_scores(metric, output_type, np.array([4.0, 2.0]))

    assert found.tolist() == pytest.approx(expected, nan_ok=True)


def test_one_choice_has_no_roc_curve(joined):
    frame = score_responses(joined([choice([-1.0])]))

    assert math.isnan(frame["roc_auc"].item())
    assert np.isnan(chance_scores("roc_auc", "multiple_choice", np.array([1.0]))).all()


def test_a_uniform_guesser_scores_chance(joined):
    """Equal likelihoods and a right answer at each place: chance is their mean."""
    frame = score_responses(joined([choice([-1.0] * 5, target=t) for t in range(5)]))

    for name in ("acc", "acc_norm", "prob_correct", "brier", "margin", "roc_auc"):
        chance = chance_scores(name, "multiple_choice", n_choices(frame))
        assert frame[name].mean() == pytest.approx(chance.mean())


def test_arrow_and_numpy_columns_score_alike(joined):
    rows = [choice([-1, -2]), generation(text="4", target="4", target_logprob=-1.0)]
    plain = joined(rows)
    table = pa.Table.from_pandas(plain, schema=JOINED, preserve_index=False)
    arrow = table.to_pandas(types_mapper=pd.ArrowDtype)

    for name in METRICS:
        np.testing.assert_array_equal(
            score_responses(plain)[name], score_responses(arrow)[name]
        )


def test_the_given_frame_is_left_as_it_was(joined):
    frame = joined([choice([-1, -2])])
    score_responses(frame)

    assert list(frame.columns) == JOINED.names


def test_missing_columns_are_named():
    with pytest.raises(SchemaError, match="attempt_id"):
        score_responses(pd.DataFrame({"item_id": []}))


# ---- which way is better ---------------------------------------------------------


def told(joined, *rows):
    return score_responses(
        joined(
            [
                generation(metrics=[(metric, value)], **columns)
                for metric, value, columns in rows
            ]
        )
    )


def test_scores_of_which_less_is_better_are_negated(joined):
    scored = told(joined, ("wer,none", 0.25, {}), ("wer,none", 0.5, {"step": 2}))

    assert metric_scores(scored, "wer").tolist() == [-0.25, -0.5]
    assert told_scores(scored, "wer").tolist() == [0.25, 0.5]
    assert shown_name(scored, "wer,none") == "wer,none (negated: less is better)"
    assert lower_is_better(scored, "wer") is True


def test_what_the_tool_says_goes_before_the_name(joined):
    says = {"lower_is_better": '["toxicity"]'}
    scored = told(
        joined, ("toxicity,none", 0.25, says), ("wer,none", 0.5, {"task": "u", **says})
    )

    assert metric_scores(scored, "toxicity").tolist()[0] == -0.25
    assert metric_scores(scored, "wer").tolist()[1] == 0.5
    assert shown_name(scored, "wer") == "wer"
    assert lower_is_better(scored, "wer") is False


def test_of_an_unknown_metric_more_is_better_and_that_is_not_known(joined):
    scored = told(joined, ("charm", 0.25, {}))

    assert metric_scores(scored, "charm").tolist() == [0.25]
    assert lower_is_better(scored, "charm") is None
    assert lower_is_better(scored, "acc") is False


def test_answers_to_one_task_go_one_way(joined):
    says = {"lower_is_better": '["toxicity"]'}
    scored = told(
        joined,
        ("toxicity", 0.25, {"model": "silent"}),
        ("toxicity", 0.5, says),
        ("toxicity", 0.75, {"task": "other"}),
    )

    assert metric_scores(scored, "toxicity").tolist() == [-0.25, -0.5, 0.75]


def test_our_own_scores_are_never_negated(joined):
    frame = joined([choice([-1.0, -2.0], lower_is_better='["acc", "brier"]')])
    scored = score_responses(frame)

    assert metric_scores(scored, "acc").tolist() == [1.0]
    assert metric_scores(scored, "brier") == pytest.approx([-2 * 0.2689414**2])
    assert lower_is_better(scored, "brier") is False
