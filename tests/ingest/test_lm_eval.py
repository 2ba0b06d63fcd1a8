"""What of lm-eval's files goes where, for all of its versions."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from ingest.lm_eval_files import (
    TIME,
    as_of_040,
    as_of_043,
    choice_sample,
    results,
    text_sample,
    write_run,
    write_samples,
)

from harness.errors import HarnessError
from harness.ingest.load import load_results
from harness.records import Template, digest
from harness.stats.scores import score_responses


def test_a_run_says_who_answered_what_and_how(tmp_path: Path) -> None:
    write_run(tmp_path)

    loaded = load_results([tmp_path])
    (trial,) = loaded.trials.to_dict("records")
    assert not loaded.problems
    assert loaded.unknown == {}
    assert {name: trial[name] for name in (
        "model", "train_seed", "step", "task", "template", "formulation",
        "num_fewshot", "generation", "fewshot_seed", "sample_seed", "task_version",
        "output_type", "sampled", "n_items", "n_items_total", "repeats", "dtype",
        "batch_size", "backend", "device", "suite", "revision", "status",
    )} == {
        "model": "acme/toy-1b", "train_seed": 3, "step": 1000, "task": "toy_mc",
        "template": "default", "formulation": "cloze", "num_fewshot": 0,
        "generation": "", "fewshot_seed": 11, "sample_seed": 7, "task_version": "1.0",
        "output_type": "multiple_choice", "sampled": False, "n_items": 6,
        "n_items_total": 6, "repeats": 1, "dtype": "float32", "batch_size": 8,
        "backend": "lm-eval 0.4.9", "device": "cpu", "suite": "import",
        "revision": "0123abcd", "status": "done",
    }  # fmt: skip
    assert dict(trial["versions"]) == {
        "lm_eval": "0.4.9", "transformers": "5.23.0", "torch": "2.13.0+cpu",
    }  # fmt: skip
    assert trial["template_digest"] == Template(name="default").digest
    ended = datetime.datetime.fromtimestamp(1764040013, datetime.UTC)
    assert trial["finished_at"].to_pydatetime() == ended
    assert trial["location"].endswith(".jsonl")


def test_a_sample_has_the_evidence_of_our_own_answers(tmp_path: Path) -> None:
    write_run(tmp_path)

    scored = score_responses(load_results([tmp_path]).responses)
    first, sample = scored.iloc[0], choice_sample(0)
    assert first["item_id"] == digest(sample["doc"])
    assert first["prompt_digest"] == digest(sample["arguments"]["gen_args_0"]["arg_0"])
    assert list(first["choice_logprobs"]) == [-1.0, -4.0, -2.0, -5.0]
    assert list(first["choice_chars"]) == [3, 3, 4, 4]
    assert first["target_index"] == 0
    for name in ("acc", "acc_norm"):
        theirs = [choice_sample(i)[name] for i in range(6)]
        assert scored[name].tolist() == theirs
        assert [dict(m)[f"{name},none"] for m in scored["metrics"]] == theirs


def metrics_of(path: Path | list[Path], **how) -> dict[int, dict[str, float]]:
    """Return the metrics of each item of a single trial."""
    loaded = load_results(path if isinstance(path, list) else [path], **how)
    assert len(loaded.trials) == 1
    rows = loaded.responses.sort_values("item_index")
    return {
        index: dict(metrics)
        for index, metrics in zip(rows["item_index"], rows["metrics"], strict=True)
    }


# ---- all layouts -----------------------------------------------------------------


def test_043_to_046_name_no_filter_and_no_metrics(tmp_path: Path) -> None:
    new = [choice_sample(i) for i in range(6)]
    write_run(tmp_path / "new", {"toy_mc": new})
    write_run(tmp_path / "old", {"toy_mc": [as_of_043(one) for one in new]})

    assert metrics_of(tmp_path / "old") == metrics_of(tmp_path / "new")


def test_040_to_042_write_one_array_beside_results_without_a_time(
    tmp_path: Path,
) -> None:
    new = [choice_sample(i) for i in range(6)]
    write_run(tmp_path / "new", {"toy_mc": new})
    arguments = "pretrained=acme/toy-1b-seed3,revision=step1000"
    old = results({"toy_mc": {}})
    for key in ("lm_eval_version", "model_name", "chat_template", "n-samples"):
        del old[key]
    old["config"] = {"model": "hf", "model_args": arguments, "batch_size": "8"}
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(old, indent=2))
    name = arguments.replace("/", "__").replace("=", "__")
    samples = json.dumps([as_of_040(one) for one in new], indent=2)
    (folder / f"{name}_toy_mc.jsonl").write_text(samples)

    ours, theirs = load_results([folder]), load_results([tmp_path / "new"])
    (trial,) = ours.trials.to_dict("records")
    assert not ours.problems
    assert (trial["model"], trial["train_seed"], trial["step"]) == (
        "acme/toy-1b",
        3,
        1000,
    )
    assert (trial["fewshot_seed"], trial["backend"]) == (1234, "lm-eval 0.4")
    same = ["item_id", "choice_logprobs", "choice_chars", "target_index", "metrics"]
    for column in [*same, "prompt_digest"]:
        assert list(ours.responses[column]) == list(theirs.responses[column])
    assert set(ours.unknown) == {"dtype", "n_items_total"}


def test_an_array_on_one_line_is_an_array_too(tmp_path: Path) -> None:
    samples = [choice_sample(i) for i in range(3)]
    path = tmp_path / f"samples_toy_mc_{TIME}.json"
    path.write_text(json.dumps(samples))

    assert metrics_of(path).keys() == {0, 1, 2}


def test_samples_inside_results_are_read(tmp_path: Path) -> None:
    samples = [as_of_040(choice_sample(i)) for i in range(6)]
    made = results(samples={"toy_mc": samples})
    (tmp_path / "run.json").write_text(json.dumps(made))

    loaded = load_results([tmp_path])
    assert loaded.trials["n_items"].tolist() == [6]
    assert loaded.aggregates.empty


def test_several_filters_are_metrics_of_one_response(tmp_path: Path) -> None:
    strict = [
        text_sample(i, [f" {i}."], f" {i}.", filter_="strict-match") for i in range(4)
    ]
    flexible = [
        text_sample(i, [f" {i}."], f"{i}", filter_="flexible") for i in range(4)
    ]
    write_run(
        tmp_path,
        {"toy_gen": strict + flexible},
        tasks={"toy_gen": {"output_type": "generate_until"}},
    )

    found = metrics_of(tmp_path)
    both = {"exact_match,strict-match": 0.0, "exact_match,flexible": 1.0}
    assert found == dict.fromkeys(range(4), both)
    rows = load_results([tmp_path]).responses
    assert rows["answer"].tolist() == [f" {i}." for i in range(4)]
    assert rows["text"].tolist() == [f" {i}." for i in range(4)]


def test_filters_that_go_unnamed_have_the_order_of_the_results(tmp_path: Path) -> None:
    strict = [text_sample(i, [f" {i}."], f" {i}.", score=0) for i in range(4)]
    flexible = [text_sample(i, [f" {i}."], f"{i}") for i in range(4)]
    scores = {"exact_match,strict-match": 0.0, "exact_match,flexible": 1.0}
    write_run(
        tmp_path,
        {"toy_gen": [as_of_043(one) for one in strict + flexible]},
        tasks={"toy_gen": {"output_type": "generate_until"}},
        results={"toy_gen": scores},
    )

    assert metrics_of(tmp_path) == dict.fromkeys(range(4), scores)


def test_documents_in_the_order_of_several_gpus_are_told_by_their_filter(
    tmp_path: Path,
) -> None:
    def logged(i: int, filter_: str) -> dict:
        return text_sample(i, [str(i)], str(i), filter_=filter_)

    rank0 = [logged(i, f) for f in ("a", "b") for i in (0, 2)]
    rank1 = [logged(i, f) for f in ("a", "b") for i in (1, 3)]
    write_run(
        tmp_path,
        {"toy_gen": rank0 + rank1},
        tasks={"toy_gen": {"output_type": "generate_until"}},
    )

    both = {"exact_match,a": 1.0, "exact_match,b": 1.0}
    assert metrics_of(tmp_path) == dict.fromkeys(range(4), both)


# ---- several runs ------------------------------------------------------------------


def test_no_run_hides_another(tmp_path: Path) -> None:
    """Seeds, revisions and reruns of one model lie in one folder."""
    shifts = {"17": 0.0, "18": 1.5, "19": 3.0}
    for hour, shift in shifts.items():
        samples = [choice_sample(i, shift=shift) for i in range(6)]
        config = results()["config"] | {"model_revision": f"step{hour}"}
        config["model_args"] = f"pretrained=acme/toy-1b-seed3,revision=step{hour}"
        write_run(
            tmp_path,
            {"toy_mc": samples},
            time=f"2026-11-25T{hour}-00-00.5",
            config=config,
        )

    loaded = load_results([tmp_path])
    assert loaded.trials["step"].tolist() == [17, 18, 19]
    assert len(loaded.responses) == 18


def test_the_same_run_in_two_places_is_one(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b")

    loaded = load_results([tmp_path])
    assert len(loaded.trials) == 1


def test_a_run_is_had_by_its_results_by_its_samples_and_by_both(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    (file,) = folder.glob("results_*.json")
    (samples,) = folder.glob("samples_*.jsonl")

    trials = [load_results(paths).trials["trial_id"].tolist() for paths in (
        [file], [samples], [folder], [folder, samples, file],
    )]  # fmt: skip
    assert trials == [trials[0]] * 4


def test_results_beside_which_there_are_no_samples_are_scores(tmp_path: Path) -> None:
    tasks = {"toy_mc": {}, "toy_group": {}, "toy_ppl": {}}
    write_run(
        tmp_path,
        {},
        tasks=tasks,
        results={
            "toy_mc": {"alias": "toy_mc", "acc,none": 0.5, "acc_stderr,none": 0.25},
            "toy_ppl": {
                "word_perplexity,none": 12.5,
                "word_perplexity_stderr,none": "N/A",
            },
            "toy_group": {"acc,none": 0.9, "acc_stderr,none": 0.1},
        },
        groups={"toy_group": {"acc,none": 0.9}},
        group_subtasks={"toy_group": ["toy_mc"], "toy_mc": []},
    )

    loaded = load_results([tmp_path])
    assert loaded.trials.empty
    assert loaded.responses.empty
    rows = loaded.aggregates.set_index("task")
    assert set(rows.index) == {"toy_mc", "toy_ppl"}
    mc, ppl = rows.loc["toy_mc"], rows.loc["toy_ppl"]
    assert (mc["metric"], mc["value"], mc["se"], mc["n_items"]) == (
        "acc,none",
        0.5,
        0.25,
        6,
    )
    assert bool(mc["higher_is_better"])
    assert math.isnan(ppl["se"])
    assert (mc["model"], mc["train_seed"], mc["step"]) == ("acme/toy-1b", 3, 1000)


def test_scores_stand_beside_the_tasks_that_have_items(tmp_path: Path) -> None:
    folder = write_run(tmp_path, tasks={"toy_mc": {}, "other": {}})

    loaded = load_results([folder])
    assert loaded.trials["task"].tolist() == ["toy_mc"]
    assert loaded.aggregates["task"].tolist() == ["other"]


def test_results_of_02_and_03_are_scores(tmp_path: Path) -> None:
    old = {
        "results": {"arc_easy": {"acc": 0.4, "acc_stderr": 0.01, "acc_norm": 0.375}},
        "versions": {"arc_easy": 0},
        "config": {
            "model": "gpt2",
            "model_args": "pretrained=acme/toy-1b,revision=step3000",
            "num_fewshot": 5,
            "batch_size": 16,
            "limit": None,
        },
    }
    (tmp_path / "out.json").write_text(json.dumps(old, indent=2))

    rows = load_results([tmp_path]).aggregates.to_dict("records")
    assert [(r["metric"], r["value"]) for r in rows] == [
        ("acc,none", 0.4),
        ("acc_norm,none", 0.375),
    ]
    assert {r["model"] for r in rows} == {"acme/toy-1b"}
    assert {r["step"] for r in rows} == {3000}
    assert {r["num_fewshot"] for r in rows} == {5}
    assert {r["backend"] for r in rows} == {"lm-eval 0.3"}
    assert rows[0]["se"] == 0.01


def test_samples_alone_say_what_they_can(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    (file,) = folder.glob("results_*.json")
    file.unlink()

    loaded = load_results([tmp_path])
    (trial,) = loaded.trials.to_dict("records")
    assert (trial["model"], trial["train_seed"]) == ("acme/toy-1b", 3)
    assert (trial["task"], trial["output_type"]) == ("toy_mc", "multiple_choice")
    assert {"step", "dtype", "num_fewshot", "sample_seed"} <= set(loaded.unknown)


# ---- kinds of tasks ------------------------------------------------------------------


def one_row(tmp_path: Path, sample: dict, **config) -> dict:
    """Return the row of a task's only sample."""
    write_run(tmp_path, {"toy": [sample]}, tasks={"toy": config})
    (row,) = load_results([tmp_path]).responses.to_dict("records")
    return row


