"""Real processes: workers and drivers are killed, and nothing finished is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("ray")
pytest.importorskip("lm_eval")

from fakes import FAKE, fake_plan
from server import serving
from toy import make_functions, make_world, run_suite

from harness.errors import RunError
from harness.run.backend import Placement
from harness.store import Store

pytestmark = [
    pytest.mark.ray,
    pytest.mark.lm_eval,
    # Ray leaves sockets and log files of its own to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

PATIENCE = 120
"""Seconds after which a process that should have ended is a failure."""

SLOW_SUITE = """
suite: slow
task_paths: [tasks]
checkpoints:
  - pattern: runs/{model}/seed{train_seed}/step{step}
tasks: [toy_slow, toy_cloze, toy_cloze_shots, toy_generate, toy_sampled]
sample_seeds: [0, 1]
resources: {batch_size: 16}
"""


@pytest.fixture(scope="module")
def two_nodes():
    """A Ray cluster of two nodes on this machine; one of them has a logical GPU."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=1, num_gpus=1)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    path = make_world(root, seeds=(0, 1), steps=(0, 10), suite=SLOW_SUITE)
    make_functions(root / "tasks")
    return path


@pytest.fixture(scope="module")
def undisturbed(world):
    """The content that every disturbed run must come to: computed without Ray."""
    run_suite(world, world.parent / "undisturbed")
    return Store(world.parent / "undisturbed").info()


@pytest.fixture
def log(world):
    """Where workers say that they compute the slow task's metric."""
    path = world.parent / "tasks/log"
    path.unlink(missing_ok=True)
    return path


def evalvar(*arguments: object, wait: bool = True):
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Of a shell's background job, children inherit that Ctrl-C is ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )
    if not wait:
        return process
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def wait_for_log(log: Path, process: subprocess.Popen, lines: int = 1) -> list[int]:
    """Wait until workers have said so much, and return their process numbers."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        said = log.read_text().split() if log.exists() else []
        if len(said) >= lines:
            return [int(pid) for pid in dict.fromkeys(said)]
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("the workers never started")


def attempts(store: Path) -> list[dict]:
    return Store(store).attempts().to_pylist()


def test_a_cluster_answers_as_one_process_does(world, two_nodes, undisturbed, tmp_path):
    done = evalvar("run", world, "--store", tmp_path / "s", "--ray-address", two_nodes)

    assert done.returncode == 0, done.stderr
    assert Store(tmp_path / "s").info().content_digest == undisturbed.content_digest
    assert Store(tmp_path / "s").verify() == []
    rows = attempts(tmp_path / "s")
    loads = {}
    for row in rows:
        key = (row["train_seed"], row["step"])
        loads[key] = loads.get(key, 0) + (row["load_seconds"] > 0)
    assert loads == dict.fromkeys(loads, 1), "each checkpoint is loaded once"
    assert len(loads) == 4


def test_nothing_is_done_twice(world, two_nodes, tmp_path):
    for expected in ("24 trials done", "0 trials done"):
        done = evalvar(
            "run", world, "--store", tmp_path / "s", "--ray-address", two_nodes
        )
        assert expected in done.stdout, done.stderr
    assert len(attempts(tmp_path / "s")) == 24


def test_a_killed_worker_is_replaced(world, undisturbed, tmp_path, log):
    """On a Ray of its own, although another one runs on this machine."""
    process = evalvar(
        "run", world, "--store", tmp_path / "s", "--workers", 1, wait=False
    )
    os.kill(wait_for_log(log, process)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, err
    assert Store(tmp_path / "s").info().content_digest == undisturbed.content_digest
    assert max(row["tries"] for row in attempts(tmp_path / "s")) == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_driver_loses_nothing_finished(
    world, two_nodes, undisturbed, tmp_path, log, how
):
    store = tmp_path / "s"
    command = ("run", world, "--store", store, "--ray-address", two_nodes)
    process = evalvar(*command, "--workers", 1, wait=False)
    # 12 make a trial: the second checkpoint is begun, the first one's six are finished.
    wait_for_log(log, process, lines=13)
    hold = log.with_name("hold")
    hold.touch()
    time.sleep(4)  # longer than what is finished may wait for its commit
    os.kill(process.pid, how)
    _, err = process.communicate(timeout=PATIENCE)
    hold.unlink()
    assert process.returncode == (-9 if how == signal.SIGKILL else 130), err
    if how != signal.SIGKILL:
        assert "the same command does the rest" in err
    assert len(attempts(store)) == 6
    before = {row["attempt_id"] for row in attempts(store)}
    assert Store(store).verify() == []

    again = evalvar(*command)
    assert again.returncode == 0, again.stderr
    after = attempts(store)
    assert before < {row["attempt_id"] for row in after}
    assert len(after) == 24, "only the rest is done"
    assert Store(store).info().content_digest == undisturbed.content_digest


def test_two_drivers_write_at_once(world, two_nodes, undisturbed, tmp_path):
    command = (
        "run", world, "--store", tmp_path / "s", "--ray-address", two_nodes,
        "--workers", 1,
    )  # fmt: skip
    both = [evalvar(*command, wait=False) for _ in range(2)]
    ends = [process.communicate(timeout=PATIENCE) for process in both]

    assert [process.returncode for process in both] == [0, 0], ends
    assert Store(tmp_path / "s").info().content_digest == undisturbed.content_digest
    assert Store(tmp_path / "s").verify() == []


def test_what_fails_is_stored_and_the_others_go_on(world, two_nodes, tmp_path):
    """A truncated checkpoint and a task that raises; then both are mended."""
    shutil.copytree(world.parent, tmp_path / "w", ignore=shutil.ignore_patterns("und*"))
    path = tmp_path / "w/suite.yaml"
    text = path.read_text()
    path.write_text(text.replace("toy_slow", "toy_raises"))
    file = tmp_path / "w/runs/toy/seed1/step10/model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-50])
    command = ("run", path, "--store", tmp_path / "s", "--ray-address", two_nodes)
    done = evalvar(*command)

    assert done.returncode == 5, done.stderr
    trials = Store(tmp_path / "s").trials().to_pylist()
    failed = [row for row in trials if row["status"] == "failed"]
    assert len(trials) == 24
    codes = {}
    for row in failed:
        codes[row["error_code"]] = codes.get(row["error_code"], 0) + 1
    # Of the spoilt checkpoint all 6 trials; of the other three, the raising task.
    assert codes == {"checkpoint-unreadable": 6, "trial-raised": 3}
    assert all(r["error"] and "\n" not in r["error"] for r in failed)
    assert all(row["tries"] == 2 for row in failed)
    assert "this task always raises" in done.stderr
    status = json.loads(evalvar("status", tmp_path / "s", "--json").stdout)
    assert (status["n_done"], status["n_failed"]) == (15, 9)

    file.write_bytes(whole)
    done = evalvar(*command)
    assert done.returncode == 5
    trials = Store(tmp_path / "s").trials().to_pylist()
    assert sum(row["status"] == "done" for row in trials) == 20


def test_a_fraction_of_a_gpu_is_placed_where_the_gpu_is(world, two_nodes, tmp_path):
    """Logical GPUs: the scheduling is Ray's own, the computing stays on the cores."""
    text = world.read_text().replace("batch_size: 16", "batch_size: 16, gpus: 0.5")
    path = world.parent / "gpu.yaml"
    path.write_text(text)
    done = evalvar("run", path, "--store", tmp_path / "s", "--ray-address", two_nodes)
    assert done.returncode == 0, done.stderr
    assert {row["device"] for row in attempts(tmp_path / "s")} == {"cpu"}

    path.write_text(text.replace("gpus: 0.5", "gpus: 2"))
    done = evalvar("run", path, "--store", tmp_path / "t", "--ray-address", two_nodes)
    assert done.returncode == 2
    assert "[resources-missing]" in done.stderr
    assert "2 GPUs" in done.stderr


