"""Is a checkpoint found where the suite says, and known by what is in it?"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from toy import make_checkpoint, make_files, make_tasks, run_suite

from harness.checkpoints import fetch, find_checkpoints
from harness.errors import CheckpointError, InputError
from harness.plan import make_plan
from harness.store import Store
from harness.suite import Resources, Suite, TaskEntry, load_suite

PYTHIA = Path(__file__).parents[1] / "suites/pythia-seeds.yaml"


@pytest.fixture
def find(tmp_path: Path):
    """Find what entries of a suite in `tmp_path` name."""

    def find(*entries: dict, base: Path = tmp_path, zoo: Path | None = None):
        suite = {"suite": "s", "checkpoints": list(entries), "tasks": ["t"]}
        return find_checkpoints(Suite.model_validate(suite), base, zoo)

    return find


@pytest.fixture
def refused(find):
    """Say with which code and words entries are refused, in one line."""

    def refused(*entries: dict, **where) -> tuple[str, str]:
        with pytest.raises(CheckpointError) as caught:
            find(*entries, **where)
        assert "\n" not in str(caught.value)
        return caught.value.code, str(caught.value)

    return refused


def runs(root: Path, *names: str) -> None:
    """Make a checkpoint of its own in each folder."""
    for name in names:
        make_files(root / name, weights=name)


def identity(checkpoint) -> tuple[str, str]:
    return checkpoint.weights_digest, checkpoint.tokenizer_digest


def spots(checkpoints) -> list[tuple]:
    return [(c.model, c.train_seed, c.step) for c in checkpoints]


# ---- folders -----------------------------------------------------------------------


def test_a_folder_is_a_checkpoint(find, tmp_path):
    runs(tmp_path, "runs/a")
    (found,) = find({"folder": "runs/a", "model": "m", "train_seed": 1, "step": 20})

    assert spots([found]) == [("m", 1, 20)]
    assert found.location == str(tmp_path / "runs/a")
    assert found.source == "runs/a"
    assert (found.revision, found.tokenizer, found.gguf_file) == (None, None, None)
    assert fetch(found.location) == tmp_path / "runs/a"


@pytest.mark.parametrize(
    "name",
    ["with space", "é中文", "a[x]b", "a*b", "a?b", "{step}", "'quote'", "l" * 200],
)
def test_any_folder_name_will_do(find, tmp_path, name):
    runs(tmp_path, f"{name}/step1")
    found = [
        *find({"folder": f"{name}/step1", "model": "m"}),
        *find({"pattern": "step{step}", "model": "m"}, base=tmp_path / name),
    ]

    assert [c.location for c in found] == [str(tmp_path / name / "step1")] * 2


def test_only_fields_are_wild(find, tmp_path):
    runs(tmp_path, "1[ab]*", "2a*", "2a", "3[ab]", "4[ab]*c")

    assert spots(find({"pattern": "{step}[ab]*", "model": "m"})) == [("m", None, 1)]
    assert spots(find({"pattern": "{step}[ab]", "model": "m"})) == [("m", None, 3)]


def test_paths_may_be_relative_absolute_or_from_home(find, tmp_path, monkeypatch):
    runs(tmp_path, "home/runs/step1", "suites/step1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "suites")
    found = [
        find(
            {"folder": f"{start}/step1", "model": "a"},
            {"pattern": f"{start}/step{{step}}", "model": "b"},
            base=base,
        )
        for start, base in [
            ("~/runs", tmp_path),
            ("../home/runs", Path()),
            (f"{tmp_path}/home/runs", Path("suites")),
        ]
    ]

    assert {c.weights_digest for pair in found for c in pair} == {
        found[0][0].weights_digest
    }
    assert all(Path(c.location).is_absolute() for pair in found for c in pair)
    assert [[c.source for c in pair] for pair in found[:2]] == [
        ["~/runs/step1"] * 2,
        ["../home/runs/step1"] * 2,
    ]


def test_links_are_followed(find, tmp_path):
    runs(tmp_path, "store/abc")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/step1").symlink_to(tmp_path / "store/abc")
    (tmp_path / "runs/step2").symlink_to(tmp_path / "gone")
    linked = tmp_path / "runs/step3"
    linked.mkdir()
    for file in (tmp_path / "store/abc").iterdir():
        (linked / file.name).symlink_to(file)
    found = find({"pattern": "runs/step{step}", "model": "m"})

    assert spots(found) == [("m", None, 1), ("m", None, 3)]
    assert identity(found[0]) == identity(found[1])


def test_zoo_stands_for_the_built_zoo(find, tmp_path):
    runs(tmp_path, "zoo/toy/seed0/step1")
    pattern = {"pattern": "zoo://{model}/seed{train_seed}/step{step}"}
    (found,) = find(pattern, zoo=tmp_path / "zoo")

    assert found.source == "zoo://toy/seed0/step1"
    with pytest.raises(InputError, match="evalvar zoo build"):
        find(pattern)


# ---- patterns ----------------------------------------------------------------------


PATTERN = "runs/{model}/seed{train_seed}/step{step}"


def test_a_pattern_finds_folders_in_the_order_of_numbers(find, tmp_path):
    names = [
        f"runs/{model}/seed{seed}/step{step}"
        for model in ("n", "m")
        for seed in (10, 9)
        for step in (100, 20, 3)
    ]
    runs(tmp_path, *names)
    found = find({"pattern": PATTERN})

    assert spots(found) == [
        (model, seed, step)
        for model in ("m", "n")
        for seed in (9, 10)
        for step in (3, 20, 100)
    ]
    assert [c.source for c in found] == [
        f"runs/{c.model}/seed{c.train_seed}/step{c.step}" for c in found
    ]


def test_what_does_not_match_is_left_out(find, tmp_path):
    runs(tmp_path, "runs/m/seed0/step1")
    for other in ("stepX", "step1.tmp", "step-1", "step", ".step2", "step٣", "step1 "):
        (tmp_path / "runs/m/seed0" / other).mkdir()
    (tmp_path / "runs/m/seed0" / f"step{10**18}").mkdir()
    (tmp_path / "runs/m/seed0/step7").write_text("a file")

    assert spots(find({"pattern": PATTERN})) == [("m", 0, 1)]


def test_a_field_met_twice_must_agree(find, tmp_path):
    runs(tmp_path, "m/m-step1", "m/n-step2")

    assert spots(find({"pattern": "{model}/{model}-step{step}"})) == [("m", None, 1)]


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"model": "n"}, "n01 n02 n11 n12"),
        ({"model": ["m", "none"]}, "m01 m02 m11 m12"),
        ({"train_seed": [1]}, "m11 m12 n11 n12"),
        ({"step": [2, 3]}, "m02 m12 n02 n12"),
        ({"model": ["n"], "train_seed": [0, 1], "step": [1]}, "n01 n11"),
    ],
)
def test_filters_choose_among_the_matches(find, tmp_path, filters, kept):
    runs(
        tmp_path,
        *(f"runs/{m}/seed{r}/step{s}" for m in "mn" for r in "01" for s in "12"),
    )
    found = find({"pattern": PATTERN, **filters})

    assert [f"{c.model}{c.train_seed}{c.step}" for c in found] == kept.split()


def test_a_pattern_without_model_takes_its_name(find, tmp_path):
    runs(tmp_path, "step1/final")

    assert spots(find({"pattern": "step{step}/final/", "model": "m"})) == [
        ("m", None, 1)
    ]
    assert spots(find({"pattern": "step1//final", "model": ["m"]})) == [
        ("m", None, None)
    ]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (
            {"pattern": "{modle}/x"},
            "has {modle}; it may have {model}, {train_seed} and",
        ),
        ({"pattern": "{}/x"}, "has {}; it may have {model}"),
        ({"pattern": "step{step}"}, "has no {model}; name one with model:"),
        ({"pattern": "step{step}", "model": ["a", "b"]}, "has no {model}; name one"),
    ],
)
def test_a_pattern_has_the_fields_it_needs(refused, entry, says):
    code, said = refused(entry)

    assert code == "pattern-field"
    assert says in said


def test_a_pattern_that_finds_nothing_says_where_it_looked(refused, tmp_path):
    runs(tmp_path, "runs/m/seed0/step1")
    pattern = "runs/none/{model}/step{step}"

    assert refused({"pattern": pattern}) == (
        "no-checkpoints",
        f"no folder matches {pattern!r} (looked below {tmp_path / 'runs'})",
    )


@pytest.mark.parametrize("filters", [{"step": [5]}, {"model": "nosuch"}])
def test_filters_that_leave_nothing_are_not_taken_for_a_wrong_path(
    refused, tmp_path, filters
):
    runs(tmp_path, "runs/m/seed0/step1")
    code, says = refused({"pattern": PATTERN, **filters})

    assert code == "no-checkpoints"
    assert says.endswith("such as m/seed0/step1")


def test_two_of_one_name_are_refused(refused, tmp_path):
    runs(tmp_path, "a", "runs/step1", "runs/step01")
    code, said = refused({"folder": "a", "model": "m"}, {"folder": "a", "model": "m"})
    assert code == "duplicate-checkpoint"
    assert "two checkpoints are called m: " in said

    code, said = refused({"pattern": "runs/step{step}", "model": "m"})
    assert code == "duplicate-checkpoint"
    assert f"m step 1: {tmp_path}/runs/step" in said


# ---- identity ----------------------------------------------------------------------


@pytest.fixture
def one(find, tmp_path):
    """Return the identity of the checkpoint in a folder, read anew."""

    def one(name: str, **entry):
        (found,) = find({"folder": name, "model": "m", **entry})
        return identity(found)

    return one


def test_a_moved_folder_is_the_same(one, tmp_path):
    runs(tmp_path, "a")
    before = one("a")
    (tmp_path / "a").rename(tmp_path / "b")
    shutil.copytree(tmp_path / "b", tmp_path / "deep/c")

    assert one("b") == one("deep/c") == before


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("model.safetensors", "weights"),
        ("config.json", "weights"),
        ("generation_config.json", "weights"),
        ("modeling_own.py", "weights"),
        ("tokenizer.json", "tokenizer"),
        ("tokenizer_config.json", "tokenizer"),
        ("chat_template.jinja", "tokenizer"),
        ("README.md", "nothing"),
        ("optimizer.pt", "nothing"),
    ],
)
def test_what_can_change_an_answer_is_identity(one, tmp_path, file, changes):
    runs(tmp_path, "a")
    before = one("a")
    (tmp_path / "a" / file).write_text("{}")
    after = one("a")

    changed = [x != y for x, y in zip(before, after, strict=True)]
    assert changed == [changes == "weights", changes == "tokenizer"]


def test_an_edit_is_noticed_though_its_time_was_put_back(one, tmp_path):
    runs(tmp_path, "a")
    file = tmp_path / "a/model.safetensors"
    before, times = one("a"), file.stat()
    with file.open("r+b") as opened:
        opened.write(b"X")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert file.stat().st_size == times.st_size
    assert file.stat().st_mtime_ns == times.st_mtime_ns
    assert one("a") != before


def test_checkpoints_share_a_tokenizer_by_content(find, tmp_path):
    runs(tmp_path, "step1", "step2")
    make_files(tmp_path / "step3", weights="step3", tokenizer="other words")
    tokens = [c.tokenizer_digest for c in find({"pattern": "step{step}", "model": "m"})]

    assert tokens[0] == tokens[1] != tokens[2]


def test_a_tokenizer_may_lie_elsewhere(find, one, tmp_path):
    runs(tmp_path, "a", "b")
    (tmp_path / "b/tokenizer.json").unlink()
    (found,) = find({"folder": "b", "model": "m", "tokenizer": "a"})

    assert found.tokenizer == str(tmp_path / "a")
    assert found.tokenizer_digest == one("a")[1]


# ---- kinds of weights ----------------------------------------------------------------


def shards(folder: Path, suffix: str) -> list[Path]:
    """Make a checkpoint whose weights are two files and an index of them."""
    stem, ending = {
        "safetensors": ("model", "safetensors"),
        "bin": ("pytorch_model", "bin"),
    }[suffix]
    make_files(folder)
    (folder / "model.safetensors").unlink()
    files = [folder / f"{stem}-0000{i}-of-00002.{ending}" for i in (1, 2)]
    for file in files:
        file.write_text(file.name)
    listed = {f"layer{i}": file.name for i, file in enumerate(files)}
    index = {"metadata": {}, "weight_map": listed}
    (folder / f"{stem}.{ending}.index.json").write_text(json.dumps(index))
    return files


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_all_shards_are_identity_and_none_may_lack(one, refused, tmp_path, suffix):
    files = shards(tmp_path / "a", suffix)
    before = one("a")
    files[1].write_text("changed")
    assert one("a")[0] != before[0]

    files[1].unlink()
    code, said = refused({"folder": "a", "model": "m"})
    assert code == "not-a-checkpoint"
    assert f"lacks 1 of its files of weights, first {files[1].name}" in said


@pytest.mark.parametrize("index", ["not JSON", "[]", "{}", '{"weight_map": []}'])
def test_an_index_that_cannot_be_read_is_refused(refused, tmp_path, index):
    shards(tmp_path / "a", "safetensors")
    (tmp_path / "a/model.safetensors.index.json").write_text(index)
    code, said = refused({"folder": "a", "model": "m"})

    assert code == "not-a-checkpoint"
    assert "the list of its files of weights cannot be read" in said


def test_an_index_beside_whole_weights_does_not_count(one, tmp_path):
    shards(tmp_path / "a", "bin")[0].unlink()
    make_files(tmp_path / "a")

    assert one("a")


def test_safetensors_go_before_bin_as_in_transformers(one, tmp_path):
    make_files(tmp_path / "a")
    alone = one("a")
    (tmp_path / "a/pytorch_model.bin").write_text("other weights")
    assert one("a") == alone

    (tmp_path / "a/model.safetensors").unlink()
    assert one("a")[0] != alone[0]


def test_a_gguf_file_brings_all_it_needs(one, find, tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("q4.gguf", "q8.gguf"):
        (tmp_path / "a" / name).write_text(name)
    (found,) = find({"folder": "a", "model": "m", "gguf_file": "q4.gguf"})

    assert found.gguf_file == "q4.gguf"
    assert one("a", gguf_file="q4.gguf") == identity(found)
    assert one("a", gguf_file="q8.gguf") != identity(found)


# ---- what is refused -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "code", "says"),
    [
        ("model.safetensors", "not-a-checkpoint", "no weights (*.safetensors, "),
        ("config.json", "not-a-checkpoint", "it has no config.json"),
        ("tokenizer.json", "tokenizer-missing", "name its folder with tokenizer:"),
    ],
)
def test_a_folder_that_lacks_a_file_is_no_checkpoint(
    refused, tmp_path, lost, code, says
):
    runs(tmp_path, "a")
    (tmp_path / "a/tokenizer_config.json").write_text("{}")
    (tmp_path / "a" / lost).unlink()
    given, said = refused({"folder": "a", "model": "m"})

    assert given == code
    assert said.startswith(f"{tmp_path / 'a'}: ")
    assert says in said


@pytest.mark.parametrize(
    ("entry", "code", "says"),
    [
        ({"folder": "none"}, "checkpoint-missing", "none: there is no such folder"),
        ({"folder": "a/config.json"}, "checkpoint-missing", "there is no such folder"),
        ({"folder": "a\0b"}, "checkpoint-missing", "there is no such folder"),
        ({"folder": "~nobody-has-it/a"}, "checkpoint-missing", "no such folder"),
        ({"folder": "a", "gguf_file": "q.gguf"}, "not-a-checkpoint", "has no q.gguf"),
        ({"folder": "a", "tokenizer": "b"}, "tokenizer-missing", "b: there is no tok"),
        (
            {"folder": "g", "gguf_file": "q.gguf", "tokenizer": "b"},
            "tokenizer-missing",
            "b: there is no tok",
        ),
        ({"folder": "g"}, "not-a-checkpoint", "such as q.gguf"),
    ],
)
def test_what_is_not_there_is_named(refused, tmp_path, entry, code, says):
    runs(tmp_path, "a")
    (tmp_path / "g").mkdir()
    (tmp_path / "g/q.gguf").write_text("weights")
    given, said = refused({"model": "m", **entry})

    assert given == code
    assert says in said


@pytest.mark.parametrize("content", [b"{", b"\xff", b""])
def test_a_tokenizer_that_is_no_json_is_unreadable(refused, tmp_path, content):
    runs(tmp_path, "a")
    (tmp_path / "a/tokenizer.json").write_bytes(content)
    code, said = refused({"folder": "a", "model": "m"})

    assert code == "tokenizer-unreadable"
    assert said.startswith(f"{tmp_path / 'a/tokenizer.json'}: the tokenizer cannot be")


def test_weights_that_cannot_be_read_are_named(refused, tmp_path):
    runs(tmp_path, "a")
    (tmp_path / "a/model.safetensors").unlink()
    # A file that is there, and that no one can read from its beginning.
    (tmp_path / "a/model.safetensors").symlink_to("/proc/self/mem")

    assert refused({"folder": "a", "model": "m"}) == (
        "checkpoint-missing",
        f"{tmp_path / 'a/model.safetensors'}: cannot be read: Input/output error",
    )


# ---- hub, from the local cache -------------------------------------------------------


def fill_cache(root: Path, repository: str, revisions: dict[str, Path]) -> list[str]:
    """Lay folders out as the hub's client does; returns the commits."""
    storage = root / f"models--{repository.replace('/', '--')}"
    commits = []
    for revision, folder in revisions.items():
        commit = hashlib.sha1(f"{repository} {revision}".encode()).hexdigest()
        ref = storage / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(commit)
        snapshot = storage / "snapshots" / commit
        (storage / "blobs").mkdir(exist_ok=True)
        snapshot.mkdir(parents=True)
        for file in folder.iterdir():
            blob = hashlib.sha256(file.read_bytes()).hexdigest()
            shutil.copy(file, storage / "blobs" / blob)
            (snapshot / file.name).symlink_to(f"../../blobs/{blob}")
        commits.append(commit)
    return commits


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The folder that the hub's client looks into; there is no network."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