def test_a_likelihood_has_its_target(tmp_path: Path) -> None:
    sample = choice_sample(0) | {
        "target": " Grüße",
        "arguments": {"gen_args_0": {"arg_0": "Viele", "arg_1": " Grüße"}},
        "resps": [[["-2.5", "True"]]],
        "metrics": ["acc", "perplexity"],
        "acc": 1,
        "perplexity": -2.5,
    }

    row = one_row(tmp_path, sample, output_type="loglikelihood")
    assert (row["target"], row["target_logprob"], row["target_bytes"]) == (
        " Grüße",
        -2.5,
        8,
    )
    assert row["target_is_greedy"]
    assert dict(row["metrics"]) == {"acc,none": 1.0, "perplexity,none": -2.5}


def test_a_rolling_likelihood_has_its_bytes(tmp_path: Path) -> None:
    sample = choice_sample(0) | {
        "target": "some text",
        "arguments": {"gen_args_0": {"arg_0": "some text"}},
        "resps": [["-20.0"]],
        "metrics": ["word_perplexity", "bits_per_byte"],
        "word_perplexity": [-20.0, 2],
        "bits_per_byte": [-20.0, 9],
    }

    row = one_row(tmp_path, sample, output_type="loglikelihood_rolling")
    assert (row["target_logprob"], row["target_bytes"]) == (-20.0, 9)
    frame = load_results([tmp_path]).responses
    scored = score_responses(frame, ["bits_per_byte"])
    assert scored["bits_per_byte"].iloc[0] == pytest.approx(-20 / 9 / math.log(2))


