"""Arguments: what a call is given and gives back, taken apart into arrays and all the rest.

The arrays and the floats are what a program runs on; the rest (structure, names, whole numbers, functions)
decides which program that is.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..containers import leaves, paths, rebuild, structure, tree_map
from ..recording import LEAF, Recorded, make
from .trace import Foreign, Trace
from .traced import Traced, refuse

# What a call is given


def describe(value: Any, given: list[Any], key: list[Any]) -> None:
    """Add the arrays and numbers in an argument to `given`, and what decides about the program to `key`."""
    key.append(structure(value))
    for leaf in leaves(value):
        _describe_leaf(leaf, given, key)


def _describe_leaf(value: Any, given: list[Any], key: list[Any]) -> None:
    kind = type(value)
    if kind is np.ndarray:
        key += (value.shape, value.strides, value.dtype)
        given.append(value)
    elif _is_number(value):
        key += (kind, getattr(value, "dtype", None))
        given.append(value)
    elif isinstance(value, Recorded):
        _add_tensor(value, given, key)
    elif hasattr(value, "__array_function__"):
        raise Foreign(kind)
    else:
        try:
            hash(value)
        except TypeError:
            key += (kind, _Same(value))
        else:
            key += (kind, value)


def _is_number(value: Any) -> bool:
    """Tell whether a number is given anew on each call; a count or a flag may say what shape a result has."""
    return type(value) is float or (
        isinstance(value, np.generic) and not isinstance(value, (np.integer, np.bool_))
    )


def _add_tensor(value: Recorded, given: list[Any], key: list[Any]) -> None:
    if value.node is LEAF:  # a parameter, whose gradient the function may leave in it: another one is another
        key.append(_Same(value))
    elif value.node is not None:
        raise Connected
    else:
        key.append(type(value))
        _describe_leaf(value.data, given, key)


class _Same:
    """Compares an object by identity, and keeps it alive."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


class Connected(Exception):
    """An argument is the result of recorded calls, so that a gradient must flow through this call."""


def traced_argument(value: Any, numbers: Iterator[int], tracing: Trace, name: str) -> Any:
    """Return an argument with traced arrays for its arrays and numbers, named after where they are in it."""

    def traced(leaf: Any, name: str) -> Any:
        if type(leaf) is np.ndarray or _is_number(leaf):
            return tracing.input("argument", next(numbers), leaf, name)
        if isinstance(leaf, Recorded) and leaf.node is not LEAF:
            tensor = make(traced(leaf._data, leaf.name or name))
            tensor.name = leaf.name
            return tensor
        return leaf

    found = [traced(leaf, "_".join([name, *map(str, path)])) for path, leaf in paths(value)]
    return rebuild(value, iter(found))


# What a call gives back


def _items(value: Any) -> Any:
    return value if isinstance(value, (set, frozenset)) else ()


class Out:
    """A result as the program knows it: the traced array, and whether it is handed out as a Tensor."""

    def __init__(self, value: Any, tensor: Any = None):
        self.value = value
        self.name = None if tensor is None else tensor.name
        self.tensor = tensor is not None
        self.connected = tensor is not None and tensor.node is not None
        self.cut = False  # no gradient flows on from it, although one would without capture
        self.lent = False  # the caller's own array, which a Tensor may not lock


def outputs_of(result: Any, tracing: Trace) -> Any:
    """Replace every array and Tensor in a result by how it is found on each call."""

    def out(value: Any) -> Any:
        if isinstance(value, Recorded):
            return value if id(value) in tracing.lifted or value.node is LEAF else Out(value.data, value)
        if isinstance(value, (Traced, np.ndarray)):
            return Out(value)
        inside = vars(value).values() if hasattr(value, "__dict__") and not callable(value) else ()
        if any(type(part) is Traced or isinstance(part, Recorded) for part in (*inside, *_items(value))):
            raise refuse(f"a {type(value).__name__} that holds results", "return a list, tuple or dict")
        return value

    return tree_map(out, result)
