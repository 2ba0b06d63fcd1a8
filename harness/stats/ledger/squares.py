"""How large is each component, by sums of squares of crossed and nested answers?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.ledger.design import Design, level_of

Floats = npt.NDArray[np.float64]

SINGULAR = 1e-9
"""Singular values below this, relative to the largest, are rounding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Squares:
    """Components of effects and residual, which comes last, and what makes them.

    Attributes
    ----------
    effects : tuple of int
        Sets of facets.
    components : ndarray, shape (n_effects + 1,)
        Squared score units, not cut off at 0; ``nan`` where the answers do not tell
        one from others.
    mean_squares, df : ndarray, shape (n_effects + 1,)
        Sums of squares over degrees of freedom. Without balance both are what they
        would be with it, as these components make them.
    weights : ndarray, shape (n_effects + 1, n_effects + 1)
        ``components = weights @ mean_squares``; ``nan`` where answers are too few.
    parts : ndarray, shape (n_effects + 1, n_items), or None
        What each item adds: means over items are components. Meant for effects that
        items are part of.
    """

    effects: tuple[int, ...]
    components: Floats
    mean_squares: Floats
    df: Floats
    weights: Floats
    parts: Floats | None


def is_balanced(design: Design) -> bool:
    """Return whether answers spread evenly, so that mean squares are independent.

    Levels of a closed set have equally many answers, and any two sets meet evenly
    within what they have in common.
    """
    closed, size = design.closed(), design.size
    return all(np.ptp(design.cells[e].counts) == 0 for e in closed) and all(
        size(e | f) * size(design.closure(e & f)) == size(e) * size(f)
        for e in closed
        for f in closed
    )


def squares(
    design: Design, effects: tuple[int, ...], *, item: int | None, balanced: bool
) -> Squares:
    """Return components by Henderson's first method: ANOVA's where there is balance.

    With ``T[e] = sum over groups g of e of (sum of scores)^2 / n[g]``, of scores less
    their mean::

        E T[e] = sum over f of (k[e, f] - k[0, f]) component[f]
        k[e, f] = sum over groups u of e and f together of n[u]^2 / n[g(u)]

    which is as many equations as components, and needs no distribution.

    Parameters
    ----------
    effects : tuple of int
        Closed sets but the empty one, each after those within it.
    item : int or None
        The facet whose levels' parts are wanted.
    balanced : bool
        Whether `is_balanced`, which saves counting.

    References
    ----------
    C. R. Henderson, Biometrics 9 (1953) 226. S. R. Searle, G. Casella, C. E.
    McCulloch, *Variance Components*, 1992, section 5.3.
    """
    sets = (0, *effects)
    held = np.array([_held(design, e, effects, balanced) for e in sets])
    sizes = np.array([*(design.size(e) for e in sets), design.n], dtype=float)
    held = np.column_stack([np.vstack([held, np.full(len(effects), design.n)]), sizes])
    sums = np.array(
        [*(float(_squares_of(design, e).sum()) for e in effects), design.squares.sum()]
    )
    equations = held[1:] - held[0]
    inverse, is_known = _inverse(equations)
    components = inverse @ sums

    differences = _differences(sets)
    df = (differences @ sizes)[1:]
    squares_hold = differences[1:, 1:] @ equations
    # Without balance effects leak into each other's squares. What they would hold if
    # not keeps the degrees of freedom of each with it.
    expected = (
        squares_hold * _is_inside(effects) / np.where(df > 0, df, np.nan)[:, None]
    )
    weights = np.full_like(inverse, np.nan)
    if (np.diag(expected) > 0).all():
        weights = np.linalg.inv(expected)
    parts = None
    if item is not None:
        by_item = _by_item(design, effects, item) - _held_by_item(
            design, effects, item, held, components, balanced
        )
        n_items = design.n_levels[item]
        parts = components[:, None] + n_items * inverse @ by_item
    return Squares(
        effects=effects,
        components=np.where(is_known, components, np.nan),
        mean_squares=expected @ components,
        df=df,
        weights=weights,
        parts=parts,
    )


