"""Do the tasks load by lm-eval, as they are, and ask what they should?"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.zoo import TINY, Zoo
from harness.zoo.tasks import TASK_NAMES, tasks_complete, write_tasks
from harness.zoo.world import World, make_world

CHANCE = {
    "zoo_agreement": 0.5,
    "zoo_arithmetic": 0.0,
    "zoo_facts_choice": 0.25,
    "zoo_facts_cloze": 0.25,
    "zoo_recall": 0.0,
    "zoo_sequences_choice": 0.25,
    "zoo_sequences_cloze": 0.25,
}

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_EVALUATE_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(0, n_items=40, n_documents=10)


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    write_tasks(world, tmp_path / "tasks")
    return tmp_path / "tasks"


def read(folder: Path, task: str) -> dict[str, Any]:
    config: dict[str, Any] = YAML(typ="safe").load(folder / f"{task}.yaml")
    return config


def test_all_tasks_are_written_with_their_chance(folder: Path) -> None:
    assert set(TASK_NAMES) == set(CHANCE)
    for task, chance in CHANCE.items():
        config = read(folder, task)
        assert config["task"] == task
        assert config["metadata"]["chance"] == chance


@pytest.mark.parametrize("pair", ["facts", "sequences"])
def test_both_formulations_read_the_same_file(folder: Path, pair: str) -> None:
    choice, cloze = (read(folder, f"zoo_{pair}_{f}") for f in ("choice", "cloze"))

    assert choice["dataset_kwargs"] == cloze["dataset_kwargs"]
    assert choice["doc_to_target"] == cloze["doc_to_target"]
    assert choice["metadata"]["formulation"] == "choice"
    assert cloze["metadata"]["formulation"] == "cloze"


def test_file_name_changes_with_its_content(folder: Path, tmp_path: Path) -> None:
    """The cache of the datasets library goes by name and modification time."""
    other = make_world(1, n_items=40, n_documents=10)
    write_tasks(other, tmp_path / "other")

    names = [{f.name for f in d.glob("data/*")} for d in (folder, tmp_path / "other")]
    assert not names[0] & names[1]


def test_lost_data_is_noticed(folder: Path) -> None:
    assert tasks_complete(folder)
    next(folder.glob("data/facts-test-*")).unlink()
    assert not tasks_complete(folder)


def test_items_are_lines_of_json(folder: Path, world: World) -> None:
    path = read(folder, "zoo_facts_cloze")["dataset_kwargs"]["data_files"]["test"]
    lines = Path(path).read_text().splitlines()

    assert [json.loads(line) for line in lines] == list(world.facts)


@pytest.fixture
def loaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    for name, value in {**OFFLINE, "HF_HOME": str(tmp_path / "hf")}.items():
        monkeypatch.setenv(name, value)
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    tasks: dict[str, Any] = manager.load(list(TASK_NAMES))["tasks"]
    for task in tasks.values():
        task.set_fewshot_seed(0)
        task.build_all_requests()
    return tasks


@pytest.mark.lm_eval
def test_lm_eval_builds_the_requests(loaded: dict[str, Any]) -> None:
    found = {name: len(task.instances) for name, task in loaded.items()}

    assert found == {
        "zoo_agreement": 80,
        "zoo_arithmetic": 40,
        "zoo_facts_choice": 160,
        "zoo_facts_cloze": 160,
        "zoo_recall": 40,
        "zoo_sequences_choice": 160,
        "zoo_sequences_cloze": 160,
    }


@pytest.mark.lm_eval
def test_lm_eval_asks_what_is_meant(loaded: dict[str, Any], world: World) -> None:
    item, pair, total = world.facts[0], world.agreement[0], world.sums[0]
    shown = "".join(
        f"\n{letter}. {choice}"
        for letter, choice in zip("ABCD", item["choices"], strict=True)
    )

    def asked(task: str) -> list[Any]:
        return [i.args for i in loaded[task].instances if i.doc_id == 0]

    question = f"Question: {item['question']}"
    assert asked("zoo_facts_choice") == [
        (f"{question}{shown}\nAnswer:", f" {letter}") for letter in "ABCD"
    ]
    assert asked("zoo_facts_cloze") == [
        (f"{question}\nAnswer:", f" {choice}") for choice in item["choices"]
    ]
    assert asked("zoo_agreement") == [
        ("", f" {sentence}") for sentence in pair["choices"]
    ]
    ((prompt, _),) = asked("zoo_arithmetic")
    *examples, last = prompt.splitlines()
    known = {f"{s['question']} {s['answer']}" for s in world.sum_examples}
    assert last == total["question"]
    assert len(examples) == 3
    assert set(examples) <= known


@pytest.mark.lm_eval
@pytest.mark.slow
def test_plain_lm_eval_command_runs_a_task(tiny_zoo: Zoo, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "lm_eval"),
        *("--model", "hf", "--device", "cpu", "--batch_size", "16"),
        *("--model_args", f"pretrained={tiny_zoo.checkpoint('zoo-tiny', 0, 40)}"),
        *("--include_path", str(tiny_zoo.tasks_folder)),
        *("--tasks", "zoo_facts_cloze,zoo_recall"),
        *("--output_path", str(tmp_path / "out")),
    ]
    environment = {**os.environ, **OFFLINE, "HF_HOME": str(tmp_path / "hf")}
    subprocess.run(command, env=environment, check=True, capture_output=True)

    (file,) = (tmp_path / "out").rglob("results_*.json")
    results = json.loads(file.read_text())
    assert results["n-samples"]["zoo_facts_cloze"]["effective"] == TINY.n_items
    assert 0 <= results["results"]["zoo_recall"]["exact_match,none"] <= 1
