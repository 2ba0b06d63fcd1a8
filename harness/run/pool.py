"""Who does which trial? Ray actors, one model in memory each; the only importer of ray.

The driver keeps two calls in flight per worker, so that a worker need not wait while
the driver stores. A worker that dies is replaced; the trial it was at is tried again
within its bound, and the one queued behind it is not blamed.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Workers do the work; nothing here should go before them.
os.environ.setdefault("RAY_worker_niceness", "0")
# Ray hides all GPUs from workers that ask for none; the future default is to leave
# them, which is what a CPU worker on a GPU machine should not see.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")

import ray
from ray.exceptions import RayActorError, RayError

from harness.errors import InputError, RunError
from harness.records import Trial
from harness.run.backend import Placement
from harness.run.worker import RETRIED, Outcome, Worker, worker_died

IN_FLIGHT = 2
"""Calls per worker: one that runs and one that waits behind it."""

CONNECT_SECONDS = 10

OBJECT_STORE_BYTES = 256 * 2**20
"""Answers are small; Ray's own default is a third of the machine's memory."""


@dataclass(slots=True, eq=False)
class _Seat:
    """One worker's place: its actor, the visit it is on, its calls in order."""

    actor: Any = None
    visit: deque[Trial] = field(default_factory=deque)
    calls: deque[tuple[Any, Trial, datetime]] = field(default_factory=deque)


@contextlib.contextmanager
def cluster(address: str | None, *, cpus: int | None = None, gpus: float = 0) -> Any:
    """Join the Ray cluster at `address`, or start one here, and leave it at the end.

    Parameters
    ----------
    cpus, gpus : optional
        Logical resources of a cluster started here; this machine's by default.

    Raises
    ------
    RunError
        ``ray-unreachable``.
    """
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if ray.is_initialized():  # the caller's: use it and leave it
        yield
        return
    try:
        if address:
            _knock(address)
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",  # without it, Ray joins whatever runs here already
                num_cpus=cpus or len(os.sched_getaffinity(0)),
                num_gpus=gpus or None,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **quiet,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise RunError(
            f"Ray at {address or 'this machine'} cannot be reached: "
            f"{str(error).splitlines()[0]}",
            code="ray-unreachable",
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Fail in seconds where nobody answers; Ray itself would go on for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


def run_on_ray(
    trials: Sequence[Trial],
    *,
    backend: str,
    placement: Placement,
    workers: int | None,
    max_tries: int,
) -> Iterator[tuple[Trial, Outcome, int]]:
    """Run `trials` on the connected cluster; yields each with its outcome and tries.

    All trials of a checkpoint go to one worker, which loads it once. The order in
    which outcomes arrive is not that of the trials.

    Raises
    ------
    InputError
        ``resources-missing``: no node of the cluster can hold one worker.
    """
    visits = deque(_visits(trials))
    fits = _workers_that_fit(placement)
    if fits == 0:
        raise InputError(
            f"one worker needs {placement.cpus} CPUs and {placement.gpus:g} GPUs, and "
            f"no node of the cluster has them ({_nodes_text()}); "
            "lower resources: in the suite",
            code="resources-missing",
        )
    seats = [_Seat() for _ in range(min(workers or fits, fits, len(visits)))]
    actor_class = ray.remote(
        num_cpus=placement.cpus,
        num_gpus=placement.gpus,
        max_restarts=0,
        max_task_retries=0,
    )(Worker)
    tries: dict[str, int] = {}
    for seat in seats:
        seat.actor = actor_class.remote(backend, placement)
    while True:
        for seat in seats:
            _fill(seat, visits)
        owners = {call[0]: seat for seat in seats for call in seat.calls}
        if not owners:
            return
        ready, _ = ray.wait(list(owners), num_returns=1, timeout=None)
        seat = owners[ready[0]]
        reference, trial, asked_at = seat.calls[0]
        if ready[0] != reference:  # a dead actor fails all of its calls at once
            ready = [reference]
        tries[trial.trial_id] = tries.get(trial.trial_id, 0) + 1
        try:
            outcome: Outcome = ray.get(reference)
            seat.calls.popleft()
        except RayError as error:
            outcome = worker_died(trial, _why(error), asked_at)
            # Nothing behind the dead call has run: give it all to a new worker.
            waiting = [call[1] for call in list(seat.calls)[1:]]
            seat.calls.clear()
            seat.visit.extendleft(reversed(waiting))
            with contextlib.suppress(RayError, ValueError):
                ray.kill(seat.actor)
            seat.actor = actor_class.remote(backend, placement)
        done = tries[trial.trial_id]
        failed = outcome.answers is None
        if failed and outcome.error_code in RETRIED and done < max_tries:
            seat.visit.appendleft(trial)
            continue
        yield trial, outcome, done


def _visits(trials: Sequence[Trial]) -> list[deque[Trial]]:
    """Group trials by checkpoint, in the order in which checkpoints come."""
    groups: dict[tuple[Any, ...], deque[Trial]] = {}
    for trial in trials:
        checkpoint = trial.checkpoint
        key = (checkpoint.location, checkpoint.gguf_file, checkpoint.tokenizer)
        groups.setdefault(key, deque()).append(trial)
    return list(groups.values())


def _fill(seat: _Seat, visits: deque[deque[Trial]]) -> None:
    """Keep the seat's worker busy: its own visit first, then the next one."""
    while len(seat.calls) < IN_FLIGHT:
        if not seat.visit:
            if not visits:
                return
            seat.visit = visits.popleft()
        trial = seat.visit.popleft()
        call = seat.actor.run.remote(trial)
        seat.calls.append((call, trial, datetime.now(UTC)))


def _workers_that_fit(placement: Placement) -> int:
    return sum(
        min(
            int(node.get("CPU", 0) // placement.cpus),
            int(node.get("GPU", 0) / placement.gpus + 1e-9)
            if placement.gpus
            else 2**31,
        )
        for node in _nodes()
    )


def _nodes() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _nodes_text() -> str:
    return "; ".join(
        f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in _nodes()
    )


def _why(error: RayError) -> str:
    if isinstance(error, RayActorError):
        text = str(error)
        for line in text.splitlines():
            if "exit" in line.lower() or "died" in line.lower():
                return line.strip()
    return next(iter(str(error).splitlines()), type(error).__name__)