def _squares_of(design: Design, facets: int) -> Floats:
    cells = design.cells[facets]
    return np.asarray(cells.sums**2 / cells.counts)


def _held(design: Design, e: int, effects: tuple[int, ...], balanced: bool) -> Floats:
    """Return how often the sum of squares of `e` holds each component."""
    held = np.zeros(len(effects))
    for union, columns in _unions(e, effects).items():
        held[columns] = (
            design.n * design.size(e) / design.size(union)
            if balanced
            else _held_by_group(design, e, union).sum()
        )
    return held


def _unions(e: int, effects: tuple[int, ...]) -> dict[int, list[int]]:
    """Return the sets that effects make with `e`, and which of them do."""
    unions: dict[int, list[int]] = {}
    for column, f in enumerate(effects):
        unions.setdefault(e | f, []).append(column)
    return unions


def _held_by_group(design: Design, e: int, union: int) -> Floats:
    groups = design.cells[e].counts
    if design.size(union) == len(groups):
        return groups
    squares = design.cells[union].counts ** 2
    to_group = design.index(union, e)
    return np.asarray(np.bincount(to_group, squares, minlength=len(groups)) / groups)


def _inverse(equations: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the inverse of equations, and which unknowns they settle."""
    scale = np.linalg.norm(equations, axis=0)
    scale[scale == 0] = 1
    left, values, right = np.linalg.svd(equations / scale)
    is_kept = values > SINGULAR * values[0]
    inverse = (right[is_kept].T / values[is_kept]) @ left[:, is_kept].T
    is_known = np.abs(right[~is_kept]).max(axis=0, initial=0) < np.sqrt(SINGULAR)
    return inverse / scale[:, None], is_known


def _differences(sets: tuple[int, ...]) -> Floats:
    """Return the matrix that makes sums of squares of `T`, the residual's last."""
    matrix = np.eye(len(sets) + 1)
    for i, e in enumerate(sets):
        for j in range(i):
            if sets[j] & ~e == 0:
                matrix[i] -= matrix[j]
    matrix[-1] -= matrix[:-1].sum(0)
    return matrix


def _is_inside(effects: tuple[int, ...]) -> Floats:
    """Return 1 where the levels of a row's effect hold whole levels of a column's."""
    rows = [[float(e & ~f == 0) for f in effects] + [1.0] for e in effects]
    return np.array([*rows, [0.0] * len(effects) + [1.0]])


def _by_item(design: Design, effects: tuple[int, ...], item: int) -> Floats:
    """Return what each item adds to each sum of squares.

    To one without items it adds by how much the sum would change, were there more of
    the item: ``2 mean s - mean^2 n``, with its own sum s and number n in a group.
    """
    n_items, mine = design.n_levels[item], 1 << item
    rows = []
    for e in effects:
        union = e | mine
        values = _squares_of(design, union)
        if not e & mine:
            cells, groups = design.cells[union], design.cells[e]
            mean = (groups.sums / groups.counts)[design.index(union, e)]
            values = mean * (2 * cells.sums - mean * cells.counts)
        rows.append(np.bincount(level_of(design, union, item), values, n_items))
    last = np.bincount(level_of(design, design.everything, item), design.squares)
    return np.array([*rows, last])


def _held_by_item(
    design: Design,
    effects: tuple[int, ...],
    item: int,
    held: Floats,
    components: Floats,
    balanced: bool,
) -> Floats:
    """Return what each item is expected to add to each sum of squares."""
    n_items, mine = design.n_levels[item], 1 << item
    share = design.cells[mine].counts / design.n
    expected = np.outer((held[1:] - held[0]) @ components, share)
    if balanced:
        return expected
    mean = held[0] @ components * share
    for row, e in enumerate(effects):
        if e & mine:
            values = np.full(design.size(e), components[-1])
            for union, columns in _unions(e, effects).items():
                values += components[columns].sum() * _held_by_group(design, e, union)
            level = level_of(design, e, item)
            expected[row] = np.bincount(level, values, n_items) - mean
    return expected
