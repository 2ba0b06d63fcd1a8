"""The command line: parse, call, print, exit. No arithmetic, no file formats."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperGroup

from harness import __version__
from harness.errors import HarnessError, InputError, RunError

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.records import Trial
    from harness.stats.ranks import RankMethod
    from harness.store import Store
    from harness.suite import Suite
    from harness.sweep import Execute, SweepResult

OK, BUG, BAD_INPUT, REGRESSION, INCONCLUSIVE, INCOMPLETE = 0, 1, 2, 3, 4, 5
INTERRUPTED = 130

RUN, ANALYSE, SHARE, KEEP = "Run", "Analyse", "Share", "Keep"

EPILOG = """Exit status: 0 done; 1 a bug; 2 bad input or options; 3 regression;
4 inconclusive; 5 run incomplete, some trials failed; 130 interrupted, resumable."""


class _Interruptible(TyperGroup):
    """Ends with 130 on Ctrl-C, and says that nothing is lost."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print(
                "evalvar: interrupted; what was finished is stored, "
                "the same command does the rest",
                file=sys.stderr,
            )
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Interruptible,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
    epilog=EPILOG,
    help="Measure model checkpoints, and say which differences are real.",
)
store_app = typer.Typer(
    no_args_is_help=True, help="Look after a store: info, verify, compact."
)
zoo_app = typer.Typer(no_args_is_help=True, help="The zoo of tiny models to measure.")
schema_app = typer.Typer(no_args_is_help=True, help="Print JSON Schemas.")
app.add_typer(store_app, name="store", rich_help_panel=KEEP)
app.add_typer(zoo_app, name="zoo", rich_help_panel=RUN)
app.add_typer(schema_app, name="schema", rich_help_panel=KEEP)

SuitePath = Annotated[
    Path, typer.Argument(help="A suite file, such as suites/quickstart.yaml.")
]
StorePath = Annotated[
    str, typer.Argument(help="A store: a folder, or an address such as s3://….")
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="Where results go; results/SUITE-NAME if absent."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Models in memory at once, instead of the suite's."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Join this Ray cluster (auto, or HOST:PORT) instead of starting one."
    ),
]


DdofOption = Annotated[
    int, typer.Option(min=0, max=1, help="1: sample SD over seeds; 0: population.")
]
MetricOption = Annotated[
    str | None,
    typer.Option("--metric", help="Discrete metric instead of each task's own."),
]
ContinuousOption = Annotated[
    str | None,
    typer.Option("--continuous", help="Continuous metric, likewise."),
]
ConfidenceOption = Annotated[
    float, typer.Option("--confidence", help="Level of every interval, such as 0.95.")
]
MonotonicityOption = Annotated[
    str,
    typer.Option("--monotonicity", help="Rank correlation: tau-b, tau-a or spearman."),
]


class TableFormat(StrEnum):
    """How a table is printed."""

    table = "table"
    md = "md"
    csv = "csv"
    json = "json"


