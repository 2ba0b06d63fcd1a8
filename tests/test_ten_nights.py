"""Ten nights on the zoo: a checkpoint appears each night, and one of them is spoiled.

Night after night `evalvar run` evaluates what is new with Ray and lm-eval, and
`evalvar gate` judges it. The model has stopped learning: its checkpoints are the zoo's
last one with a little noise on all weights, as the last steps of a long training have.
In one of them the words of one task's answers have changed places, so that this task
falls and the others do not.

Commands are processes of their own on the night that matters most, which find their
Ray already started; on the others the same commands run in this process, and the trials
without Ray, which takes a tenth of the time.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fakes import no_ray
from scipy.special import expit
from scipy.stats import binomtest

from harness import cli
from harness.frames import JOINED, RESPONSES, TRIALS
from harness.gate.judge import judge
from harness.gate.policy import Policy
from harness.store import Store, as_frame, joined

N_NIGHTS = 10
SPOILED = 7
"""The night on which the spoiled checkpoint appears."""

WITH_RAY = {SPOILED}
"""Nights whose commands are processes of their own."""

BEFORE = (600, 610, 620, 630, 640)
"""Steps that are there when the nights begin; the last of them is the release."""

TASKS = ("zoo_agreement", "zoo_facts_cloze", "zoo_sequences_cloze")

SUITE = f"""
suite: nightly
task_paths: [zoo://tasks]
checkpoints:
  - pattern: runs/{{model}}/seed{{train_seed}}/step{{step}}
tasks: [{", ".join(TASKS)}]
resources: {{batch_size: 64, workers: 1}}
"""

POLICY = """
critical: [zoo_facts_cloze, zoo_sequences_cloze]
supporting: [zoo_agreement]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What came of one night."""

    number: int
    step: int
    evaluated: list[tuple[int, str]]
    """Step and task of each trial that was stored since the night before."""

    run_status: int
    gate_status: int
    gate: dict[str, Any]
    printed: str
    written: set[str]
    """Names of the reports that the gate wrote."""

    @property
    def states(self) -> dict[str, str]:
        """State of each task."""
        return {cell["task"]: cell["state"] for cell in self.gate["cells"]}


def in_a_process(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 1, done.stderr
    return done.returncode, done.stdout


def here(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        no_ray(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        patch.setattr(sys, "argv", ["evalvar", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0), out.getvalue()


def quiet_history(rng, *, n_checkpoints=8, n_items=80, noise=0.2, loss=0.0):
    """Answers of checkpoints of equal quality to two tasks, as a store returns them.

    Items differ in difficulty, and most answers of one item are those of the
    checkpoint before; `noise` is the SD between checkpoints in logits, some .04 of a
    score, and `loss` what the last one lacks in the first task.
    """
    tasks, shape = ("one", "two"), (2, n_checkpoints, n_items)
    ease = rng.normal(0.8, 1.5, (2, 1, n_items))
    level = rng.normal(0, noise, (2, n_checkpoints, 1))
    level[0, -1] -= loss
    chance = expit(ease + level)
    own, shared = rng.random(shape), rng.random((2, 1, n_items))
    draws = np.where(rng.random(shape) < 0.15, own, shared)
    numbers = np.arange(2 * n_checkpoints)
    task, step = (index.ravel() for index in np.indices(shape[:2]))
    trials = table(
        TRIALS,
        attempt_id=numbers.astype(str),
        trial_id=numbers.astype(str),
        model="ours",
        train_seed=0,
        step=step * 10,
        task=np.array(tasks)[task],
        formulation="",
        num_fewshot=0,
        template="default",
        generation="",
        fewshot_seed=0,
        sample_seed=0,
        output_type="generate_until",
        sampled=False,
        n_items_total=n_items,
        weights_digest=step.astype(str),
        finished_at=np.datetime64("2026-01-01") + step.astype("timedelta64[D]"),
    )
    scores = (draws < chance).astype(float).ravel()
    responses = table(
        RESPONSES,
        attempt_id=np.repeat(numbers, n_items).astype(str),
        trial_id=np.repeat(numbers, n_items).astype(str),
        item_id=np.tile(np.arange(n_items), len(numbers)).astype(str),
        item_index=np.tile(np.arange(n_items), len(numbers)),
        repeat=0,
        status="ok",
        metrics=[[("exact_match,none", score)] for score in scores],
    )
    return as_frame(joined(trials, responses, JOINED.names))


def table(schema, **columns):
    """Make a table of these columns; the others are null."""
    n = max(len(c) for c in columns.values() if not isinstance(c, str | int))
    filled = {
        name: [values] * n if isinstance(values, str | int) else values
        for name, values in columns.items()
    }
    return pa.table(
        {
            field.name: pa.array(filled.get(field.name, [None] * n), field.type)
            for field in schema
        }
    )


@pytest.mark.slow
def test_quiet_nights_are_no_oftener_red_than_the_policy_says():
    """Two hundred nights, each with a history of its own, and twenty after a loss.

    A tier may be red on half of 1 - `confidence_level` of the quiet nights.
    """
    policy = Policy.model_validate(
        {"baseline": "ours@0", "critical": ["one", "two"], "delta": 0.0}
    )
    rng = np.random.default_rng(5)
    quiet = [judge(quiet_history(rng), policy=policy) for _ in range(200)]
    n_red = sum(night.status == "failed" for night in quiet)
    lost = [judge(quiet_history(rng, loss=1.6), policy=policy) for _ in range(20)]

    nominal = (1 - policy.confidence_level) / 2
    assert [tier.level for tier in quiet[0].tiers] == [pytest.approx(nominal)]
    interval = binomtest(n_red, 200).proportion_ci(method="exact")
    assert interval.low <= nominal <= interval.high
    assert sum(night.status == "failed" for night in lost) >= 15


def grow(zoo: Path, runs: Path, step: int, *, spoil: bool = False) -> None:
    """Let a checkpoint appear, whole and under its own name at once."""
    import torch
    from safetensors.torch import load_file, save_file
    from tokenizers import Tokenizer

    source = zoo / "zoo-small/seed0/step640"
    partial_folder = runs.parent / "partial"
    shutil.copytree(source, partial_folder)
    weights = load_file(source / "model.safetensors")
    draw = torch.Generator().manual_seed(step)
    for name, values in weights.items():
        if values.ndim == 2:
            noise = torch.randn(values.shape, generator=draw)
            weights[name] = values + 0.02 * values.std() * noise
    if spoil:
        (file,) = (zoo / "tasks/data").glob("sequences-test-*.jsonl")
        items = [json.loads(line) for line in file.read_text().splitlines()]
        words = sorted({f" {choice}" for item in items for choice in item["choices"]})
        tokens = Tokenizer.from_file(str(source / "tokenizer.json"))
        ids = sorted({i for word in words for i in tokens.encode(word).ids})[::3]
        table = weights["model.embed_tokens.weight"]
        table[ids] = table[ids].roll(1, 0)
    save_file(weights, partial_folder / "model.safetensors", {"format": "pt"})
    folder = runs / f"ours/seed0/step{step}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial_folder.rename(folder)


def play(night: int, zoo: Path, ray: str) -> Night:
    """Let a checkpoint appear, and give the night's two commands."""
    command, at = (
        (in_a_process, ["--ray-address", ray]) if night in WITH_RAY else (here, [])
    )
    step = BEFORE[-1] + 10 * night
    grow(zoo, Path("runs"), step, spoil=night == SPOILED)
    before = trials()
    run_status, _ = command("run", "nightly.yaml", "--store", "store", *at)
    reports = [f"{night}.{kind}" for kind in ("json", "md", "xml", "html")]
    outputs = [word for report in reports for word in ("-o", report)]
    gate_status, printed = command("gate", "store", "--policy", "gate.yaml", *outputs)
    return Night(
        number=night,
        step=step,
        evaluated=sorted(trials() - before),
        run_status=run_status,
        gate_status=gate_status,
        gate=json.loads(Path(f"{night}.json").read_text()),
        printed=printed,
        written={report for report in reports if Path(report).stat().st_size > 500},
    )


def trials() -> set[tuple[int, str]]:
    """Step and task of each trial in the store."""
    stored = Store("store").trials().to_pylist()
    return {(trial["step"], trial["task"]) for trial in stored}


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Evaluate what is there, set the baseline, and play the nights."""
    import ray

    from harness.run.pool import cluster
    from harness.zoo import build_zoo

    zoo = build_zoo().root
    folder = tmp_path_factory.mktemp("nights")
    (folder / "nightly.yaml").write_text(SUITE)
    (folder / "gate.yaml").write_text(POLICY)
    with contextlib.chdir(folder):
        for step in BEFORE:
            grow(zoo, Path("runs"), step)
        here("run", "nightly.yaml", "--store", "store")
        release = ["--model", "ours", "--step", str(BEFORE[-1])]
        status, _ = here("baseline", "set", "store", *release, "--reason", "version 1")
        assert status == 0
        with cluster(None):
            address = ray.get_runtime_context().gcs_address
            return [play(night, zoo, address) for night in range(1, N_NIGHTS + 1)]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.lm_eval
def test_ten_nights_of_which_one_is_red(nights):
    """Each evaluates what is new and no more; the spoiled one is stopped, by name."""
    for night in nights:
        assert night.run_status == 0
        assert night.evaluated == [(night.step, task) for task in TASKS]
        assert len(night.written) == 4
        if night.number != SPOILED:
            assert night.gate_status == 0, night.printed
            assert night.gate["status"] == "passed"
            assert "regression" not in night.states.values()
    red = nights[SPOILED - 1]

    assert red.gate_status == 3
    assert red.gate["status"] == "failed"
    assert [task for task, state in red.states.items() if state == "regression"] == [
        "zoo_sequences_cloze"
    ]
    (line,) = [line for line in red.printed.splitlines() if "▼" in line]
    assert line.startswith("zoo_sequences_cloze")
