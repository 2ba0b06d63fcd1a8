"""The study of coverage: its numbers are the code's, its page says what they say."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.stats.estimate import Caution, Estimate, Interval

STUDY = Path(__file__).parents[1] / "docs/studies/coverage.py"


def load_study():
    """As a module of another name: `coverage` is what measures the tests."""
    spec = importlib.util.spec_from_file_location("coverage_study", STUDY)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


study = load_study()
CELLS = study.read_cells()

QUICK = {
    "score": ("Hall", "probabilities, skewed", 30),
    "paired": ("Tango", "right or wrong, 0.2 better, 0.1 worse", 100),
    "seeds": ("0 and 1", "seed SD 0.03", 100),
    "monotonicity": ("other items", "rising, 5 steps", 300),
    "signal": ("decisions", "10 models, noise 0.4 of their SD", None),
}
"""One design of each family: interval, kind, items."""


@pytest.mark.parametrize("family", QUICK)
def test_the_numbers_are_those_of_the_code(family):
    """Within five standard errors of 300 tables, the first of the study's own."""
    method, kind, n_items = QUICK[family]
    design = next(
        d
        for d in study.all_designs(family)
        if (d.method, d.kind, d.n_items) == (method, kind, n_items)
    )
    found = study.simulate(design, 300)

    assert found
    for cell in found:
        kept = next(c for c in CELLS if key_of(c) == key_of(cell))
        for now, then in (
            (cell.coverage, kept.coverage),
            (cell.cautioned, kept.cautioned),
        ):
            assert abs(now - then) <= 5 * math.sqrt(max(then * (1 - then), 0.01) / 300)


def key_of(cell):
    return (
        cell.family,
        cell.quantity,
        cell.method,
        cell.kind,
        cell.n_items,
        cell.n_seeds,
        written(cell.mean),
    )


@pytest.mark.parametrize("family", study.FAMILIES)
def test_every_design_is_in_the_numbers_once(family):
    names = [design.name for design in study.all_designs(family)]
    kept = {key_of(cell) for cell in CELLS if cell.family == family}

    assert len(set(names)) == len(names)
    designs = {(*key[2:4], *key[4:]) for key in kept}
    assert designs == {
        (d.method, d.kind, d.n_items, d.n_seeds, written(d.mean))
        for d in study.all_designs(family)
    }


def written(mean):
    """As the numbers keep it, to six digits."""
    return None if mean is None else float(f"{mean:.6g}")


def test_what_does_not_hold_carries_a_caution():
    outside = [c for c in CELLS if c.verdict in ("cautioned", "silent")]

    assert outside
    assert all(cell.codes and cell.cautioned > study.MOSTLY for cell in outside)


def test_the_page_is_that_of_the_numbers(tmp_path, monkeypatch):
    import page  # beside the study, which has put it on the path

    monkeypatch.setattr(page, "HERE", tmp_path)
    monkeypatch.setattr(
        page.Page,
        "figure",
        lambda self, draw, name, alt, **size: self.parts.append(
            f"![{alt}]({self.name}-{name}.svg)"
        ),
    )
    written = study.write_page(CELLS)

    assert written.read_text("utf-8") == STUDY.with_suffix(".md").read_text("utf-8")


@pytest.mark.parametrize(
    ("coverage", "cautioned", "verdict"),
    [
        (0.93, 0.0, "holds"),
        (0.97, 0.0, "holds"),
        (0.925, 0.0, "at the edge"),
        (0.979, 0.0, "at the edge"),
        (0.91, 0.4, "silent"),
        (0.91, 0.6, "cautioned"),
        (1.0, 0.0, "silent"),
    ],
)
def test_a_verdict_allows_for_two_standard_errors(coverage, cautioned, verdict):
    cell = dataclasses.replace(
        CELLS[0], coverage=coverage, se=0.005, cautioned=cautioned
    )

    assert cell.verdict == verdict


def test_the_numbers_survive_being_written(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "NUMBERS", tmp_path / "numbers.csv")
    assert study.read_cells() == []
    study.write_cells(CELLS)

    # Undefined numbers are not equal to themselves; their words are.
    assert [str(c) for c in study.read_cells()] == [str(c) for c in CELLS]


def narrow(factor, cautions=(), breaks=""):
    def draw(rng, n):
        for x in rng.normal(size=n):
            half = factor * 1.959964
            ends = Interval(x - half, x + half)
            yield {
                "x": Estimate(
                    quantity="x",
                    value=x,
                    interval=ends,
                    n=1,
                    method="z",
                    cautions=cautions,
                )
            }

    return study.Design(
        family="score",
        method="z",
        kind="z",
        breaks=breaks,
        draw=draw,
        truth={"x": 0.0},
    )


@pytest.mark.parametrize(
    ("code", "breaks", "verdict"),
    [
        ("near-bound", "", "cautioned"),
        ("tied-pairs", "", "silent"),
        ("shape-of-seeds", "", "silent"),
        ("shape-of-seeds", "unseen-carry-over", "silent"),
        ("shape-of-seeds", "shape-of-seeds", "cautioned"),
    ],
)
def test_an_assumption_counts_where_it_is_broken(code, breaks, verdict):
    cautions = (Caution(code, "said always"),)

    assert study.simulate(narrow(0.7, cautions, breaks))[0].verdict == verdict


def test_an_interval_that_is_too_narrow_or_too_wide_is_found():
    right, short, long = (study.simulate(narrow(f))[0] for f in (1, 0.8, 1.4))

    assert right.verdict in ("holds", "at the edge")
    assert right.width == pytest.approx(1, abs=0.06)
    assert short.verdict == "silent"
    assert short.coverage < study.LEAST
    assert short.misled == pytest.approx(1 - short.coverage)
    assert long.verdict == "silent"
    assert long.coverage > study.MOST


def test_no_interval_needs_a_caution():
    def draw(rng, n):
        yield {"x": Estimate(quantity="x", value=1.0, n=1, method="none")}

    design = study.Design(
        family="score", method="none", kind="none", draw=draw, truth={"x": 0.0}
    )
    with pytest.raises(AssertionError, match="no caution"):
        study.simulate(design, 1)


def test_tables_do_not_depend_on_what_was_drawn_before():
    design = narrow(1)
    once = study.simulate(design, 100)
    np.random.default_rng(0).normal(size=10)

    assert study.simulate(design, 100) == once