HUB = {
    "hub": "org/m-seed{train_seed}",
    "model": "m",
    "revision": "step{step}",
    "train_seed": [1, 2],
    "step": [20, 3],
}


@pytest.mark.lm_eval
def test_each_seed_and_step_is_a_revision_of_its_own(find, hub_cache, tmp_path):
    commits = {}
    for seed in (1, 2):
        runs(tmp_path, f"{seed}/step3", f"{seed}/step20")
        steps = {f"step{s}": tmp_path / f"{seed}/step{s}" for s in (20, 3)}
        commits[seed] = fill_cache(hub_cache, f"org/m-seed{seed}", steps)
    found = find(HUB)
    plain = find({"pattern": "{train_seed}/step{step}", "model": "m"})

    assert spots(found) == [("m", 1, 20), ("m", 1, 3), ("m", 2, 20), ("m", 2, 3)]
    assert [c.revision for c in found] == [
        f"org/m-seed{seed}@{commit}" for seed in (1, 2) for commit in commits[seed]
    ]
    assert [c.source for c in found] == [f"hub://{c.revision}" for c in found]
    assert set(found) == set(plain), "identity is content, wherever it lies"
    assert len({c.weights_digest for c in found}) == 4
    assert fetch(found[0].location) == Path(found[0].location)


