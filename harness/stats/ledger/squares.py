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
        Sums of squares over degrees of freedom, which without balance are what they
        would be with it.
    weights : ndarray, shape (n_effects + 1, n_effects + 1)
        ``components = weights @ mean_squares``.
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
    held = np.array([[_held(design, e, f, balanced) for f in effects] for e in sets])
    sizes = np.array([*(design.size(e) for e in sets), design.n], dtype=float)
    held = np.column_stack([np.vstack([held, np.full(len(effects), design.n)]), sizes])
    sums = np.array(
        [*(float(_squares_of(design, e).sum()) for e in effects), design.squares.sum()]
    )
    equations = held[1:] - held[0]
    inverse, is_known = _inverse(equations)
    components = inverse @ sums

    differences = _differences(sets)
    df = differences @ sizes
    mean_squares = (differences[1:, 1:] @ sums) / np.where(df[1:] > 0, df[1:], np.nan)
    weights = inverse @ np.linalg.inv(differences[1:, 1:]) * df[1:]
    parts = None
    if item is not None:
        by_item = _by_item(design, effects, item)
        expected = _held_by_item(design, effects, item, held, components, balanced)
        n_items = design.n_levels[item]
        parts = components[:, None] + n_items * inverse @ (by_item - expected)
    return Squares(
        effects=effects,
        components=np.where(is_known, components, np.nan),
        mean_squares=mean_squares,
        df=df[1:],
        weights=weights,
        parts=parts,
    )


def _squares_of(design: Design, facets: int) -> Floats:
    cells = design.cells[facets]
    return np.asarray(cells.sums**2 / cells.counts)


def _held(design: Design, e: int, f: int, balanced: bool) -> float:
    """Return how often the sum of squares of `e` holds component `f`."""
    if balanced:
        return design.n * design.size(e) / design.size(e | f)
    return float(_held_by_group(design, e, f).sum())


def _held_by_group(design: Design, e: int, f: int) -> Floats:
    union = e | f
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
    mean = np.outer(np.ones(len(held) - 1), held[0] @ components * share)
    for row, e in enumerate(effects):
        if e & mine:
            level = level_of(design, e, item)
            values = components[-1] + sum(
                component * _held_by_group(design, e, f)
                for f, component in zip(effects, components, strict=False)
            )
            expected[row] = np.bincount(level, values, n_items) - mean[row]
    return expected
