"""Is a zoo built once, whole, and the same each time? With real training processes."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InputError, RunError
from harness.zoo import QUICKSTART, TINY, Zoo, ZooSpec, build, build_zoo, is_complete

needs_run = pytest.mark.lm_eval

BUILD = """
import sys
from pathlib import Path
from harness.zoo import TINY, build_zoo

if __name__ == "__main__":
    build_zoo(TINY, Path(sys.argv[1]), processes=2)
"""

SAME_PATH = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
"""The package may be the work tree's, and not be installed."""


@pytest.fixture
def builder(tmp_path: Path):
    """Start builds of `TINY` in processes of their own; none outlives the test."""
    script = tmp_path / "builder.py"
    script.write_text(BUILD)
    started: list[subprocess.Popen[bytes]] = []

    def start(root: Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, script, root], env=SAME_PATH)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def content(root: Path) -> dict[str, str]:
    """Digests of all checkpoint files by their path below `root`."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.glob("*/seed*/step*/*"))
    }


def children(pid: int) -> list[int]:
    file = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in file.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@needs_run
def test_every_checkpoint_is_a_folder_that_transformers_reads(tiny_zoo: Zoo) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert is_complete(tiny_zoo.root, TINY)
    assert len(list(tiny_zoo.root.glob("zoo-tiny/seed*/step*"))) == 6
    folder = tiny_zoo.checkpoint("zoo-tiny", 1, 40)
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.config.vocab_size == len(tokenizer)
    assert None not in (
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
    )
    text = " Any text\n at all: naïve, 東京, 12 + 3 = 15"
    assert tokenizer.decode(tokenizer.encode(text)) == text


@needs_run
def test_same_seed_same_bytes(tiny_zoo: Zoo, tmp_path: Path) -> None:
    """In another folder, and with one process instead of two."""
    again = build_zoo(TINY, tmp_path / "again", processes=1)

    assert content(again.root) == content(tiny_zoo.root)


@needs_run
def test_seeds_and_steps_differ_but_share_a_tokenizer(tiny_zoo: Zoo) -> None:
    found = content(tiny_zoo.root)

    assert len({v for k, v in found.items() if k.endswith("model.safetensors")}) == 6
    assert len({v for k, v in found.items() if k.endswith("tokenizer.json")}) == 1


@needs_run
def test_order_of_the_text_is_a_seed_only_if_asked(tmp_path: Path) -> None:
    from harness.zoo.train import _batches

    def first(spec: ZooSpec, train_seed: int) -> list[int]:
        return next(_batches(spec, 100, train_seed))

    seeded = replace(TINY, data_order="seeded")
    assert first(TINY, 0) == first(TINY, 1)
    assert first(seeded, 0) != first(seeded, 1)


@needs_run
def test_a_lost_checkpoint_comes_back_the_same(tiny_zoo: Zoo, tmp_path: Path) -> None:
    root = tmp_path / "zoo"
    shutil.copytree(tiny_zoo.root, root)
    shutil.rmtree(root / "zoo-tiny" / "seed1" / "step10")
    (root / "zoo-tiny" / "seed0" / "step0" / "config.json").unlink()
    assert not is_complete(root, TINY)
    kept = root / "zoo-tiny" / "seed1" / "step40" / "model.safetensors"
    before = kept.stat().st_mtime_ns
    reports: list[tuple[int, int, str]] = []

    build_zoo(TINY, root, progress=lambda *report: reports.append(report))

    assert content(root) == content(tiny_zoo.root)
    assert kept.stat().st_mtime_ns == before
    assert [done for done, _, _ in reports] == sorted(done for done, _, _ in reports)
    assert reports[0][:2] == (4, 6)
    assert reports[-1][:2] == (6, 6)


@needs_run
def test_second_build_does_nothing(
    tiny_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a complete zoo was touched")

    monkeypatch.setattr(build, "_alone", refuse)
    monkeypatch.setattr(build, "make_world", refuse)
    monkeypatch.setattr(build, "find_spec", refuse)
    started = time.process_time()

    build_zoo(TINY, tiny_zoo.root)

    assert time.process_time() - started < 0.1


@needs_run
def test_killed_build_leaves_whole_folders_only(
    tiny_zoo: Zoo, tmp_path: Path, builder
) -> None:
    root = tmp_path / "zoo"
    process = builder(root)
    workers: set[int] = set()
    while not list(root.glob("*/seed*/step*")):
        assert process.poll() is None
        workers |= set(children(process.pid))
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = content(root)
    deadline = time.monotonic() + 30
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "training goes on without its parent"
        time.sleep(0.05)

    build_zoo(TINY, root)

    assert content(root) == content(tiny_zoo.root)
    assert left.items() <= content(root).items()
    assert not (root / ".partial").exists()


@needs_run
def test_two_builds_at_once(tiny_zoo: Zoo, tmp_path: Path, builder) -> None:
    root = tmp_path / "zoo"
    processes = [builder(root), builder(root)]

    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert content(root) == content(tiny_zoo.root)


@needs_run
def test_moved_zoo_is_mended(tiny_zoo: Zoo, tmp_path: Path) -> None:
    """Task files name their data by absolute path: only they are written again."""
    root = tmp_path / "moved"
    shutil.copytree(tiny_zoo.root, root)
    assert not is_complete(root, TINY)

    moved = build_zoo(TINY, root)

    text = (moved.tasks_folder / "zoo_facts_cloze.yaml").read_text()
    assert str(root) in text
    assert str(tiny_zoo.root) not in text


@needs_run
def test_folder_of_another_zoo_is_refused(tiny_zoo: Zoo) -> None:
    other = replace(TINY, world_seed=1)

    assert not is_complete(tiny_zoo.root, other)
    with pytest.raises(InputError, match="another zoo") as caught:
        build_zoo(other, tiny_zoo.root)
    assert caught.value.code == "zoo-other"
    assert is_complete(tiny_zoo.root, TINY)


@needs_run
def test_damaged_manifests_are_never_trusted(tiny_zoo: Zoo, tmp_path: Path) -> None:
    root = tmp_path / "zoo"
    shutil.copytree(tiny_zoo.root, root)
    build_zoo(TINY, root)
    (root / "tasks" / "files.json").write_text("{")
    assert not is_complete(root, TINY)
    assert is_complete(build_zoo(TINY, root).root, TINY)

    (root / "zoo.json").write_text("{")
    with pytest.raises(InputError) as caught:
        build_zoo(TINY, root)
    assert caught.value.code == "zoo-other"


@needs_run
def test_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build, "write_tasks", full)

    with pytest.raises(RunError, match="No space left") as caught:
        build_zoo(TINY, tmp_path / "zoo")

    assert caught.value.code == "zoo-not-written"
    assert not is_complete(tmp_path / "zoo", TINY)


@needs_run
def test_worker_that_dies(tmp_path: Path, builder) -> None:
    """One clear error instead of a wait without end; and the next build goes on."""
    root = tmp_path / "zoo"
    process = builder(root)
    while not list(root.glob("*/seed*/step*")):
        assert process.poll() is None
        time.sleep(0.02)
    for child in children(process.pid):
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)

    assert process.wait(timeout=60) == 1
    assert is_complete(build_zoo(TINY, root).root, TINY)


@needs_run
def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunError, match="could not be written") as caught:
        build_zoo(TINY, tmp_path / "file" / "zoo")

    assert caught.value.code == "zoo-not-written"


def test_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "find_spec", lambda _: None)

    with pytest.raises(InputError, match=r"pip install 'evalvar\[run\]'") as caught:
        build_zoo(TINY, tmp_path / "zoo")

    assert caught.value.code == "extra-missing"
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"steps": ()},
        {"steps": (20, 10)},
        {"steps": (-1, 10)},
        {"train_seeds": ()},
        {"train_seeds": (1, 1)},
        {"models": ()},
    ],
)
def test_spec_that_makes_no_zoo(change: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(InputError) as caught:
        replace(TINY, **change)

    assert caught.value.code == "zoo-spec"


@pytest.mark.parametrize(
    "change",
    [
        {"world_seed": 1},
        {"models": TINY.models[:1]},
        {"train_seeds": (0,)},
        {"steps": (20, 40)},
        {"data_order": "seeded"},
        {"n_items": 200},
        {"n_documents": 100},
        {"batch_size": 8},
    ],
)
def test_digest_knows_every_field(change: dict[str, object]) -> None:
    assert replace(QUICKSTART, **change).digest != QUICKSTART.digest


def test_quickstart_is_what_the_documents_say() -> None:
    assert len(QUICKSTART.models) == 2
    assert len(QUICKSTART.train_seeds) == 5
    assert len(QUICKSTART.steps) == 8
    assert QUICKSTART.n_checkpoints == 80


def test_default_root_is_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    root = build.default_root(TINY)

    assert root == tmp_path / "evalvar" / "zoo" / TINY.digest
    assert not root.exists()


def test_import_is_light() -> None:
    code = (
        "import sys, harness.zoo; "
        "print({'torch', 'transformers', 'lm_eval', 'numpy'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(
        command, capture_output=True, text=True, check=True, env=SAME_PATH
    )
    assert found.stdout.strip() == "set()"