def _version(asked: bool) -> None:
    if asked:
        print(f"evalvar {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Measure model checkpoints, and say which differences are real."""


# ---- run -----------------------------------------------------------------------


@app.command(
    rich_help_panel=RUN,
    epilog="Example: evalvar plan suites/quickstart.yaml",
)
def plan(suite: SuitePath, store: StoreOption = None, json_: Json = False) -> None:
    """Show which trials a suite would run, and which are stored already."""
    from harness import terminal

    _, made, _ = _plan(suite, store)
    if json_:
        _print_json("evalvar.plan/1", made.to_dict())
    else:
        terminal.show_plan(made)


@app.command(
    rich_help_panel=RUN,
    epilog="Example: evalvar run suites/quickstart.yaml --workers 2",
)
def run(
    suite: SuitePath,
    store: StoreOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    json_: Json = False,
) -> None:
    """Evaluate what is not stored yet; the same command resumes."""
    read, made, where = _plan(suite, store)
    result = _run(made, where, workers, ray_address)
    if json_:
        _print_json("evalvar.run/1", {"store": where, **result.to_dict()})
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
    build()
    made = _make_plan(_packaged_suite("quickstart.yaml"), str(into))[1]
    result = _run(made, str(into), workers, None)
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


# ---- analyse -------------------------------------------------------------------


@app.command(
    rich_help_panel=ANALYSE, epilog="Example: evalvar status results/quickstart"
)
def status(store: StorePath, json_: Json = False) -> None:
    """Show which trials of a store are done, and why others failed."""
    from harness import terminal

    trials = _open(store).trials().to_pandas()
    if json_:
        _print_json("evalvar.status/1", terminal.status_dict(trials))
    else:
        terminal.show_status(trials)


@app.command(
    rich_help_panel=ANALYSE, epilog="Example: evalvar variance results/quickstart"
)
def variance(
    store: StorePath,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    metric: MetricOption = None,
    continuous: ContinuousOption = None,
    ddof: DdofOption = 1,
    confidence: ConfidenceOption = 0.95,
    monotonicity: MonotonicityOption = "tau-b",
    format_: Annotated[
        TableFormat, typer.Option("--format", help="How the table is printed.")
    ] = TableFormat.table,
    json_: Json = False,
) -> None:
    """Say how much of each benchmark's score is noise."""
    from harness.report import text
    from harness.stats.tables import score_tables
    from harness.stats.variance import variance_table

    # Of all tasks: which weights of a checkpoint count is not for one to say.
    responses = _open(store).responses(model=model)
    if responses.empty or task not in (None, *responses["task"].unique()):
        raise _nothing_stored(store, model, task)
    rows = variance_table(
        score_tables(responses, task=task, discrete=metric, continuous=continuous),
        ddof=ddof,
        confidence_level=confidence,
        rank_method=cast("RankMethod", monotonicity),
    )
    if json_ or format_ is TableFormat.json:
        _print_json("evalvar.variance/1", {"rows": [row.to_dict() for row in rows]})
    elif format_ is TableFormat.table:
        text.show_variance(rows)
    else:
        print(text.variance_markup(rows, format_.value), end="")


# ---- share ---------------------------------------------------------------------


@app.command(
    rich_help_panel=SHARE,
    epilog="Example: evalvar report results/quickstart -o reports/quickstart.html",
)
def report(
    store: StorePath,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The HTML file to write; - is stdout."),
    ],
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    metric: MetricOption = None,
    continuous: ContinuousOption = None,
    ddof: DdofOption = 1,
    confidence: ConfidenceOption = 0.95,
    monotonicity: MonotonicityOption = "tau-b",
) -> None:
    """Write one self-contained interactive HTML page."""
    from harness.report.gather import gather
    from harness.report.page import render

    opened = _open(store)
    with _output(output) as write:
        data = gather(
            opened.responses(),
            opened.attempts().to_pandas(),
            title=title or Path(store).name,
            discrete=metric,
            continuous=continuous,
            ddof=ddof,
            confidence_level=confidence,
            rank_method=cast("RankMethod", monotonicity),
        )
        write(render(data))
    if str(output) != "-":
        print(f"report: {output}")


# ---- keep ----------------------------------------------------------------------


@store_app.command(epilog="Example: evalvar store info results/quickstart")
def info(store: StorePath, json_: Json = False) -> None:
    """Count what a store holds."""
    from harness import terminal

    found = _open(store).info()
    if json_:
        _print_json("evalvar.store/1", found.to_dict())
    else:
        terminal.show_mapping(found.to_dict())


@store_app.command(epilog="Example: evalvar store verify results/quickstart")
def verify(store: StorePath, json_: Json = False) -> None:
    """Check that every finished trial has all of its responses."""
    problems = _open(store).verify()
    if json_:
        _print_json("evalvar.verify/1", {"problems": problems})
    else:
        print("\n".join(problems) or "every finished trial has all of its responses")
    if problems:
        raise typer.Exit(INCOMPLETE)


@store_app.command(epilog="Example: evalvar store compact results/quickstart")
def compact(
    store: StorePath,
    drop_replaced: Annotated[
        bool,
        typer.Option("--drop-replaced", help="Delete the merged files at once."),
    ] = False,
) -> None:
    """Merge the small files that many commits leave."""
    counts = _open(store).compact(drop_replaced=drop_replaced)
    for name in ("responses", "trials"):
        print(f"{name}: {counts[f'{name}_before']} files, now {counts[name]}")


@schema_app.command(epilog="Example: evalvar schema suite > suite.schema.json")
def suite() -> None:
    """Print the JSON Schema of suite files."""
    from harness.suite import suite_schema

    print(json.dumps(suite_schema(), indent=2))


@app.command(rich_help_panel=KEEP, epilog="Example: evalvar doctor")
def doctor(json_: Json = False) -> None:
    """Check this machine: versions, cores, GPUs, browser, and what is missing."""
    from harness import terminal
    from harness.doctor import examine

    findings = examine()
    if json_:
        _print_json("evalvar.doctor/1", {"findings": [f.to_dict() for f in findings]})
    else:
        terminal.show_findings(findings)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(BAD_INPUT)


# ---- shared steps --------------------------------------------------------------


def _plan(path: Path, store: str | None) -> tuple[Suite, Plan, str]:
    read, made = _make_plan(path, store)
    return read, made, store or f"results/{read.suite}"


