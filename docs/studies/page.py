"""How is a study written? Sentences, tables and figures, as one Markdown page.

A study is a script that reads public data, computes with `harness.stats`, and writes
its page and its figures beside itself: `tox run -e studies`. The data are no part of
this repository; each page says where they come from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.stats.estimate import Estimate

HERE = Path(__file__).parent
DATA = Path(os.environ.get("EVALVAR_DATA", HERE.parents[2] / "shared" / "data"))
"""The extracts of public results; elsewhere if EVALVAR_DATA says so."""

COLOURS = ("#0072B2", "#B34A00", "#00795a", "#8f4a86", "#57606a", "#7a6200")
"""Those of the report, in its order."""


class Page:
    """A Markdown page in the making, and its figures."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.parts = [
            f"# {title}",
            f"Written by `docs/studies/{name}.py`; do not edit.",
        ]
        self.figures: dict[str, tuple[Callable[[Any], None], dict[str, float]]] = {}

    def say(self, *sentences: str) -> None:
        """Add a paragraph, one sentence a line."""
        self.parts.append("\n".join(sentences))

    def heading(self, words: str) -> None:
        """Add a heading of the second level."""
        self.parts.append(f"## {words}")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add a table; a heading that ends with ``>`` sets its column right."""
        names = [heading.removesuffix(">").strip() for heading in headings]
        marks = ["--:" if heading.endswith(">") else "---" for heading in headings]
        lines = [names, marks, *([str(cell) for cell in row] for row in rows)]
        self.parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))

    def figure(
        self, draw: Callable[[Any], None], name: str, alt: str, **size: float
    ) -> None:
        """Add a figure that `draw` puts on matplotlib axes, as an SVG of its own.

        Parameters
        ----------
        draw : callable
            Takes the axes; or a sequence of them where ``columns`` is given. It is
            called when the page is written.
        """
        self.figures[f"{self.name}-{name}.svg"] = draw, size
        self.parts.append(f"![{alt}]({self.name}-{name}.svg)")

    @property
    def text(self) -> str:
        """The page in Markdown."""
        return "\n\n".join(self.parts) + "\n"

    def write(self, folder: Path = HERE) -> Path:
        """Write the page and its figures; by default beside the script."""
        for name, (draw, size) in self.figures.items():
            _draw(draw, folder / name, **size)
        path = folder / f"{self.name}.md"
        path.write_text(self.text, encoding="utf-8")
        print(path, file=sys.stderr)
        return path


def _draw(draw: Callable[[Any], None], path: Path, **size: float) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    # The same file for the same numbers, whenever and wherever it is drawn.
    settings = {
        "svg.hashsalt": path.name,
        "svg.fonttype": "none",
        "font.size": 10,
        "axes.prop_cycle": mpl.cycler(color=COLOURS),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
    from matplotlib import pyplot

    with mpl.rc_context(settings):
        figure, axes = pyplot.subplots(
            1,
            int(size.get("columns", 1)),
            figsize=(size.get("width", 7.0), size.get("height", 3.6)),
            layout="constrained",
        )
        draw(axes)
        # On the page's own ground, readable on dark ones too.
        figure.savefig(path, metadata={"Date": None}, facecolor="white")
        pyplot.close(figure)


def data(*parts: str) -> Path:
    """Return the path of a data file, or end with what is missing."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        sys.exit(
            f"{path} is not here; EVALVAR_DATA names the folder of public extracts"
        )
    return path


def fixed(value: float, digits: int = 3) -> str:
    """Return a number with so many decimals, or a dash where it is not defined."""
    return (
        "–" if value != value else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    )


def within(low: float, high: float, digits: int = 3) -> str:
    """Return an interval."""
    return "–" if low != low else f"[{fixed(low, digits)}, {fixed(high, digits)}]"


def source(folder: str) -> Mapping[str, str]:
    """Return what SOURCE.txt of a data folder says: repository, commit, licence."""
    lines = data(folder, "SOURCE.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def cited(folder: str) -> str:
    """Return where a data folder comes from, as a sentence with a link."""
    known = source(folder)
    commit = known["commit"].split()[0]
    return (
        f"[{known['repo'].removeprefix('github.com/')}]"
        f"(https://{known['repo']}/tree/{commit}) at commit {commit[:10]}, "
        f"`{known['path']}`, licence {known['licence']}."
    )


def shown(found: Estimate, digits: int = 3) -> str:
    """Return an estimate with its interval."""
    if found.value != found.value or found.interval.low != found.interval.low:
        return fixed(found.value, digits)
    return f"{fixed(found.value, digits)} {within(*found.interval, digits)}"


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{share * 100:.0f} %"
