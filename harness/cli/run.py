"""Commands that evaluate: plan, run, quickstart, zoo."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import harness
from harness.cli.app import INCOMPLETE, RUN, app, zoo_app
from harness.cli.options import (
    AddressOption,
    Json,
    StoreOption,
    SuitePath,
    WorkersOption,
    named_path,
)
from harness.cli.streams import print_json, say
from harness.errors import InputError, RunError

if TYPE_CHECKING:
    from harness.plan import Answered, Plan
    from harness.records import Trial
    from harness.suite import Suite
    from harness.sweep import Execute, SweepResult


ItemsOption = Annotated[
    Path | None,
    typer.Option(
        "--items",
        parser=named_path,
        help="Only these items of its tasks: a file that evalvar select wrote.",
    ),
]


@app.command(
    rich_help_panel=RUN,
    epilog="Example: evalvar plan suites/quickstart.yaml",
)
def plan(
    suite: SuitePath,
    store: StoreOption = None,
    items: ItemsOption = None,
    json_: Json = False,
) -> None:
    """Show which trials a suite would run, and which are stored already."""
    from harness import terminal

    _, made, _ = _plan(suite, store, items)
    if json_:
        print_json("evalvar.plan/1", made.to_dict())
    else:
        terminal.show_plan(made)


@app.command(
    rich_help_panel=RUN,
    epilog="Example: evalvar run suites/quickstart.yaml --workers 2",
)
def run(
    suite: SuitePath,
    store: StoreOption = None,
    items: ItemsOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    json_: Json = False,
) -> None:
    """Evaluate what is not stored yet; the same command resumes."""
    read, made, where = _plan(suite, store, items)
    result = run_plan(made, where, workers, ray_address)
    if json_:
        print_json("evalvar.run/1", {"store": where, **result.to_dict()})
    else:
        _say_result(read, where, result)
    if result.n_failed:
        raise typer.Exit(INCOMPLETE)


@app.command(
    rich_help_panel=RUN,
    epilog="Example: evalvar quickstart --into results/quickstart",
)
def quickstart(
    into: Annotated[
        Path, typer.Option(help="Folder of the store; the page goes to reports/.")
    ] = Path("results/quickstart"),
    workers: WorkersOption = None,
) -> None:
    """Train a small zoo, evaluate it, and show how much of each score is noise."""
    from harness.cli.analyse import variance
    from harness.cli.share import report

    build()
    made = plan_of(_packaged_suite("quickstart.yaml"), str(into))[1]
    result = run_plan(made, str(into), workers, None)
    _say_errors(result)
    if result.n_failed == len(made.trials):
        raise typer.Exit(INCOMPLETE)
    variance(str(into))
    report(str(into), Path("reports") / "quickstart.html")
    if result.n_failed:
        raise typer.Exit(INCOMPLETE)


@zoo_app.command(epilog="Example: evalvar zoo build")
def build(
    into: Annotated[
        Path | None, typer.Option(help="Folder; the user's cache if absent.")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Models trained at once; one per core if absent."),
    ] = None,
) -> None:
    """Train the zoo's checkpoints and write its tasks; does only what is missing."""
    from harness.progress import display
    from harness.zoo import QUICKSTART, build_zoo, default_root

    root = into or default_root()
    with display("training the zoo") as shown:
        build_zoo(QUICKSTART, root, processes=processes, progress=shown.advance)
    print(f"zoo: {root}", file=sys.stderr)


def _plan(path: Path, store: str | None, items: Path | None) -> tuple[Suite, Plan, str]:
    read, made = plan_of(path, store, items)
    return read, made, store or f"results/{read.suite}"


def plan_of(
    path: Path, store: str | None, items: Path | None = None
) -> tuple[Suite, Plan]:
    """Return a suite, and what of it a store lacks; tells its cautions."""
    from harness.plan import make_plan
    from harness.selection import read_selection
    from harness.suite import load_suite

    if store is not None and not store.strip():
        raise InputError(
            "--store is empty; name a folder or an address, or leave it out",
            code="not-a-store",
        )
    read = load_suite(path)
    selection = read_selection(items) if items is not None else None
    status, answered, rate = _stored(store or f"results/{read.suite}")
    with _run_extra():
        from harness.run.lm_eval import LMEvalBackend
    with contextlib.redirect_stdout(sys.stderr):  # a task's own code may print
        made = make_plan(
            read,
            LMEvalBackend(),
            base=path.parent,
            zoo=zoo_root(),
            status=status,
            answered=answered,
            seconds_per_request=rate,
            selection=selection,
        )
    for caution in made.cautions:
        say(f"note: {caution.text} [{caution.code}]")
    return read, made