@pytest.mark.parametrize(
    ("target", "place", "status"),
    [
        ("2", 2, "ok"),
        ("bird", 2, "ok"),
        ("[0, 2]", None, "several-targets"),
        ("9", None, "several-targets"),
        (2, 2, "ok"),
    ],
)
def test_the_right_choice_is_a_place_or_a_text(
    tmp_path: Path, target, place: int | None, status: str
) -> None:
    sample = choice_sample(0) | {"target": target}
    del sample["acc"]
    sample["metrics"] = ["acc_norm"]

    row = one_row(tmp_path, sample)
    assert (row["target_index"] if place is not None else None) == place
    assert row["status"] == status


def test_a_number_that_is_also_a_choice_is_what_lm_eval_made_of_it(
    tmp_path: Path,
) -> None:
    """Choices 2, 3, 0, 1 of which the text 3 is right: the best one, and acc is 1."""
    sample = choice_sample(0) | {
        "target": "3",
        "arguments": {
            f"gen_args_{c}": {"arg_0": "1 + 2 =", "arg_1": f" {choice}"}
            for c, choice in enumerate((2, 3, 0, 1))
        },
        "resps": [[[str(ll), "False"]] for ll in (-3.0, -1.0, -4.0, -5.0)],
        "acc": 1.0,
    }

    assert one_row(tmp_path, sample)["target_index"] == 1


