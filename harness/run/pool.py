"""Who does which trial? Ray actors, one model in memory each; the only importer of ray.

A server has one actor, which takes no core and no GPU: it waits, for several requests
at once.
The driver keeps two calls in flight per worker, so that a worker need not wait while
the driver stores. A worker that dies is replaced; the trial it was at is tried again
within its bound, and the one queued behind it is not blamed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
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

START_TRIES = 3
"""How often in a row a worker may die while it starts, before the run ends."""

TICK_SECONDS = 0.5
"""After so long without an outcome, the sweep gets a moment to commit."""

QUIET_SECONDS = 10.0
"""After so long without an outcome, whoever waits is told what for."""

CONNECT_SECONDS = 10

OBJECT_STORE_BYTES = 256 * 2**20
"""Answers are small; Ray's own default is a third of the machine's memory."""


@dataclass(slots=True, eq=False)
class _Team:
    """Workers of one kind, and the checkpoints that they have yet to visit."""

    start: Callable[[], Any]
    """Asks Ray for one more of them."""

    visits: deque[deque[Trial]]
    may_share: bool


@dataclass(slots=True, eq=False)
class _Seat:
    """One worker's place: its actor, the visit it is on, its calls in order."""

    team: _Team
    actor: Any = None
    starting: Any = None
    """Resolves once the actor is there, which a busy cluster may put off; then None."""

    visit: deque[Trial] = field(default_factory=deque)
    """What is left of a checkpoint's trials; seats that share it hold the same one."""

    calls: deque[tuple[Any, Trial, datetime]] = field(default_factory=deque)

    def start(self) -> None:
        """Ask for an actor; whoever sat here before is gone."""
        self.actor = self.team.start()
        self.starting = self.actor.pid.remote()

    @property
    def awaited(self) -> list[Any]:
        """What Ray may answer next: that the actor started, or its calls."""
        if self.starting is not None:
            return [self.starting]
        return [call for call, _, _ in self.calls]


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
    idle: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Trial, Outcome, int] | None]:
    """Run `trials` on the connected cluster; yields each with its outcome and tries.

    All trials of a checkpoint go to one worker, which loads it once; to several only
    if there are more workers than checkpoints. The order in which outcomes arrive is
    not that of the trials. ``None`` is yielded while nothing comes.

    Parameters
    ----------
    idle : callable, optional
        Told what is being waited for, whenever nothing has come for a while.

    Raises
    ------
    InputError
        ``resources-missing``: no node of the cluster can hold one worker.
    RunError
        ``worker-not-started``: the machine that it was placed on lacks a package;
        ``ray-unreachable``: the cluster is gone.
    """
    seats = _seats(trials, backend, placement, workers)
    for seat in seats:
        seat.start()
    tries: dict[str, int] = {}
    n_left, n_dead_starts, heard_at = len(trials), 0, time.monotonic()
    while n_left:
        _fill(seats)
        owners = {reference: seat for seat in seats for reference in seat.awaited}
        ready, _ = ray.wait(list(owners), num_returns=1, timeout=TICK_SECONDS)
        if not ready:
            if time.monotonic() - heard_at >= QUIET_SECONDS:
                _require_a_node()
                idle(_awaited(seats, placement))
                heard_at = time.monotonic()
            yield None
            continue
        heard_at = time.monotonic()
        seat = owners[ready[0]]
        if seat.starting is not None:
            try:
                ray.get(seat.starting)
                seat.starting, n_dead_starts = None, 0
            except RayError as error:
                n_dead_starts += 1
                _refuse_to_start(error, n_dead_starts)
                seat.start()
            continue
        # Its first call, whichever is ready: a dead actor fails all of them at once.
        reference, trial, asked_at = seat.calls[0]
        tries[trial.trial_id] = tries.get(trial.trial_id, 0) + 1
        try:
            outcome: Outcome = ray.get(reference)
            seat.calls.popleft()
        except RayError as error:
            outcome = worker_died(trial, _why(error), asked_at)
            # Nothing behind the dead call has run: give it all to a new worker.
            behind = [call[1] for call in list(seat.calls)[1:]]
            seat.calls.clear()
            seat.visit.extendleft(reversed(behind))
            with contextlib.suppress(RayError, ValueError):
                ray.kill(seat.actor)
            seat.start()
        done = tries[trial.trial_id]
        failed = outcome.answers is None
        if failed and outcome.error_code in RETRIED and done < max_tries:
            seat.visit.appendleft(trial)
            continue
        n_left -= 1
        yield trial, outcome, done


