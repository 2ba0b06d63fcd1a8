"""The command that begins: init."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import RUN, app
from harness.cli.options import named_path


@app.command(rich_help_panel=RUN, epilog="Example: evalvar init --demo")
def init(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=named_path,
            help="Where to write; the folder where you are if absent.",
        ),
    ] = Path(),
    demo: Annotated[
        bool,
        typer.Option("--demo", help="And results of two small models, to compare."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write anew what is there already.")
    ] = False,
) -> None:
    """Write a commented suite, a policy of the gate and a nightly workflow."""
    from harness.starter import DEMO, write_starter

    names = write_starter(folder, demo=demo, force=force)
    for name in names:
        if not name.startswith(f"{DEMO}/"):
            print(folder / name)
    if demo:
        models = sorted({name.split("/")[1] for name in names if name.startswith(DEMO)})
        first, second = (folder / DEMO / model for model in reversed(models))
        print(f"{folder / DEMO}: what lm-eval wrote of two models of the zoo")
        print(f"next: evalvar compare {first} {second}")
    else:
        suite = folder / "suites/nightly.yaml"
        print(f"next: name your checkpoints in {suite}, then evalvar plan {suite}")
