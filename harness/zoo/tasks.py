"""How are the items put? Writes them as ordinary lm-eval YAML on local JSONL.

Both formulations of a task read the very same file, so that an item's content, and
with it the item's identity, is equal in both.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.zoo.world import LETTERS, Item, World

_CLOZE = """\
output_type: multiple_choice
doc_to_text: "%s"
doc_to_choice: choices
doc_to_target: gold
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
_OPTIONS = "".join(
    rf"\n{letter}. {{{{choices[{index}]}}}}" for index, letter in enumerate(LETTERS)
)
_CHOICE = _CLOZE.replace("choices", json.dumps([*LETTERS])).replace(
    "%s", f"%s{_OPTIONS}\\nAnswer:"
)
_GENERATION = """\
output_type: generate_until
training_split: train
fewshot_split: train
num_fewshot: 3
fewshot_delimiter: "\\n"
doc_to_text: "%s"
doc_to_target: "%s"
generation_kwargs: {until: ["\\n"], do_sample: false, max_gen_toks: 4}
filter_list:
  - {name: none, filter: [{function: remove_whitespace}, {function: take_first}]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    data: str
    """Name of the items, and where there are examples of these too."""

    chance: float
    """Expected score of a model that knows nothing."""

    body: str
    formulation: str = ""


_QUESTION, _SEQUENCE = "Question: {{question}}", "Sequence: {{question}}"

_TASKS = (
    _Task("zoo_agreement", "agreement", 0.5, _CLOZE % ""),
    _Task("zoo_arithmetic", "sums", 0.0, _GENERATION % ("{{question}}", "{{answer}}")),
    _Task("zoo_facts_choice", "facts", 0.25, _CHOICE % _QUESTION, "choice"),
    _Task("zoo_facts_cloze", "facts", 0.25, _CLOZE % f"{_QUESTION}\\nAnswer:", "cloze"),
    _Task(
        "zoo_recall",
        "facts",
        0.0,
        _GENERATION % (f"{_QUESTION}\\nAnswer:", "{{choices[gold]}}"),
    ),
    _Task("zoo_sequences_choice", "sequences", 0.25, _CHOICE % _SEQUENCE, "choice"),
    _Task(
        "zoo_sequences_cloze",
        "sequences",
        0.25,
        _CLOZE % f"{_SEQUENCE}\\nNext:",
        "cloze",
    ),
)

MANIFEST = "files.json"

TASK_NAMES = tuple(task.name for task in _TASKS)


def write_tasks(world: World, folder: Path) -> None:
    """Write every task of `world` into `folder`: YAML, and its data beside it.

    lm-eval resolves no path against the YAML's own folder, so the YAML names its
    data by absolute path; `tasks_complete` notices when the folder was moved.
    """
    (folder / "data").mkdir(parents=True, exist_ok=True)
    data = {
        "agreement": {"test": world.agreement},
        "facts": {"test": world.facts, "train": world.fact_examples},
        "sequences": {"test": world.sequences},
        "sums": {"test": world.sums, "train": world.sum_examples},
    }
    files = {
        name: {
            split: _write_items(items, folder / "data", f"{name}-{split}")
            for split, items in splits.items()
        }
        for name, splits in data.items()
    }
    written: list[Path] = []
    for task in _TASKS:
        examples = task.body.count("training_split")
        paths = "".join(
            f"    {split}: {json.dumps(str(path))}\n"
            for split, path in files[task.data].items()
            if split == "test" or examples
        )
        formulation = f", formulation: {task.formulation}" if task.formulation else ""
        text = (
            f"task: {task.name}\n"
            f"dataset_path: json\ndataset_kwargs:\n  data_files:\n{paths}"
            f"test_split: test\n{task.body}"
            f"metadata: {{version: 1.0, chance: {task.chance}{formulation}}}\n"
        )
        written.append(folder / f"{task.name}.yaml")
        write_whole(written[-1], text)
    written += [path for splits in files.values() for path in splits.values()]
    content = {"folder": str(folder), "files": [str(path) for path in written]}
    write_whole(folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def tasks_complete(folder: Path) -> bool:
    """Return whether `folder` was written whole, and for the place where it is."""
    try:
        content = json.loads((folder / MANIFEST).read_text())
        here = content["folder"] == str(folder)
        return here and all(Path(file).is_file() for file in content["files"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError):
        return False


def _write_items(items: Sequence[Item], folder: Path, name: str) -> Path:
    """Write JSONL under a name with its digest in it.

    The ``datasets`` library caches by name and modification time; new content under
    an old name may be read as the old content.
    """
    text = "".join(json.dumps(item) + "\n" for item in items)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = folder / f"{name}-{digest}.jsonl"
    write_whole(path, text)
    return path


def write_whole(path: Path, text: str) -> None:
    """Write `text` so that `path` holds the old content or the new, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)