def _seats(
    trials: Sequence[Trial], backend: str, placement: Placement, workers: int | None
) -> list[_Seat]:
    """Return the places of those who hold models, and of those who ask servers."""
    local = [trial for trial in trials if trial.checkpoint.server is None]
    fits = _workers_that_fit(placement)
    if local and fits == 0:
        raise InputError(
            f"one worker needs {placement.cpus} CPUs and {placement.gpus:g} GPUs, and "
            f"no node of the cluster has them ({_nodes_text()}); "
            "lower resources: in the suite",
            code="resources-missing",
        )
    visits = deque(_visits(local))
    n = min(workers or fits, fits, len(local))
    holders = _Team(_starter(backend, placement), visits, may_share=n > len(visits))
    seats = [_Seat(holders) for _ in range(n)]
    servers: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.checkpoint.server is not None:
            servers.setdefault(trial.checkpoint.location, []).append(trial)
    asking = replace(placement, cpus=0, gpus=0)
    for some in servers.values():
        visits = deque(_visits(some))
        seats.append(_Seat(_Team(_starter(backend, asking), visits, may_share=False)))
    return seats


def _starter(backend: str, placement: Placement) -> Callable[[], Any]:
    actor_class = ray.remote(
        num_cpus=placement.cpus,
        num_gpus=placement.gpus,
        max_restarts=0,
        max_task_retries=0,
    )(Worker)
    return lambda: actor_class.remote(backend, placement)


def _visits(trials: Sequence[Trial]) -> list[deque[Trial]]:
    """Group trials by checkpoint, in the order in which checkpoints come."""
    groups: dict[tuple[Any, ...], deque[Trial]] = {}
    for trial in trials:
        checkpoint = trial.checkpoint
        key = (
            *(checkpoint.location, checkpoint.gguf_file, checkpoint.tokenizer),
            checkpoint.server,
        )
        groups.setdefault(key, deque()).append(trial)
    return list(groups.values())


def _fill(seats: Sequence[_Seat]) -> None:
    """Keep the workers that are there busy: each with its own visit, then the next."""
    for seat in seats:
        if seat.starting is not None and seat.visit:
            # What a dead worker left is for whoever is free first.
            if not any(other.visit is seat.visit for other in seats if other != seat):
                seat.team.visits.appendleft(seat.visit)
            seat.visit = deque()
    there = [seat for seat in seats if seat.starting is None]
    for depth in range(IN_FLIGHT):
        for seat in there:
            if len(seat.calls) > depth:
                continue
            if not seat.visit and seat.team.visits:
                seat.visit = seat.team.visits.popleft()
            elif not seat.visit and seat.team.may_share:
                of_team = [other.visit for other in seats if other.team is seat.team]
                seat.visit = max(of_team, key=len)
            # The last trials of a visit that is shared are left to whoever is free.
            n_sharing = sum(other.visit is seat.visit for other in seats)
            if seat.visit and (depth == 0 or len(seat.visit) >= n_sharing):
                trial = seat.visit.popleft()
                call = seat.actor.run.remote(trial)
                seat.calls.append((call, trial, datetime.now(UTC)))


def _awaited(seats: Sequence[_Seat], placement: Placement) -> str:
    """Say what a quiet spell is about: trials that take long, or a busy cluster."""
    under_way = [seat.calls[0][1] for seat in seats if seat.calls]
    if not under_way:
        return (
            f"no worker has started yet; one needs {placement.cpus} CPUs and "
            f"{placement.gpus:g} GPUs that are free"
        )
    more = f" and {len(under_way) - 1} more" if len(under_way) > 1 else ""
    return f"under way: {under_way[0]}{more}"


def _refuse_to_start(error: RayError, n_dead_starts: int) -> None:
    """Give up on workers that raise while they start, or die of it again and again."""
    raised = isinstance(error, RayActorError) and error.actor_init_failed
    if not raised and n_dead_starts < START_TRIES:
        return
    reason = str(error).strip().splitlines()[-1].strip() if raised else _why(error)
    raise RunError(
        f"a worker cannot start where Ray placed it: {reason}; "
        "every machine needs memory for it and the same evalvar[run]",
        code="worker-not-started",
    ) from None


def _workers_that_fit(placement: Placement) -> int:
    """Return how many workers the cluster could hold if nothing else ran on it."""
    return sum(
        min(
            int(node.get("CPU", 0) // placement.cpus),
            _workers_on_gpus(node.get("GPU", 0), placement.gpus),
        )
        for node in _nodes()
    )


def _workers_on_gpus(there: float, wanted: float) -> int:
    if not wanted:
        return sys.maxsize
    if wanted >= 1:
        return int(there // wanted)
    return int(there) * int(1 / wanted + 1e-9)  # a fraction is of one GPU, never of two


def _require_a_node() -> None:
    """Complain if Ray itself is gone, for then nothing will ever come."""
    if not _nodes():
        raise RunError(
            "every node of the Ray cluster is gone, killed or out of memory; what was "
            "finished is stored, the same command does the rest",
            code="ray-unreachable",
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
