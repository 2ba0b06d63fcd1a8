"""The command that takes other people's results into a store: import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import BAD_INPUT, INCOMPLETE, RUN, app
from harness.cli.options import Json
from harness.cli.streams import print_json, say, say_problems
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.store import Store


@app.command(
    "import",
    rich_help_panel=RUN,
    epilog="Example: evalvar import runs/ --store results/ours "
    "--pattern '{model}/seed{train_seed}/step{step}'",
)
def import_(
    paths: Annotated[
        list[str],
        typer.Argument(help="Files, and folders that are searched for results."),
    ],
    store: Annotated[
        str, typer.Option("--store", help="Where they go.")
    ] = "results/imported",
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pattern",
            help="What their paths say, such as {model}/seed{train_seed}/step{step}; "
            "completes what the files do not say.",
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="Only this format, such as lm-eval."),
    ] = None,
    cluster_field: Annotated[
        str | None,
        typer.Option(
            "--cluster-field",
            help="A field of lm-eval's documents that says which items belong "
            "together, such as passage_id.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read everything, write nothing.")
    ] = False,
    json_: Json = False,
) -> None:
    """Take in results of other tools; what is there already is not taken twice."""
    from harness.ingest.load import import_results
    from harness.progress import display
    from harness.terminal import show_imported

    opened = _opened(store)
    with display("importing") as shown:
        imported = import_results(
            opened,
            paths,
            pattern=pattern,
            format=format_,
            cluster_field=cluster_field,
            dry_run=dry_run,
            listen=shown.advance,
        )
    if json_:
        print_json("evalvar.import/1", {"store": store, **imported.to_dict()})
    elif imported.n_found:
        show_imported(imported)
        print(f"store: {store}" + (", nothing was written" if dry_run else ""))
        if not dry_run:
            following = "compare" if imported.trials else "status"
            print(f"next: evalvar {following} {store}")
    say_problems(imported.problems)
    if imported.n_left_out:
        others = "everything else" if imported.n_found else "nothing"
        say(f"{imported.n_left_out} left out, {others} was taken")
    if not imported.n_found:
        raise typer.Exit(BAD_INPUT)
    if imported.n_left_out:
        raise typer.Exit(INCOMPLETE)


def _opened(store: str) -> Store | str:
    """Return the store, or where it is to be made."""
    from harness.store import Store

    try:
        return Store(store)
    except InputError as error:
        if error.code != "store-missing":
            raise
    return store