def test_choices_of_mutual_information_are_asked_twice(tmp_path: Path) -> None:
    sample = choice_sample(0)
    for c in range(4):
        twin = sample["arguments"][f"gen_args_{c}"]
        sample["arguments"][f"gen_args_{c + 4}"] = {**twin, "arg_0": ""}
    sample["resps"] = sample["resps"] * 2
    sample["metrics"] = ["acc", "acc_mutual_info"]
    sample["acc_mutual_info"] = 0.0

    row = one_row(tmp_path, sample)
    assert len(row["choice_logprobs"]) == 4
    assert row["target_index"] == 0


def test_choices_that_stand_in_the_prompt_have_no_length(tmp_path: Path) -> None:
    """As in Winogrande: one continuation after each of several contexts."""
    sample = choice_sample(0) | {
        "target": "1",
        "resps": [[["-2.0", "False"]], [["-1.0", "False"]]],
    }
    sample["arguments"] = {
        f"gen_args_{c}": {
            "arg_0": f"The {word} was heavy because the",
            "arg_1": " cup was.",
        }
        for c, word in enumerate(("cup", "box"))
    }
    sample["acc"], sample["acc_norm"] = 1.0, 0.0

    row = one_row(tmp_path, sample)
    assert row["choice_chars"] is None
    assert row["formulation"] == ""
    scored = score_responses(load_results([tmp_path]).responses)
    assert scored["acc"].tolist() == [1.0]
    assert scored["acc_norm"].tolist() == [0.0]  # lm-eval's own