def _stored(where: str) -> tuple[dict[str, str], Answered | None, float | None]:
    """Return what a store knows of trials and of their speed; nothing if it is new."""
    from functools import partial

    from harness.answered import answered
    from harness.store import Store
    from harness.sweep import seconds_per_request

    try:
        store = Store(where)
    except InputError as error:
        if error.code == "store-missing":
            return {}, None, None
        raise
    rate = seconds_per_request(store.trials())
    return store.status(), partial(answered, store), rate


def run_plan(
    made: Plan, where: str, workers: int | None, ray_address: str | None
) -> SweepResult:
    """Run what a plan lacks on Ray, with progress on standard error."""
    from functools import partial

    from harness.progress import display, trial_text
    from harness.store import Store
    from harness.sweep import LM_EVAL, Progress, nothing_to_do, placement_of, sweep

    if not made.remaining:
        say("every trial is stored already")
        return nothing_to_do()
    store = Store.create(where)  # a bad place is told before the work starts
    with _run_extra():
        from harness.run.pool import cluster, run_on_ray
    resources = made.suite.resources
    # Ray says on standard output what is no answer of ours.
    with display("evaluating") as shown, contextlib.redirect_stdout(sys.stderr):
        done = 0, 1  # requests finished, and in all

        def listen(progress: Progress) -> None:
            nonlocal done
            done = progress.requests_finished, progress.requests_total
            shown.advance(*done, trial_text(progress))

        shown.advance(0, 1, "starting Ray")
        with cluster(ray_address), _Interruption() as interruption:
            execute = partial(
                run_on_ray,
                backend=LM_EVAL,
                placement=placement_of(made),
                workers=workers or resources.workers,
                max_tries=made.suite.max_tries,
                idle=lambda what: shown.advance(*done, what),
            )
            return sweep(made, store, interruption.watch(execute), listen=listen)


def _say_result(read: Suite, where: str, result: SweepResult) -> None:
    print(
        f"{read.suite}: {result.n_done} trials done, {result.n_failed} failed, "
        f"in {result.seconds:.0f} s"
    )
    _say_errors(result)
    following = "prompts" if len(read.templates) > 1 else "variance"
    if result.n_failed and not result.n_done:
        following = "status"  # which says why
    print(f"store: {where}\nnext: evalvar {following} {where}")


def _say_errors(result: SweepResult) -> None:
    for error in result.errors:
        say(f"failed: {error}")
    if result.n_errors > len(result.errors):
        more = result.n_errors - len(result.errors)
        say(f"failed: {more} more errors; `evalvar status STORE` lists all")


def zoo_root() -> Path | None:
    """Return the zoo of the quickstart, where it is built."""
    from harness.zoo import QUICKSTART, default_root, is_complete

    root = default_root()
    return root if is_complete(root, QUICKSTART) else None


def _packaged_suite(name: str) -> Path:
    """Find a suite that comes with the package, in the wheel or in a checkout."""
    package = Path(harness.__file__).parent
    for folder in (package / "suites", package.parent / "suites"):
        if (folder / name).is_file():
            return folder / name
    raise RunError(f"{name} did not come with this package", code="suite-missing")


@contextlib.contextmanager
def _run_extra() -> Iterator[None]:
    """Turn a missing package of the run extra into one line."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"running needs {str(error.name).partition('.')[0]}, "
            "which is not installed: "
            "pip install 'evalvar[run]'",
            code="extra-missing",
        ) from None


class _Interruption:
    """Takes Ctrl-C and a request to terminate alike, so that finished work is stored.

    Entered after Ray has started, which handles signals in its own way. An exception
    may get lost in a callback of foreign code; then the next outcome, or the next
    moment without one, ends the sweep.
    """

    def __init__(self) -> None:
        self.caught = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> _Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            # What a shell's background job ignores is none of our business.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self.before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _interrupt(self, *_: Any) -> NoReturn:
        self.caught = True
        raise KeyboardInterrupt

    def watch(self, execute: Execute) -> Execute:
        """Return `execute`, ended by an interruption that got lost."""

        def watched(trials: Sequence[Trial]) -> Iterator[Any]:
            for came in execute(trials):
                yield came
                if self.caught:
                    raise KeyboardInterrupt

        return watched
