"""Which sources vary, and how are they crossed or nested?"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

SPARSE = 4
"""Tables with more cells than this for each key are searched, not laid out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Answers grouped by some facets, in the order of their keys."""

    keys: Codes
    """Levels as one number, the last facet changing fastest."""

    counts: Floats
    sums: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """How answers spread over facets.

    A set of facets is a number with bit f for facet f. It stands for the partition of
    the answers by its levels: a set is *closed* if it holds every facet whose level
    follows from the others', so that each partition has one name. An item that belongs
    to one task is the closed set {task, item}.

    Attributes
    ----------
    names : tuple of str
        Facets that vary and can be told apart.
    n_levels : tuple of int
        Of each of `names`.
    constant : tuple of str
        Facets of one level.
    confounded : mapping of str to str
        Facets whose levels are another's under other names, and that other.
    cells : mapping of int to Cells
        For each set of facets; sums are of scores less their mean.
    squares : ndarray
        Sum of squares about the mean, of each of the finest groups.
    n, mean : float
        Number of answers, and their mean.
    """

    names: tuple[str, ...]
    n_levels: tuple[int, ...]
    constant: tuple[str, ...]
    confounded: Mapping[str, str]
    cells: Mapping[int, Cells]
    squares: Floats
    n: int
    mean: float

    @property
    def everything(self) -> int:
        """The set of all facets."""
        return (1 << len(self.names)) - 1

    def size(self, facets: int) -> int:
        """Return the number of groups that the levels of `facets` make."""
        return len(self.cells[facets].keys)

    def closure(self, facets: int) -> int:
        """Return the set with all facets that `facets` determine."""
        return facets | sum(
            1 << f
            for f in range(len(self.names))
            if not facets >> f & 1 and self.size(facets | 1 << f) == self.size(facets)
        )

    def closed(self) -> tuple[int, ...]:
        """Return the closed sets, each after those within it; the empty one first."""
        found = {self.closure(facets) for facets in self.cells}
        return tuple(sorted(found, key=lambda facets: (facets.bit_count(), facets)))

    def outer(self, facets: int) -> int:
        """Return those of a closed set that another of it is nested in."""
        return sum(
            1 << f
            for f in members(facets)
            if any(
                g != f and self.size(1 << f | 1 << g) == self.size(1 << g)
                for g in members(facets)
            )
        )

    def index(self, within: int, facets: int) -> Codes:
        """Return to which group of `facets` each group of `within` belongs."""
        keys = self.cells[within].keys
        for f in members(within & ~facets):
            keys = _without(keys, self.n_levels, within, f)
            within &= ~(1 << f)
        return _positions(self.cells[facets].keys, keys, self.n_cells(facets))

    def n_cells(self, facets: int) -> int:
        """Return how many groups there were, did all levels meet."""
        return math.prod(self.n_levels[f] for f in members(facets))

    def names_of(self, facets: int) -> tuple[str, ...]:
        """Return the names of a set's facets, in their order."""
        return tuple(self.names[f] for f in members(facets))


def design(
    scores: Floats, codes: Mapping[str, Codes], within: Mapping[str, Collection[str]]
) -> Design:
    """Group scores by every set of facets.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        Without missing values.
    codes : mapping of str to ndarray of int, shape (n,)
        Which level of each facet each answer belongs to.
    within : mapping of str to collection of str
        Facets whose levels are counted anew in each level of others.
    """
    levels: dict[str, Codes] = {}
    n_levels: dict[str, int] = {}
    for name, values in codes.items():
        levels[name], n_levels[name] = _from_zero(values)
    for name, outer in within.items():
        key, size = levels[name], n_levels[name]
        for other in outer:
            key, size = key * n_levels[other] + levels[other], size * n_levels[other]
        levels[name], n_levels[name] = _from_zero(key)
    varied = [name for name in codes if n_levels[name] > 1]
    confounded = dict(_twins({name: levels[name] for name in varied}, n_levels))
    names = tuple(name for name in varied if name not in confounded)
    sizes = tuple(n_levels[name] for name in names)
    mean = float(scores.mean())
    apart = scores - mean
    size = math.prod(sizes)
    keys = np.zeros(len(scores), dtype=np.intp)
    for name in names:
        keys = keys * n_levels[name] + levels[name]
    finest = _grouped(keys, None, apart, size)
    return Design(
        names=names,
        n_levels=sizes,
        constant=tuple(name for name in codes if n_levels[name] == 1),
        confounded=confounded,
        cells=_all_cells(finest, sizes),
        squares=_grouped(keys, None, apart**2, size).sums,
        n=len(scores),
        mean=mean,
    )