def test_workers_see_their_own_gpu(two_nodes):
    """Ray names the GPU to a worker that asks for one, and hides it from others."""
    import ray

    from harness.run import pool

    with pool.cluster(two_nodes):
        assert pool._workers_that_fit(Placement(gpus=0.5)) == 1  # its node has one CPU
        assert pool._workers_that_fit(Placement()) == 2

        @ray.remote(num_gpus=0.5, num_cpus=0)
        def seen() -> tuple[str | None, list[int]]:
            return os.environ.get("CUDA_VISIBLE_DEVICES"), ray.get_gpu_ids()

        assert ray.get(seen.remote(), timeout=PATIENCE) == ("0", [0])


def run_fakes(backend: str = FAKE, **options):
    """Run a fake plan of eight trials on the connected cluster."""
    from harness.run.pool import run_on_ray

    trials = fake_plan().trials
    return trials, run_on_ray(
        trials,
        backend=backend,
        placement=Placement(),
        workers=None,
        max_tries=2,
        **options,
    )


def test_more_workers_than_checkpoints_share_them(world, two_nodes, tmp_path):
    templates = [{"name": f"t{n}", "target_delimiter": " " * n} for n in range(1, 17)]
    path = world.parent / "shared.yaml"
    head = world.read_text().split("tasks: [")[0].replace("{step}", "10")
    head = head.replace("{train_seed}", "0")
    path.write_text(f"{head}tasks: [toy_slow]\ntemplates: {json.dumps(templates)}\n")
    done = evalvar("run", path, "--store", tmp_path / "s", "--ray-address", two_nodes)

    assert done.returncode == 0, done.stderr
    rows = attempts(tmp_path / "s")
    assert len(rows) == len(templates)
    assert sum(row["load_seconds"] > 0 for row in rows) == 2