def _make_plan(path: Path, store: str | None) -> tuple[Suite, Plan]:
    from harness.plan import make_plan
    from harness.suite import load_suite

    if store is not None and not store.strip():
        raise InputError(
            "--store is empty; name a folder or an address, or leave it out",
            code="not-a-store",
        )
    read = load_suite(path)
    status, rate = _stored(store or f"results/{read.suite}")
    with _run_extra():
        from harness.run.lm_eval import LMEvalBackend
    with contextlib.redirect_stdout(sys.stderr):  # a task's own code may print
        made = make_plan(
            read,
            LMEvalBackend(),
            base=path.parent,
            zoo=_zoo(),
            status=status,
            seconds_per_request=rate,
        )
    for caution in made.cautions:
        _say(f"note: {caution.text} [{caution.code}]")
    return read, made


def _stored(where: str) -> tuple[dict[str, str], float | None]:
    """Return what a store knows of trials and of their speed; nothing if it is new."""
    from harness.store import Store
    from harness.sweep import seconds_per_request

    try:
        store = Store(where)
    except InputError as error:
        if error.code == "store-missing":
            return {}, None
        raise
    return store.status(), seconds_per_request(store.trials())


def _run(
    made: Plan, where: str, workers: int | None, ray_address: str | None
) -> SweepResult:
    from functools import partial

    from harness.progress import display, trial_text
    from harness.store import Store
    from harness.sweep import LM_EVAL, Progress, nothing_to_do, placement_of, sweep

    if not made.remaining:
        _say("every trial is stored already")
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
    print(f"store: {where}\nnext: evalvar variance {where}")


def _say_errors(result: SweepResult) -> None:
    for error in result.errors:
        _say(f"failed: {error}")
    if result.n_errors > len(result.errors):
        more = result.n_errors - len(result.errors)
        _say(f"failed: {more} more errors; `evalvar status STORE` lists all")


def _open(store: str) -> Store:
    from harness.store import Store

    return Store(store)


def _zoo() -> Path | None:
    from harness.zoo import QUICKSTART, default_root, is_complete

    root = default_root()
    return root if is_complete(root, QUICKSTART) else None


def _packaged_suite(name: str) -> Path:
    """Find a suite that comes with the package, in the wheel or in a checkout."""
    package = Path(__file__).parent
    for folder in (package / "suites", package.parent / "suites"):
        if (folder / name).is_file():
            return folder / name
    raise RunError(f"{name} did not come with this package", code="suite-missing")


def _nothing_stored(store: str, model: str | None, task: str | None) -> InputError:
    of = "".join(f" of {value}" for value in (model, task) if value)
    return InputError(
        f"{store}: no finished trial{of}; `evalvar status {store}` shows what is there",
        code="nothing-stored",
    )


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


@contextlib.contextmanager
def _output(path: Path) -> Iterator[Any]:
    """Open a place for a file before the work starts; it appears when it is whole."""
    if str(path) == "-":
        yield sys.stdout.write
        return
    there = Path(os.path.realpath(path))  # a link stays one
    partial = there.parent / f".{there.name}.partial"
    try:
        there.parent.mkdir(parents=True, exist_ok=True)
        if there.is_dir():
            raise IsADirectoryError(21, "is a folder")
        if there.exists() and not there.is_file():  # a device or a pipe
            with there.open("w", encoding="utf-8") as file:
                yield file.write
            return
        with partial.open("w", encoding="utf-8") as file:
            yield file.write
        partial.replace(there)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written: {error.strerror or error}",
            code="output-not-written",
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _print_json(schema: str, document: dict[str, Any]) -> None:
    print(json.dumps({"schema": schema, **document}, indent=2, allow_nan=False))


def _say(words: str) -> None:
    from harness.terminal import one_line

    print(one_line(words), file=sys.stderr)


def main() -> None:
    """Run the command line; an error raised on purpose becomes one line and a code."""
    _make_streams_fit()
    try:
        try:
            app(prog_name="evalvar")
        finally:
            sys.stdout.flush()
    except HarnessError as error:
        _say(f"evalvar: {error} [{error.code}]")
        sys.exit(BAD_INPUT if isinstance(error, InputError) else INCOMPLETE)
    except BrokenPipeError:  # whoever read has left
        _leave_stdout()
    except OSError as error:
        if error.filename or error.errno not in {errno.ENOSPC, errno.EBADF, errno.EIO}:
            raise
        _leave_stdout()
        _say(
            f"evalvar: standard output cannot be written: {error.strerror} "
            "[output-not-written]"
        )
        sys.exit(INCOMPLETE)


def _make_streams_fit() -> None:
    """Print what an old-fashioned locale cannot write as ``?``; accept no stream."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _leave_stdout() -> None:
    """Keep Python from writing once more, at its end, what nobody takes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
