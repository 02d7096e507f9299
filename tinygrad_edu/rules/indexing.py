"""Gradient rules for picking elements: ``x[...]`` in all of NumPy's forms, and take.

Picking and putting are each other's gradients: what was picked from a place is put (added) back there.
"""

from typing import Any

import numpy as np

from ..recording import primitive
from . import rule


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
