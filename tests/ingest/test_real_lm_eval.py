"""What lm-eval itself writes pairs with our own run: items, prompts and scores."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("lm_eval")

from toy import make_world, run_suite

from harness.ingest.load import load_results
from harness.stats.scores import score_responses
from harness.store import Store

pytestmark = [
    pytest.mark.lm_eval,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

TASKS = ("toy_cloze", "toy_cloze_shots", "toy_generate", "toy_last_word", "toy_sampled")


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return our own responses, and those that lm-eval wrote, with their trials."""
    root = tmp_path_factory.mktemp("world")
    run_suite(make_world(root, seeds=(0,), steps=(10,)), root / "store")
    write_with_lm_eval(root, root / "out")
    loaded = load_results([root / "out"])
    return Store(root / "store").responses(), loaded.responses, loaded.trials


def write_with_lm_eval(root: Path, out: Path) -> None:
    """Evaluate and write as lm-eval's command does, without listing its own tasks."""
    import lm_eval
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    tracker = EvaluationTracker(output_path=str(out))
    results = lm_eval.simple_evaluate(
        model="hf",
        model_args={
            "pretrained": str(root / "runs/toy/seed0/step10"), "dtype": "float32",
        },
        tasks=list(TASKS),
        task_manager=TaskManager(
            include_path=str(root / "tasks"), include_defaults=False
        ),
        batch_size=16,
        device="cpu",
        bootstrap_iters=0,
        evaluation_tracker=tracker,
    )  # fmt: skip
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])


def test_its_folder_says_which_checkpoint_it_was(both) -> None:
    trials = both[2].set_index("task")

    assert set(trials.index) == set(TASKS)
    for name, value in {
        "model": "toy", "train_seed": 0, "step": 10, "dtype": "float32",
        "batch_size": 16, "backend": "lm-eval 0.4.13", "template": "default",
        "n_items": 12, "fewshot_seed": 1234,
    }.items():  # fmt: skip
        assert set(trials[name]) == {value}
    assert trials["num_fewshot"].to_dict() == {
        "toy_cloze": 0, "toy_cloze_shots": 3, "toy_generate": 2, "toy_last_word": 0,
        "toy_sampled": 2,
    }  # fmt: skip
    assert trials["sampled"].to_dict()["toy_sampled"]
    assert trials["repeats"].to_dict()["toy_sampled"] == 3


@pytest.mark.parametrize(
    "task", ["toy_cloze", "toy_cloze_shots", "toy_generate", "toy_last_word"]
)
def test_both_say_the_same(both, task: str) -> None:
    ours, theirs = (
        score_responses(
            frame[(frame["task"] == task) & (frame["formulation"] != "choice")]
        )
        .sort_values("item_index")
        .reset_index(drop=True)
        for frame in both[:2]
    )

    assert len(ours) == len(theirs) == 12
    for name in (
        "item_id", "item_index", "prompt_digest", "target", "target_index", "text",
        "answer", "formulation", "num_fewshot", "template", "template_digest",
        "generation", "output_type", "dtype", "batch_size", "acc", "acc_norm",
        "acc_bytes", "exact_match", "choice_chars", "choice_bytes", "metrics",
        "target_is_greedy", "status", "choice_logprobs",
    ):  # fmt: skip
        if name.startswith("target_is") and task == "toy_generate":
            continue  # we ask for the reference answer's likelihood as well
        pd.testing.assert_series_equal(
            ours[name], theirs[name], check_dtype=False, check_categorical=False
        )