@pytest.mark.lm_eval
def test_a_revision_may_be_a_commit_or_a_path(find, hub_cache, tmp_path):
    runs(tmp_path, "a", "b")
    (commit, _) = fill_cache(
        hub_cache, "org/m", {"main": tmp_path / "a", "refs/pr/1": tmp_path / "b"}
    )
    a, b, main = find(
        {"hub": "org/m", "model": "a", "revision": commit},
        {"hub": "org/m", "model": "b", "revision": "refs/pr/1"},
        {"hub": "org/{model}", "model": "m"},
    )

    assert identity(a) == identity(main) != identity(b)


@pytest.mark.lm_eval
def test_a_revision_that_is_not_to_be_had_is_one_line(refused, hub_cache, tmp_path):
    runs(tmp_path, "a")
    fill_cache(hub_cache, "org/m", {"step1": tmp_path / "a"})
    for hub, revision in [("org/m", "step2"), ("org/none", "main"), ("a/b/c", "main")]:
        code, said = refused({"hub": hub, "model": "m", "revision": revision})

        assert code == "hub-unreachable"
        assert said.startswith(f"{hub} at {revision}: not whole in the local cache")


@pytest.mark.lm_eval
@pytest.mark.parametrize("lost", ["model.safetensors", "tokenizer.json"])
def test_half_a_snapshot_is_not_taken_for_one(refused, hub_cache, tmp_path, lost):
    """As a download leaves it that was stopped, or that took small files only."""
    runs(tmp_path, "a")
    (tmp_path / "a" / lost).unlink()
    fill_cache(hub_cache, "org/m", {"main": tmp_path / "a"})

    assert refused({"hub": "org/m", "model": "m"})[0] == "hub-unreachable"