def members(facets: int) -> Iterator[int]:
    """Yield the numbers of a set's facets, the first first."""
    return (f for f in range(facets.bit_length()) if facets >> f & 1)


def level_of(design: Design, within: int, facet: int) -> Codes:
    """Return the level of a facet that each group of `within` has."""
    stride = _stride(design.n_levels, within, facet)
    keys = design.cells[within].keys
    return np.asarray(keys // stride % design.n_levels[facet], dtype=np.intp)


def _from_zero(values: Codes) -> tuple[Codes, int]:
    """Return codes without gaps, and their number."""
    values = np.asarray(values)
    least, most = int(values.min()), int(values.max())
    if most - least >= SPARSE * len(values):
        found, codes = np.unique(values, return_inverse=True)
        return codes, len(found)
    is_used = np.bincount(values - least) > 0
    return (np.cumsum(is_used) - 1)[values - least], int(is_used.sum())


def _twins(
    levels: Mapping[str, Codes], n_levels: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    """Yield each facet whose levels are those of an earlier one, and that one."""
    kept: list[str] = []
    for name, codes in levels.items():
        size = n_levels[name]
        for other in kept:
            if n_levels[other] == size and (
                _from_zero(codes * size + levels[other])[1] == size
            ):
                yield name, other
                break
        else:
            kept.append(name)


def _all_cells(finest: Cells, n_levels: tuple[int, ...]) -> dict[int, Cells]:
    """Return the groups of every set, each from the smallest that holds it."""
    everything = (1 << len(n_levels)) - 1
    cells = {everything: finest}
    rest = sorted(range(everything), key=lambda facets: -facets.bit_count())
    for facets in rest:
        missing = [f for f in range(len(n_levels)) if not facets >> f & 1]
        f = min(missing, key=lambda f: len(cells[facets | 1 << f].keys))
        cells[facets] = _merged(cells[facets | 1 << f], n_levels, facets | 1 << f, f)
    return cells


def _merged(cells: Cells, n_levels: tuple[int, ...], within: int, facet: int) -> Cells:
    size = math.prod(n_levels[f] for f in members(within))
    if len(cells.keys) == size:
        stride = _stride(n_levels, within, facet)
        shape = -1, n_levels[facet], stride
        counts = cells.counts.reshape(shape).sum(1).ravel()
        sums = cells.sums.reshape(shape).sum(1).ravel()
        return Cells(keys=np.arange(len(sums)), counts=counts, sums=sums)
    keys = _without(cells.keys, n_levels, within, facet)
    return _grouped(keys, cells.counts, cells.sums, size // n_levels[facet])


def _grouped(keys: Codes, counts: Floats | None, sums: Floats, size: int) -> Cells:
    if size <= SPARSE * len(keys):
        found, codes = np.arange(size), keys
    else:
        found, codes = np.unique(keys, return_inverse=True)
    n = np.bincount(codes, counts, minlength=len(found)).astype(float)
    total = np.bincount(codes, sums, minlength=len(found)).astype(float)
    is_used = n > 0
    return Cells(keys=found[is_used], counts=n[is_used], sums=total[is_used])


def _without(keys: Codes, n_levels: tuple[int, ...], within: int, facet: int) -> Codes:
    """Return keys of the groups that merge when a facet is left out."""
    stride = _stride(n_levels, within, facet)
    above = keys // (stride * n_levels[facet])
    return above if stride == 1 else above * stride + keys % stride


def _stride(n_levels: tuple[int, ...], within: int, facet: int) -> int:
    return math.prod(n_levels[f] for f in members(within) if f > facet)


def _positions(found: Codes, keys: Codes, size: int) -> Codes:
    """Return where in sorted `found` each of `keys` stands."""
    if len(found) == size:
        return keys
    if size > SPARSE * len(keys):
        return np.searchsorted(found, keys)
    places = np.empty(size, dtype=np.intp)
    places[found] = np.arange(len(found))
    return places[keys]
