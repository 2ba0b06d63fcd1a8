"""What names and paths say of a checkpoint."""

from __future__ import annotations

import pytest

from harness.errors import CheckpointError, InputError
from harness.ingest.names import PathPattern, checkpoint_of, completed


@pytest.mark.parametrize(
    ("name", "revision", "expected"),
    [
        ("EleutherAI/pythia-160m", None, ("EleutherAI/pythia-160m", None, None)),
        ("acme/pythia-160m-seed3", "step1000", ("acme/pythia-160m", 3, 1000)),
        ("EleutherAI/pythia-160m", "main", ("EleutherAI/pythia-160m", None, None)),
        ("EleutherAI/pythia-160m", "abc123", ("EleutherAI/pythia-160m", None, None)),
        ("gpt2", None, ("gpt2", None, None)),
        ("/data/runs/tiny/seed0/step40", None, ("tiny", 0, 40)),
        ("/data/runs/tiny/seed_0/checkpoint-500/", None, ("tiny", 0, 500)),
        ("runs/tiny/global_step500", None, ("tiny", None, 500)),
        ("./tiny-step300", None, ("tiny", None, 300)),
        ("./tiny.seed7-step300", None, ("tiny", 7, 300)),
        ("/step40", None, ("/step40", None, 40)),
        ("seed3", None, ("seed3", 3, None)),
        (f"acme/toy-step{10**20}", None, (f"acme/toy-step{10**20}", None, None)),
    ],
)  # fmt: skip
def test_names_say_model_seed_and_step(name, revision, expected) -> None:
    said = checkpoint_of(name, revision)

    assert (said["model"], said.get("train_seed"), said.get("step")) == expected


@pytest.mark.parametrize(
    ("pattern", "below", "expected"),
    [
        ("{model}/s{train_seed}", "tiny/s3/x.json", {"model": "tiny", "train_seed": 3}),
        ("out/{model}", "out/tiny/results.json", {"model": "tiny"}),
        ("{step}", "40/x.json", {"step": 40}),
        ("seed{train_seed}", "a/b/seed3/x.json", {"train_seed": 3}),
        ("{task}.csv", "a/arc.csv", {"task": "arc"}),
        ("/{model}/{task}/", "tiny/arc/x.csv", {"model": "tiny", "task": "arc"}),
        ("{model}/{model}", "a/b/x.json", None),
        ("{model}/{model}", "a/b/b/x.json", {"model": "b"}),
        ("seed{train_seed}", "seedling/x.json", None),
        ("seed{train_seed}", "myseed3/x.json", None),
        ("a.b/{model}", "axb/tiny/x.json", None),
    ],
)  # fmt: skip
def test_a_pattern_is_found_between_slashes(pattern, below, expected) -> None:
    assert PathPattern(pattern).fields(f"/home/{below}", below) == expected


def test_fields_that_say_nothing_of_results_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"has \{colour\}; it may have \{model\}"):
        PathPattern("{colour}/{model}")
    with pytest.raises(InputError, match="has no field; give one such as") as caught:
        PathPattern("runs/seed3")
    assert caught.value.code == "pattern-field"


def test_a_path_completes_and_never_replaces() -> None:
    said = {"model": "acme/toy", "step": 5, "train_seed": None}
    path = {"model": "acme__toy", "step": 6, "train_seed": 1}

    made, contradicted = completed(said, path)
    assert made == {"model": "acme/toy", "step": 5, "train_seed": 1}
    assert contradicted == {"step": (5, 6)}