@pytest.mark.lm_eval
def test_a_spoilt_tokenizer_in_the_cache_is_named(refused, hub_cache, tmp_path):
    runs(tmp_path, "a")
    (tmp_path / "a/tokenizer.json").write_text("{")
    fill_cache(hub_cache, "org/m", {"main": tmp_path / "a"})

    assert refused({"hub": "org/m", "model": "m"})[0] == "tokenizer-unreadable"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"step": None}, "{step} has no values; list them with step:"),
        (
            {"train_seed": None},
            "{train_seed} has no values; list them with train_seed:",
        ),
        ({"revision": "main"}, "step: is given but {step} is in neither"),
        ({"hub": "org/m"}, "train_seed: is given but {train_seed} is in neither"),
        ({"hub": "org/m{seed}"}, "has {seed}; it may have {model}, {train_seed} and"),
        ({"revision": "{commit}"}, "has {commit}; it may have"),
    ],
)
def test_fields_and_values_of_a_hub_must_agree(refused, change, says):
    code, said = refused({**HUB, **change})

    assert code == "pattern-field"
    assert says in said


@pytest.mark.lm_eval
def test_the_shipped_hub_suite_is_planned_and_run_offline(hub_cache, tmp_path):
    """Every checkpoint that it names, tiny; one is run, on a task of this machine."""
    from harness.run.lm_eval import LMEvalBackend

    suite = load_suite(PYTHIA)
    (entry,) = suite.checkpoints
    for seed in entry.train_seed:
        repository = f"EleutherAI/pythia-160m-seed{seed}"
        steps = {
            f"step{step}": make_checkpoint(tmp_path / f"{seed}/{step}", seed + step)
            for step in entry.step
        }
        fill_cache(hub_cache, repository, steps)
    tasks = {
        "task_paths": [str(make_tasks(tmp_path / "tasks"))],
        "tasks": [TaskEntry(task="toy_cloze")],
        "resources": Resources(batch_size=16),
    }

    all_of_it = make_plan(
        suite.model_copy(update=tasks), LMEvalBackend(), base=PYTHIA.parent
    )
    assert all_of_it.n_checkpoints == len(all_of_it.trials) == 9 * 7
    assert all_of_it.cautions == ()

    one = entry.model_copy(update={"train_seed": [3], "step": [1000]})
    plan, result = run_suite(PYTHIA, tmp_path / "s", checkpoints=[one], **tasks)
    (row,) = Store(tmp_path / "s").attempts().to_pylist()
    assert (result.n_done, result.n_failed, result.errors) == (1, 0, ())
    assert {plan.trials[0].trial_id} < {t.trial_id for t in all_of_it.trials}
    assert (row["model"], row["train_seed"], row["step"]) == ("pythia-160m", 3, 1000)
    assert row["revision"].startswith("EleutherAI/pythia-160m-seed3@")
    assert row["location"] == f"hub://{row['revision']}"


