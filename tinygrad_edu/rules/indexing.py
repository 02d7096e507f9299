"""Gradient rules for picking elements: ``x[...]`` in all of NumPy's forms, and take.

Picking and putting are each other's gradients: what was picked from a place is put (added) back there.
"""

from typing import Any

import numpy as np

from ..recording import primitive
from . import define, rule


def getitem(a: Any, index: Any) -> Any:
    """Return ``a[index]``."""
    return a[index]


@primitive(lambda g, y, values, index, shape: g[index])
def put(values: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of the given shape with `values` added at `index`; a place named twice gets both."""
    total = np.zeros_like(values, shape=shape)
    if is_basic(index):
        total[index] = values
    else:
        np.add.at(total, index, values)
    return total


rule(getitem, lambda g, y, a, index: put(g, index, a.shape))


def is_basic(index: Any) -> bool:
    """Tell whether an index holds only integers, slices, None and ... (so that no place is named twice)."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None
        or part is Ellipsis
        or type(part) is slice
        or (isinstance(part, (int, np.integer)) and type(part) is not bool)
        for part in parts
    )


# sorting and choosing: pick by the indices that NumPy would pick by
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """Write numpy.take_along_axis as indexing."""
    if axis is None:
        return np.ravel(arr)[np.ravel(indices)]
    grid = list(np.ix_(*map(np.arange, np.shape(arr))))
    grid[axis] = indices
    return arr[tuple(grid)]


def flat(a: Any, axis: int | None) -> tuple[Any, int]:
    """Flatten `a` where no axis is given."""
    return (np.ravel(a), 0) if axis is None else (a, axis)


define(np.take_along_axis, take_along_axis)
define(
    np.sort,
    lambda a, axis=-1, kind=None, order=None, *, stable=None: take_along_axis(
        flat(a, axis)[0], np.argsort(*flat(a, axis), kind=kind, stable=stable), flat(a, axis)[1]
    ),
)
define(
    np.partition,
    lambda a, kth, axis=-1, kind="introselect", order=None: take_along_axis(
        flat(a, axis)[0], np.argpartition(flat(a, axis)[0], kth, flat(a, axis)[1], kind), flat(a, axis)[1]
    ),
)
define(np.compress, lambda condition, a, axis=None, out=None: np.take(a, np.flatnonzero(condition), axis))
define(np.extract, lambda condition, arr: np.ravel(arr)[np.flatnonzero(condition)])


def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """Write numpy.choose as picking from the stacked choices."""
    a, *choices = np.broadcast_arrays(a, *choices)
    return take_along_axis(np.stack(choices), wrapped(a, len(choices), mode)[None], 0)[0]


define(np.choose, choose)


def along(axis: int | None, index: Any, ndim: int) -> Any:
    """Return the index that applies `index` along one axis and takes everything along the others."""
    assert axis is not None
    return (slice(None),) * (axis % ndim) + (index,)


rule(
    np.take,
    lambda g, y, a, indices, axis=None, out=None, mode="raise": (
        np.reshape(put(g, wrapped(indices, a.size, mode), (a.size,)), a.shape)
        if axis is None
        else put(g, along(axis, wrapped(indices, a.shape[axis], mode), a.ndim), a.shape)
    ),
)


def wrapped(indices: Any, n: int, mode: str) -> Any:
    """Bring indices into range as ``np.take`` does for each of its modes."""
    return np.mod(indices, n) if mode == "wrap" else np.clip(indices, 0, n - 1) if mode == "clip" else indices