def test_likelihoods_that_are_no_number_are_none(tmp_path: Path) -> None:
    sample = choice_sample(0)
    sample["resps"][1] = [["nan", "False"]]

    row = one_row(tmp_path, sample)
    assert row["status"] == "nan-logprob"
    assert row["metrics"] is None


def test_scores_that_are_no_number_are_left_out(tmp_path: Path) -> None:
    """Python's JSON has NaN, which JSON has not; a list is no score of an item."""
    sample = choice_sample(0) | {"acc_norm": float("nan"), "inst": [True, False]}
    sample["metrics"] = ["acc", "acc_norm", "inst"]

    assert dict(one_row(tmp_path, sample)["metrics"]) == {"acc,none": 1.0}


def test_a_chat_template_is_another_template(tmp_path: Path) -> None:
    write_run(tmp_path / "a", chat_template="{{messages}}", fewshot_as_multiturn=True)
    write_run(tmp_path / "b", chat_template="{{ messages }}", fewshot_as_multiturn=True)
    write_run(tmp_path / "c", system_instruction="Be brief.")

    trials = load_results([tmp_path]).trials
    assert sorted(trials["template"]) == [
        "chat",
        "chat",
        f"system {digest('Be brief.')[:6]}",
    ]
    assert trials["template_digest"].nunique() == 3
    own = Template(name="s", system_prompt="Be brief.").digest
    assert own in set(trials["template_digest"])


# ---- repeats -----------------------------------------------------------------------

GENERATES = {
    "output_type": "generate_until",
    "repeats": 2,
    "generation_kwargs": {"do_sample": True, "temperature": 0.7},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean"}],
}


def test_repeats_are_scored_each_where_nothing_stands_between(tmp_path: Path) -> None:
    samples = [text_sample(i, [str(i), "x", str(i)], str(i)) for i in range(3)]
    write_run(tmp_path, {"toy": samples}, tasks={"toy": GENERATES})

    loaded = load_results([tmp_path])
    rows = loaded.responses
    assert not loaded.problems
    assert loaded.trials[["n_items", "repeats", "sampled"]].values.tolist() == [
        [3, 3, True]
    ]
    assert rows["repeat"].tolist() == [0, 1, 2] * 3
    assert [dict(m)["exact_match,none"] for m in rows["metrics"]] == [1.0, 0.0, 1.0] * 3


def test_repeats_of_05_bring_their_scores(tmp_path: Path) -> None:
    samples = [
        text_sample(
            i, ["a", "b"], "a", score=0.5, scores_per_repeat={"exact_match": [0, 1]}
        )
        for i in range(3)
    ]
    write_run(tmp_path, {"toy": samples}, tasks={"toy": GENERATES | {"filter_list": [
        {"name": "none", "filter": [{"function": "regex"}]}
    ]}})  # fmt: skip

    rows = load_results([tmp_path]).responses
    assert [dict(m) for m in rows["metrics"]] == [
        {"exact_match,none": 0.0}, {"exact_match,none": 1.0},
    ] * 3  # fmt: skip


