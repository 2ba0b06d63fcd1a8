"""Is the zoo there? Builds what is missing of it, once, and never leaves it half made.

Every file appears by a rename, so whatever is there is whole. One build works in a
folder at a time; a second one waits for it, and then finds nothing left to do.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

from harness.errors import InputError, RunError
from harness.zoo.spec import QUICKSTART, ZOO_VERSION, ModelSize, ZooSpec
from harness.zoo.tasks import tasks_complete, write_tasks, write_whole
from harness.zoo.world import make_world

CHECKPOINT_PATTERN = "{model}/seed{train_seed}/step{step}"

MANIFEST = "zoo.json"

RUN_EXTRA = ("torch", "transformers", "tokenizers", "safetensors")

Progress = Callable[[int, int, str], None]
"""Called with checkpoints done, checkpoints in all, and what is being done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoo:
    """A finished zoo."""

    root: Path
    spec: ZooSpec

    @property
    def tasks_folder(self) -> Path:
        """Folder of task YAML, for ``lm_eval --include_path``."""
        return self.root / "tasks"

    @property
    def checkpoint_pattern(self) -> str:
        """Where a checkpoint lies below `root`, with fields to fill in."""
        return CHECKPOINT_PATTERN

    def checkpoint(self, model: str, train_seed: int, step: int) -> Path:
        """Return the folder of one checkpoint."""
        return self.root / CHECKPOINT_PATTERN.format(
            model=model, train_seed=train_seed, step=step
        )


