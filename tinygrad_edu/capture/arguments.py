"""Arguments: what a call is given and gives back, taken apart into arrays and all the rest.

The arrays and the floats are what a program runs on; the rest (structure, names, whole numbers, functions)
decides which program that is.
"""

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..recording import LEAF, Recorded, make
from ..transforms import leaves, rebuild
from .standin import Traced
from .trace import Foreign, Trace

# What a call is given


def describe(value: Any, given: list[Any], key: list[Any]) -> None:
    """Add the arrays and numbers in an argument to `given`, and what decides about the program to `key`."""
    kind = type(value)
    if kind is np.ndarray:
        key += (value.shape, value.strides, value.dtype)
        given.append(value)
    elif kind is float or (isinstance(value, np.generic) and not _is_whole(value)):
        key += (kind, getattr(value, "dtype", None))
        given.append(value)
    elif isinstance(value, (list, tuple)):
        key += (kind, len(value))
        for item in value:
            describe(item, given, key)
    elif isinstance(value, dict):
        key += (kind, tuple(value))
        for item in value.values():
            describe(item, given, key)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        key.append(kind)
        for field in dataclasses.fields(value):
            describe(getattr(value, field.name), given, key)
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


def _add_tensor(value: Recorded, given: list[Any], key: list[Any]) -> None:
    if value.node is LEAF:  # a parameter, whose gradient the function may leave in it: another one is another
        key.append(_Same(value))
    elif value.node is not None:
        raise Connected
    else:
        key.append(type(value))
        describe(value.data, given, key)


def _is_whole(value: Any) -> bool:
    """Tell whether a number is a count or a flag, which may say what shape a result has."""
    return isinstance(value, (np.integer, np.bool_))


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


def stand_in_for(value: Any, numbers: Iterator[int], tracing: Trace, name: str) -> Any:
    """Return an argument with stand-ins for its arrays and numbers."""
    kind = type(value)
    if kind is np.ndarray or kind is float or (isinstance(value, np.generic) and not _is_whole(value)):
        return tracing.input("argument", next(numbers), value, name)
    if isinstance(value, Recorded):
        if value.node is LEAF:
            return value
        tensor = make(stand_in_for(value.data, numbers, tracing, value.name or name))
        tensor.name = value.name
        return tensor
    if isinstance(value, dict):
        twin = copy.copy(value)  # a defaultdict, say, with what it makes
        twin.update((k, stand_in_for(item, numbers, tracing, f"{name}_{k}")) for k, item in value.items())
        return twin
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        batch: Any = copy.copy(value)
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            object.__setattr__(
                batch, field.name, stand_in_for(item, numbers, tracing, f"{name}_{field.name}")
            )
        return batch
    if isinstance(value, (list, tuple)):
        items = [stand_in_for(item, numbers, tracing, f"{name}_{i}") for i, item in enumerate(value)]
        return kind(*items) if hasattr(value, "_fields") else kind(items)
    return value


# What a call gives back


def _items(value: Any) -> Any:
    return value if isinstance(value, (set, frozenset)) else ()


class Out:
    """A result as the program knows it: the stand-in, and whether it is handed out as a Tensor."""

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
            raise tracing.refusal(
                f"a {type(value).__name__} that holds results", "return a list, tuple or dict"
            )
        return value

    return rebuild(result, iter([out(leaf) for leaf in leaves(result)]))
