"""Gradient rules for picking elements: ``x[...]`` in all of NumPy's forms, and take.

Picking and putting are each other's gradients: what was picked from a place is put (added) back there.
"""

from typing import Any

import numpy as np

from . import as_array, cast, define, reads, rule, unbroadcast
from .primitive import opaque, primitive


def getitem(a: Any, index: Any) -> Any:
    """Return ``a[index]``."""
    return a[index]


@reads("put({values} at [{index}])")
@primitive(lambda g, y, values, index, shape: g[index])
@opaque
def put(values: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of the given shape with `values` added at `index`; a place named twice gets both."""
    total = np.zeros_like(values, shape=shape)
    if is_basic(index):
        total[index] = values
    else:
        np.add.at(total, index, values)
    return total


rule(getitem, lambda g, y, a, index: put(g, index, a.shape))


@primitive(
    lambda g, y, a, index, v: set_at(g, index, 0),  # type: ignore[has-type]
    None,
    lambda g, y, a, index, v: unbroadcast(g[index] * last_there(index, a.shape), np.shape(v)),
)
@opaque
def set_at(a: Any, index: Any, v: Any) -> Any:
    """Return a copy of `a` with ``a[index] = v``; where a place is named twice, the last value stays."""
    result = a.copy() if a.ndim else np.array(a)
    result[index] = v
    return result


def add_at(a: Any, index: Any, v: Any) -> Any:
    """Return `a` with `v` added at `index`; a place named twice gets both."""
    return a + put(np.broadcast_to(v, a[index].shape), index, a.shape)


def multiply_at(a: Any, index: Any, v: Any) -> Any:
    """Return `a` with ``a[index]`` multiplied by `v`."""
    if not np.all(last_there(index, a.shape)):
        raise ValueError("at[...].multiply names a place twice; multiply the factors first, or use two steps")
    return a * set_at(np.ones_like(a), index, v)


def last_there(index: Any, shape: tuple[int, ...]) -> Any:
    """Tell which of the places that an index names are not named again later."""
    places = np.zeros(shape, int)
    order = np.arange(places[index].size).reshape(places[index].shape)
    return set_at(places, index, order)[index] == order


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
define(np.ix_, lambda *lines: tuple(
    np.reshape(line, (1,) * i + (-1,) + (1,) * (len(lines) - i - 1)) for i, line in enumerate(lines)
))  # fmt: skip
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


def unique(ar: Any, *options: Any, equal_nan: bool = True, **more: Any) -> Any:
    """Write numpy.unique as the sorted elements that differ from the one before them."""
    if any(options) or any(more.values()):
        raise TypeError("np.unique has a gradient rule for its values only: leave its other options out")
    values = np.sort(ar, axis=None)
    again = values[1:] == values[:-1]
    again = again | (np.isnan(values[1:]) & np.isnan(values[:-1])) if equal_nan else again
    return values[np.flatnonzero(np.concatenate([np.ones(len(values[:1]), bool), ~again]))]


def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """Write numpy.trim_zeros as a slice along each axis."""
    filt = as_array(filt)
    places = np.argwhere(filt)
    slices = [slice(None)] * np.ndim(filt)
    for i in range(np.ndim(filt)) if axis is None else np.atleast_1d(np.mod(axis, np.ndim(filt))).tolist():
        first, last = (int(np.min(places[:, i])), int(np.max(places[:, i]))) if len(places) else (0, -1)
        front, back = "f" in trim.lower() or last < 0, "b" in trim.lower() or last < 0
        slices[i] = slice(first if front else None, last + 1 if back else None)
    return filt[tuple(slices)]


define(np.unique, unique)
define(np.unique_values, lambda x: unique(x, equal_nan=False))
define(np.trim_zeros, trim_zeros)
define(
    np.bincount,
    lambda x, /, weights=None, minlength=0: put(
        cast(weights, float), as_array(x), (max(minlength, int(np.max(x, initial=-1)) + 1),)
    ),
)


def index_along(axis: int | None, index: Any, ndim: int) -> Any:
    """Return the index that applies `index` along one axis and takes everything along the others."""
    assert axis is not None
    return (slice(None),) * (axis % ndim) + (index,)


rule(
    np.take,
    lambda g, y, a, indices, axis=None, out=None, mode="raise": (
        np.reshape(put(g, wrapped(indices, a.size, mode), (a.size,)), a.shape)
        if axis is None
        else put(g, index_along(axis, wrapped(indices, a.shape[axis], mode), a.ndim), a.shape)
    ),
)


def wrapped(indices: Any, n: int, mode: str) -> Any:
    """Bring indices into range as ``np.take`` does for each of its modes."""
    return np.mod(indices, n) if mode == "wrap" else np.clip(indices, 0, n - 1) if mode == "clip" else indices