def default_root(spec: ZooSpec = QUICKSTART) -> Path:
    """Return the folder of `spec` in the user's cache; what ``zoo://`` stands for."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("evalvar")) / "zoo" / spec.digest


def is_complete(root: Path, spec: ZooSpec = QUICKSTART) -> bool:
    """Return whether all checkpoints and tasks of `spec` are in `root`."""
    return (
        _digest_of(root) == spec.digest
        and tasks_complete(root / "tasks")
        and not _missing(root, spec)
    )


def build_zoo(
    spec: ZooSpec = QUICKSTART,
    root: Path | None = None,
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Zoo:
    """Build what is missing of the zoo in `root`, by default in the user's cache.

    A training run of which any checkpoint is missing is trained again from its
    start, up to the last one missing: the same seed gives the same weights.

    Parameters
    ----------
    processes : int, optional
        Training runs at once, each with one thread; as many as cores if absent.
    progress : callable, optional
        Called with (checkpoints done, checkpoints in all, what is being done).

    Raises
    ------
    InputError
        ``extra-missing``: the run extra is not installed.
        ``zoo-spec``: the world cannot hold out so many items.
        ``zoo-other``: the folder holds a zoo of another spec.
    RunError
        ``zoo-not-written``: the folder cannot be written, or is full.
        ``zoo-failed``: a training process died.
    """
    root = (default_root(spec) if root is None else root).absolute()
    zoo = Zoo(root=root, spec=spec)
    report = progress or (lambda _done, _total, _what: None)
    total = spec.n_checkpoints
    try:
        if not is_complete(root, spec):
            _check_extra()
            root.mkdir(parents=True, exist_ok=True)
            with _alone(root, wait=lambda: report(0, total, "waiting for a build")):
                _build(zoo, processes or len(os.sched_getaffinity(0)), report)
    except OSError as error:
        raise RunError(
            f"{root}: the zoo could not be written: {error.strerror or error}",
            code="zoo-not-written",
        ) from error
    report(total, total, "the zoo is built")
    return zoo


def _check_extra() -> None:
    lacking = [name for name in RUN_EXTRA if find_spec(name) is None]
    if lacking:
        raise InputError(
            f"building the zoo needs {', '.join(lacking)}; pip install 'evalvar[run]'",
            code="extra-missing",
        )


def _build(zoo: Zoo, processes: int, report: Progress) -> None:
    spec, partial = zoo.spec, zoo.root / PARTIAL
    world = make_world(spec.world_seed, spec.n_items, spec.n_documents)
    _claim(zoo.root, spec)
    shutil.rmtree(partial, ignore_errors=True)  # what a killed build left
    partial.mkdir()
    write_tasks(world, zoo.tasks_folder)
    runs = _missing(zoo.root, spec)
    if runs:
        _train(zoo, runs, processes, report)
    shutil.rmtree(partial)


def _digest_of(root: Path) -> str | None:
    """Return which zoo `root` holds, ``None`` if it holds none."""
    try:
        return str(json.loads((root / MANIFEST).read_text())["digest"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError):
        return "unreadable"


def _claim(root: Path, spec: ZooSpec) -> None:
    """Write down which zoo `root` is to hold."""
    held = _digest_of(root)
    if held == spec.digest:
        return
    if held is not None:
        raise InputError(
            f"{root} holds another zoo ({held}, not {spec.digest}); "
            "name another folder",
            code="zoo-other",
        )
    content = {
        "digest": spec.digest,
        "zoo_version": ZOO_VERSION,
        "torch": version("torch"),
        "spec": asdict(spec),
    }
    write_whole(root / MANIFEST, json.dumps(content, indent=1) + "\n")


# ---- training in worker processes ------------------------------------------------

PARTIAL = ".partial"
"""Folder below the root for what is not whole yet; on the same file system."""

Run = tuple[ModelSize, int]
"""One training run: a size and a training seed."""


def _missing(root: Path, spec: ZooSpec) -> dict[Run, list[int]]:
    """Return the steps that each training run still lacks; the long runs first."""
    zoo = Zoo(root=root, spec=spec)
    sizes = sorted(spec.models, key=lambda size: -size.hidden_size * size.layers)
    lacking = {
        (size, seed): [
            step
            for step in spec.steps
            if not (zoo.checkpoint(size.name, seed, step) / "config.json").is_file()
        ]
        for size in sizes
        for seed in spec.train_seeds
    }
    return {run: steps for run, steps in lacking.items() if steps}


def _train(
    zoo: Zoo,
    runs: dict[Run, list[int]],
    processes: int,
    report: Progress,
) -> None:
    """Train `runs`; what is done is what is on disk, so nobody keeps count."""
    total = zoo.spec.n_checkpoints
    told = -1

    def tell() -> None:
        nonlocal told
        left = sum(len(steps) for steps in _missing(zoo.root, zoo.spec).values())
        if total - left != told:
            told = total - left
            report(told, total, "training")

    tell()
    context = multiprocessing.get_context("spawn")
    # Held open by this process alone: the workers end when it closes, however.
    reader, writer = context.Pipe(duplex=False)
    with writer, reader:
        pool = ProcessPoolExecutor(
            max(1, min(processes, len(runs))),
            mp_context=context,
            initializer=_start_worker,
            initargs=(reader,),
        )
        try:
            waiting: set[Future[None]] = {
                pool.submit(_train_run, zoo, size, seed, steps)
                for (size, seed), steps in runs.items()
            }
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                tell()
            pool.shutdown()
        except BrokenProcessPool as error:
            raise RunError(
                "a training process of the zoo died (out of memory?); "
                "build again to go on where it stopped",
                code="zoo-failed",
            ) from error
        finally:
            writer.close()
            pool.shutdown(cancel_futures=True)


def _start_worker(parent: Connection) -> None:
    """Use one thread; end as soon as the building process is gone, even killed."""
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        try:
            parent.recv()
        except EOFError:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _train_run(zoo: Zoo, size: ModelSize, train_seed: int, steps: list[int]) -> None:
    from harness.zoo.train import train  # torch stays in the workers

    for step, save in train(zoo.spec, size, train_seed, steps):
        folder = zoo.checkpoint(size.name, train_seed, step)
        with tempfile.TemporaryDirectory(dir=zoo.root / PARTIAL) as partial:
            whole = Path(partial) / "whole"
            save(whole)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists():  # it has no config.json: somebody's leftovers
                shutil.rmtree(folder)
            whole.rename(folder)


@contextmanager
def _alone(root: Path, *, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the folder's lock; it falls with the process that holds it."""
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