# ---- hub, from a server --------------------------------------------------------------


class HubHandler(BaseHTTPRequestHandler):
    """The little of the hub's protocol that its client needs, over folders."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        info = re.fullmatch(r"/api/models/(org/\w+)/revision/(\w+)", path)
        tree = re.fullmatch(r"/api/models/(org/\w+)/tree/(\w+)", path)
        file = re.fullmatch(r"/(org/\w+)/resolve/(\w+)/(.+)", path)
        found = info or tree or file
        folder, commit = self.server.revisions.get(found.groups()[:2], (None, ""))
        if folder is None:
            self.answer(b"", 404, {"X-Error-Code": "RevisionNotFound"})
        elif info:
            files = [self.about(f, "rfilename") for f in sorted(folder.iterdir())]
            told = {"id": info[1], "sha": commit, "siblings": files}
            self.answer(json.dumps(told).encode())
        elif tree:
            files = [self.about(f, "path") for f in sorted(folder.iterdir())]
            self.answer(json.dumps([{"type": "file", **f} for f in files]).encode())
        elif (folder / file[3]).is_file():
            content = (folder / file[3]).read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            self.answer(content, 200, {"ETag": etag, "X-Repo-Commit": commit})
        else:
            self.answer(b"", 404, {"X-Error-Code": "EntryNotFound"})

    def about(self, file: Path, key: str) -> dict:
        content = file.read_bytes()
        sha256, size = hashlib.sha256(content).hexdigest(), len(content)
        told = {key: file.name, "size": size, "oid": sha256[:40], "blobId": sha256[:40]}
        if file.suffix in self.server.large:
            told["lfs"] = {"sha256": sha256, "oid": sha256, "size": size}
            told["lfs"]["pointerSize"] = 130
        return told

    def answer(self, content: bytes, status: int = 200, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **dict(headers)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    """A hub on this machine: `revisions` maps repository and revision to a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), HubHandler) as server:
        server.revisions, server.asked = {}, []
        server.large = {".safetensors", ".bin"}
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