def test_a_worker_that_never_gets_its_place_holds_nothing_up(two_nodes):
    """One of two cores is somebody else's for good: the other one does it all."""
    import ray

    from harness.run import pool

    with pool.cluster(two_nodes):

        @ray.remote(num_cpus=1)
        def hold() -> None:
            time.sleep(PATIENCE)

        held = hold.remote()
        time.sleep(1)
        trials, outcomes = run_fakes()
        came = [outcome for outcome in outcomes if outcome is not None]
        ray.cancel(held, force=True)

    assert {trial.trial_id for trial, *_ in came} == {t.trial_id for t in trials}


def test_servers_are_asked_by_workers_that_take_no_place(world, two_nodes, tmp_path):
    """No node has eight GPUs, which who only asks does not need."""
    path = world.parent / "served.yaml"
    with serving() as one, serving() as other:
        one.latency = other.latency = 0.02
        path.write_text(f"""
suite: served
task_paths: [tasks]
checkpoints:
  - {{api: "{one.address}", model: a, chat: true, concurrent: 6}}
  - {{api: "{one.address}", model: b, chat: true, concurrent: 6}}
  - {{api: "{other.address}", model: c, chat: true, concurrent: 3}}
tasks: [toy_sampled]
resources: {{gpus: 8}}
""")
        done = evalvar(
            "run", path, "--store", tmp_path / "s", "--ray-address", two_nodes
        )
    assert done.returncode == 0, done.stderr
    rows = attempts(tmp_path / "s")
    workers = {row["model"]: row["load_seconds"] > 0 for row in rows}

    assert (one.most_under_way, other.most_under_way) == (6, 3)
    assert (len(one.asked), len(other.asked)) == (72, 36)
    assert workers == {"a": True, "b": True, "c": True}
    assert "[weights-unknown]" in done.stderr


@pytest.mark.parametrize(
    ("gpus", "n"), [(0.6, 2), (0.5, 4), (0.4, 4), (1 / 3, 6), (1, 2), (2, 1), (3, 0)]
)
def test_a_fraction_is_of_one_gpu(monkeypatch, gpus, n):
    from harness.run import pool

    monkeypatch.setattr(pool, "_nodes", lambda: [{"CPU": 16.0, "GPU": 2.0}])

    assert pool._workers_that_fit(Placement(gpus=gpus)) == n


def test_a_busy_cluster_is_waited_for_and_said(two_nodes, monkeypatch):
    import ray

    from harness.run import pool

    monkeypatch.setattr(pool, "QUIET_SECONDS", 0.2)
    told: list[str] = []
    with pool.cluster(two_nodes):

        @ray.remote(num_cpus=1)
        def hold() -> None:
            time.sleep(3)

        held = [hold.remote() for _ in range(2)]
        time.sleep(1)
        trials, outcomes = run_fakes(idle=told.append)
        came = [outcome for outcome in outcomes if outcome is not None]
        ray.get(held)

    assert {trial.trial_id for trial, *_ in came} == {t.trial_id for t in trials}
    assert all(outcome.answers is not None for _, outcome, _ in came)
    waiting = "no worker has started yet; one needs 1 CPUs and 0 GPUs that are free"
    assert told[0] == waiting


def test_workers_that_cannot_start_end_the_run(two_nodes):
    """As where a machine of the cluster lacks a package; no trial is to blame."""
    from harness.run import pool

    with pool.cluster(two_nodes), pytest.raises(RunError) as caught:
        list(run_fakes(backend="not_installed_there:Backend")[1])

    assert caught.value.code == "worker-not-started"
    assert "No module named 'not_installed_there'" in str(caught.value)


def test_an_unreachable_cluster_is_one_line(world, tmp_path):
    done = evalvar(
        "run", world, "--store", tmp_path / "s", "--ray-address", "127.0.0.1:1"
    )

    assert done.returncode == 5
    assert (
        done.stderr.strip().splitlines()[-1].startswith("evalvar: Ray at 127.0.0.1:1")
    )
    assert "[ray-unreachable]" in done.stderr


def test_a_ray_that_is_gone_ends_the_run(world, tmp_path, log):
    """Its node killed under it: nothing will come any more, and that is said."""
    process = evalvar(
        "run", world, "--store", tmp_path / "s", "--workers", 1, wait=False
    )
    hold = log.with_name("hold")
    try:
        wait_for_log(log, process, lines=13)
        hold.touch()
        time.sleep(4)  # what is finished is committed
        for child in Path(f"/proc/{process.pid}/task").glob("*/children"):
            for pid in child.read_text().split():
                if "raylet" in Path(f"/proc/{pid}/comm").read_text():
                    os.kill(int(pid), signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        hold.unlink(missing_ok=True)
        process.kill()

    assert process.returncode == 5, err
    assert "[ray-unreachable]" in err or "[worker-not-started]" in err
    assert out == ""
    assert len(attempts(tmp_path / "s")) >= 6