def test_repeats_with_one_score_are_one_row_and_said_to_be(tmp_path: Path) -> None:
    """Majority voting: the score is the item's, and no answer's own."""
    samples = [text_sample(i, ["x", "y", str(i)], str(i)) for i in range(3)]
    voting = [{"name": "maj@3", "filter": [{"function": "majority_vote"}]}]
    write_run(
        tmp_path, {"toy": samples}, tasks={"toy": GENERATES | {"filter_list": voting}}
    )

    loaded = load_results([tmp_path])
    (problem,) = loaded.problems
    assert not problem.is_left_out
    assert "3 answers to an item and one score" in problem.reason
    assert loaded.trials["repeats"].tolist() == [1]
    assert loaded.responses["text"].tolist() == ["x", "x", "x"]


# ---- clusters ----------------------------------------------------------------------


def test_a_field_of_the_document_says_what_belongs_together(tmp_path: Path) -> None:
    write_run(tmp_path)

    rows = load_results([tmp_path], cluster_field="passage").responses
    assert rows["cluster"].tolist() == ["p0", "p0", "p1", "p1", "p2", "p2"]
    plain = load_results([tmp_path]).responses
    assert plain["cluster"].isna().all()
    assert plain["trial_id"].tolist() == rows["trial_id"].tolist()


def test_a_field_that_is_not_there_is_refused_with_those_that_are(
    tmp_path: Path,
) -> None:
    write_run(tmp_path)

    with pytest.raises(HarnessError, match="no field 'story'; it has choices, gold"):
        load_results([tmp_path], cluster_field="story")


def test_results_may_have_a_name_of_their_own(tmp_path: Path) -> None:
    """As of an output path that ends in .json, since 0.4.9."""
    folder = write_run(tmp_path)
    (file,) = folder.glob("results_*.json")
    file.rename(folder / f"mine_{TIME}.json")

    loaded = load_results([folder])
    assert loaded.trials["backend"].tolist() == ["lm-eval 0.4.9"]
    assert not loaded.problems


# ---- what older or other files leave out ---------------------------------------------


def trial_of(folder: Path) -> dict:
    """Return the only trial of a folder."""
    (trial,) = load_results([folder]).trials.to_dict("records")
    return trial


def test_a_run_without_a_date_has_that_of_its_file(tmp_path: Path) -> None:
    write_run(tmp_path, date=None)

    ended = datetime.datetime(2026, 11, 25, 3, 17, 0, 123456, datetime.UTC)
    trial = trial_of(tmp_path)
    assert trial["finished_at"].to_pydatetime() == ended
    assert pd.isna(trial["started_at"])


@pytest.mark.parametrize(
    ("said", "column", "expected"),
    [
        ({"batch_size": "auto", "batch_sizes": [64]}, "batch_size", 64),
        ({"batch_size": "auto", "batch_sizes": [64, 32]}, "batch_size", None),
        ({"batch_size": 8.0}, "batch_size", 8),
        ({"model_args": {"pretrained": "a", "dtype": "bfloat16"}}, "dtype", "bfloat16"),
        ({"model_args": {"pretrained": "a", "dtype": "auto"}}, "dtype", None),
        ({"gen_kwargs": "temperature=0.5,do_sample=True"}, "generation",
         '{"do_sample": true, "temperature": 0.5}'),
        ({"gen_kwargs": {"until": ["x"]}}, "generation", '{"until": ["x"]}'),
        ({"torch_seed": None}, "sample_seed", 0),
        ({"torch_seed": 2**70}, "sample_seed", 0),
        ({"model_args": {"pretrained": "./tiny", "subfolder": "step320"}}, "step", 320),
        ({"model_args": {"pretrained": "base", "peft": "acme/x"}}, "model", "acme/x"),
        ({"model_args": {"model": "gpt-x"}}, "model", "gpt-x"),
    ],
)  # fmt: skip
def test_what_the_configuration_says(tmp_path: Path, said, column, expected) -> None:
    config = {"model": "hf", "model_args": {"pretrained": "a"}, **said}
    names = [config["model_args"].get(k) for k in ("peft", "pretrained", "model")]
    write_run(tmp_path, config=config, model_name=next(filter(None, names)))

    found = trial_of(tmp_path)[column]
    assert (None if pd.isna(found) else found) == expected


