"""Assignment as a function: ``x.at[i].set(v)`` gives a new Tensor, and leaves `x` as it was recorded."""

from typing import Any

import numpy as np

from .rules.indexing import add_at, multiply_at, set_at

_NO_INDEX = object()


class At:
    """Where in a Tensor to set, add or multiply; see `Tensor.at`."""

    def __init__(self, x: Any, index: Any = _NO_INDEX):
        self._x, self._where = x, index

    @property
    def _index(self) -> Any:
        if self._where is _NO_INDEX:
            raise TypeError("x.at needs an index:  x.at[i].set(value),  or x.at[...] for all of x")
        return self._where

    def _value(self, value: Any) -> Any:
        """Give a value the dtype of the Tensor, unless that loses what is behind the point."""
        value = value if hasattr(value, "dtype") else np.asarray(value)
        if not np.can_cast(value.dtype, self._x.dtype, "same_kind"):
            raise TypeError(
                f"x of dtype {self._x.dtype} cannot hold {value.dtype}; convert it first, as x.astype(float)"
            )
        return value.astype(self._x.dtype)

    def __getitem__(self, index: Any) -> "At":
        return At(self._x, index)

    def set(self, value: Any) -> Any:
        """Return the Tensor with other values there."""
        return set_at(self._x, self._index, self._value(value))

    def add(self, value: Any) -> Any:
        """Return the Tensor with something added there; a place named twice gets both."""
        return add_at(self._x, self._index, self._value(value))

    def multiply(self, value: Any) -> Any:
        """Return the Tensor with its values there multiplied."""
        return multiply_at(self._x, self._index, self._value(value))
