"""What is the command line? Its root, its groups, its exit codes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness import __version__

OK, BUG, BAD_INPUT, REGRESSION, INCONCLUSIVE, INCOMPLETE = 0, 1, 2, 3, 4, 5
INTERRUPTED, LEFT = 130, 141

RUN, ANALYSE, SHARE, KEEP = "Run", "Analyse", "Share", "Keep"

EPILOG = """Exit status: 0 done; 1 a bug; 2 bad input or options; 3 regression;
4 inconclusive; 5 run incomplete, some trials failed; 130 interrupted, resumable;
141 whoever read the output left before its end."""


KEPT = {
    "run": "what was finished is stored, the same command does the rest",
    "import": "trials read to their end are stored, the same command does the rest",
    "gate": "what --confirm finished is stored, the same command does the rest",
}
"""What an interruption leaves of a command that writes."""


class _Interruptible(TyperGroup):
    """Ends with 130 on Ctrl-C, and says what is not lost."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            left = KEPT.get(ctx.invoked_subcommand, "the same command begins anew")
            print(f"evalvar: interrupted; {left}", file=sys.stderr)
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
subset_app = typer.Typer(
    no_args_is_help=True, help="Small subsets of items: how far they can be trusted."
)
select_app = typer.Typer(
    no_args_is_help=True, help="Choose few items, and write them where they are used."
)
baseline_app = typer.Typer(
    no_args_is_help=True, help="What others are measured by: set, show, history."
)
app.add_typer(subset_app, name="subset", rich_help_panel=ANALYSE)
app.add_typer(select_app, name="select", rich_help_panel=ANALYSE)
app.add_typer(store_app, name="store", rich_help_panel=KEEP)
app.add_typer(baseline_app, name="baseline", rich_help_panel=KEEP)
app.add_typer(zoo_app, name="zoo", rich_help_panel=RUN)
app.add_typer(schema_app, name="schema", rich_help_panel=KEEP)


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