def test_old_samples_alone_have_their_model_in_their_name(tmp_path: Path) -> None:
    name = "pretrained__acme__toy-1b-seed3,dtype__float32_arc_easy.jsonl"
    (tmp_path / name).write_text(json.dumps([as_of_040(choice_sample(0))]))

    trial = trial_of(tmp_path)
    assert (trial["model"], trial["train_seed"], trial["task"]) == (
        "acme/toy-1b",
        3,
        "arc_easy",
    )


def test_samples_under_any_name_have_their_folder_s(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/answers.jsonl").write_text(json.dumps(choice_sample(0)))

    trial = trial_of(tmp_path)
    assert (trial["model"], trial["task"]) == ("toy", "answers")


def test_what_is_asked_shows_in_samples_alone(tmp_path: Path) -> None:
    one = choice_sample(0)
    single = {"gen_args_0": one["arguments"]["gen_args_0"]}
    lone = {"gen_args_0": {"arg_0": "some text"}}
    kinds = {
        "multiple_choice": one,
        "loglikelihood": one | {"arguments": single, "resps": [[["-1.0", "True"]]]},
        "generate_until": text_sample(0, ["a"], "a"),
        "loglikelihood_rolling": one | {
            "arguments": lone, "resps": [["-9.0"]],
            "metrics": ["bits_per_byte"], "bits_per_byte": [-9.0, 9],
        },
    }  # fmt: skip
    for kind, sample in kinds.items():
        (tmp_path / f"samples_{kind}_{TIME}.jsonl").write_text(json.dumps(sample))

    trials = load_results([tmp_path]).trials.set_index("task")
    assert trials["output_type"].to_dict() == {kind: kind for kind in kinds}


def test_the_first_of_several_references_is_the_target(tmp_path: Path) -> None:
    targets = {"['Paris', 'paris']": "Paris", "[3": "[3", "['a' ]": "['a' ]", "": ""}
    for target, expected in targets.items():
        sample = text_sample(0, ["x"], "x", target=target)
        path = tmp_path / f"samples_toy_{TIME}.jsonl"
        path.write_text(json.dumps(sample))
        assert load_results([path]).responses["target"].tolist() == [expected]
    path.write_text(json.dumps(text_sample(0, ["x"], "x", target=["Paris", "paris"])))
    assert load_results([path]).responses["target"].tolist() == ["Paris"]


def test_filters_beyond_those_that_are_named_are_numbered(tmp_path: Path) -> None:
    samples = [as_of_043(text_sample(0, ["x"], "x", score=s)) for s in (0, 0.25, 0.5)]
    path = tmp_path / f"samples_toy_{TIME}.jsonl"
    path.write_text("\n".join(map(json.dumps, samples)))

    assert metrics_of(path)[0] == {
        "exact_match,none": 0.0,
        "exact_match,filter 2": 0.25,
        "exact_match,filter 3": 0.5,
    }


def test_a_later_filter_with_two_scores_for_an_item_is_refused(tmp_path: Path) -> None:
    samples = [text_sample(0, ["x"], "x", filter_=f) for f in ("a", "b")]
    samples += [text_sample(0, ["x"], "x", filter_="b", score=1)]
    path = write_samples(tmp_path / f"samples_toy_{TIME}.jsonl", samples)

    with pytest.raises(HarnessError, match=r"jsonl:3: item 0 stands there twice under"):
        load_results([path])


def test_lines_that_are_there_twice_count_once(tmp_path: Path) -> None:
    """Several processes may append to one file."""
    samples = [choice_sample(i) for i in range(3)]
    path = write_samples(tmp_path / f"samples_toy_mc_{TIME}.jsonl", samples * 2)
    assert len(load_results([path]).responses) == 3
    both = [text_sample(0, ["x"], "x", filter_=f) for f in ("a", "b")]
    path = write_samples(tmp_path / f"samples_toy_gen_{TIME}.jsonl", both * 2)
    assert metrics_of(path)[0].keys() == {"exact_match,a", "exact_match,b"}


def test_choices_keep_their_own_space_and_letters(tmp_path: Path) -> None:
    sample = choice_sample(0)
    for c, choice in enumerate(("Ä", " B", "C", "D")):
        sample["arguments"][f"gen_args_{c}"]["arg_1"] = choice

    row = one_row(tmp_path, sample, target_delimiter=" ")
    assert list(row["choice_chars"]) == [1, 2, 1, 1]
    assert list(row["choice_bytes"]) == [2, 2, 1, 1]
    assert row["formulation"] == "cloze"
    letters = choice_sample(0)
    for c, choice in enumerate("ABCD"):
        letters["arguments"][f"gen_args_{c}"]["arg_1"] = f" {choice}"
    assert one_row(tmp_path, letters)["formulation"] == "choice"
    declared = {"metadata": {"formulation": "cloze"}}
    assert one_row(tmp_path, letters, **declared)["formulation"] == "cloze"


def test_turns_of_a_conversation_are_a_prompt_too(tmp_path: Path) -> None:
    sample = text_sample(0, ["x"], "x")
    turns = [{"role": "user", "content": "0 + 0 ="}]
    sample["arguments"]["gen_args_0"]["arg_0"] = turns

    row = one_row(tmp_path, sample, output_type="generate_until")
    assert row["prompt_digest"] == digest(turns)


def test_lines_unlike_the_first_are_read_in_full(tmp_path: Path) -> None:
    """More choices, other metrics: what the first line looks like is no rule."""
    more = choice_sample(1)
    more["arguments"]["gen_args_4"] = {
        **more["arguments"]["gen_args_0"],
        "arg_1": " ox",
    }
    more["resps"] += [[["-0.5", "True"]]]
    other = choice_sample(2) | {"metrics": ["acc", "f1"], "f1": 0.5}
    write_run(tmp_path, {"toy": [choice_sample(0), more, other, choice_sample(3)]})

    rows = load_results([tmp_path]).responses
    assert [len(lls) for lls in rows["choice_logprobs"]] == [4, 5, 4, 4]
    assert [name for name, _ in rows["metrics"][2]] == ["acc,none", "f1,none"]


def test_metrics_may_be_called_anything(tmp_path: Path) -> None:
    """Names that a struct cannot have, and those that a sample has anyway."""
    odd = {"a\nb": 1.0, 'q"\\': 0.5, "": 0.25, "größe": 2.0}
    samples = [choice_sample(i) | odd | {"metrics": [*odd, "doc"]} for i in range(2)]
    path = write_samples(tmp_path / f"samples_toy_{TIME}.jsonl", samples)

    assert metrics_of(path)[1] == {f"{name},none": value for name, value in odd.items()}


def test_a_file_with_no_sample_in_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"samples_toy_{TIME}.jsonl"
    for nothing in ("", "\n\n", "[]", "[ ]"):
        path.write_text(nothing)
        with pytest.raises(HarnessError, match="it holds no sample"):
            load_results([path])


@pytest.mark.parametrize(
    ("better", "metric_list", "expected"),
    [
        ({"toy_mc": {"acc": True, "toxicity": False}}, [], ["toxicity"]),
        ({"toy_mc": {"acc": True}}, [], []),
        ({"toy_mc": {"acc": None}}, [], None),
        ({"toy_mc": [{}]}, "x", None),
        ({}, [], None),
        ({}, [{"metric": "toxicity", "higher_is_better": False}, {}], ["toxicity"]),
        ({}, [{"metric": ["x"], "higher_is_better": 1}], None),
    ],
)
def test_which_way_is_better_is_as_the_run_says(
    tmp_path: Path, better, metric_list, expected
) -> None:
    tasks = {"toy_mc": {"metric_list": metric_list}}
    write_run(tmp_path, tasks=tasks, higher_is_better=better)
    loaded = load_results([tmp_path])
    [said] = loaded.trials["lower_is_better"]

    assert not loaded.problems
    assert (json.loads(said) if isinstance(said, str) else None) == expected