CLIENT = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from harness.checkpoints import fetch, find_checkpoints
from harness.errors import CheckpointError
from harness.suite import Suite

suite = Suite.model_validate(json.loads(sys.argv[1]))
for verb in sys.argv[2:]:
    try:
        (found,) = find_checkpoints(suite, Path(), None)
        told = asdict(found)
        if verb == "fetch":
            told["files"] = sorted(p.name for p in fetch(found.location).iterdir())
    except CheckpointError as error:
        told = {"code": error.code, "error": str(error)}
    print(json.dumps(told))
"""


@pytest.fixture
def client(tmp_path, hub):
    """Ask `hub` in a process of its own, with a cache of its own, and plan or fetch.

    The hub's client reads its settings when it is imported.
    """

    def client(*verbs: str, entry: dict | None = None, **settings: str) -> list[dict]:
        suite = {
            "suite": "s",
            "checkpoints": [entry or {"hub": "org/m", "model": "m"}],
            "tasks": ["t"],
        }
        environment = {
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **settings,
        }
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, json.dumps(suite), *verbs],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return client


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def published(hub, tmp_path):
    """A checkpoint on the hub, as `main` and by its commit; returns its folder."""
    folder = make_files(tmp_path / "published")
    (folder / "generation_config.json").write_text("{}")
    (folder / "README.md").write_text("about it")
    (folder / "modeling_own.py").write_text("its own code")
    for revision in ("main", COMMIT):
        hub.revisions["org/m", revision] = folder, COMMIT
    return folder


@pytest.mark.lm_eval
def test_a_plan_asks_the_hub_and_downloads_no_weights(client, hub, published, find):
    (remote,) = client("plan")
    (local,) = find({"folder": str(published), "model": "m"})

    assert remote["location"] == remote["source"] == f"hub://org/m@{COMMIT}"
    assert remote["revision"] == f"org/m@{COMMIT}"
    assert (remote["weights_digest"], remote["tokenizer_digest"]) == identity(local)
    assert not any("safetensors" in asked or "README" in asked for asked in hub.asked)


@pytest.mark.lm_eval
def test_a_plan_stays_the_same_before_and_after_the_download(client, hub, published):
    (published / "pytorch_model.bin").write_text("the same in another format")
    first, again, fetched, after = client("plan", "plan", "fetch", "plan")
    offline = client("plan", HF_HUB_OFFLINE="1")[0]

    keys = ("weights_digest", "tokenizer_digest", "revision", "source")
    same = {tuple(told[k] for k in keys) for told in (first, again, after, offline)}
    assert len(same) == 1
    assert first["location"] == again["location"] == f"hub://org/m@{COMMIT}"
    assert after["location"] == offline["location"].removeprefix("hub://")
    assert Path(after["location"]).name == COMMIT
    assert fetched["files"] == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "modeling_own.py",
        "tokenizer.json",
    ]


@pytest.mark.lm_eval
def test_small_files_alone_are_no_checkpoint_offline(client, published):
    client("plan")
    (offline,) = client("plan", HF_HUB_OFFLINE="1")

    assert offline["code"] == "hub-unreachable"


@pytest.mark.lm_eval
@pytest.mark.parametrize(
    ("entry", "settings", "says"),
    [
        ({"revision": "none"}, {}, "org/m at none: not whole in the local cache"),
        ({"hub": "org/none"}, {}, "org/none at main: not whole in the local cache"),
        ({}, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "Connection refused"),
    ],
)
def test_a_hub_that_has_it_not_or_is_not_there(
    client, published, entry, settings, says
):
    (told,) = client("plan", entry={"hub": "org/m", "model": "m", **entry}, **settings)

    assert told["code"] == "hub-unreachable"
    assert says in told["error"]
    assert "\n" not in told["error"]


@pytest.mark.lm_eval
@pytest.mark.parametrize(
    ("lost", "code", "says"),
    [
        (
            "model.safetensors",
            "not-a-checkpoint",
            "no weights, config.json or tokenizer ",
        ),
        ("tokenizer.json", "not-a-checkpoint", "no weights, config.json or tokenizer "),
        ("config.json", "not-a-checkpoint", "no weights, config.json or tokenizer "),
        ("sha256", "hub-unreachable", "model.safetensors has no SHA-256 on the hub"),
    ],
)
def test_what_the_hub_has_may_be_no_checkpoint(
    client, hub, published, lost, code, says
):
    (published / "tokenizer_config.json").write_text("{}")
    if lost == "sha256":
        hub.large.clear()
    else:
        (published / lost).unlink()
    (told,) = client("plan")

    assert told["code"] == code
    assert says in told["error"]


# ---- servers -----------------------------------------------------------------------


def test_a_server_is_known_by_what_it_is_called(find, tmp_path):
    make_files(tmp_path / "tokens")
    (tmp_path / "tokens/tokenizer_config.json").write_text('{"chat_template": "x"}')
    entry = {"api": "http://localhost:8000/v1/", "model": "m", "step": 3}
    (bare,) = find(entry)
    (full,) = find({**entry, "served_name": "org/m", "tokenizer": "tokens"})

    assert (bare.location, bare.source) == ("http://localhost:8000/v1",) * 2
    assert (bare.tokenizer, bare.tokenizer_digest) == (None, "")
    assert not bare.gives_likelihoods
    assert not bare.has_chat_template
    assert bare.server.model == "m"
    assert (full.server.model, full.tokenizer) == ("org/m", str(tmp_path / "tokens"))
    assert full.gives_likelihoods
    assert full.has_chat_template
    assert full.weights_digest != bare.weights_digest


def test_a_servers_tokenizer_must_be_there(refused, tmp_path):
    entry = {"api": "http://localhost/v1", "model": "m", "tokenizer": "nowhere"}

    code, says = refused(entry)
    assert code == "tokenizer-missing"
    assert "correct tokenizer: in the suite" in says


@pytest.mark.parametrize(
    ("file", "content", "has"),
    [
        ("chat_template.jinja", "x", True),
        ("tokenizer_config.json", '{"chat_template": "x"}', True),
        ("tokenizer_config.json", '{"chat_template": null}', False),
        ("tokenizer_config.json", "[]", False),
    ],
)
def test_a_chat_template_is_found_where_tokenizers_keep_it(
    find, tmp_path, file, content, has
):
    make_files(tmp_path / "one")
    (tmp_path / "one" / file).write_text(content)
    (found,) = find({"folder": "one", "model": "m"})

    assert found.has_chat_template is has


def test_a_gguf_file_says_whether_it_has_a_chat_template(find, tmp_path):
    for name, header in (("a", b"GGUF..tokenizer.chat_template.."), ("b", b"GGUF")):
        (tmp_path / f"{name}.gguf").write_bytes(header)
    found = find(
        *({"folder": ".", "gguf_file": f"{name}.gguf", "model": name} for name in "ab")
    )

    assert [one.has_chat_template for one in found] == [True, False]
